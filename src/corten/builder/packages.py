"""The packages in a tree, as its package managers say: dpkg, apk, Python, npm.

All of it is hostile: files are read without leaving the tree, up to a limit, and what cannot
be read as it should is left out.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from corten.builder.tree import Tree
from corten.errors import Invalid

DATABASE_LIMIT = 64 * 1024 * 1024
"""Bytes of a package manager's database that are read."""
FILE_LIMIT = 1024 * 1024
"""Bytes of one package's own file that are read."""
COUNT_LIMIT = 200_000
"""Packages that are listed."""
_APK = ("lib/apk/db/installed", "usr/lib/apk/db/installed")
_DPKG = "var/lib/dpkg/status"
_RPM = ("var/lib/rpm", "usr/lib/sysimage/rpm")


class Package(NamedTuple):
    """A package: its kind as package URLs call it, and the file (absolute) that says so."""

    kind: str
    name: str
    version: str
    found: str
    architecture: str = ""
    license: str = ""


class Inventory(NamedTuple):
    """All packages of a tree, in order; its distribution (``ID``, ``VERSION_ID``); what was not read."""

    packages: tuple[Package, ...]
    distribution: tuple[str, str]
    notes: tuple[str, ...] = ()


def inventory(tree: Tree) -> Inventory:
    """What `tree` has.  Cost: looks at every directory."""
    found: dict[Package, None] = {}
    for package in _all(tree):
        if package.name and package.version:
            found[package] = None
        if len(found) >= COUNT_LIMIT:
            break
    notes = tuple(f"the rpm database in /{path} is not read" for path in _RPM if _is(tree, path))
    return Inventory(tuple(sorted(found)), _distribution(tree), notes)


def _all(tree: Tree) -> Iterator[Package]:
    yield from _dpkg(tree, _DPKG)
    if _is(tree, f"{_DPKG}.d"):
        for name in tree.names(tree.resolve(f"{_DPKG}.d")):
            if not name.endswith(".md5sums"):
                yield from _dpkg(tree, f"{_DPKG}.d/{name}")
    for path in _APK:
        yield from _apk(tree, path)
    for folder, directories in _directories(tree):
        for name in directories:
            path = f"{folder}/{name}".lstrip("/")
            if name.endswith(".dist-info"):
                yield from _python(tree, f"{path}/METADATA")
            elif name.endswith(".egg-info"):
                yield from _python(tree, f"{path}/PKG-INFO")
            elif _in_node_modules(folder):
                yield from _npm(tree, f"{path}/package.json")


def _in_node_modules(folder: str) -> bool:
    """Whether the directories of `folder` are npm packages: also those of a scope (``@x``)."""
    above, _, name = folder.rpartition("/")
    if name.startswith("@"):
        name = above.rpartition("/")[2]
    return name == "node_modules"


def _directories(tree: Tree) -> Iterator[tuple[str, list[str]]]:
    """Every directory with the names of those in it.  No link is followed."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            fd = tree.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            continue
        try:
            with os.scandir(fd) as entries:
                names = sorted(e.name for e in entries if e.is_dir(follow_symlinks=False))
        finally:
            os.close(fd)
        yield folder, names
        waiting += [f"{folder}/{name}".lstrip("/") for name in reversed(names)]


def _dpkg(tree: Tree, path: str) -> Iterator[Package]:
    for fields in _paragraphs(_read(tree, path, DATABASE_LIMIT), ": "):
        status = fields.get("Status", "")
        if not status or status.split()[-1] == "installed":
            yield Package(
                "deb",
                fields.get("Package", ""),
                fields.get("Version", ""),
                f"/{path}",
                fields.get("Architecture", ""),
            )


def _apk(tree: Tree, path: str) -> Iterator[Package]:
    for fields in _paragraphs(_read(tree, path, DATABASE_LIMIT), ":"):
        yield Package(
            "apk",
            fields.get("P", ""),
            fields.get("V", ""),
            f"/{path}",
            fields.get("A", ""),
            fields.get("L", ""),
        )


def _python(tree: Tree, path: str) -> Iterator[Package]:
    head = _read(tree, path, FILE_LIMIT).replace("\r\n", "\n").partition("\n\n")[0]
    for fields in _paragraphs(head, ": "):
        name = fields.get("Name", "").lower().replace("_", "-")
        license = fields.get("License-Expression", "")
        yield Package("pypi", name, fields.get("Version", ""), f"/{path}", "", license)


def _npm(tree: Tree, path: str) -> Iterator[Package]:
    try:
        document = msgspec.json.decode(_read(tree, path, FILE_LIMIT))
    except (msgspec.DecodeError, RecursionError):
        return
    if isinstance(document, dict):
        name, version, license = (document.get(key) for key in ("name", "version", "license"))
        if isinstance(name, str) and isinstance(version, str):
            said = license if isinstance(license, str) else ""
            yield Package("npm", name, version, f"/{path}", "", said)


def _paragraphs(text: str, separator: str) -> Iterator[Mapping[str, str]]:
    """The fields of paragraphs with an empty line between; lines that go on one are left out."""
    fields: dict[str, str] = {}
    for line in text.split("\n"):
        if not line.strip():
            if fields:
                yield fields
            fields = {}
        elif not line[0].isspace():
            name, found, value = line.partition(separator)
            if found:
                fields.setdefault(name, value.strip())
    if fields:
        yield fields


def _distribution(tree: Tree) -> tuple[str, str]:
    for path in ("etc/os-release", "usr/lib/os-release"):
        lines = _read(tree, path, FILE_LIMIT).split("\n")
        known = dict(line.partition("=")[::2] for line in lines)
        if known.get("ID"):
            return known["ID"].strip("\"'"), known.get("VERSION_ID", "").strip("\"'")
    return "", ""


def _is(tree: Tree, path: str) -> bool:
    try:
        state = tree.state(tree.resolve(path))
    except Invalid:
        return False
    return state is not None and stat.S_ISDIR(state.st_mode)


def _read(tree: Tree, path: str, limit: int) -> str:
    """A file's text, links followed inside the tree; empty where there is none or it is too large."""
    try:
        fd = tree.open(tree.resolve(path))
    except (OSError, Invalid):
        return ""
    try:
        state = os.fstat(fd)
        if not stat.S_ISREG(state.st_mode) or state.st_size > limit:
            return ""
        with os.fdopen(os.dup(fd), "rb") as file:
            return file.read(limit).decode(errors="replace")
    finally:
        os.close(fd)
