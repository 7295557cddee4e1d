"""``corten pull [-q] NAME`` and ``push [-q] NAME`` without the command line frame.

See :mod:`corten.cli.quick_words`.  A transfer that finds all in place is a question or two and
their answers: the frame would be a fifth of it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

from corten.cli.quick_words import Plain, parse_plain, status_of
from corten.cli.transferring import pull_image, push_image

COMMANDS = {"pull": pull_image, "push": push_image}


class Transfer(NamedTuple):
    """A plain ``pull`` or ``push``, and its words."""

    command: str
    words: Plain


def parse_transfer(arguments: Sequence[str]) -> Transfer | None:
    """What the words ask for.  None: only the full command line can tell."""
    for command in COMMANDS:
        plain = parse_plain(arguments, command, ("-q", "--quiet"))
        if plain is not None and len(plain.names) == 1:
            return Transfer(command, plain)
    return None


def transfer_quickly(transfer: Transfer) -> int:
    """Do what was asked for, as the full command line would; the exit status."""
    return status_of(transfer.command, lambda: _transfer(transfer))


def _transfer(transfer: Transfer) -> int:
    from corten.cli.http_library import load_urllib3
    from corten.cli.views.reporter import reporter
    from corten.config.settings import Settings
    from corten.engine.host import Host

    words = transfer.words
    quiet = bool(words.switches)
    load_urllib3()
    with Host(Settings.load(os.environ, words.root or None)) as host:
        with reporter("quiet" if quiet else "auto", sys.stderr) as job:
            said = COMMANDS[transfer.command](host, words.names[0], job)
        sys.stdout.write(said[quiet])
    return 0
