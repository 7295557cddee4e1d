"""Volumes and mounts: ``-v``, ``--tmpfs``, ``--mount``, and directories that outlive containers.

A volume is a directory: ROOT/volumes/<name>/data.  An image's VOLUME becomes a
fresh anonymous one that first gets what the image has there; it goes with the
container if that is removed with its volumes.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from corten.errors import Conflict, Invalid, NotFound
from corten.runtime.names import NAME, check_name
from corten.runtime.protocols import Bind
from corten.runtime.users import open_in_root
from corten.system.process import check_program, find_program

# Labels of SELinux, hints for other systems and what is the default: nothing to do here.
_IGNORED_OPTIONS = frozenset({"z", "Z", "rw", "delegated", "cached", "consistent", "rprivate"})
_TMPFS_OPTIONS = ("size=", "mode=", "uid=", "gid=", "nr_inodes=")
_FLAG_OPTIONS = frozenset({"nosuid", "nodev", "noexec", "exec", "suid", "dev", "noatime"})


class Wanted(NamedTuple):
    """A mount as asked for.  ``volume`` is a volume's name, ``""`` if ``bind`` is complete.

    ``anonymous``: a volume is still to be made, and goes with the container.
    """

    bind: Bind
    volume: str = ""
    anonymous: bool = False


def parse_volume(text: str, here: Path) -> Wanted:
    """``-v [SOURCE:]TARGET[:OPTIONS]``; a relative source begins with ``.`` and is below `here`.

    Raises: Invalid.
    """
    fields = text.split(":")
    if len(fields) == 1:
        return Wanted(Bind(_target(fields[0], text)), anonymous=True)
    if len(fields) > 3 or not fields[0]:
        raise Invalid(f"{text!r} does not name a volume", hint="SOURCE:TARGET[:ro]")
    source, target = fields[0], _target(fields[1], text)
    readonly, options = _options(fields[2] if len(fields) == 3 else "", text)
    bind = Bind(target, readonly=readonly, options=options)
    if source.startswith(("/", ".")):
        return Wanted(msgspec.structs.replace(bind, source=os.path.normpath(here / source)))
    return Wanted(bind, volume=check_name(source))


def parse_tmpfs(text: str) -> Bind:
    """``--tmpfs TARGET[:OPTIONS]``.  Raises: Invalid."""
    target, _, options = text.partition(":")
    given = [option for option in options.split(",") if option]
    kept = tuple(o for o in given if o.startswith(_TMPFS_OPTIONS) or o in _FLAG_OPTIONS)
    for option in given:
        if option not in kept and option not in {"ro", "rw"}:
            raise Invalid(f"unknown option {option!r} of the tmpfs {text!r}", hint="size=, mode=")
    if not any(option.startswith("mode=") for option in kept):
        kept = (*kept, "mode=1777")
    return Bind(_target(target, text), readonly="ro" in given, type="tmpfs", options=kept)


def parse_mount(text: str, here: Path) -> Wanted:
    """``--mount type=bind|volume|tmpfs,source=…,target=…[,readonly]``.  Raises: Invalid."""
    words: dict[str, str] = {}
    for word in text.split(","):
        name, _, value = word.partition("=")
        words[_MOUNT_WORDS.get(name, name)] = value
    unknown = words.keys() - {"type", "source", "target", "readonly", "size", "mode"}
    if unknown or "target" not in words:
        reason = f"has an unknown word {min(unknown)!r}" if unknown else "names no target"
        raise Invalid(
            f"the mount {text!r} {reason}", hint="type=bind,source=DIR,target=DIR,readonly"
        )
    kind, target = words.get("type", "volume"), _target(words["target"], text)
    readonly = words.get("readonly", "false") in {"", "true", "1"}
    if kind == "tmpfs":
        options = [f"{n}={words[n]}" for n in ("size", "mode") if n in words]
        return Wanted(parse_tmpfs(f"{target}:{','.join(options)}"))
    if kind not in {"bind", "volume"}:
        raise Invalid(f"unknown mount type {kind!r} in {text!r}", hint="bind, volume or tmpfs")
    source, bind = words.get("source", ""), Bind(target, readonly=readonly)
    if kind == "bind":
        if not source:
            raise Invalid(f"the mount {text!r} names no source", hint="source=DIR")
        path = Path(os.path.normpath(here / source))
        if not path.exists():
            raise NotFound(f"{path}, to be mounted on {target}, does not exist")
        return Wanted(msgspec.structs.replace(bind, source=str(path)))
    return Wanted(bind, volume=check_name(source)) if source else Wanted(bind, anonymous=True)


_MOUNT_WORDS = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "ro": "readonly",
    "tmpfs-size": "size",
    "tmpfs-mode": "mode",
}


def _target(path: str, text: str) -> str:
    if not path.startswith("/") or os.path.normpath(path) in {"/", "//"}:
        raise Invalid(f"the target of {text!r} is not an absolute path below /")
    return os.path.normpath(path)


def _options(text: str, whole: str) -> tuple[bool, tuple[str, ...]]:
    readonly, kept = False, []
    for option in text.split(",") if text else ():
        if option == "ro":
            readonly = True
        elif option in _FLAG_OPTIONS:
            kept.append(option)
        elif option not in _IGNORED_OPTIONS:
            raise Invalid(f"unknown option {option!r} of the volume {whole!r}", hint="ro or rw")
    return readonly, tuple(kept)


class VolumeStore:
    """The volumes of the root directory `root`."""

    def __init__(self, root: Path) -> None:
        self.path = root / "volumes"

    def ensure(self, name: str) -> tuple[Path, bool]:
        """The directory of the volume, made if there is none; and whether it was made now."""
        data = self.path / check_name(name) / "data"
        try:
            data.mkdir(parents=True, mode=0o755)
        except FileExistsError:
            return data, False
        return data, True

    def create_anonymous(self) -> str:
        """A new volume; returns its name, 64 hex digits."""
        name = os.urandom(32).hex()
        self.ensure(name)
        return name

    def directory(self, name: str) -> Path:
        """Where the volume's files are.  Raises: NotFound."""
        data = self.path / name / "data"
        if not re.fullmatch(NAME, name) or not data.is_dir():
            raise NotFound(f"no volume {name!r}")
        return data

    def walk(self) -> Iterator[str]:
        """The names of all volumes, in order."""
        try:
            yield from sorted(entry.name for entry in self.path.iterdir())
        except FileNotFoundError:
            return

    def remove(self, name: str, in_use: Iterable[Bind] = ()) -> None:
        """Delete a volume.  Raises: NotFound; Conflict: one of the binds `in_use` is of it."""
        data = self.directory(name)
        if any(bind.source == str(data) for bind in in_use):
            raise Conflict(f"volume {name} is in use by a container", hint="remove that first")
        shutil.rmtree(data.parent)

    def resolve(self, wanted: Iterable[Wanted]) -> tuple[tuple[Bind, ...], tuple[str, ...]]:
        """Binds with every source filled in, and the names of anonymous volumes made for them.

        A host directory that is missing is made, as Docker does for ``-v``.
        """
        binds, anonymous = [], []
        for want in wanted:
            bind = want.bind
            if want.anonymous:
                name = self.create_anonymous()
                anonymous.append(name)
                bind = msgspec.structs.replace(bind, source=str(self.directory(name)))
            elif want.volume:
                bind = msgspec.structs.replace(bind, source=str(self.ensure(want.volume)[0]))
            elif bind.type == "bind" and not Path(bind.source).exists():
                Path(bind.source).mkdir(parents=True)
            binds.append(bind)
        return tuple(binds), tuple(anonymous)

    def fill(self, binds: Iterable[Bind], rootfs: Path) -> None:
        """Copy what the mounted image tree has at their targets into volumes that are empty.

        Links in the image cannot lead out of `rootfs`.
        """
        root = -1
        for bind in binds:
            source = Path(bind.source)
            if bind.type != "bind" or self.path not in source.parents or any(source.iterdir()):
                continue
            if root < 0:
                root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                folder = open_in_root(root, bind.target, os.O_RDONLY | os.O_DIRECTORY)
            except OSError:
                continue  # The image has nothing there.
            try:
                _copy_tree(folder, source)
            finally:
                os.close(folder)
        if root >= 0:
            os.close(root)


def _copy_tree(folder: int, target: Path) -> None:
    # cp keeps owners, times, links, extended attributes and holes, and follows no link.
    entries = os.listdir(folder)
    status = os.fstat(folder)
    if entries:
        check_program([find_program("cp"), "-a", f"/proc/{os.getpid()}/fd/{folder}/.", str(target)])
    os.chown(target, status.st_uid, status.st_gid)
    target.chmod(status.st_mode & 0o7777)
