"""``build --check``: its options, and its report as Docker's users know it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from corten.cli.frame import echo, host, reporting
from corten.cli.views.text import clean

if TYPE_CHECKING:
    from corten.dockerfile.fixing import Change
    from corten.dockerfile.lint.finding import Finding, Report
    from corten.engine.linting import Linted

_RULER = "--------------------"
_FULL = 50
"""So many findings are shown with their lines; of more there is a line each."""
_TALLEST = 12
"""Lines of an instruction that are shown whole; of a longer one those around the place."""


def check_flags(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: ``--check`` and ``--fix``."""
    function = click.option(
        "--fix", is_flag=True, help="Check, and mend in the file what is certain."
    )(function)
    return click.option("--check", is_flag=True, help="Check the Dockerfile; nothing is built.")(
        function
    )


def run_check(flags: Mapping[str, Any], mending: bool) -> int:
    """Check and print.  The status: 1 where something is left to say."""
    from corten.engine.linting import LintOptions, lint

    options = LintOptions(
        context=flags["context"],
        dockerfile=flags["dockerfile"],
        target=flags["target"],
        build_args=flags["build_args"],
        platforms=flags["platforms"],
        build_contexts=flags["build_contexts"],
        mend=mending,
    )
    with reporting() as job:
        done = lint(host(), options, job)
    echo("".join(f"{line}\n" for line in lines_of(done)))
    return 1 if done.report.findings else 0


def lines_of(done: Linted) -> Iterator[str]:
    """The report, line by line."""
    report = done.report
    for change in done.changes:
        yield from _change(report.file, change)
    count = len(report.findings)
    if done.changes:
        mended = len(done.changes)
        yield f"{mended} instruction{'s' if mended > 1 else ''} of {report.file} mended"
    left = " left" if done.changes else ""
    if not count:
        yield f"Check complete, no warnings{left or ' found'}."
    else:
        found = "s have" if count > 1 else " has"
        yield f"Check complete, {count} warning{found} been {left.strip() or 'found'}!"
    source = done.text.removeprefix("\ufeff").split("\n")
    for number, finding in enumerate(report.findings):
        if number < _FULL:
            yield from _full(report.file, finding, source)
        else:
            yield f"{report.file}:{finding.line}: {finding.rule.name}: {clean(finding.message)}"
    yield from _remarks(report)


def _remarks(report: Report) -> Iterator[str]:
    from corten.dockerfile.errors import did_you_mean
    from corten.dockerfile.lint.checking import RULES

    for name in report.unknown:
        yield f"NOTE: the check directive names {clean(name)}: {did_you_mean(name, RULES)}"
    if report.findings and report.error:
        names = ", ".join(sorted({one.rule.name for one in report.findings}))
        yield f"ERROR: lint violation found for rules: {names}"
    mendable = sum(one.certain for one in report.findings)
    if mendable:
        yield f"--fix can mend {mendable} of them."


def _change(file: str, change: Change) -> Iterator[str]:
    yield f"{file}:{change.line} {', '.join(change.rules)}"
    yield from (f"- {clean(line)}" for line in change.before.split("\n"))
    yield from (f"+ {clean(line)}" for line in change.after.split("\n"))
    yield ""


def _full(file: str, finding: Finding, source: list[str]) -> Iterator[str]:
    rule = finding.rule
    yield ""
    yield f"WARNING: {rule.name}{' - ' if rule.link else ''}{rule.link}"
    yield clean(finding.message)
    yield f"{file}:{finding.line}"
    yield _RULER
    yield from _excerpt(finding, source)
    yield _RULER


def _excerpt(finding: Finding, source: list[str]) -> Iterator[str]:
    """The instruction's lines, marked, with some around it, and a pointer to the part."""
    line = finding.instruction.node.line
    first, last = line.first, line.last
    if last - first >= _TALLEST:
        first, last = max(first, finding.line - 2), min(last, finding.line + 2)
    around = 2 if last == first else 1
    for number in range(max(1, first - around), min(len(source), last + around) + 1):
        text = source[number - 1].rstrip("\r")
        if number == len(source) and not text:
            break
        marked = line.first <= number <= line.last
        yield f"{number:>4} | {'>>>' if marked else '   '} {clean(text)}".rstrip()
        if number == finding.line and finding.spot.width:
            yield _pointer(finding, text)


def _pointer(finding: Finding, text: str) -> str:
    """Carets under the part that is meant."""
    lead = len(clean(text[: finding.spot.column] + "|")) - 1
    return f"{'':>4} |     {' ' * lead}{'^' * finding.spot.width}"
