"""Writing a tree into a directory of this machine: ``--output type=local``.

The tree is hostile, and so may be what lies in the directory: no symbolic link in it is
followed, neither one that was there nor one that was written.  A directory that is new
appears whole or not at all; in one that is there, each file is replaced in one step.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from corten.archive.entry import Entry, show
from corten.builder.members import Member
from corten.content.protocols import PIECE
from corten.errors import Conflict, Invalid, Unavailable
from corten.system.durable import sync_directory
from corten.system.xattr import AttributeRefused, write_xattrs

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DEVICES = ("char", "block")


@contextmanager
def folder(path: Path) -> Iterator[Folder]:
    """The directory `path` to write into; made if it is missing, then only at a good end.

    Raises: Invalid: it cannot be made, or is no directory; Unavailable: of writing.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = not path.exists()
        draft = path.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp") if new else path
        if new:
            draft.mkdir()
        fd = os.open(draft, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Invalid(f"cannot write into {path}: {error.strerror}") from None
    try:
        target = Folder(fd, path)
        yield target
        target.finish()
        if new:
            draft.rename(path)
            sync_directory(path.parent)
    except OSError as error:
        raise Unavailable(f"cannot write into {path}: {error.strerror}") from error
    finally:
        os.close(fd)
        if new:
            shutil.rmtree(draft, ignore_errors=True)  # it is gone where all went well


class Folder:
    """A directory being written into, open as `fd`; `path` is its name in messages.

    Owners, devices and attributes are kept where this process is root.
    """

    def __init__(self, fd: int, path: Path) -> None:
        self._root = fd
        self._path = path
        self._whole = os.geteuid() == 0
        self._directories: dict[bytes, Entry] = {}
        self.left_out: list[str] = []
        """Devices that only root could have made."""

    def put(self, member: Member, below: bytes = b"", data: bytes | None = None) -> None:
        """Write a member under the directory `below`, whose parents were put before.

        A file's content is `data`, else what the member's descriptor gives.
        Raises: Conflict: a directory is in the way; OSError.
        """
        entry = member.entry
        name = b"/".join(filter(None, (below, entry.name)))
        head, _, base = name.rpartition(b"/")
        if b".." in name.split(b"/") or not base:
            raise Invalid(f"{show(name)} is no name for a file")
        with self._open(head) as parent:
            if entry.kind == "directory":
                self._directory(parent, base)
                self._directories[name] = entry
                return
            if entry.kind in _DEVICES and not self._whole:
                self.left_out.append(show(name))
                return
            draft = b".corten-%b" % os.urandom(6).hex().encode()
            try:
                self._make(parent, draft, member, below, data)
                os.rename(draft, base, src_dir_fd=parent, dst_dir_fd=parent)
            except IsADirectoryError:
                raise Conflict(
                    f"{self._path}/{os.fsdecode(name)} is a directory, and not one in the image",
                    hint="remove it, or choose another directory",
                ) from None
            finally:
                # A rename onto another name of the same file leaves both.
                with suppress(FileNotFoundError):
                    os.unlink(draft, dir_fd=parent)

    def finish(self) -> None:
        """Give the directories their modes and times, now that nothing more comes into them."""
        for name, entry in sorted(self._directories.items(), reverse=True):
            with self._open(name) as fd:
                self._dress(fd, entry)
        os.fsync(self._root)

    @contextmanager
    def _open(self, path: bytes) -> Iterator[int]:
        """A directory below the root, no link followed."""
        fd = os.dup(self._root)
        try:
            for part in filter(None, path.split(b"/")):
                inner = os.open(part, _DIRECTORY, dir_fd=fd)
                os.close(fd)
                fd = inner
            yield fd
        finally:
            os.close(fd)

    def _directory(self, parent: int, base: bytes) -> None:
        """A directory, in the place of whatever is there that is none."""
        try:
            state = os.stat(base, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            os.mkdir(base, 0o700, dir_fd=parent)
            return
        if not stat.S_ISDIR(state.st_mode):
            os.unlink(base, dir_fd=parent)
            os.mkdir(base, 0o700, dir_fd=parent)

    def _make(
        self, parent: int, draft: bytes, member: Member, below: bytes, data: bytes | None
    ) -> None:
        entry = member.entry
        if entry.kind == "link":
            head, _, base = b"/".join(filter(None, (below, entry.linkname))).rpartition(b"/")
            with self._open(head) as there:
                os.link(base, draft, src_dir_fd=there, dst_dir_fd=parent, follow_symlinks=False)
            return
        if entry.kind == "symlink":
            os.symlink(entry.linkname, draft, dir_fd=parent)
            if self._whole:
                os.chown(draft, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
            times = (entry.mtime_ns, entry.mtime_ns)
            os.utime(draft, ns=times, dir_fd=parent, follow_symlinks=False)
            return
        if entry.kind != "file":
            kind = {"char": stat.S_IFCHR, "block": stat.S_IFBLK}.get(entry.kind, stat.S_IFIFO)
            device = os.makedev(entry.major, entry.minor)
            os.mknod(draft, kind | 0o600, device, dir_fd=parent)
            self._dress_special(parent, draft, entry)
            return
        fd = os.open(draft, _NEW, 0o600, dir_fd=parent)
        try:
            if data is not None:
                os.write(fd, data)
            elif member.fd is not None:
                _fill(fd, member.fd, entry)
            self._dress(fd, entry)
        finally:
            os.close(fd)

    def _dress(self, fd: int, entry: Entry) -> None:
        """Owner before mode, which chown(2) would change; times last."""
        if self._whole:
            os.fchown(fd, entry.uid, entry.gid)
        os.fchmod(fd, entry.mode)
        if self._whole:
            with suppress(AttributeRefused):  # what this file system does not know
                write_xattrs(fd, entry.xattrs)
        os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))

    def _dress_special(self, parent: int, draft: bytes, entry: Entry) -> None:
        # It is ours alone and no link, under a name that nobody can guess.
        if self._whole:
            os.chown(draft, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
        os.chmod(draft, entry.mode, dir_fd=parent)
        times = (entry.mtime_ns, entry.mtime_ns)
        os.utime(draft, ns=times, dir_fd=parent, follow_symlinks=False)


def _fill(target: int, source: int, entry: Entry) -> None:
    """The content of a file; holes stay holes."""
    for start, length in entry.sparse if entry.sparse is not None else ((0, entry.size),):
        offset, left = start, length
        os.lseek(target, start, os.SEEK_SET)
        while left:
            sent = os.sendfile(target, source, offset, min(left, PIECE))
            if not sent:
                raise Conflict(f"{show(entry.name)} became shorter while it was read")
            offset, left = offset + sent, left - sent
    os.ftruncate(target, entry.size)
