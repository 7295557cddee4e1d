"""Making the mounts of a snapshot, and undoing them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from corten.errors import Conflict, CortenError
from corten.snapshot.protocols import Mount
from corten.system.mount import mount_options, unmount


def mount_all(mounts: Sequence[Mount], target: Path) -> None:
    """Make `mounts` in this mount namespace, the tree's root at `target`.

    Missing mountpoints of the others are made.  What was mounted is unmounted
    again if one fails.  Raises: Denied, Unsupported, NotFound, Unavailable.
    """
    made: list[str] = []
    try:
        for mount in mounts:
            place = mount.target or str(target)
            if mount.target:
                Path(place).mkdir(parents=True, exist_ok=True)
            mount_options(mount.type, mount.source, place, mount.options)
            made.append(place)
    except BaseException:
        _undo(made)
        raise


@contextmanager
def mounted(mounts: Sequence[Mount], target: Path | None = None) -> Iterator[Path]:
    """The tree at `target` (a temporary directory if None) within the block.

    Meant for short looks into a tree: a copy, an export, a test.  The mounts
    below the root's go to places of their own, so several threads may have the
    same layers mounted at once.  Everything is unmounted at the end, also after
    a failure; what is still in use by then goes as soon as its last user does.

    Raises: as :func:`mount_all`.
    """
    import tempfile

    scratch = Path(tempfile.mkdtemp(prefix="corten-mount-"))
    try:
        private = _relocate(mounts, scratch)
        if target is None:
            target = scratch / "root"
            target.mkdir()
        mount_all(private, target)
        try:
            yield target
        finally:
            _undo([mount.target or str(target) for mount in private])
    finally:
        for place in (*scratch.iterdir(), scratch):
            with suppress(OSError):
                place.rmdir()


def _relocate(mounts: Sequence[Mount], scratch: Path) -> list[Mount]:
    """`mounts` with their own mountpoints under `scratch`, in options too."""
    places: dict[str, str] = {}
    private = []
    for number, mount in enumerate(mounts):
        options = []
        for option in mount.options:
            key, equals, value = option.partition("=")
            options.append(f"{key}{equals}{places.get(value, value)}")
        place = mount.target
        if place:
            place = places[mount.target] = str(scratch / str(number))
        private.append(
            Mount(mount.type, places.get(mount.source, mount.source), place, tuple(options))
        )
    return private


def _undo(places: Sequence[str]) -> None:
    for place in reversed(places):
        try:
            unmount(place)
        except Conflict:
            with suppress(CortenError):
                unmount(place, detach=True)
        except CortenError:
            continue
