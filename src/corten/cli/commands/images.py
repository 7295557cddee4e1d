"""``corten images``, with all its options; plain forms never come here: see `corten.cli.entry`."""

from __future__ import annotations

import sqlite3
from typing import Any

import click

from corten.cli.frame import command as define
from corten.cli.frame import current, echo
from corten.cli.params import ImageName
from corten.errors import Corrupt, Unavailable


@define(
    "images",
    examples="""
corten images
corten images debian                                 one repository
corten images 'example/*:v?'                         a pattern
corten images --format '{{.Repository}}:{{.Tag}} {{.Size}}'
corten images --format 'table {{.ID}}\\t{{.CreatedAt}}'
corten images --format json
""",
)
@click.argument("repository", required=False, default="", type=ImageName())
@click.option("-a", "--all", "everything", is_flag=True, help="No effect: every image is shown.")
@click.option("-q", "--quiet", is_flag=True, help="Only IDs.")
@click.option("--no-trunc", is_flag=True, help="Whole IDs.")
@click.option("--digests", is_flag=True, help="Also the digests that registries know.")
@click.option(
    "--format",
    "form",
    default="",
    metavar="TEMPLATE",
    help="json, a template, or 'table' and a template; fields: Repository, Tag, Digest, ID, "
    "CreatedSince, CreatedAt, Size.",
)
def command(**options: Any) -> None:
    """List images.

    REPOSITORY[:TAG] limits the list; * and ? stand for any text and any character.  Sizes
    are those of the unpacked layers; an ID is the digest of an image's configuration.
    """
    from corten.cli.image_list import Wanted, listing

    root = current().settings().root
    try:
        echo(listing(root, Wanted(**options)))
    except sqlite3.Error as error:
        # Another version's tables are not as expected; what is no database is damaged.
        strange = isinstance(error, sqlite3.OperationalError)
        raise (Unavailable if strange else Corrupt)(
            f"the catalog {root}/catalog.db cannot be read: {error}",
            hint="is another corten, of another version, using this --root?"
            if strange
            else "corten system check --repair makes a new one",
        ) from error
