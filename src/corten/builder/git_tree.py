"""The files of a commit: how large they are, where they go, and which submodules belong to them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from corten.builder.git_program import Git, GitFailed, GitTools, explained
from corten.builder.git_url import Repository, submodule_remote
from corten.errors import CortenError, Invalid, Unsupported

_SUBMODULES = 1000
_LATEST = 1 << 33


class Budget:
    """What a repository may still bring, together with all its submodules."""

    def __init__(self, tools: GitTools) -> None:
        self.files = tools.files
        self.size = tools.limit
        """Bytes."""
        self.submodules = _SUBMODULES


class Submodule(NamedTuple):
    """Another repository's commit, at a path of this one."""

    path: str
    repository: Repository


def check_size(git: Git, commit: str, budget: Budget) -> dict[str, str]:
    """The commit's submodules: the commit by the path.  Its files are taken from the `budget`.

    The files are counted before any is written: a repository of a few KiB can have trees that
    name each other until there are billions.

    Raises: Unsupported: more files, bytes or submodules than are left.
    """
    links: dict[str, str] = {}
    rest = b""

    def take(data: bytes) -> None:
        nonlocal rest
        *rows, rest = (rest + data).split(b"\0")
        budget.files -= len(rows)
        for row in rows:
            fields, _, path = row.partition(b"\t")
            mode, _, name, length = fields.split()
            if mode == b"160000":
                budget.submodules -= 1
                links[os.fsdecode(path)] = name.decode()
            elif length.isdigit():
                budget.size -= int(length)
        if budget.files < 0:
            raise Unsupported(
                f"with commit {commit} the repository has more than {git.tools.files} files"
            )
        if budget.size < 0:
            raise Unsupported(
                f"with commit {commit} the repository has more than {git.tools.limit} bytes",
                hint="if they are trusted, set CORTEN_LAYER_LIMIT to more (64G, for example)",
            )
        if budget.submodules < 0:
            raise Unsupported(
                f"with commit {commit} the repository has more than {_SUBMODULES} submodules"
            )

    try:
        git.run(("ls-tree", "-r", "-l", "-z", "--full-tree", commit), take)
    except GitFailed as error:
        raise explained(error, f"commit {commit}") from None
    return links


def lay_out(git: Git, commit: str, target: Path) -> int:
    """Write the commit's files into the empty directory `target`; returns its time (Unix seconds).

    git refuses names that lead out, and ``.git``.  Raises: Invalid.
    """
    index = git.directory / "index"
    index.unlink(missing_ok=True)
    try:
        git.text("read-tree", "--reset", "-u", commit, GIT_WORK_TREE=str(target))
        seconds = git.text("show", "-s", "--no-show-signature", "--format=%ct", commit).strip()
    except GitFailed as error:
        raise explained(error, f"commit {commit}") from None
    finally:
        index.unlink(missing_ok=True)
    return min(int(seconds), _LATEST) if seconds.isascii() and seconds.isdigit() else 0


def submodules(git: Git, commit: str, links: dict[str, str], parent: Repository) -> list[Submodule]:
    """What ``.gitmodules`` says of the commit's submodules; those that it does not name are left.

    Raises: Invalid: an address that may not be fetched.
    """
    if not links:
        return []
    try:
        text = git.text(
            "config", "--blob", f"{commit}:.gitmodules", "--list", "-z", "--no-includes"
        )
    except GitFailed:
        return []  # as with git: directories that stay empty
    paths: dict[str, str] = {}
    addresses: dict[str, str] = {}
    for row in text.split("\0"):
        key, _, value = row.partition("\n")
        lead, _, kind = key.rpartition(".")
        if lead.startswith("submodule.") and kind in ("path", "url"):
            (paths if kind == "path" else addresses)[lead] = value
    found: dict[str, Submodule] = {}  # one by path: it may be named a thousand times
    for lead, path in paths.items():
        if path not in links or lead not in addresses:
            continue
        try:
            remote = submodule_remote(parent.remote, addresses[lead])
        except CortenError as error:
            raise Invalid(f"submodule {path!r}: {error.message}", hint=error.hint) from None
        found[path] = Submodule(path, Repository(remote, links[path]))
    return list(found.values())
