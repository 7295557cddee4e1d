r"""Trees of files as text, to make and to compare.

A line is one thing: ``PATH [MODE] [UID:GID] [@SECONDS] [= CONTENT | -> TARGET]``; a
directory ends in ``/``, ``-PATH`` is gone.  Without more a file is 644 and empty, a
directory 755, the owner 0:0.  ``\n \t \r \\ \xNN`` stand for characters, in paths too.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from pathlib import Path

import msgspec

_LINE = re.compile(
    r"(?P<path>\S+?)(?P<slash>/?)"
    r"(?: (?P<mode>[0-7]{3,4}))?(?: (?P<owner>\d+:\d+))?(?: @(?P<time>\d+))?"
    r"(?: = (?P<content>.*)| -> (?P<target>\S+))?"
)
_ESCAPED = re.compile(r"\\(x[0-9a-f]{2}|.)")
_CHARACTERS = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
_SHOWN = 300


class Thing(msgspec.Struct, frozen=True):
    """A file (``content``), link (``target``) or directory.  ``seconds`` None: any time."""

    kind: str
    mode: int = 0o644
    owner: str = "0:0"
    content: bytes = b""
    target: str = ""
    seconds: int | None = None


Tree = dict[str, Thing]


def parse(text: str) -> Tree:
    """The things of a listing by path."""
    found: Tree = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        match = _LINE.fullmatch(line)
        assert match, f"not a line of a listing: {line!r}"
        kind = "directory" if match["slash"] else "link" if match["target"] else "file"
        usual = {"file": "644", "directory": "755", "link": "777"}[kind]
        path = _plain(match["path"])
        if path.startswith("-"):
            kind, path = "gone", path[1:]
        found[path] = Thing(
            kind,
            int(match["mode"] or usual, 8),
            match["owner"] or "0:0",
            _plain(match["content"] or "").encode(),
            _plain(match["target"] or ""),
            int(match["time"]) if match["time"] else None,
        )
    return found


def make(folder: Path, tree: Tree) -> None:
    """Put the things into `folder`; parents are made, files have an old time."""
    folder.mkdir(parents=True, exist_ok=True)
    for path, thing in tree.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if thing.kind == "link":
            place.symlink_to(thing.target)
            continue
        if thing.kind == "directory":
            place.mkdir(exist_ok=True)
        else:
            place.write_bytes(thing.content)
        os.chown(place, *map(int, thing.owner.split(":")))
        place.chmod(thing.mode)
        # Settled long ago: builds may remember its hash.
        os.utime(place, (thing.seconds or 1_000_000_000,) * 2)


def read(folder: Path) -> Tree:
    """All that is below `folder`."""
    found: Tree = {}
    for place, directories, files in os.walk(folder):
        for name in (*directories, *files):
            path = Path(place) / name
            state = path.lstat()
            kind, content, target = "other", b"", ""
            if stat.S_ISDIR(state.st_mode):
                kind = "directory"
            elif stat.S_ISLNK(state.st_mode):
                kind, target = "link", str(path.readlink())
            elif stat.S_ISREG(state.st_mode):
                kind, content = "file", path.read_bytes()
            found[str(path.relative_to(folder))] = Thing(
                kind,
                stat.S_IMODE(state.st_mode),
                f"{state.st_uid}:{state.st_gid}",
                content,
                target,
                int(state.st_mtime),
            )
    return found


def beside(tree: Tree, base: Tree) -> Tree:
    """What `tree` has beside `base`, times not counted, and what is gone."""
    found = {
        path: thing
        for path, thing in tree.items()
        if path not in base or _timeless(thing) != _timeless(base[path])
    }
    return found | {path: Thing("gone") for path in base if path not in tree}


def lines(tree: Tree, like: Tree | None = None) -> list[str]:
    """The listing of a tree, sorted; times are shown only where `like` has one."""
    return [
        _line(path, thing, like is None or (path in like and like[path].seconds is not None))
        for path, thing in sorted(tree.items())
    ]


def _timeless(thing: Thing) -> Thing:
    return msgspec.structs.replace(thing, seconds=None)


def _line(path: str, thing: Thing, timed: bool) -> str:
    shown = _escaped(path).replace(" ", "\\x20")
    if thing.kind == "gone":
        return f"-{shown}"
    time = f" @{thing.seconds}" if timed and thing.seconds is not None else ""
    if thing.kind == "link":
        return f"{shown} {thing.owner}{time} -> {_escaped(thing.target)}"
    slash = "/" if thing.kind == "directory" else ""
    about = f"{shown}{slash} {thing.mode:03o} {thing.owner}{time}"
    if thing.kind == "other":
        return f"{about} (neither file nor directory nor link)"
    if len(thing.content) > _SHOWN:
        digest = hashlib.sha256(thing.content).hexdigest()[:12]
        return f"{about} ({len(thing.content)} bytes, SHA-256 {digest}…)"
    return (
        f"{about} = {_escaped(thing.content.decode(errors='replace'))}" if thing.content else about
    )


def _plain(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        name = match[1]
        return chr(int(name[1:], 16)) if len(name) == 3 else _CHARACTERS[name]

    return _ESCAPED.sub(one, text)


def _escaped(text: str) -> str:
    for name, character in (("\\", "\\"), ("n", "\n"), ("t", "\t"), ("r", "\r")):
        text = text.replace(character, f"\\{name}")
    return text
