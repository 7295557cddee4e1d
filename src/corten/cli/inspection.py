"""``inspect``: documents by name, as JSON or by a template."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from corten.cli.each import for_each
from corten.cli.frame import echo
from corten.cli.templates import compile_template


def show(names: Sequence[str], form: str, find: Callable[[str], dict[str, Any]]) -> int:
    """Print what `find` knows of each name: one JSON list, or a line each by the format.

    What is not there is reported, the rest is shown; the exit status is 1 then.
    """
    found: list[dict[str, Any]] = []
    render = compile_template(form) if form and form != "json" else None

    def act(name: str) -> str:
        document = find(name)
        if render is not None:
            return render(document)
        found.append(document)
        return ""

    status = for_each(names, act)
    if render is None:
        compact = (",", ":") if form == "json" else None
        indent = None if form == "json" else 4
        text = json.dumps(found, indent=indent, separators=compact, ensure_ascii=False)
        echo(text + "\n")
    sys.stdout.flush()
    return status
