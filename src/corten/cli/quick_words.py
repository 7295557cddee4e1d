"""Plain command lines, understood without the frame: ``corten [--root DIR] COMMAND [SWITCH] NAME...``

The frame takes longer to import than some commands to work.  What is not plain, and every
mistake, goes to it: a quick command never says what is wrong with its words.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple


class Plain(NamedTuple):
    """The root that the words name (maybe empty), the switches that are on, and the names."""

    root: str
    names: tuple[str, ...]
    switches: frozenset[str] = frozenset()


def parse_plain(
    arguments: Sequence[str], command: str, switches: Collection[str] = ()
) -> Plain | None:
    """What the words ask `command` for.  None: only the full command line can tell."""
    rooted = split_root(arguments)
    if rooted is None:
        return None
    root, words = rooted
    given = words[1:]
    names = tuple(word for word in given if word not in switches)
    if words[:1] != [command] or not names or any(not n or n.startswith("-") for n in names):
        return None
    return Plain(root, names, frozenset(given) - frozenset(names))


def split_root(arguments: Sequence[str]) -> tuple[str, list[str]] | None:
    """The root that stands before the command (maybe empty), and the other words.

    None: the full command line has something to say about it.
    """
    words = list(arguments)
    if words[:1] == ["--root"]:
        root, words = "".join(words[1:2]), words[2:]
    elif words and words[0].startswith("--root="):
        root = words.pop(0).removeprefix("--root=")
    else:
        return "", words
    unreadable = os.path.exists(root) and not os.access(root, os.R_OK)  # noqa: PTH110
    if not root or unreadable or os.path.isfile(root):  # noqa: PTH113
        return None
    return root, words


def status_of(command: str, work: Callable[[], int]) -> int:
    """What `work` returns, or the exit status of its error, which is reported."""
    try:
        return work()
    except BrokenPipeError:
        raise
    except (Exception, KeyboardInterrupt) as error:
        from corten.cli.failures import exit_status, report

        report(error, sys.stderr)
        return exit_status(error, command)
