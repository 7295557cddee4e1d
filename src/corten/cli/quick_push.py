"""``corten push [-q] NAME`` without the command line frame: see :mod:`corten.cli.quick_words`.

A push that finds its tag in place is a question and an answer: the frame would be a fifth of it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from corten.cli.pushing import push_image
from corten.cli.quick_words import Plain, parse_plain, status_of


def parse_push(arguments: Sequence[str]) -> Plain | None:
    """What the words ask for.  None: only the full command line can tell."""
    plain = parse_plain(arguments, "push", ("-q", "--quiet"))
    return plain if plain is not None and len(plain.names) == 1 else None


def push_quickly(plain: Plain) -> int:
    """Do what was asked for, as the full command line would; the exit status."""
    return status_of("push", lambda: _push(plain))


def _push(plain: Plain) -> int:
    from corten.cli.views.reporter import reporter
    from corten.config.settings import Settings
    from corten.engine.host import Host

    quiet = bool(plain.switches)
    with Host(Settings.load(os.environ, plain.root or None)) as host:
        with reporter("quiet" if quiet else "auto", sys.stderr) as job:
            text = push_image(host, plain.names[0], job, quiet=quiet)
        sys.stdout.write(text)
    return 0
