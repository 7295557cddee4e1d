"""``corten rmi NAME...`` without the command line frame, for the reason of :mod:`corten.cli.quick_run`.

With any option, and to say what is wrong, it is the full command line's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

from corten.cli.removing import remove_image


class Removal(NamedTuple):
    """A plain ``rmi`` command: the root that it names (maybe empty), and the images."""

    root: str
    names: tuple[str, ...]


def parse_rmi(arguments: Sequence[str]) -> Removal | None:
    """What the words ask for.  None: only the full command line can tell."""
    words = list(arguments)
    root = ""
    if words[:1] == ["--root"] and len(words) > 1:
        root, words = words[1], words[2:]
    elif words and words[0].startswith("--root="):
        root, words = words[0][len("--root=") :], words[1:]
    elif words[:1] != ["rmi"]:
        return None
    names = words[1:]
    if words[:1] != ["rmi"] or not names or any(not n or n.startswith("-") for n in names):
        return None
    # An empty root, or a file, is a mistake that the full command line speaks about.
    if os.path.isfile(root) or (not root and len(words) < len(arguments)):  # noqa: PTH113
        return None
    return Removal(root, tuple(names))


def remove_quickly(removal: Removal) -> int:
    """Do what was asked for, as the full command line would; the exit status."""
    from corten.config.settings import Settings
    from corten.engine.host import Host
    from corten.errors import Cancelled, CortenError

    status = 0
    try:
        with Host(Settings.load(os.environ, removal.root or None)) as host:
            for name in removal.names:
                try:
                    text = remove_image(host, name)
                except Cancelled:
                    raise
                except CortenError as error:
                    from corten.cli.failures import report

                    report(error, sys.stderr)
                    status = 1
                else:
                    sys.stdout.write(f"{text}\n" if text else "")
                    sys.stdout.flush()
    except BrokenPipeError:
        raise
    except (Exception, KeyboardInterrupt) as error:
        from corten.cli.failures import exit_status, report

        report(error, sys.stderr)
        return exit_status(error, "rmi")
    return status
