"""``corten system check``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from corten.cli.frame import command as define
from corten.cli.frame import echo, host, reporting
from corten.cli.quantities import elapsed, size

if TYPE_CHECKING:
    from corten.engine.checking.finding import Report

_TITLES = {
    "Kind": "KIND",
    "Subject": "SUBJECT",
    "Problem": "PROBLEM",
    "Remedy": "REMEDY",
    "Repaired": "REPAIRED",
}


@define(
    "check",
    examples="""
corten system check
corten system check --repair
corten system check --deep --format json
""",
)
@click.option("--repair", is_flag=True, help="Mend what can be mended, and say how.")
@click.option("--deep", is_flag=True, help="Compare applied layers with their tars path by path.")
@click.option("--format", "form", default="", metavar="TEMPLATE", help="json or a template.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing: the exit status tells.")
def command(repair: bool, deep: bool, form: str, quiet: bool) -> int:
    """Verify all that is kept, and mend what can be mended.

    That is blobs, catalog, applied layers, snapshots, containers, and what crashes left.

    Every blob is read and compared with its digest.  A finding is a line: what it is about,
    what is wrong, and what to do or, with --repair, what was done.  Without --repair nothing
    is changed.  The exit status is 0 if all is well, 1 if damage is left.  Leftovers of killed
    commands are no damage: they are in nobody's way, and the next `corten gc` removes them.  A
    layer's tar that lies there twice is none either: --repair makes both one file.

    What nothing here can make again is moved to the directory damaged under the root, so that
    `corten pull` fetches it; it is yours to look at or delete.
    """
    from corten.engine.checking.check import check

    with reporting(quiet) as job:
        report = check(host(), job, repair=repair, deep=deep)
    if form and not quiet:
        from corten.cli.templates import render_rows

        rows = [
            dict(zip(_TITLES, (f.kind, f.subject, f.problem, f.remedy, f.repaired), strict=True))
            for f in report.findings
        ]
        echo(render_rows(form, rows, _TITLES))
    elif not quiet:
        echo([f"{'repaired ' if f.repaired else ''}{_shortened(str(f))}" for f in report.findings])
        echo(_summary(report))
    return 1 if report.damage else 0


def _summary(report: Report) -> str:
    looked = (
        f"Checked {_count(report.blobs, 'blob')} ({size(report.size)}),"
        f" {_count(report.layers, 'layer')}, {_count(report.snapshots, 'snapshot')}"
        f" and {_count(report.containers, 'container')} in {elapsed(report.seconds)}"
    )
    repaired = len(report.findings) - len(report.left)
    kinds = [finding.kind for finding in report.left]
    told = [f"{repaired} repaired"] if repaired else []
    if report.damage:
        told.append(f"{_count(len(report.damage), 'finding')} left")
    elif not told:
        told.append("all is well")
    if leftovers := kinds.count("leftover"):
        told.append(f"{_count(leftovers, 'leftover')} for the next corten gc")
    if copies := kinds.count("copy"):
        told.append(f"{_count(copies, 'layer')} for --repair to make smaller")
    return f"{looked}: {', '.join(told)}\n"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _shortened(text: str) -> str:
    """Digests as listings show them; the formats have them whole."""
    return re.sub(r"sha256:([0-9a-f]{12})[0-9a-f]{52}", r"\1", text)
