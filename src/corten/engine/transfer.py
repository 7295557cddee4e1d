"""Use cases that move images: pull, push, save, load, import, export, copy.

All of them are :func:`corten.content.copy.copy` between two ends.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from corten.content.graph import read_document
from corten.content.protocols import Source
from corten.engine.host import Host
from corten.engine.lookup import image_id_of, lies_on_docker_hub
from corten.errors import Corrupt, CortenError, Denied, NotFound, Unavailable
from corten.events.job import Job
from corten.image.compress import compressed
from corten.image.view import load_image
from corten.oci import media
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.oci.manifest import Index, parse_document
from corten.oci.platform import Platform
from corten.oci.reference import Reference
from corten.remote.registries import Registries


class Pulled(NamedTuple):
    """A pulled image: what the local name stands for, the registry's digest, and whether it is new."""

    reference: Reference
    descriptor: Descriptor
    digest: Digest
    new: bool


def _trusted(reference: Reference, insecure: bool) -> frozenset[str]:
    """The hosts that may be spoken to in plain http."""
    return frozenset({reference.registry}) if insecure else frozenset()


class Pushed(NamedTuple):
    """A pushed image: where, and the descriptor that the registry has now."""

    reference: Reference
    descriptor: Descriptor


def pull(
    host: Host,
    text: str,
    job: Job,
    *,
    platform: str = "",
    insecure: bool = False,
) -> Pulled:
    """Fetch an image from its registry; its layers can be mounted when this returns.

    Of an index only the image for `platform` (default: this host's) comes along.
    Raises: NotFound: no such image, or none for the platform; Denied; Unavailable;
    Corrupt: bytes that are not what their digest says; Invalid: it is no container image.
    """
    from corten.content.copy import copy
    from corten.snapshot.unpacking import UnpackingSink

    reference = Reference.parse(text)
    wanted = Platform.parse(platform) if platform else host.platform
    with (
        Registries(os.environ, _trusted(reference, insecure)) as registries,
        host.store.lease(),
        job.step("pull", reference.familiar()) as step,
    ):
        source = registries.open(reference)
        root = source.resolve(reference.target)
        image = root
        if root.media_type in media.INDEXES:
            index = parse_document(read_document(source, root), root.media_type)
            assert isinstance(index, Index)
            chosen = index.select(wanted)
            if chosen is None:
                has = ", ".join(str(d.platform) for d in index.manifests if d.platform)
                raise NotFound(
                    f"{reference.familiar()} has no image for {wanted}",
                    hint=f"it has {has or 'none'}",
                )
            image = Descriptor(media_type=chosen.media_type, digest=chosen.digest, size=chosen.size)
        before = _digest_here(host, reference)
        same = _image_here(host, reference, root.digest)
        sink = UnpackingSink(host.store, host.snapshotter, host.settings.layer_limit)
        copy(source, sink, image, step)
        # What is no image gets no name here.
        found = load_image(host.store, image, wanted)
        if not found.config.platform.matches(wanted):
            # A registry that has one image only gives it to all.
            step.warn(f"{reference.familiar()} is for {found.config.platform}, not for {wanted}")
        sink.tag(str(reference), image)
        host.store.add_repo_digest(reference.name, root.digest, found.id)
        new = before != image.digest and same != found.id
        step.result("done" if new else "cached", str(root.digest))
    return Pulled(reference, image, root.digest, new)


def _digest_here(host: Host, reference: Reference) -> Digest | None:
    try:
        return host.store.resolve(str(reference)).digest
    except NotFound:
        return None


def _image_here(host: Host, reference: Reference, digest: Digest) -> Digest | None:
    """The ID of the image that the name stands for, if its repository has it as `digest`.

    Its manifest here may be another: a push compresses the layers.
    """
    with suppress(NotFound):
        image_id = image_id_of(host, host.store.resolve(str(reference)))
        if f"{reference.name}@{digest}" in host.store.repo_digests(image_id):
            return image_id
    return None


def _stands_for(registry: Source, tag: str, descriptor: Descriptor) -> bool:
    """Whether the tag is this manifest already: then the registry had all that it names.

    One that has lost a blob since is not found out, for that takes a question for each;
    `corten copy` asks them.  Spec: OCI distribution, "Pushing Manifests".
    """
    try:
        return registry.resolve(tag).digest == descriptor.digest
    except CortenError:
        return False  # pushing says what is wrong, in its own words


@contextmanager
def short_name_explained(text: str, reference: Reference) -> Iterator[None]:
    """Where a short name's registry does not take an image, the hint says how to name another.

    Docker Hub is what a name without a registry means; few who write one have an account there.
    """
    try:
        yield
    except (Denied, Unavailable) as error:
        if lies_on_docker_hub(text):
            name = reference.familiar()
            error.hint = (
                f"{name} means {reference}; for another registry:"
                f" corten tag {name} HOST/{name}, and push that"
            )
        raise


@contextmanager
def damage_explained() -> Iterator[None]:
    """Where what goes out of the store is not what its digest says, the hint says what mends it."""
    try:
        yield
    except Corrupt as error:
        error.hint = error.hint or "if it is damaged here, corten system check --repair mends it"
        raise


def push(host: Host, text: str, job: Job, *, insecure: bool = False) -> Pushed:
    """Send a local image to the registry that its name says, compressed; what is there is skipped.

    Raises: NotFound: no image of this name here; Denied; Unavailable.
    """
    reference = Reference.parse(text)
    try:
        descriptor = host.store.resolve(str(reference))
    except NotFound as error:
        raise NotFound(
            f"no image {reference.familiar()} here",
            hint=f"name one so first: corten tag IMAGE {reference.familiar()}",
        ) from error
    with (
        short_name_explained(text, reference),
        damage_explained(),
        Registries(os.environ, _trusted(reference, insecure)) as registries,
        host.store.lease(),
        job.step("push", reference.familiar()) as step,
    ):
        sink = registries.open(reference, ("pull", "push"))
        outgoing = compressed(host.store, descriptor, step, sink)
        there = _stands_for(sink, reference.tag, outgoing)
        if not there:
            from corten.content.copy import copy

            copy(host.store, sink, outgoing, step, name=reference.tag)
        image_id = image_id_of(host, descriptor)
        host.store.add_repo_digest(reference.name, outgoing.digest, image_id)
        step.result("cached" if there else "done", str(outgoing.digest))
    return Pushed(reference, outgoing)
