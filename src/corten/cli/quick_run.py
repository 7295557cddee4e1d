"""``corten run`` without the command line frame, which takes longer to import than crun to start.

Its common options are recognised by a few lines of Python; whatever else is written, mistakes
too, goes to :mod:`corten.cli.main`.  Both ways end in :func:`corten.cli.running.run_container`,
and a test compares what they make of the same words.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from corten.cli.quick_words import split_root, status_of

if TYPE_CHECKING:
    from corten.engine.creation import ContainerOptions

SWITCHES = {
    "-d": "detach",
    "--detach": "detach",
    "-i": "interactive",
    "--interactive": "interactive",
    "-t": "tty",
    "--tty": "tty",
    "--rm": "auto_remove",
    "-P": "publish_all",
    "--publish-all": "publish_all",
    "--read-only": "readonly",
    "--privileged": "privileged",
    "--init": "init",
}
TEXTS = {
    "--name": "name",
    "-w": "workdir",
    "--workdir": "workdir",
    "-u": "user",
    "--user": "user",
    "--network": "network",
    "-h": "hostname",
    "--hostname": "hostname",
    "--stop-signal": "stop_signal",
    "--platform": "platform",
}
LISTS = {
    "-p": "publish",
    "--publish": "publish",
    "-e": "env",
    "--env": "env",
    "--env-file": "env_files",
    "-v": "volumes",
    "--volume": "volumes",
    "--mount": "mounts",
    "--tmpfs": "tmpfs",
    "--cap-add": "cap_add",
    "--cap-drop": "cap_drop",
    "-l": "labels",
    "--label": "labels",
}


class Request(NamedTuple):
    """A plain ``run`` command: the root that it names (maybe empty), and what it asks for."""

    root: str
    detach: bool
    options: ContainerOptions


def parse_run(arguments: Sequence[str]) -> Request | None:
    """What the words ask for.  None: only the full command line can tell."""
    rooted = split_root(arguments)
    if rooted is None or rooted[1][:1] != ["run"]:
        return None
    root, words = rooted
    found = _flags(words[1:])
    if found is None:
        return None
    from corten.engine.creation import ContainerOptions

    detach = bool(found.pop("detach", False))
    return Request(root, detach, ContainerOptions(**found))


def _flags(words: list[str]) -> dict[str, Any] | None:
    """Fields of `ContainerOptions`, and ``detach``, by name."""
    found: dict[str, Any] = {}
    at = 0
    while at < len(words) and words[at].startswith("-"):
        word = words[at]
        at += 1
        switches = _switches(word)
        if switches is not None:
            found.update(dict.fromkeys(switches, True))
            continue
        name, equals, value = word.partition("=")
        if not equals or not name.startswith("--"):
            # The value is the next word; one that looks like an option is for click to judge.
            if at == len(words) or words[at].startswith("-"):
                return None
            name, value = word, words[at]
            at += 1
        if name in TEXTS:
            found[TEXTS[name]] = value
        elif name in LISTS:
            found[LISTS[name]] = (*found.get(LISTS[name], ()), value)
        else:
            return None
    if at == len(words) or not words[at]:
        return None
    return {**found, "image": words[at], "command": tuple(words[at + 1 :])}


def _switches(word: str) -> list[str] | None:
    """The switches in ``--rm``, ``-i`` or ``-it``; None: it is something else."""
    if word in SWITCHES:
        return [SWITCHES[word]]
    letters = [f"-{letter}" for letter in word[1:]]
    if len(letters) < 2 or not all(letter in SWITCHES for letter in letters):
        return None
    return [SWITCHES[letter] for letter in letters]


def run_quickly(request: Request) -> int:
    """Do what was asked for, as the full command line would; the exit status."""
    return status_of("run", lambda: _run(request))


def _run(request: Request) -> int:
    from corten.cli.running import run_container
    from corten.cli.views.reporter import reporter
    from corten.config.settings import Settings
    from corten.engine.host import Host

    host = Host(Settings.load(os.environ, request.root or None))
    with reporter("auto", sys.stderr) as job:
        return run_container(host, request.options, job, detach=request.detach)
