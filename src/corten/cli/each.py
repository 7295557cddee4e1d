"""The same for each of several names: one that fails does not stop the others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

from corten.cli.failures import report
from corten.cli.frame import current, echo
from corten.errors import Cancelled, CortenError


def for_each(names: Iterable[str], act: Callable[[str], str]) -> int:
    """Call `act`, print what it returns, report what it raises; 0 or, after a failure, 1."""
    status = 0
    for name in names:
        try:
            text = act(name)
        except Cancelled:
            raise
        except CortenError as error:
            report(error, sys.stderr, debug=current().debug)
            status = 1
        else:
            if text:
                echo(f"{text}\n")
                sys.stdout.flush()
    return status
