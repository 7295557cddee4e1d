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
    words = list(arguments)
    root = ""
    if words[:1] == ["--root"] and len(words) > 1:
        root, words = words[1], words[2:]
    elif words and words[0].startswith("--root="):
        root, words = words[0][len("--root=") :], words[1:]
    given = words[1:]
    names = tuple(word for word in given if word not in switches)
    if words[:1] != [command] or not names or any(not n or n.startswith("-") for n in names):
        return None
    # An empty root, or a file, is a mistake that the full command line speaks about.
    if os.path.isfile(root) or (not root and len(words) < len(arguments)):  # noqa: PTH113
        return None
    return Plain(root, names, frozenset(given) - frozenset(names))


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
