"""`BlobDirectory`: blobs by digest in the form of an OCI image layout.

``blobs/ALGORITHM/ENCODED`` hold whole, verified blobs; ``ingest/`` what is on
its way in.  Used by the local store and by the registry server; several
processes may work on one directory.
Spec: OCI image, image-layout.md, "Blobs".
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from io import FileIO
from pathlib import Path

from corten.content.claims import claim_file
from corten.content.ingest import FileIngest, open_partial, storage_error, sweep_partials
from corten.content.protocols import PIECE
from corten.errors import Invalid, NotFound, Unsupported
from corten.oci import media
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest, new_hasher
from corten.oci.manifest import MANIFEST_LIMIT, detect_media_type
from corten.system.durable import sync_directory
from corten.system.locks import directory_locked, is_still
from corten.system.settling import is_marked, is_settled, settle

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)
_UNCHANGING = (errno.EROFS, errno.EACCES, errno.EPERM)
# A layout may come from a stranger: a link in place of a blob is no blob, a FIFO must not block.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class BlobDirectory:
    """Blobs under `path`, which is made if it is not there.  Thread-safe; holds nothing open.

    `hint` says what to do about a blob that is not there.  Only a directory that `derives`
    takes blobs that are not waited for (:mod:`corten.system.settling`); one that a power cut
    has spoilt counts as not there, and is removed when it is asked for.
    """

    def __init__(self, path: Path, hint: str = "", *, derives: bool = False) -> None:
        self.path = path
        self.hint = hint
        self._derives = derives
        self._blobs = path / "blobs"
        self._ingest = path / "ingest"

    def prepare(self) -> None:
        """Make the directories.  Raises: Unavailable."""
        try:
            (self._blobs / "sha256").mkdir(parents=True, exist_ok=True)
            self._ingest.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise storage_error(error, f"make a store in {self.path}") from error

    def file(self, digest: Digest) -> Path:
        """Where the blob lies if it is there."""
        return self._blobs / digest.algorithm / digest.encoded

    def size(self, digest: Digest) -> int:
        """The blob's length in bytes.  Raises: NotFound."""
        found = self._look(digest)
        if found is None:
            raise missing(digest, self.hint)
        return found.st_size

    def size_or_none(self, digest: Digest) -> int | None:
        """The blob's length in bytes, None if it is not there."""
        found = self._look(digest)
        return None if found is None else found.st_size

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the blob is there, with the size that the descriptor says."""
        found = self._look(descriptor.digest)
        return found is not None and found.st_size == descriptor.size

    def typed(self, digest: Digest) -> Descriptor | None:
        """The blob's descriptor with the media type that a document says it has; None: not there."""
        size = self.size_or_none(digest)
        if size is None:
            return None
        media_type: str = media.OCTET_STREAM
        if size <= MANIFEST_LIMIT:
            raw = self.read(digest, MANIFEST_LIMIT)
            if raw[:1] == b"{":
                with suppress(Invalid, Unsupported):
                    media_type = detect_media_type(raw)
        return Descriptor(media_type=media_type, digest=digest, size=size)

    def open(self, digest: Digest, offset: int = 0, *, prove: bool = True) -> FileIO:
        """The blob's file, to be read from `offset` bytes on.

        Without `prove` also one that a power cut may have spoilt, which is not read then.
        Raises: NotFound; Invalid: the offset lies behind the end.
        """
        while True:
            file = self._opened(digest)
            try:
                if not (self._derives and prove) or self._is_whole(digest, file):
                    if not 0 <= offset <= os.fstat(file.fileno()).st_size:
                        raise Invalid(f"offset {offset} lies outside of {digest}")
                    file.seek(offset)
                    return file
            except BaseException:
                file.close()
                raise
            file.close()  # it is gone, unless another has brought it anew meanwhile

    def read(self, digest: Digest, limit: int) -> bytes:
        """A small blob whole.  Raises: NotFound; Invalid: it is longer than `limit` bytes."""
        with self.open(digest) as file:
            size = os.fstat(file.fileno()).st_size
            if size > limit:
                raise Invalid(f"{digest} has {size} bytes, more than the limit of {limit}")
            return file.readall()

    def locate(self, digest: Digest) -> Path:
        """The blob's file.  Raises: NotFound."""
        if self._look(digest) is None:
            raise missing(digest, self.hint)
        return self.file(digest)

    def ingest(self, descriptor: Descriptor | None = None, *, derived: bool = False) -> FileIngest:
        """Begin to take a blob; what was there of it already is kept.

        A `derived` one can be made again from another: it is not waited for to be on disk.
        Raises: Invalid: a digest that cannot be computed; Unavailable.
        """
        if descriptor is not None and not descriptor.digest.computable:
            raise Invalid(f"cannot verify {descriptor.digest}: its algorithm is not known")
        try:
            try:
                file, fd = open_partial(self._ingest, descriptor)
            except FileNotFoundError:
                self.prepare()
                file, fd = open_partial(self._ingest, descriptor)
        except OSError as error:
            raise storage_error(error, "begin a blob") from error
        publish = self._publish_derived if derived else self._publish
        return FileIngest(file, fd, descriptor, publish, derived=derived)

    def settle(self, digest: Digest) -> None:
        """See that the blob is on disk.  Raises: NotFound; Unavailable."""
        if not self._derives:
            return
        with self.open(digest) as file:
            try:
                if is_marked(file.fileno()):
                    settle(file.fileno())
            except OSError as error:
                raise storage_error(error, f"store {digest}") from error

    def claim(self, digest: Digest) -> AbstractContextManager[object]:
        """The right to bring the blob; see `Claims`.  Raises: Claimed, Unavailable."""
        try:
            try:
                return claim_file(self._ingest, digest)
            except FileNotFoundError:
                self.prepare()
                return claim_file(self._ingest, digest)
        except OSError as error:
            raise storage_error(error, "begin a blob") from error

    def tidy(self) -> None:
        """Remove the directory of what is on its way in, if nothing is; it is made anew when needed."""
        with suppress(OSError):
            self._ingest.rmdir()

    def put(self, data: bytes, media_type: str = media.OCTET_STREAM) -> Descriptor:
        """Store a small blob.  Raises: Unavailable."""
        descriptor = Descriptor(media_type=media_type, digest=Digest.of(data), size=len(data))
        if self.has(descriptor) and self.touch(descriptor.digest):
            return descriptor
        with self.ingest() as ingest:
            ingest.write(data)
            ingest.commit(descriptor.digest)
        return descriptor

    def touch(self, digest: Digest) -> bool:
        """Note that the blob was used now; whether it is there.

        A blob that was touched is not swept by a collection that is under way.
        """
        file = self.file(digest)
        try:
            found = file.lstat()
            if not stat.S_ISREG(found.st_mode):
                return False
            with directory_locked(self._blobs, shared=True):
                _use_now(file)
        except OSError as error:
            if error.errno in _ABSENT:
                return False
            raise storage_error(error, f"use {digest}") from error
        return True

    def delete(self, digest: Digest) -> int:
        """Remove the blob; returns its size in bytes.  Raises: NotFound."""
        self.size(digest)
        with directory_locked(self._blobs):
            found = self._stat(digest)
            if found is None:
                raise missing(digest, self.hint)
            self.file(digest).unlink(missing_ok=True)
        return found.st_size

    def take_out(self, digest: Digest, seen: FileIO, aside: Path | None = None) -> bool:
        """Remove the blob, or move it to `aside`, if it still is the open file `seen`."""
        file = self.file(digest)
        with directory_locked(self._blobs):
            if not is_still(file, seen.fileno()):
                return False
            if aside is not None:
                file.replace(aside)
            else:
                file.unlink()
        return True

    def sweep(self, digest: Digest, unused_since: float) -> int | None:
        """Remove the blob unless it was used since (epoch seconds); its size, None: it stays."""
        file = self.file(digest)
        with directory_locked(self._blobs):
            found = self._stat(digest)
            if found is None or found.st_mtime >= unused_since:
                return None
            file.unlink()
        return found.st_size

    def sweep_partials(self, before: float) -> tuple[int, int]:
        """Remove partial ingests last written `before` (epoch seconds): count and bytes."""
        if not self._ingest.is_dir():
            return 0, 0
        return sweep_partials(self._ingest, before)

    def walk(self) -> Iterator[Descriptor]:
        """All blobs, in no order, media types unknown."""
        for digest, found in self.scan():
            yield Descriptor(media_type=media.OCTET_STREAM, digest=digest, size=found.st_size)

    def scan(self) -> Iterator[tuple[Digest, os.stat_result]]:
        """All blobs with their files' status, in no order."""
        if not self._blobs.is_dir():
            return
        for algorithm in sorted(self._blobs.iterdir()):
            if algorithm.is_symlink() or not algorithm.is_dir():
                continue
            with os.scandir(algorithm) as entries:
                for entry in entries:
                    with suppress(Invalid, FileNotFoundError):
                        digest = Digest(f"{algorithm.name}:{entry.name}")
                        found = entry.stat(follow_symlinks=False)
                        if stat.S_ISREG(found.st_mode):
                            yield digest, found

    def _stat(self, digest: Digest) -> os.stat_result | None:
        try:
            found = self.file(digest).lstat()
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise storage_error(error, f"read {digest}") from error
        return found if stat.S_ISREG(found.st_mode) else None

    def _look(self, digest: Digest) -> os.stat_result | None:
        """As `_stat`, and None for what a power cut has spoilt."""
        found = self._stat(digest)
        if found is None or not self._derives or is_settled(self.file(digest)):
            return found
        try:
            with self.open(digest) as file:
                return os.fstat(file.fileno())
        except NotFound:
            return None

    def _opened(self, digest: Digest) -> FileIO:
        try:
            fd = os.open(self.file(digest), _READ)
        except OSError as error:
            if error.errno in _ABSENT:
                raise missing(digest, self.hint) from None
            raise storage_error(error, f"read {digest}") from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise missing(digest, self.hint)
        return FileIO(fd, "r")

    def _is_whole(self, digest: Digest, file: FileIO) -> bool:
        """Whether an open blob is what was written; if not, it is taken out.

        One that was left to the kernel before the machine stopped is read for that.
        """
        if is_settled(file.fileno()):
            return True
        try:
            whole = _digest_of(file, digest.algorithm) == digest
            if whole:
                settle(file.fileno())
            else:
                self.take_out(digest, file)
        except OSError as error:
            if error.errno in _UNCHANGING:
                raise missing(digest, self.hint) from None
            raise storage_error(error, f"read {digest}") from error
        return whole

    def _publish_derived(self, file: Path, digest: Digest) -> None:
        """As `_publish`, unless it is there: that one may be on disk, and an applied layer's."""
        found = self._stat(digest)
        whole = found is not None and found.st_size == file.stat().st_size
        if whole and is_settled(self.file(digest)) and self.touch(digest):
            file.unlink()
        else:
            self._publish(file, digest)

    def _publish(self, file: Path, digest: Digest) -> None:
        if self._has_same(file, digest):
            file.unlink()
            return
        target = self.file(digest)
        if not target.parent.is_dir():
            target.parent.mkdir(exist_ok=True)
            sync_directory(self._blobs)
        with directory_locked(self._blobs, shared=True):
            _use_now(file)  # the last write may be long ago: what counts is when it became a blob
            file.replace(target)
        sync_directory(target.parent)

    def _has_same(self, file: Path, digest: Digest) -> bool:
        """Whether the blob is there, whole and on disk; then it is as if it had come now.

        It may be an applied layer's as well, by a hard link: another file in its place would
        take as much room again.
        """
        try:
            with self._opened(digest) as there:
                if os.fstat(there.fileno()).st_size != file.stat().st_size:
                    return False
                if _digest_of(there, digest.algorithm) != digest:
                    return False
                if is_marked(there.fileno()):
                    settle(there.fileno())
                return is_still(self.file(digest), there.fileno()) and self.touch(digest)
        except NotFound:
            return False


def _digest_of(file: FileIO, algorithm: str) -> Digest:
    hasher = new_hasher(algorithm)
    while piece := file.read(PIECE):
        hasher.update(piece)
    return Digest.from_hasher(hasher, algorithm)


def _use_now(file: Path) -> None:
    # The kernel's own idea of now is some milliseconds old, and a collection compares with ours.
    now = time.time_ns()
    os.utime(file, ns=(now, now), follow_symlinks=False)


def missing(digest: Digest, hint: str = "") -> NotFound:
    """The error for a blob that is not there."""
    return NotFound(f"there is no blob {digest}", hint=hint)
