"""Images as files: save, load, import; trees as tars: export."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from corten.archive.tar_course import TarCourse
from corten.config.limits import LAYER_LIMIT
from corten.content.archive_writer import Form, write_archive
from corten.content.archived import Archive, ArchivedImage
from corten.content.copy import copy
from corten.content.docker_archive import open_archive
from corten.content.local import LocalStore
from corten.content.protocols import Sink
from corten.content.summary import image_manifest
from corten.content.tar_files import TarFiles
from corten.errors import Invalid, Unsupported
from corten.events.job import Job
from corten.image.assemble import Assembling, assemble
from corten.image.changes import apply_changes
from corten.image.compress import compressed
from corten.image.incoming import Spool, inflate, name_of, naming, plain_file
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.oci.image_config import ContainerConfig, History, ImageConfig, RootFS
from corten.oci.manifest import Index
from corten.oci.platform import Platform

Write = Callable[[bytes], object]
_WANTED = "give the tar of a root file system; corten load takes images"


def save(
    store: LocalStore,
    images: Sequence[ArchivedImage],
    write: Write,
    job: Job,
    form: Form = "docker",
) -> None:
    """Write images as an archive through `write`, as they are read: nothing is held back.

    ``docker`` (of an index: this host's image, else the first here), with plain layers, for `docker load`; or
    ``oci``, with compressed ones.  Names of images that are given twice are joined.

    Raises: NotFound, Invalid, Unsupported; what `write` raises.
    """
    joined: dict[Descriptor, tuple[str, ...]] = {}
    for image in images:
        root = image.descriptor
        if form == "docker":
            root = image_manifest(store.blobs, root, store.platform)
        else:
            root = compressed(store, root, job)
        known = joined.get(root, ())
        joined[root] = (*known, *(name for name in image.names if name not in known))
    write_archive(form, store, [ArchivedImage(*item) for item in joined.items()], write, job)


class Loaded(NamedTuple):
    """An image that was loaded, and its canonical names, perhaps none."""

    descriptor: Descriptor
    names: tuple[str, ...]


def load(sink: Sink, file: BinaryIO, job: Job, spool: Spool) -> list[Loaded]:
    """Bring the images of an archive (`docker save`, OCI archive) into `sink`, with their names.

    `file` may be a pipe, and compressed; then it is unpacked into a nameless file
    in `spool` first.  An image without a name is kept without one.

    Raises: Invalid: no image archive, or malformed; Corrupt: contents are not what
    their digests say; NotFound: the archive lacks something; each naming the file.
    Unsupported, Unavailable, Cancelled.
    """
    with naming(name_of(file)), plain_file(file, spool, job) as fd:
        archive = open_archive(TarFiles(fd, name_of(file)))
        if not archive.images:
            raise Invalid(f"{name_of(file)} has no images")
        return [_load(archive, image, sink, job) for image in archive.images]


def _load(archive: Archive, image: ArchivedImage, sink: Sink, job: Job) -> Loaded:
    def present(index: Index) -> list[Descriptor]:
        # Docker lists all platforms of an image and brings the one it has.
        return [child for child in index.manifests if archive.has(child)]

    copy(archive, sink, image.descriptor, job, select=present)
    for name in image.names or ("",):
        sink.tag(name, image.descriptor)
    return Loaded(image.descriptor, image.names)


class ImportOptions(msgspec.Struct, frozen=True):
    """What an imported file system becomes.

    ``changes`` are Dockerfile instructions, ``message`` a comment for the history,
    ``created`` seconds since 1970 (None: the newest time in the tar), ``limit`` up to how
    many bytes the tar may expand however few came.
    """

    platform: Platform
    changes: tuple[str, ...] = ()
    message: str = ""
    created: int | None = None
    limit: int = LAYER_LIMIT


def import_tar(store: Assembling, file: BinaryIO, options: ImportOptions, job: Job) -> Descriptor:
    """An image of one layer, the root file system in `file` (a tar, plain or compressed).

    The same bytes give the same image.  Raises: Invalid: not a tar, a wrong
    change; Corrupt; Unsupported; Unavailable; Cancelled.
    """
    config = apply_changes(ContainerConfig(), options.changes)
    with job.step("import", name_of(file)) as step, store.ingest() as ingest:
        watch = _Watch(ingest.write, step, TarCourse(name_of(file)))
        with watch.course.explaining(_WANTED):
            inflate(file, watch.take, step, options.limit)
            watch.finish()
        layer = ingest.commit()
    created = _rfc3339(watch.newest if options.created is None else options.created)
    platform = options.platform
    return assemble(
        store,
        ImageConfig(
            architecture=platform.architecture,
            os=platform.os,
            variant=platform.variant,
            created=created,
            rootfs=RootFS((Digest(layer.digest),)),
            config=config,
            history=(
                History(created=created, created_by="corten import", comment=options.message),
            ),
        ),
    )


class _Watch:
    """Looks at a tar on its way: is it one, and what is its newest time?"""

    def __init__(self, write: Callable[[bytes], int], job: Job, course: TarCourse) -> None:
        self.newest = 0
        self.course = course
        self._write = write
        self._job = job
        self._members = 0

    def take(self, data: bytes) -> None:
        self.course.took(data)
        for member in self.course.scanner.feed(data):
            self.course.saw(member)
            self._members += 1
            self.newest = max(self.newest, member[0].mtime_ns // 1_000_000_000)
        self._write(data)
        self._job.advance(len(data))

    def finish(self) -> None:
        self.course.scanner.finish()
        if not self._members and not self.course.scanner.ended:
            raise Invalid(f"{self.course.what} is no tar archive", hint=_WANTED)


def _rfc3339(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        raise Unsupported(f"a time of {seconds} seconds since 1970 has no date") from None


def export_tree(tree: Path, write: Write) -> None:
    """Write a directory, such as a container's mounted root, as a tar.  Raises: Conflict, Invalid."""
    from corten.snapshot.diff import write_diff

    write_diff(tree, write)
