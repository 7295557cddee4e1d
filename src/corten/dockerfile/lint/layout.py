"""Where the text of logical lines stands in the file."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from corten.dockerfile.lexer import LogicalLine, parts_at

_MARK = "\ufeff"


class Piece(NamedTuple):
    """The part of a logical line that stands in one physical line.

    ``at`` is where it begins in the logical text, ``offset`` where it begins in the file.
    """

    at: int
    offset: int
    text: str


class Spot(NamedTuple):
    """A place in a file: physical line (from 1), column (from 0) and width, in characters."""

    line: int
    column: int
    width: int


class Layout:
    """The physical lines of a Dockerfile, and how logical lines lie in them."""

    def __init__(self, text: str, escape: str = "\\") -> None:
        self.escape = escape
        begin = len(_MARK) if text.startswith(_MARK) else 0
        self.physical = text[begin:].split("\n")
        self.starts: list[int] = []
        for line in self.physical:
            self.starts.append(begin)
            begin += len(line) + 1
        if self.physical[-1] == "":
            self.physical.pop()

    def source(self, number: int) -> str:
        """Physical line `number` (from 1), without its end."""
        return self.physical[number - 1].rstrip("\r")

    def pieces(self, line: LogicalLine) -> list[Piece]:
        """Where the logical line's text stands, in order; here-documents are not in it."""
        found = parts_at(self.physical, line.first - 1, self.escape).pieces
        whole = "".join(text for _, text in found)
        at = len(whole.lstrip()) - len(whole)
        pieces = []
        for index, text in found:
            # What was stripped off the beginning lies before the text.
            skipped = min(len(text), max(0, -at))
            pieces.append(Piece(at + skipped, self.starts[index] + skipped, text[skipped:]))
            at += len(text)
        return pieces

    def blanks(self, line: LogicalLine) -> list[int]:
        """The numbers of the empty lines inside the logical line."""
        found = parts_at(self.physical, line.first - 1, self.escape).blank
        return [index + 1 for index in found]

    def head(self, line: LogicalLine) -> str:
        """The logical line's physical lines, without its here-documents."""
        end = parts_at(self.physical, line.first - 1, self.escape).next
        return "\n".join(self.source(number) for number in range(line.first, end + 1))

    def locate(self, line: LogicalLine, part: str) -> Spot:
        """The first place of `part` in the logical line; else its beginning, of width 0."""
        for wanted in _spellings(part):
            for piece in self.pieces(line):
                column = piece.text.find(wanted)
                if column >= 0:
                    offset = piece.offset + column
                    index = bisect_right(self.starts, offset) - 1
                    return Spot(index + 1, offset - self.starts[index], len(wanted))
        source = self.source(line.first)
        indent = len(source) - len(source.lstrip())
        return Spot(line.first, indent, 0)


def _spellings(part: str) -> tuple[str, ...]:
    """A variable may stand in braces."""
    if part.startswith("$"):
        return (part, f"${{{part[1:]}")
    return (part,) if part else ()
