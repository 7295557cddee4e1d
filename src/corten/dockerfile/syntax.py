"""From logical lines to nodes: a keyword, its flags and its arguments, still as written.

Nodes know how an instruction's arguments are divided (JSON, words, pairs, one
string), not what they mean; :mod:`corten.dockerfile.parser` gives them meaning.
"""

from __future__ import annotations

import json
import re

import msgspec

from corten.dockerfile.errors import DockerfileError, did_you_mean
from corten.dockerfile.lexer import Heredoc, LogicalLine

_SPACE = re.compile(r"[\t\v\f\r ]+")

SHAPES = {
    "ADD": "json-or-words",
    "ARG": "names",
    "CMD": "json-or-text",
    "COPY": "json-or-words",
    "ENTRYPOINT": "json-or-text",
    "ENV": "pairs",
    "EXPOSE": "words",
    "FROM": "words",
    "HEALTHCHECK": "health",
    "LABEL": "pairs",
    "MAINTAINER": "text",
    "ONBUILD": "instruction",
    "RUN": "json-or-text",
    "SHELL": "json-or-text",
    "STOPSIGNAL": "text",
    "USER": "text",
    "VOLUME": "json-or-words",
    "WORKDIR": "text",
}
"""Every instruction of the language, and how its arguments are written."""


class Node(msgspec.Struct, frozen=True):
    """One instruction as written.

    ``pairs`` holds name and value of ENV and LABEL; ``old_form`` is their form
    without ``=``.  ``text`` is the whole instruction on one line.
    """

    keyword: str
    line: LogicalLine
    text: str
    flags: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    json: bool = False
    old_form: bool = False
    child: Node | None = None
    heredocs: tuple[Heredoc, ...] = ()

    def error(self, reason: str, part: str = "", hint: str = "") -> DockerfileError:
        """An error that points at this instruction."""
        return DockerfileError(
            reason, line=self.line.first, source=self.line.source, part=part, hint=hint
        )


def node(line: LogicalLine, escape: str = "\\") -> Node:
    """Divide one logical line.

    Raises: DockerfileError: an unknown keyword, a JSON array of other things
    than strings, a pair without ``=``, ONBUILD without instruction.
    """
    return _node(line, line.text, escape)


def _node(line: LogicalLine, text: str, escape: str) -> Node:
    word, _, rest = _SPACE.sub(" ", text, count=1).partition(" ")
    keyword = word.upper()
    blank = Node(keyword, line, text, heredocs=line.heredocs)
    if keyword not in SHAPES:
        raise blank.error(f"unknown instruction {word}", word, did_you_mean(keyword, SHAPES))
    flags, rest = split_flags(rest.strip(), escape)
    blank = msgspec.structs.replace(blank, flags=tuple(flags))
    return _divide(blank, SHAPES[keyword], rest, escape)


def _divide(blank: Node, shape: str, rest: str, escape: str) -> Node:
    put = msgspec.structs.replace
    if shape == "text":
        return put(blank, args=(rest,) if rest else ())
    if shape == "words":
        return put(blank, args=tuple(_SPACE.split(rest)) if rest else ())
    if shape == "names":
        return put(blank, args=tuple(split_words(rest, escape)))
    if shape == "pairs":
        return _pairs(blank, rest, escape)
    if shape == "instruction":
        if not rest:
            return blank
        if _SPACE.split(rest, maxsplit=1)[0].upper() == blank.keyword:
            raise blank.error(f"{blank.keyword} cannot be an ONBUILD trigger", blank.keyword)
        return put(blank, child=_node(blank.line, rest, escape), args=(rest,))
    if shape == "health":
        word, _, command = _SPACE.sub(" ", rest, count=1).partition(" ")
        blank = put(blank, args=(word,) if word else ())
        array = json_array(blank, command) if word.upper() == "CMD" else None
        if array is not None:
            return put(blank, args=(word, *array), json=True)
        return put(blank, args=(word, command.strip())) if command.strip() else blank
    array = json_array(blank, rest)
    if array is not None:
        return put(blank, args=tuple(array), json=True)
    if shape == "json-or-text":
        return put(blank, args=(rest,) if rest else ())
    return put(blank, args=tuple(_SPACE.split(rest)) if rest else ())


def _pairs(blank: Node, rest: str, escape: str) -> Node:
    words = split_words(rest, escape)
    if not words:
        return blank
    if "=" not in words[0]:
        name, _, value = _SPACE.sub(" ", rest, count=1).partition(" ")
        if not value:
            raise blank.error(
                f"{blank.keyword} {name} has no value",
                name,
                f"write {blank.keyword} {name}=value",
            )
        return msgspec.structs.replace(blank, pairs=((name, value),), old_form=True)
    pairs = []
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise blank.error(
                f"{blank.keyword}: no = in {word!r}",
                word,
                "write name=value, and quote values that have spaces",
            )
        pairs.append((name, value))
    return msgspec.structs.replace(blank, pairs=tuple(pairs))


def json_array(blank: Node, text: str) -> list[str] | None:
    """The strings of a JSON array, or None where `text` is not JSON (the shell form).

    Raises: DockerfileError: an array with something else than strings in it.
    """
    if not text.startswith("["):
        return None
    try:
        array = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(array, list) or not all(isinstance(item, str) for item in array):
        raise blank.error(
            f"the array of {blank.keyword} holds something else than strings",
            hint='write it as ["word", "word"]',
        )
    return array


def split_flags(text: str, escape: str) -> tuple[list[str], str]:
    """The ``--flags`` at the beginning (quotes taken off), and what follows them."""
    flags: list[str] = []
    at = 0
    while text.startswith("--", at):
        raw, at = _word(text, at, escape)
        while at < len(text) and text[at].isspace():
            at += 1
        if raw == "--":
            break
        flags.append(_unquoted(raw, escape))
    return flags, text[at:]


def split_words(text: str, escape: str) -> list[str]:
    """Words apart by white space that is neither quoted nor escaped; quotes stay."""
    words: list[str] = []
    at = 0
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        if at >= len(text):
            return words
        word, at = _word(text, at, escape)
        words.append(word)


def _word(text: str, at: int, escape: str) -> tuple[str, int]:
    start, quote = at, ""
    while at < len(text):
        char = text[at]
        if char == escape and quote != "'":
            if at + 1 == len(text):
                return text[start:at], at + 1
            at += 1
        elif quote:
            quote = "" if char == quote else quote
        elif char.isspace():
            break
        elif char in "\"'":
            quote = char
        at += 1
    return text[start:at], at


def _unquoted(word: str, escape: str) -> str:
    out, at, quote = "", 0, ""
    while at < len(word):
        char = word[at]
        if char == escape and quote != "'" and at + 1 < len(word):
            at += 1
            out += word[at]
        elif char == quote:
            quote = ""
        elif not quote and char in "\"'":
            quote = char
        else:
            out += char
        at += 1
    return out
