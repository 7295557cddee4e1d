"""``corten rmi NAME...`` without the command line frame: see :mod:`corten.cli.quick_words`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from corten.cli.quick_words import Plain, parse_plain, status_of
from corten.cli.removing import remove_image


def parse_rmi(arguments: Sequence[str]) -> Plain | None:
    """What the words ask for.  None: only the full command line can tell."""
    return parse_plain(arguments, "rmi")


def remove_quickly(removal: Plain) -> int:
    """Do what was asked for, as the full command line would; the exit status."""
    return status_of("rmi", lambda: _remove(removal))


def _remove(removal: Plain) -> int:
    from corten.config.settings import Settings
    from corten.engine.host import Host
    from corten.errors import Cancelled, CortenError

    status = 0
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
    return status
