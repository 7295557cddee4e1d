"""Text from hostile places made fit for a terminal: lines out of bytes, cells out of lines."""

from __future__ import annotations

import codecs
import re
import unicodedata

LONGEST_LINE = 16 * 1024
"""A line that a process writes without an end is cut into pieces of so many characters."""

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # control sequences: colours, cursor movements
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\|$)"  # strings for the terminal: titles, links
    r"|\x1b[ -/]*[0-~]?"
)
# What may not reach a terminal: C0 and C1 controls, and the marks that reorder text.
_UNFIT = dict.fromkeys(
    [*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
)


def clean(text: str) -> str:
    """`text` as one line without escape sequences and control characters."""
    if text.isascii() and text.isprintable():
        return text
    text = _ESCAPES.sub("", text)
    return " ".join(text.expandtabs(4).translate(_UNFIT | {10: " ", 13: " "}).splitlines())


class Lines:
    """Complete, clean lines out of the bytes that a process writes.

    A carriage return starts its line again, as on a terminal: of a progress bar
    only the last state is kept.  Memory is bounded by `LONGEST_LINE`.
    """

    __slots__ = ("_decoder", "_rest")

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes."""
        text = self._rest + self._decoder.decode(data)
        *complete, rest = text.split("\n")
        while len(rest) > LONGEST_LINE:
            complete.append(rest[:LONGEST_LINE])
            rest = rest[LONGEST_LINE:]
        self._rest = rest
        return [_last_state(line) for line in complete]

    def finish(self) -> list[str]:
        """What stood there without an end of line."""
        rest = self._rest + self._decoder.decode(b"", final=True)
        self._rest = ""
        return [_last_state(rest)] if rest else []


def _last_state(line: str) -> str:
    return clean(line.rstrip("\r").rpartition("\r")[2])


def cells(text: str) -> int:
    """How many columns `text` takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(map(_cell, text))


def clip(text: str, width: int) -> str:
    """`text` cut to at most `width` columns, with an ellipsis if something is missing."""
    if cells(text) <= width:
        return text
    room, kept = width - 1, []
    for character in text:
        room -= _cell(character)
        if room < 0:
            break
        kept.append(character)
    return "".join(kept) + "…" if width > 0 else ""


def _cell(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
