"""From Dockerfile text to logical lines.

A logical line is one instruction's text: continuation lines joined, comments
inside it taken out, here-documents attached, and the numbers of the physical
lines it came from kept for messages.  Spec: Dockerfile reference, "Format",
"Parser directives", "Here-Documents".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from corten.dockerfile.errors import DockerfileError

LIMIT = 1024 * 1024
"""Characters of a Dockerfile; a longer one is refused."""

_DIRECTIVE = re.compile(r"#[ \t]*([A-Za-z][A-Za-z0-9]*)[ \t]*=[ \t]*(.+?)[ \t]*$")
_DIRECTIVES = ("syntax", "escape", "check")
_HEREDOC = re.compile(r"(\d*)<<(-?)((?:\"[^\"\s]+\"|'[^'\s]+'|[^\s<>\"'|&;()])+)")
_TAKES_HEREDOC = re.compile(r"(?:ONBUILD[ \t]+)*(?:RUN|COPY|ADD)[ \t]", re.IGNORECASE)


class Heredoc(msgspec.Struct, frozen=True):
    """A here-document: inline text of an instruction.

    ``expand`` is false where the delimiter was quoted; ``chomp`` is the ``<<-``
    form, whose leading tabs are gone from ``content``.  ``fd`` is the number
    before ``<<`` (0: standard input).
    """

    name: str
    content: str
    expand: bool = True
    chomp: bool = False
    fd: int = 0


class LogicalLine(msgspec.Struct, frozen=True):
    """One instruction's text, ``first`` to ``last`` physical line (from 1)."""

    text: str
    first: int
    last: int
    source: str
    heredocs: tuple[Heredoc, ...] = ()


class Lexed(msgspec.Struct, frozen=True):
    """A whole file: its parser directives (lower-case names) and logical lines."""

    directives: dict[str, str]
    lines: tuple[LogicalLine, ...]
    escape: str = "\\"


def lex(text: str) -> Lexed:
    """Split a Dockerfile into logical lines.

    Raises: DockerfileError: a directive twice, an escape character that is
    none, a here-document without end, NUL bytes, a file over :data:`LIMIT`.
    """
    if len(text) > LIMIT:
        raise DockerfileError(f"longer than {LIMIT} characters, which no Dockerfile is")
    if "\0" in text:
        raise DockerfileError(
            "not a text file: it has NUL bytes", line=text.count("\n", 0, text.index("\0")) + 1
        )
    physical = text.removeprefix("\ufeff").split("\n")
    if physical[-1] == "":
        physical.pop()
    directives = _directives(physical)
    escape = directives.get("escape", "\\")
    lines = []
    at = 0
    while at < len(physical):
        stripped = physical[at].strip()
        if not stripped or stripped.startswith("#"):
            at += 1
            continue
        line, at = _logical(physical, at, escape)
        lines.append(line)
    return Lexed(directives, tuple(lines), escape)


def _directives(physical: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, raw in enumerate(physical, 1):
        match = _DIRECTIVE.match(raw.strip())
        name = match[1].lower() if match else ""
        if match is None or name not in _DIRECTIVES:
            break
        if name in found:
            raise DockerfileError(
                f"parser directive {name} stands twice", line=number, source=raw.rstrip("\r")
            )
        if name == "escape" and match[2] not in ("\\", "`"):
            raise DockerfileError(
                f"invalid escape character {match[2]!r}",
                line=number,
                source=raw.rstrip("\r"),
                part=match[2],
                hint="it is a backslash or a backtick",
            )
        found[name] = match[2]
    return found


class Parts(msgspec.Struct):
    """Which physical lines a logical one is made of (its here-documents not counted).

    ``pieces`` are index (from 0) and the text that counts, which begins where the line
    begins; ``blank`` are the empty lines between them; ``next`` is the index after them.
    """

    pieces: list[tuple[int, str]]
    blank: list[int]
    next: int


def parts_at(physical: Sequence[str], at: int, escape: str) -> Parts:
    """The logical line that begins at index `at`: continuation lines, without comments."""
    found = Parts([], [], at)
    while found.next < len(physical):
        index = found.next
        raw = physical[index].rstrip("\r")
        found.next += 1
        if found.pieces:
            bare = raw.lstrip()
            if not bare:
                found.blank.append(index)
                continue
            if bare.startswith("#"):
                continue
        piece, goes_on = _continuation(raw, escape)
        found.pieces.append((index, piece))
        if not goes_on:
            break
    return found


def _logical(physical: list[str], at: int, escape: str) -> tuple[LogicalLine, int]:
    first = at + 1
    source = physical[at].rstrip("\r")
    parts = parts_at(physical, at, escape)
    at = parts.next
    last = parts.pieces[-1][0] + 1
    text = "".join(piece for _, piece in parts.pieces).lstrip()
    heredocs: list[Heredoc] = []
    if "<<" in text and _TAKES_HEREDOC.match(text):
        for pending in find_heredocs(text):
            content, at = _content(physical, at, pending, first, source)
            heredocs.append(content)
            last = at
    return LogicalLine(text.strip(), first, last, source, tuple(heredocs)), at


def _continuation(raw: str, escape: str) -> tuple[str, bool]:
    """The line without a continuation character, and whether it had one.

    Two escape characters at the end are a literal one, not a continuation.
    """
    trimmed = raw.rstrip(" \t")
    if not trimmed.endswith(escape):
        return raw, False
    before = trimmed[:-1]
    if before.endswith(escape):
        return raw, False
    return before, True


def find_heredocs(text: str) -> list[Heredoc]:
    """The here-documents a line asks for, in order, with empty content.

    Quoted text is no place for them: ``RUN echo "<<EOF"`` has none.
    """
    found = []
    at, quote = 0, ""
    while at < len(text):
        char = text[at]
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char == "\\":
            at += 1
        elif text.startswith("<<<", at):
            at += 2
        elif text.startswith("<<", at):
            match = _heredoc_at(text, at)
            if match is not None:
                word = match[3]
                name = word.replace('"', "").replace("'", "")
                found.append(
                    Heredoc(name, "", name == word, bool(match[2]), int(match[1][:4] or "0"))
                )
                at = match.end() - 1
        at += 1
    return found


def _heredoc_at(text: str, at: int) -> re.Match[str] | None:
    """A here-document is a word of its own, a file descriptor's digits with it."""
    start = at
    while start and text[start - 1].isdigit():
        start -= 1
    if start and not text[start - 1].isspace():
        return None
    return _HEREDOC.match(text, start)


def _content(
    physical: list[str], at: int, pending: Heredoc, first: int, source: str
) -> tuple[Heredoc, int]:
    kept: list[str] = []
    while at < len(physical):
        raw = physical[at]
        at += 1
        ending = raw.rstrip("\r")
        if pending.chomp:
            raw, ending = raw.lstrip("\t"), ending.lstrip("\t")
        if ending == pending.name:
            content = "".join(f"{line}\n" for line in kept)
            return msgspec.structs.replace(pending, content=content), at
        kept.append(raw)
    raise DockerfileError(
        f"here-document {pending.name} has no end",
        line=first,
        source=source,
        part=pending.name,
        hint=f"end it with a line that holds only {pending.name}",
    )
