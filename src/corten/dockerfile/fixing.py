"""Mends what checks found, where that is certain: everything else in the file stays as it is.

An edit is made, the file parsed again, and every instruction compared with what it was
before: one that would do something else than its rule allows stays as it was written.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from corten.dockerfile import instructions as kinds
from corten.dockerfile.errors import DockerfileError
from corten.dockerfile.expansion import ExpansionError, expand
from corten.dockerfile.fixes import FIXES, Edit, Place, exposed_port
from corten.dockerfile.instructions import Dockerfile, Instruction
from corten.dockerfile.lint.checking import check
from corten.dockerfile.lint.commands import AUTHORS, plain_words
from corten.dockerfile.lint.finding import Surroundings
from corten.dockerfile.lint.layout import Layout
from corten.dockerfile.parser import parse

_ROUNDS = 6


class Change(NamedTuple):
    """What became of an instruction's lines: from `line` (of the file as it was) on, and the rules."""

    line: int
    before: str
    after: str
    rules: tuple[str, ...]


class Fixed(msgspec.Struct, frozen=True):
    """The mended text, and what was changed; no changes: it is the text as it was."""

    text: str
    changes: tuple[Change, ...]


def fix(text: str, dockerfile: Dockerfile, around: Surroundings) -> Fixed:
    """Mend what is certain.  `dockerfile` is `text`, parsed.

    Raises: DockerfileError: as checking does.
    """
    original, first = text, dockerfile
    blamed: dict[int, list[str]] = {}
    refused: set[tuple[int, str]] = set()
    for _ in range(_ROUNDS):
        order = _order(dockerfile)
        wanted = _wanted(text, dockerfile, around, order, refused)
        if not wanted:
            break
        mended = _apply(text, [edit for _, edits in wanted.values() for edit in edits])
        wrong = _changed(dockerfile, mended, set(wanted))
        if wrong:
            refused |= {(n, rule) for n in wrong for rule in wanted[n][0]}
            continue
        for number, (rules, _) in wanted.items():
            blamed.setdefault(number, []).extend(rules)
        text, dockerfile = mended, parse(mended, dockerfile.file)
    return Fixed(text, tuple(_changes(original, first, text, dockerfile, blamed)))


def _order(dockerfile: Dockerfile) -> list[Instruction]:
    """All instructions as they stand in the file."""
    found: list[Instruction] = list(dockerfile.arguments)
    for stage in dockerfile.stages:
        found += (stage.source, *stage.instructions)
    return found


_Wanted = dict[int, tuple[list[str], list[Edit]]]


def _wanted(
    text: str,
    dockerfile: Dockerfile,
    around: Surroundings,
    order: list[Instruction],
    refused: set[tuple[int, str]],
) -> _Wanted:
    """Edits by the number of their instruction; those that meet others wait for the next round."""
    numbers = {one.line: number for number, one in enumerate(order)}
    layout = Layout(text, dockerfile.escape)
    found: _Wanted = {}
    for finding in check(text, dockerfile, around).findings:
        number = numbers[finding.instruction.line]
        name = finding.rule.name
        make = FIXES.get(name)
        if make is None or not finding.certain or (number, name) in refused:
            continue
        edits = make(Place(finding, layout))
        rules, others = found.get(number, ([], []))
        if edits and not _meet(edits, others):
            found[number] = ([*rules, name], [*others, *edits])
    return found


def _meet(edits: list[Edit], others: list[Edit]) -> bool:
    return any(a.begin <= b.end and b.begin <= a.end for a in edits for b in others)


def _apply(text: str, edits: list[Edit]) -> str:
    out: list[str] = []
    at = 0
    for edit in sorted(edits):
        out += (text[at : edit.begin], edit.text)
        at = edit.end
    return "".join((*out, text[at:]))


def _changed(before: Dockerfile, text: str, mended: set[int]) -> set[int]:
    """The numbers of instructions that are not what they were."""
    try:
        after = _order(parse(text, before.file))
    except DockerfileError:
        return mended
    order = _order(before)
    if len(order) != len(after):
        return mended
    wrong = set()
    for number, (old, new) in enumerate(zip(order, after, strict=True)):
        if number not in mended and old.text == new.text:
            continue
        if meaning(old, before.escape) != meaning(new, before.escape):
            wrong.add(number)
    return wrong if wrong <= mended else mended


def _changes(
    before: str,
    old: Dockerfile,
    after: str,
    new: Dockerfile,
    blamed: dict[int, list[str]],
) -> Iterator[Change]:
    was, now = Layout(before, old.escape), Layout(after, new.escape)
    olds, news = _order(old), _order(new)
    for number in sorted(blamed):
        yield Change(
            olds[number].line,
            was.head(olds[number].node.line),
            now.head(news[number].node.line),
            tuple(dict.fromkeys(blamed[number])),
        )


# What an instruction does, so that two ways to write it compare equal.


class _Probe(dict[str, str]):
    """Every variable has a value that quotes and spaces would spoil."""

    def __missing__(self, name: str) -> str:
        return f"<{name} 'a\" \\>"


def meaning(instruction: Instruction, escape: str) -> object:
    """What the instruction does, apart from how it is written."""
    if isinstance(instruction, kinds.Env | kinds.Label):
        return ("pairs", type(instruction), _pairs(instruction.pairs, escape))
    if isinstance(instruction, kinds.Maintainer):
        return ("pairs", kinds.Label, [[AUTHORS, instruction.name]] * 2)
    if isinstance(instruction, kinds.Expose):
        return [exposed_port(port) for port in instruction.ports]
    if isinstance(instruction, kinds.Cmd | kinds.Entrypoint):
        command = instruction.command
        words = plain_words(command.args[0]) if command.shell and command.args else None
        return (type(instruction), words or list(command.args), command.shell and words is None)
    fields = msgspec.structs.asdict(instruction)
    del fields["node"]
    if fields.get("platform") in ("$TARGETPLATFORM", "${TARGETPLATFORM}"):
        fields["platform"] = ""
    return (type(instruction), fields)


def _pairs(pairs: tuple[tuple[str, str], ...], escape: str) -> list[list[str]]:
    try:
        nothing: dict[str, str] = {}
        return [
            [expand(word, known, escape) for pair in pairs for word in pair]
            for known in (nothing, _Probe())
        ]
    except ExpansionError:
        return [[word for pair in pairs for word in pair], []]
