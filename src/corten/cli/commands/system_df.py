"""``corten system df``."""

from __future__ import annotations

import click

from corten.cli.frame import command as define
from corten.cli.frame import echo, host
from corten.cli.quantities import size
from corten.cli.tables import table

_TITLES = {
    "Type": "TYPE",
    "TotalCount": "TOTAL",
    "Active": "ACTIVE",
    "Size": "SIZE",
    "Reclaimable": "RECLAIMABLE",
}


@define("df", examples="corten system df")
@click.option("--format", "form", default="", metavar="TEMPLATE", help="json or a template.")
def command(form: str) -> None:
    """Show what takes how much room on the disk.

    SIZE is what lies there, each file once: of a pulled layer that is its compressed blob, its
    tar and a small index.  What images share with the build cache
    counts as the images'.  RECLAIMABLE is what no container needs: `corten system prune -a`
    and `corten builder prune` delete it.  Of volumes
    `corten rm -v` deletes those without a name; no command deletes the others, which lie in the
    directory volumes under the root.  Partial Downloads is what a pull that was broken off
    left for the next to go on from: `corten system prune` deletes it.  Leftovers is
    what killed commands were making: so does any `corten gc`.  Damaged is what `corten system check --repair` moved to
    the directory damaged under the root: yours to look at or delete.
    """
    from corten.engine.usage import disk_usage

    rows = []
    for usage in disk_usage(host()):
        share = f" ({100 * usage.reclaimable // usage.size}%)" if usage.size else ""
        cells = (usage.kind, str(usage.total), str(usage.active), size(usage.size, 4))
        rows.append(dict(zip(_TITLES, (*cells, size(usage.reclaimable, 4) + share), strict=True)))
    if form:
        from corten.cli.templates import render_rows

        echo(render_rows(form, rows, _TITLES))
    else:
        echo(table(list(_TITLES.values()), [list(row.values()) for row in rows]))
