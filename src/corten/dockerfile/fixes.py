"""The edits that mend a finding: one function a rule.

Each gives no edits where it is not certain that only the way of writing changes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from corten.dockerfile.lint.casing import keyword_as_written
from corten.dockerfile.lint.commands import AUTHORS, plain_words
from corten.dockerfile.lint.finding import Finding
from corten.dockerfile.lint.layout import Layout
from corten.dockerfile.syntax import split_words

_TOKEN = re.compile(r"[^\t\v\f\r ]+")


class Edit(NamedTuple):
    """Characters `begin` to `end` of the file become `text`."""

    begin: int
    end: int
    text: str


class Place:
    """An instruction in its file: finds where a part of its logical text stands."""

    def __init__(self, finding: Finding, layout: Layout) -> None:
        self.finding = finding
        self.instruction = finding.instruction
        self.layout = layout
        self.text = finding.instruction.text
        self.pieces = layout.pieces(finding.instruction.node.line)

    def edit(self, begin: int, end: int, text: str) -> Edit | None:
        """Replace a part of the logical text; None where it is spread over several lines."""
        for piece in self.pieces:
            if piece.at <= begin and end <= piece.at + len(piece.text):
                offset = piece.offset - piece.at
                return Edit(offset + begin, offset + end, text)
        return None

    def edits(self, *parts: tuple[int, int, str]) -> list[Edit]:
        """Several such, or none at all."""
        found = [self.edit(*part) for part in parts]
        return [one for one in found if one] if all(found) else []

    def tokens(self) -> list[re.Match[str]]:
        """The words apart by white space, with their places."""
        return list(_TOKEN.finditer(self.text))


def exposed_port(port: str) -> str:
    """A word of EXPOSE as it should be written: the container's port, its protocol in lower case."""
    number, slash, protocol = port.rpartition(":")[2].partition("/")
    return number + slash + (protocol if "$" in protocol else protocol.lower())


def _keyword(place: Place) -> list[Edit]:
    word = keyword_as_written(place.instruction)
    upper = place.finding.message.endswith("(uppercase)")
    return place.edits((0, len(word), word.upper() if upper else word.lower()))


def _as(place: Place) -> list[Edit]:
    token = place.tokens()[-2]
    upper = keyword_as_written(place.instruction).isupper()
    return place.edits((*token.span(), "AS" if upper else "as"))


def _stage_name(place: Place) -> list[Edit]:
    token = place.tokens()[-1]
    return place.edits((*token.span(), token[0].lower()))


def _blank_lines(place: Place) -> list[Edit]:
    layout = place.layout
    edits = []
    for number in layout.blanks(place.instruction.node.line):
        begin = layout.starts[number - 1]
        edits.append(Edit(begin, begin + len(layout.physical[number - 1]) + 1, ""))
    return edits


def _json(place: Place) -> list[Edit]:
    """``CMD a b`` as ``CMD ["a", "b"]``; over several lines it would be hard to read."""
    node = place.instruction.node
    words = plain_words(node.args[0])
    if words is None or node.flags:
        return []
    begin = len(place.text) - len(node.args[0])
    return place.edits((begin, len(place.text), json.dumps(words)))


def _maintainer(place: Place) -> list[Edit]:
    word = keyword_as_written(place.instruction)
    name = place.instruction.node.args[0]
    label = "label" if word.islower() else "LABEL"
    begin = len(place.text) - len(name)
    return place.edits((0, len(word), label), (begin, len(place.text), f'{AUTHORS}="{name}"'))


def _old_form(place: Place) -> list[Edit]:
    """``ENV a b c`` as ``ENV a="b c"``.

    A value that begins on a line of its own stays there, without its indentation, which
    would become a part of it.
    """
    node = place.instruction.node
    name, value = node.pairs[0]
    begin = len(place.text) - len(value)
    end = begin
    while place.text[end - 1].isspace():
        end -= 1
    if not place.text[:end].endswith(name):
        return []
    quote = _quote(value, place.layout.escape)
    if quote is None:
        return []
    closing = [(len(place.text), len(place.text), quote)] if quote else []
    edits: list[Edit] = []
    # The white space between them may be spread over lines: each line loses its own.
    for piece in place.pieces:
        low, high = max(end, piece.at), min(begin, piece.at + len(piece.text))
        if low < high or (low == high == end and piece.at < end):
            opening = f"={quote}" if low == end and piece.at < end else ""
            offset = piece.offset - piece.at
            edits.append(Edit(offset + low, offset + high, opening))
    return [*edits, *place.edits(*closing)] if edits and edits[0].text else []


def _quote(value: str, escape: str) -> str | None:
    """What must stand around a value so that it is one word; None: that is not certain."""
    if split_words(value, escape) == [value]:
        return ""
    return None if set(value) & {'"', "'", escape, "\\"} else '"'


def _port(place: Place) -> list[Edit]:
    """Lower case behind the slash; nothing before the last colon."""
    edits: list[Edit] = []
    for token in place.tokens()[1:]:
        wanted = exposed_port(token[0])
        if "$" in token[0]:
            wanted = token[0]
        if wanted != token[0]:
            edits += place.edits((*token.span(), wanted))
    return edits


def _platform(place: Place) -> list[Edit]:
    tokens = place.tokens()
    for token, following in pairwise(tokens):
        if token[0].startswith("--platform="):
            return place.edits((token.start(), following.start(), ""))
    return []


FIXES: dict[str, Callable[[Place], list[Edit]]] = {
    "ConsistentInstructionCasing": _keyword,
    "FromAsCasing": _as,
    "StageNameCasing": _stage_name,
    "NoEmptyContinuation": _blank_lines,
    "JSONArgsRecommended": _json,
    "MaintainerDeprecated": _maintainer,
    "LegacyKeyValueFormat": _old_form,
    "ExposeProtoCasing": _port,
    "ExposeInvalidFormat": _port,
    "RedundantTargetPlatform": _platform,
}
"""By the name of the rule."""
