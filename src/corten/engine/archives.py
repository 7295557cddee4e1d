"""Use cases of images as files, and copies between any two places: save, load, import, export, copy."""

from __future__ import annotations

import contextlib
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, cast

from corten.content.archive_writer import ArchiveSink, Form, write_archive
from corten.content.archived import ArchivedImage
from corten.content.copy import copy as copy_graph
from corten.content.protocols import Source
from corten.engine.containers import rootfs_of
from corten.engine.host import Host
from corten.engine.lookup import check_whole, ensure_applied, find_descriptor
from corten.engine.places import Place, open_sink, open_source, parse_place
from corten.engine.transfer import damage_explained
from corten.errors import Invalid, NotFound, Unavailable, Unsupported, Usage
from corten.events.job import Job
from corten.image.compress import compressed
from corten.image.incoming import Spool
from corten.image.transfer import ImportOptions, Loaded, export_tree, import_tar
from corten.image.transfer import load as load_archive
from corten.image.transfer import save as save_archive
from corten.image.view import load_image
from corten.oci import media
from corten.oci.descriptor import Descriptor
from corten.oci.platform import Platform
from corten.oci.reference import Reference
from corten.snapshot.mounting import mount_all
from corten.snapshot.protocols import Mount
from corten.snapshot.unpacking import UnpackingSink
from corten.system.durable import durable_file, sweep_drafts
from corten.system.namespaces import in_private_mounts
from corten.system.writeback import EarlyWriteback

Write = Callable[[bytes], object]


@contextlib.contextmanager
def output(path: str) -> Iterator[Write]:
    """Where an archive goes: the file `path`, complete or not at all, or standard output (``""``).

    Raises: Usage: standard output is a terminal; Unavailable: the file cannot be written.
    """
    if path in ("", "-"):
        if sys.stdout.isatty():
            raise Usage(
                "an archive is nothing for a terminal", hint="-o FILE, or redirect the output"
            )
        yield sys.stdout.buffer.write
        sys.stdout.buffer.flush()
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(_file(Path(path)))
        except OSError as error:
            raise Unavailable(f"cannot write {path}: {error.strerror}") from error
        yield _written_early(file, stack) if file.seekable() else file.write


def _written_early(file: BinaryIO, stack: ExitStack) -> Write:
    """Writes to a file, which is handed to the disk while it grows; `stack` ends before it closes."""
    writeback = EarlyWriteback(file.fileno())
    stack.callback(writeback.close)

    def write(data: bytes) -> None:
        file.write(data)
        writeback.reached(file.tell())

    return write


def _file(path: Path) -> contextlib.AbstractContextManager[BinaryIO]:
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        return path.open("wb")  # a pipe or device: there is nothing to rename
    sweep_drafts(path)
    return durable_file(path)


@contextlib.contextmanager
def input_file(path: str) -> Iterator[BinaryIO]:
    """The file `path`, or standard input (``""``, ``-``).  Raises: NotFound; Usage: a terminal."""
    if path in ("", "-"):
        if sys.stdin.isatty():
            raise Usage("no archive on standard input", hint="-i FILE, or redirect the input")
        yield cast(BinaryIO, sys.stdin.buffer)
        return
    try:
        file = Path(path).open("rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise NotFound(f"cannot read {path}: {error.strerror}", hint=_instead(path)) from error
    with file:
        yield cast(BinaryIO, file)


def _instead(path: str) -> str:
    """What to do about a file that cannot be read: a directory may be an OCI layout."""
    layout = Path(path, "oci-layout").is_file()
    return f"it is an OCI image layout: corten copy oci:{path} NAME" if layout else ""


def save(host: Host, images: Sequence[str], write: Write, job: Job, form: Form = "docker") -> None:
    """Write local images as one archive.  Raises: NotFound, Conflict: an image."""
    wanted = [ArchivedImage(find_descriptor(host, text), _names(host, text)) for text in images]
    with host.store.lease():
        save_archive(host.store, wanted, write, job, form)


def _names(host: Host, text: str) -> tuple[str, ...]:
    """The name to save an image under: none where it was given by its ID."""
    try:
        name = str(Reference.parse(text))
    except Invalid:
        return ()
    return (name,) if name in host.store.names() and "@" not in name else ()


def load(host: Host, file: BinaryIO, job: Job) -> list[Loaded]:
    """Take all images of an archive into the local store.  Raises: Invalid, Corrupt."""
    spool = host.root / "content" / "ingest"
    spool.mkdir(parents=True, exist_ok=True)
    with host.store.lease():
        sink = UnpackingSink(host.store, host.snapshotter, host.settings.layer_limit)
        return load_archive(sink, file, job, Spool(spool, host.settings.layer_limit))


def import_image(
    host: Host, file: BinaryIO, name: str, changes: Sequence[str], message: str, job: Job
) -> Descriptor:
    """Make an image of one layer from a root file system's tar.  `name` may be empty.

    Raises: as `import_tar`; Invalid, Unsupported: by what the tar holds.
    """
    reference = str(Reference.parse(name)) if name else ""
    options = ImportOptions(host.platform, tuple(changes), message, limit=host.settings.layer_limit)
    with host.store.lease():
        descriptor = import_tar(host.store, file, options, job)
        # What cannot be mounted is refused now, not by the first run.
        ensure_applied(host, load_image(host.store, descriptor, host.platform), job)
        host.store.tag(reference, descriptor)
    return descriptor


def export(host: Host, reference: str, write: Write, job: Job) -> None:
    """Write a container's file system, as it is now, as a tar.  Raises: NotFound."""
    record = host.runtime.containers.get(reference)
    mounts = [readonly(mount) for mount in rootfs_of(host, record)]
    target = host.runtime.directory(record) / "rootfs"
    target.mkdir(exist_ok=True)

    def work() -> None:
        mount_all(mounts, target)
        export_tree(target, checked)

    with job.step("export", record.name) as step:

        def checked(data: bytes) -> None:
            step.check()
            write(data)

        in_private_mounts(work)


def readonly(mount: Mount) -> Mount:
    """An overlay mount without its writable directory, whose content becomes the topmost layer.

    So a container's tree can be read while the container runs and writes.
    """
    if mount.type != "overlay":
        return mount
    kept = [o for o in mount.options if not o.startswith(("upperdir=", "workdir="))]
    upper = [o.partition("=")[2] for o in mount.options if o.startswith("upperdir=")]
    return mount._replace(options=(*(f"lowerdir+={path}" for path in upper), *kept))


def copy(host: Host, source: str, target: str, job: Job, *, platform: str = "") -> Descriptor:
    """Copy an image between any two places (see :func:`corten.engine.places.parse_place`).

    All platforms come along unless `platform` names one.  Raises: Invalid, Usage: a place; errors
    of both ends.
    """
    origin, aim = parse_place(source), parse_place(target)
    wanted = Platform.parse(platform) if platform else None
    with ExitStack() as stack, job.step("copy", f"{source} → {target}") as step:
        stack.enter_context(host.store.lease())
        reader, root, name = open_source(host, origin, stack, wanted)
        if origin.transport == "corten":
            stack.enter_context(damage_explained())
            check_whole(host, root)  # before anything is compressed
        leaves = origin.transport == "corten" and aim.transport not in ("corten", "docker-archive")
        if aim.transport in ("docker-archive", "oci-archive"):
            root = compressed(host.store, root, step) if leaves else root
            _to_archive(host, reader, root, aim._replace(name=aim.name or name), step)
        else:
            sink, tag = open_sink(host, aim, stack, name)
            root = compressed(host.store, root, step, sink) if leaves else root
            copy_graph(reader, sink, root, step, name=tag)
        step.result("done", str(root.digest))
    return root


def _to_archive(host: Host, source: Source, root: Descriptor, aim: Place, job: Job) -> None:
    name = str(Reference.parse(aim.name)) if aim.name else ""
    form: Form = "docker" if aim.transport == "docker-archive" else "oci"
    if form == "docker" and root.media_type in media.INDEXES:
        raise Unsupported(
            f"a docker archive cannot hold {root.digest.short}: it has several platforms",
            hint="choose one with --platform, or write an oci-archive:",
        )
    with output(aim.path) as write:
        if source is host.store:
            image = ArchivedImage(root, (name,) if name else ())
            write_archive(form, source, [image], write, job)
            return
        # A tar is written in one go: what comes from elsewhere is fetched and verified first.
        host.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="archive-", dir=host.root) as spool:
            sink = ArchiveSink(Path(spool), form)
            copy_graph(source, sink, root, job)
            sink.tag(name, root)
            sink.finish(write, job)
