"""``corten info``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import click

from corten.cli.frame import command as define
from corten.cli.frame import echo, host
from corten.cli.templates import render_rows


@define("info", examples="corten info\ncorten info --format '{{.StorageDriver}}'")
@click.option("-f", "--format", "form", default="", metavar="TEMPLATE", help="json, or a template.")
def command(form: str) -> None:
    """Show what this installation uses, and why.

    Among others the storage driver with the reason for it, and where the programs are
    that corten starts.
    """
    from corten.engine import system

    facts = system.info(host())
    if form:
        echo(render_rows(form, [facts], {}))
    else:
        echo(list(_lines(facts, "")))


def _lines(facts: Mapping[str, object], indent: str) -> Iterator[str]:
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield f"{indent}{name}:"
            yield from _lines(value, indent + "  ")
        else:
            yield f"{indent}{name}: {value if value != '' else '(missing)'}"
