"""``corten history``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from corten.cli.frame import command as define
from corten.cli.frame import echo, host
from corten.cli.params import ImageName
from corten.cli.quantities import ago, epoch, size
from corten.cli.tables import table

if TYPE_CHECKING:
    from corten.image.view import HistoryRow

_TITLES = {
    "ID": "IMAGE",
    "CreatedSince": "CREATED",
    "CreatedBy": "CREATED BY",
    "Size": "SIZE",
    "Comment": "COMMENT",
    "CreatedAt": "CREATED AT",
}
_SHOWN = ("ID", "CreatedSince", "CreatedBy", "Size", "Comment")
_WIDTH = 45


@define(
    "history",
    examples="""
corten history example/hello
corten history --no-trunc --format '{{.CreatedBy}}' example/hello
""",
)
@click.argument("image", type=ImageName())
@click.option("-q", "--quiet", is_flag=True, help="Only IDs.")
@click.option("--no-trunc", is_flag=True, help="Whole IDs and commands.")
@click.option("-H", "--human/--no-human", default=True, help="Sizes and times for people.")
@click.option(
    "--format",
    "form",
    default="",
    metavar="TEMPLATE",
    help="json, a template, or 'table' and a template; fields: ID, CreatedSince, CreatedAt, "
    "CreatedBy, Size, Comment.",
)
def command(image: str, quiet: bool, no_trunc: bool, human: bool, form: str) -> None:
    """Show how an image came about.

    One line for each instruction, the latest first, with what it added to the size.
    """
    from corten.engine import images

    rows = [_fields(row, no_trunc, human) for row in images.history(host(), image)]
    if quiet:
        echo([row["ID"] for row in rows])
    elif form:
        from corten.cli.templates import render_rows

        echo(render_rows(form, rows, _TITLES))
    else:
        titles = [_TITLES[name] for name in _SHOWN]
        echo(table(titles, [[row[name] for name in _SHOWN] for row in rows]))


def _fields(row: HistoryRow, no_trunc: bool, human: bool) -> dict[str, str]:
    made = epoch(row.created)
    since = ago(max(time.time() - made, 0)) if made is not None else "N/A"
    by = " ".join(row.created_by.split())
    identity = row.image
    if not no_trunc:
        by = by if len(by) <= _WIDTH else by[: _WIDTH - 1] + "…"
        identity = identity.removeprefix("sha256:")[:12]
    return {
        "ID": identity,
        "CreatedSince": since if human else row.created or "N/A",
        "CreatedAt": row.created or "N/A",
        "CreatedBy": by,
        "Size": size(row.size) if human else str(row.size),
        "Comment": row.comment,
    }
