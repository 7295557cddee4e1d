"""The images that a build starts from: found here, or fetched for the platform that is asked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from corten.builder.build import Pull
from corten.builder.lockfile import Lock
from corten.builder.named_contexts import LAYOUT, split_layout
from corten.builder.plan import BaseImage, BaseRequest
from corten.engine.host import Host
from corten.engine.lookup import find_image, hold, image_for
from corten.engine.restoring import restore_tar
from corten.errors import Denied, Invalid, NotFound, Unavailable
from corten.events.job import Job
from corten.image.view import Image, load_image
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.oci.manifest import Index
from corten.oci.platform import Platform
from corten.oci.reference import Reference

if TYPE_CHECKING:
    from corten.content.layout import OCILayout


def base_image(
    host: Host, wanted: BaseRequest, pull: Pull, job: Job, lock: Lock | None
) -> BaseImage:
    """The image of a FROM, with its layers, from the store or else its registry.

    With a lock file, the one that it says.  Raises: NotFound, Denied, Unavailable.
    """
    if wanted.name.startswith(LAYOUT):
        return _from_layout(host, wanted, job)
    name = wanted.name if lock is None else lock.pin(wanted.name)
    if wanted.platform.matches(host.platform):
        image = image_for(host, name, job, pull=pull, platform=str(wanted.platform), apply=False)
    else:
        image = _foreign(host, name, wanted.platform, pull, job)
    for diff_id in image.config.diff_ids:
        # COPY and RUN look into its tars; one that was lost is made again, if it can be.
        if host.store.blobs.size_or_none(diff_id) is None:
            restore_tar(host.store, diff_id)
    canonical = str(Reference.parse(wanted.name))
    return BaseImage(canonical, image.config, _digest(host, canonical, image))


def _digest(host: Host, name: str, image: Image) -> Digest:
    """The digest that the image's registry knows it by; its manifest's here where none does."""
    reference = Reference.parse(name)
    if reference.digest is not None:
        return reference.digest
    lead = f"{reference.name}@"
    known = [text for text in host.store.repo_digests(image.id) if text.startswith(lead)]
    return Digest(known[-1].removeprefix(lead)) if known else image.descriptor.digest


def _from_layout(host: Host, wanted: BaseRequest, job: Job) -> BaseImage:
    """The image of an OCI layout, brought into the store; no name of the store changes."""
    from corten.content.copy import copy
    from corten.content.layout import OCILayout
    from corten.snapshot.unpacking import UnpackingSink

    folder, name = split_layout(wanted.name)
    path = Path(folder)
    if not (path / "index.json").is_file():
        raise NotFound(f"{folder} is no OCI layout", hint="it has an index.json and blobs")
    layout = OCILayout(path)
    root = _layout_root(layout, name, folder)
    with job.step("pull", f"{wanted.name} ({wanted.platform})") as step:
        chosen = load_image(layout, root, wanted.platform).descriptor
        copy(
            layout,
            UnpackingSink(host.store, host.snapshotter, host.settings.layer_limit),
            chosen,
            step,
        )
        step.result("done", str(chosen.digest))
    image = load_image(host.store, chosen, wanted.platform)
    return BaseImage(wanted.name, image.config, chosen.digest)


def _layout_root(layout: OCILayout, name: str, folder: str) -> Descriptor:
    if name:
        return layout.resolve(name)
    roots = layout.roots()
    if len(roots) != 1:
        raise Invalid(
            f"the OCI layout {folder} has {len(roots)} images",
            hint="name one: oci-layout://DIR:TAG or oci-layout://DIR@DIGEST",
        )
    return roots[0]


def _foreign(host: Host, name: str, wanted: Platform, pull: Pull, job: Job) -> Image:
    """The image of that name for another platform than this host's.

    What is fetched does not take the name away from this host's image: the name then stands
    for the index.
    """
    here = _here(host, name, wanted)
    if here is not None and here.config.platform.matches(wanted) and pull != "always":
        return here
    if pull == "never":
        raise NotFound(f"no image {name!r} for {wanted} here, and --pull=never fetches none")
    try:
        return _fetched(host, name, wanted, job)
    except (NotFound, Denied, Unavailable) as error:
        if here is None or pull == "always":
            raise
        job.warn(
            f"{name} is for {here.config.platform}, not for {wanted},"
            f" and another was not found: {error.message}"
        )
        return here


def _here(host: Host, name: str, wanted: Platform) -> Image | None:
    try:
        image = find_image(host, name, wanted)
        hold(host, image)
    except NotFound:
        return None
    except Invalid:
        return None  # an ID
    return image


def _fetched(host: Host, name: str, wanted: Platform, job: Job) -> Image:
    from corten.content.copy import copy
    from corten.remote.registries import Registries
    from corten.snapshot.unpacking import UnpackingSink

    reference = Reference.parse(name)
    with (
        Registries(os.environ) as registries,
        job.step("pull", f"{reference.familiar()} ({wanted})") as step,
    ):
        source = registries.open(reference)
        root = source.resolve(reference.target)

        def chosen(index: Index) -> list[Descriptor]:
            """The one for the platform, and those that are here."""
            one = index.select(wanted)
            return [each for each in index.manifests if each == one or host.store.blobs.has(each)]

        load_image(source, root, wanted)  # there is one, before anything is fetched
        sink = UnpackingSink(host.store, host.snapshotter, host.settings.layer_limit)
        copy(source, sink, root, step, select=chosen)
        sink.tag(str(reference), root)
        image = load_image(host.store, root, wanted)
        host.store.add_repo_digest(reference.name, root.digest, image.id)
        step.result("done", str(root.digest))
    return image
