"""Cache mounts: directories that outlive builds, each for one id.

Under the folder ``mounts`` of the build cache::

    HASH/lock      locked while somebody uses it: shared, or alone for ``sharing=locked``
    HASH/data      what is mounted
    HASH/id        the id, for people
    HASH-2 …       more of the same, for ``sharing=private`` while the first is in use

An id is any text of a Dockerfile, so its hash is the name.  With ``from`` the content that a
cache begins with is part of what it is.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import sleep
from typing import NamedTuple

from corten.dockerfile.mounts import CacheMount
from corten.errors import Conflict, NotFound
from corten.events.job import Job
from corten.oci.codec import canonical_json
from corten.oci.digest import Digest
from corten.snapshot.removal import remove_tree
from corten.system.locks import is_still, try_lock
from corten.system.process import check_program, find_program

FOLDER = "mounts"
_DATA, _LOCK, _ID, _GONE, _DRAFT = "data", "lock", "id", ".gone-", "draft-"
_PAUSE = 0.05
_PRIVATE_LIMIT = 1000

Seed = Callable[[Path], None]
"""Fills a new, empty cache."""


class Wanted(NamedTuple):
    """A cache mount of a step, the layers it begins with, and what copies those there."""

    mount: CacheMount
    layers: tuple[Digest, ...] = ()
    seed: Seed | None = None

    @property
    def name(self) -> str:
        """The directory's name."""
        mount = self.mount
        parts: list[object] = [mount.id]
        if self.seed is not None:
            parts += [list(self.layers), mount.source]
        return hashlib.sha256(canonical_json(parts)).hexdigest()[:40]


@contextmanager
def held(folder: Path, wanted: Sequence[Wanted], job: Job) -> Iterator[dict[str, Path]]:
    """The directories of all caches by the mounts' targets, held as their sharing says.

    Waits for those that are locked.  One order for all steps: none wait in a circle.
    Raises: Cancelled; as the seeds.
    """
    groups: dict[str, list[Wanted]] = {}
    for each in wanted:
        groups.setdefault(each.name, []).append(each)
    with ExitStack() as stack:
        found: dict[str, Path] = {}
        for name in sorted(groups):
            path = _hold(folder / FOLDER, name, groups[name], stack, job)
            found.update({each.mount.target: path for each in groups[name]})
        yield found


def _hold(root: Path, name: str, users: Sequence[Wanted], stack: ExitStack, job: Job) -> Path:
    sharings = {user.mount.sharing for user in users}
    first = users[0]
    if "private" in sharings:
        for number in range(1, _PRIVATE_LIMIT):
            place = root / (name if number == 1 else f"{name}-{number}")
            fd = _take(place, first, alone=True, job=job, wait=False)
            if fd is not None:
                stack.callback(os.close, fd)
                return place / _DATA
        raise Conflict(f"cache mount {first.mount.id}: {_PRIVATE_LIMIT} steps use it")
    fd = _take(root / name, first, alone="locked" in sharings, job=job, wait=True)
    assert fd is not None
    stack.callback(os.close, fd)
    return root / name / _DATA


def _take(place: Path, wanted: Wanted, *, alone: bool, job: Job, wait: bool) -> int | None:
    """A descriptor that holds the lock of a cache that is there.

    None: another has it, where we do not `wait`.
    """
    waiting = None
    with ExitStack() as steps:
        while True:
            job.check()
            with suppress(FileNotFoundError):  # it was removed at that moment
                place.mkdir(mode=0o700, parents=True, exist_ok=True)
                lock = place / _LOCK
                fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
                try:
                    if _locked(fd, place, wanted, alone) and is_still(lock, fd):
                        return fd
                except BaseException:
                    os.close(fd)
                    raise
                os.close(fd)
            if not wait:
                return None
            if waiting is None:
                text = f"for the cache mount {wanted.mount.id}, which another step uses"
                waiting = steps.enter_context(job.step("wait", text))
            sleep(_PAUSE)


def _locked(fd: int, place: Path, wanted: Wanted, alone: bool) -> bool:
    """Lock, after the content was made; False: another has it."""
    if (place / _DATA).is_dir():
        return try_lock(fd, shared=not alone)
    if not try_lock(fd):
        return False
    if not (place / _DATA).is_dir():
        _make(place, wanted)
    if not alone:
        fcntl.flock(fd, fcntl.LOCK_SH)
    return (place / _DATA).is_dir()


def _make(place: Path, wanted: Wanted) -> None:
    for left in place.glob(f"{_DRAFT}*"):
        remove_tree(left)
    draft = place / f"{_DRAFT}{os.urandom(4).hex()}"
    draft.mkdir()
    try:
        if wanted.seed is not None:
            wanted.seed(draft)
        owner = wanted.mount.owner
        os.chown(draft, owner.uid, owner.gid)
        draft.chmod(owner.mode)
        (place / _ID).write_text(wanted.mount.id)
        draft.rename(place / _DATA)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def copy_tree(tree: int, path: str, target: Path) -> None:
    """Copy what is in the directory `path` of the open tree, with owners, times and links.

    `path` has no links in it.  Raises: NotFound: it is no directory.
    """
    source = f"/proc/{os.getpid()}/fd/{tree}/{path}"
    if not Path(source).is_dir():
        raise NotFound(f"cache mount: /{path} is no directory in what it begins with")
    # cp keeps owners, times, links, extended attributes and holes, and follows no link.
    check_program([find_program("cp"), "-a", f"{source}/.", str(target)])


def caches(folder: Path) -> list[Path]:
    """The directories of all cache mounts of the build cache in `folder`."""
    root = folder / FOLDER
    return sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []


def forget(folder: Path) -> int:
    """Remove the caches that no step uses; returns bytes on the disk that this gave back."""
    size = 0
    for place in caches(folder):
        if place.name.startswith(_GONE):
            remove_tree(place)
            continue
        with suppress(FileNotFoundError):
            fd = os.open(place / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if not try_lock(fd) or not is_still(place / _LOCK, fd):
                    continue
                gone = place.with_name(f"{_GONE}{place.name}-{os.urandom(4).hex()}")
                place.rename(gone)
            finally:
                os.close(fd)
            size += disk_size(gone)
            remove_tree(gone)
    return size


def disk_size(place: Path) -> int:
    """Bytes on the disk of all that is under a directory, each file once."""
    found: dict[tuple[int, int], int] = {}
    for folder, names, files in os.walk(place):
        for name in (*names, *files):
            with suppress(FileNotFoundError):
                status = Path(folder, name).lstat()
                found[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(found.values())
