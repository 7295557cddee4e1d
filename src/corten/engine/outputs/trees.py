"""The files of an image as a directory or a tar: ``--output type=local`` and ``type=tar``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from corten.archive.entry import Entry
from corten.archive.tar_writer import TarWriter
from corten.builder.attestations import statement
from corten.builder.imaging import BuiltImage
from corten.builder.members import Member, Members
from corten.builder.stacks import Stacks
from corten.engine.host import Host
from corten.engine.outputs.folder import Folder, folder
from corten.errors import Conflict
from corten.events.job import Job
from corten.oci.codec import canonical_json
from corten.oci.platform import Platform

Write = Callable[[bytes], object]
_FILE_MODE = 0o644
_SECOND = 1_000_000_000


def write_folder(
    host: Host, images: Sequence[BuiltImage], path: Path, job: Job, *, split: bool
) -> None:
    """Write the files of all images into the directory `path`; with `split` one below for each.

    Raises: Conflict: two images have one file (without `split`), or a directory is in the
    way; Invalid, Unavailable: of the directory; Cancelled.
    """
    seen: set[bytes] = set()
    with folder(path) as target:
        for image in images:
            below = _below(image, target, split=split)
            with _members(host, image) as members:
                for member in members:
                    job.check()
                    if member.entry.kind != "directory" and not split:
                        _once(seen, member.entry.name)
                    target.put(member, below)
                    job.advance(member.entry.size)
            for document, data in _documents(image):
                if not split:
                    _once(seen, document.name)
                target.put(Member(document), below, data)
        if target.left_out:
            job.warn(f"devices that only root can make were left out: {target.left_out[0]}, …")


def write_tar(
    host: Host, images: Sequence[BuiltImage], write: Write, job: Job, *, split: bool
) -> None:
    """Write the files of all images as one tar; with `split` under a directory for each.

    The same images give the same bytes.  Raises: Conflict: two images have one file; what
    `write` raises; Cancelled.
    """
    tar = TarWriter(write)
    seen: set[bytes] = set()
    for image in images:
        lead = b""
        if split:
            lead = _directory_name(image.config.platform)
            tar.add(Entry(lead, "directory", 0o755))
            lead += b"/"
        with _members(host, image) as members:
            for entry, fd in members:
                job.check()
                if entry.kind != "directory" and not split:
                    _once(seen, entry.name)
                tar.add(_moved(entry, lead) if lead else entry, fd)
                job.advance(entry.size)
        for document, data in _documents(image):
            tar.add(_moved(document, lead), data)
    tar.finish()


def _moved(entry: Entry, lead: bytes) -> Entry:
    link = lead + entry.linkname if entry.kind == "link" else entry.linkname
    return msgspec.structs.replace(entry, name=lead + entry.name, linkname=link)


@contextmanager
def _members(host: Host, image: BuiltImage) -> Iterator[Iterator[Member]]:
    stacks = Stacks(host.store, lambda: host.snapshotter, host.root / "cache")
    with stacks.view(image.config.diff_ids, "the image") as tree:
        yield _timed(Members(tree).below(), image.epoch)


def _timed(members: Iterator[Member], epoch: int | None) -> Iterator[Member]:
    """With SOURCE_DATE_EPOCH all files have that time.  Spec: BuildKit, docs/build-repro.md."""
    for member in members:
        if epoch is None:
            yield member
        else:
            entry = msgspec.structs.replace(member.entry, mtime_ns=epoch * _SECOND)
            yield member._replace(entry=entry)


def _below(image: BuiltImage, target: Folder, *, split: bool) -> bytes:
    if not split:
        return b""
    name = _directory_name(image.config.platform)
    target.put(Member(Entry(name, "directory", 0o755)))
    return name


def _directory_name(platform: Platform) -> bytes:
    """As BuildKit calls it: ``linux_arm_v7``."""
    return str(platform).replace("/", "_").encode()


def _documents(image: BuiltImage) -> Iterator[tuple[Entry, bytes]]:
    """The attestations as files."""
    for each in image.attestations:
        data = canonical_json(statement(each, image.descriptor))
        time = (image.epoch or 0) * _SECOND
        name = each.filename.encode()
        yield Entry(name, "file", _FILE_MODE, size=len(data), mtime_ns=time), data


def _once(seen: set[bytes], name: bytes) -> None:
    if name in seen:
        raise Conflict(
            f"the images of several platforms have {name.decode(errors='replace')!r}",
            hint="platform-split=true gives each a directory of its own",
        )
    seen.add(name)
