"""Places that images can be copied from and to: ``TRANSPORT:REFERENCE``, as skopeo writes them."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from corten.content.graph import read_document
from corten.content.layout import OCILayout
from corten.content.protocols import Sink, Source
from corten.engine.host import Host
from corten.engine.lookup import find_descriptor
from corten.errors import Invalid, NotFound
from corten.oci import media
from corten.oci.descriptor import Descriptor
from corten.oci.manifest import Index, parse_document
from corten.oci.platform import Platform
from corten.oci.reference import Reference
from corten.remote.registries import Registries

ARCHIVES = ("docker-archive", "oci-archive")
TRANSPORTS = ("corten", "docker", "oci", *ARCHIVES)
_OTHERS = ("dir", "containers-storage", "docker-daemon", "ostree", "sif", "tarball")
"""Transports of skopeo that there are not here.  An image of such a name is ``corten:NAME``."""
_FILES = (".tar", ".tar.gz", ".tgz", ".tar.zst")
_HINT = (
    "one of NAME, docker://HOST/NAME:TAG, oci:DIRECTORY[:NAME], oci-archive:FILE[:NAME], "
    "docker-archive:FILE[:NAME]"
)


class Place(NamedTuple):
    """A parsed place.  ``path`` is a file or directory, ``name`` what it has there (maybe empty)."""

    transport: str
    path: str
    name: str


def parse_place(text: str) -> Place:
    """A place as typed; a bare name is one of the local store.  Raises: Invalid."""
    transport, colon, rest = text.partition(":")
    if not colon or transport not in TRANSPORTS or (transport == "docker") != rest.startswith("//"):
        if transport in (*ARCHIVES, "oci", "docker") and colon:
            raise Invalid(f"{text!r} names no place", hint=_HINT)
        if colon and _meant_as_transport(transport, rest):
            raise Invalid(f"there is no transport {transport!r}", hint=_HINT)
        if text.endswith(_FILES):
            # It could be an image's name, and whoever wants that can say corten:NAME.
            raise Invalid(
                f"{text!r} is a file's name, not an image's",
                hint=f"docker-archive:{text} for docker load, oci-archive:{text} for an OCI archive",
            )
        return Place("corten", "", text)
    if transport == "docker":
        return Place(transport, "", rest.removeprefix("//"))
    if transport == "corten":
        return Place(transport, "", rest)
    path, _, name = rest.partition(":")
    if not path:
        raise Invalid(f"{text!r} names no file or directory", hint=_HINT)
    return Place(transport, path, name)


def _meant_as_transport(word: str, rest: str) -> bool:
    """Whether ``word:rest`` is no image's name but a place of a kind that there is not.

    A tag begins neither with a dot nor with a slash, and what is close to a transport's name is
    taken for it: an image of that name is still there as ``corten:NAME``.
    """
    from difflib import get_close_matches

    if word in _OTHERS:
        return True
    if rest.startswith((".", "/")):
        return "/" not in word and "." not in word
    return "/" not in word and bool(get_close_matches(word, TRANSPORTS, n=1, cutoff=0.75))


def open_source(
    host: Host, place: Place, stack: ExitStack, platform: Platform | None
) -> tuple[Source, Descriptor, str]:
    """The source, the root in it, and the name the image has there (maybe empty).

    With `platform`, an index is replaced by its image for that.  `stack` closes
    what is opened.  Raises: NotFound; Invalid; what the ends raise.
    """
    source, root, name = _open(host, place, stack)
    if platform is not None and root.media_type in media.INDEXES:
        index = parse_document(read_document(source, root), root.media_type)
        assert isinstance(index, Index)
        chosen = index.select(platform)
        if chosen is None:
            raise NotFound(f"{place.name or place.path} has no image for {platform}")
        root = Descriptor(media_type=chosen.media_type, digest=chosen.digest, size=chosen.size)
    return source, root, name


def _open(host: Host, place: Place, stack: ExitStack) -> tuple[Source, Descriptor, str]:
    if place.transport == "corten":
        return host.store, find_descriptor(host, place.name), place.name
    if place.transport == "docker":
        reference = Reference.parse(place.name)
        repository = stack.enter_context(Registries(os.environ)).open(reference)
        return repository, repository.resolve(reference.target), place.name
    if place.transport == "oci":
        layout = OCILayout(Path(place.path))
        if place.name:
            return layout, layout.resolve(place.name), place.name
        roots = layout.roots()
        return layout, _only(roots, place.path), ""
    from corten.content.docker_archive import open_archive
    from corten.content.tar_files import TarFiles
    from corten.engine.archives import input_file
    from corten.events.job import Job
    from corten.image.incoming import Spool, naming, plain_file

    file = stack.enter_context(input_file(place.path))
    spool = Spool(host.root / "content" / "ingest", host.settings.layer_limit)
    stack.enter_context(naming(place.path))
    fd = stack.enter_context(plain_file(file, spool, Job()))
    archive = open_archive(TarFiles(fd, place.path))
    if place.name:
        return archive, archive.resolve(str(Reference.parse(place.name))), place.name
    root = _only([image.descriptor for image in archive.images], place.path)
    names = [name for image in archive.images for name in image.names]
    return archive, root, names[0] if names else ""


def _only(roots: list[Descriptor] | tuple[Descriptor, ...], path: str) -> Descriptor:
    if len(roots) != 1:
        raise NotFound(f"{path} holds {len(roots)} images", hint=f"name one: {path}:NAME")
    root = roots[0]
    return Descriptor(media_type=root.media_type, digest=root.digest, size=root.size)


def open_sink(host: Host, place: Place, stack: ExitStack, name: str) -> tuple[Sink, str]:
    """The sink and the name to give there; `name` is the source's, used where `place` has none."""
    if place.transport == "docker":
        reference = Reference.parse(place.name)
        repository = stack.enter_context(Registries(os.environ)).open(reference, ("pull", "push"))
        return repository, reference.target
    if place.transport == "oci":
        return OCILayout(Path(place.path)), place.name or "latest"
    from corten.snapshot.unpacking import UnpackingSink

    return UnpackingSink(host.store, host.snapshotter, host.settings.layer_limit), str(
        Reference.parse(place.name or name)
    )
