"""Variable expansion, quoting and word splitting.

Spec: Dockerfile reference, "Environment replacement".  An unset variable
expands to nothing.  Positional and special parameters of a shell (``$1``,
``$@``) are never set.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping

from corten.errors import Invalid

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_SPACE = re.compile(r"\s+")
_SPECIAL = "@*#?-$!0"
_DEPTH = 64
_LIMIT = 1024 * 1024
_SEARCH_LIMIT = 8 * 1024


class ExpansionError(Invalid):
    """A word that cannot be expanded: an open quote, an unknown modifier, a required variable."""


def expand(word: str, variables: Mapping[str, str], escape: str = "\\") -> str:
    """`word` with variables replaced, quotes and escapes taken away.

    Raises: ExpansionError.
    """
    if not _needed(word, escape):
        return word
    return _Expander(word, variables, escape).whole()[0]


def expand_words(word: str, variables: Mapping[str, str], escape: str = "\\") -> list[str]:
    """Like :func:`expand`, but divided at white space that is not quoted.

    Raises: ExpansionError.
    """
    return _Expander(word, variables, escape).whole()[1]


def expand_document(text: str, variables: Mapping[str, str], escape: str = "\\") -> str:
    """A here-document's text with variables replaced; quotes are text like any other.

    Raises: ExpansionError.
    """
    if "$" not in text and escape not in text:
        return text
    return _Expander(text, variables, escape).document()


def missing_variables(
    word: str, names: Container[str], escape: str = "\\", *, document: bool = False
) -> list[str]:
    """The variables in `word` that are not among `names` and for which it has no substitute.

    ``$x ${x} ${x#p} …`` need ``x``; ``${x:-w} ${x+w} ${x?e}`` do without.  A `document` is a
    here-document's text, where quotes are no quotes.  Raises: ExpansionError.
    """
    if "$" not in word:
        return []
    scan = _Scan(word, names, escape)
    if document:
        scan.document()
    else:
        scan.whole()
    return scan.missing


def _needed(word: str, escape: str) -> bool:
    return "$" in word or "'" in word or '"' in word or escape in word


class _Words:
    """Collects words while text is appended: plain text splits, quoted text does not."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.pieces: list[str] = []

    def plain(self, text: str) -> None:
        for number, part in enumerate(_SPACE.split(text)):
            if number:
                self.close()
            if part:
                self.pieces.append(part)

    def quoted(self, text: str) -> None:
        self.pieces.append(text)

    def close(self) -> None:
        if self.pieces:
            self.done.append("".join(self.pieces))
        self.pieces = []


class _Expander:
    def __init__(self, word: str, variables: Mapping[str, str], escape: str) -> None:
        self.word = word
        self.variables = variables
        self.escape = escape
        self.at = 0
        self.depth = 0
        self.size = 0

    def whole(self) -> tuple[str, list[str]]:
        return self.until("")

    def document(self) -> str:
        out: list[str] = []
        while self.at < len(self.word):
            char = self.word[self.at]
            if char == "$":
                out.append(self.dollar())
                continue
            self.at += 1
            if char == self.escape and self.word[self.at : self.at + 1] in ("$", self.escape):
                char = self.word[self.at]
                self.at += 1
            out.append(char)
        return "".join(out)

    def fail(self, reason: str) -> ExpansionError:
        shown = self.word if len(self.word) <= 80 else self.word[:77] + "…"
        return ExpansionError(f"{reason} in {shown!r}")

    def until(self, stop: str, keep_escapes: bool = False) -> tuple[str, list[str]]:
        """Everything up to one of the characters in `stop` (or the end), consumed with it."""
        self.depth += 1
        if self.depth > _DEPTH:
            raise self.fail("expansions nested too deeply")
        words = _Words()
        out: list[str] = []
        while self.at < len(self.word):
            char = self.word[self.at]
            if stop and char in stop:
                break
            if char == "'":
                text = self.single()
                words.quoted(text)
            elif char == '"':
                text = self.double()
                words.quoted(text)
            elif char == "$":
                text = self.dollar()
                words.plain(text)
            elif char == self.escape:
                self.at += 1
                text = self.word[self.at : self.at + 1]
                self.at += 1
                if text and keep_escapes:
                    text = "\\" + text
                if text:
                    words.quoted(text)
            else:
                self.at += 1
                text = char
                words.plain(text)
            out.append(text)
        if stop:
            if self.at >= len(self.word):
                raise self.fail("missing }")
            self.at += 1
        words.close()
        self.depth -= 1
        return "".join(out), words.done

    def single(self) -> str:
        end = self.word.find("'", self.at + 1)
        if end < 0:
            raise self.fail("single quote without end")
        text = self.word[self.at + 1 : end]
        self.at = end + 1
        return text

    def double(self) -> str:
        self.at += 1
        out = ""
        while self.at < len(self.word):
            char = self.word[self.at]
            if char == '"':
                self.at += 1
                return out
            if char == "$":
                out += self.dollar()
                continue
            self.at += 1
            if char == self.escape and self.at < len(self.word):
                following = self.word[self.at]
                self.at += 1
                # Within double quotes only these can be escaped; else both characters stay.
                out += following if following in ('"', "$", self.escape) else char + following
            else:
                out += char
        raise self.fail("double quote without end")

    def dollar(self) -> str:
        self.at += 1
        if self.word.startswith("{", self.at):
            self.at += 1
            return self.bounded(self.braces())
        name = self.name()
        return self.bounded(self.value(name) or "") if name else "$"

    def bounded(self, text: str) -> str:
        # Values that repeat one another could grow without end: ENV A=$B$B …
        self.size += len(text)
        if self.size > _LIMIT:
            raise self.fail(f"expansion longer than {_LIMIT} characters")
        return text

    def name(self) -> str:
        match = _NAME.match(self.word, self.at) or _DIGITS.match(self.word, self.at)
        if match:
            self.at = match.end()
            return match[0]
        char = self.word[self.at : self.at + 1]
        if char and char in _SPECIAL:
            self.at += 1
            return char
        return ""

    def value(self, name: str) -> str | None:
        if not _NAME.match(name):
            return None
        try:
            return self.variables[name]
        except KeyError:
            return None

    def braces(self) -> str:
        name = self.name()
        if not name:
            raise self.fail("bad substitution: no variable name after ${")
        value = self.value(name)
        modifier = self.word[self.at : self.at + 1]
        self.at += 1
        if modifier == "}":
            return value or ""
        if modifier == ":":
            modifier = self.word[self.at : self.at + 1]
            self.at += 1
            if not modifier or modifier not in "-+?":
                raise self.fail(f"unknown modifier :{modifier} of ${{{name}}}")
            return self.choice(name, modifier, value or None)
        if modifier and modifier in "-+?":
            return self.choice(name, modifier, value)
        if modifier and modifier in "#%":
            return self.trimmed(modifier, value or "")
        if modifier == "/":
            return self.replaced(value or "")
        if not modifier:
            raise self.fail("missing }")
        raise self.fail(f"unknown modifier {modifier} of ${{{name}}}")

    def choice(self, name: str, modifier: str, value: str | None) -> str:
        word = self.until("}")[0]
        if modifier == "-":
            return word if value is None else value
        if modifier == "+":
            return "" if value is None else word
        if value is None:
            raise ExpansionError(f"{name}: {word or 'required, but not set'}")
        return value

    def doubled(self, char: str) -> bool:
        if self.word.startswith(char, self.at):
            self.at += 1
            return True
        return False

    def trimmed(self, side: str, value: str) -> str:
        longest = self.doubled(side)
        segments = _segments(self.until("}", keep_escapes=True)[0])
        if side == "%":
            # The end of a text is the beginning of the text written backwards.
            segments = [segment[::-1] for segment in reversed(segments)]
            match = re.compile(_glob(segments, longest), re.DOTALL).match(value[::-1])
            return value[: len(value) - match.end()] if match else value
        match = re.compile(_glob(segments, longest), re.DOTALL).match(value)
        return value[match.end() :] if match else value

    def replaced(self, value: str) -> str:
        everywhere = self.doubled("/")
        pattern = self.until("/}", keep_escapes=True)[0]
        ended = self.word[self.at - 1] == "}"
        replacement = "" if ended else self.until("}")[0]
        if not pattern:
            return value
        segments = _segments(pattern)
        if len(segments) > 1 and len(value) > _SEARCH_LIMIT:
            # Every place is a beginning to try: the square of the length.
            raise self.fail(f"a value longer than {_SEARCH_LIMIT} characters is searched for *")
        regex = re.compile(_glob(segments, longest=True), re.DOTALL)
        first = regex.search(value)
        if first is None:
            return value
        if not everywhere:
            return value[: first.start()] + replacement + value[first.end() :]
        return self.bounded(regex.sub(lambda _: replacement, value))


class _Scan(_Expander):
    """Goes through a word as an expansion does, and notes what is missing; all values are empty."""

    def __init__(self, word: str, names: Container[str], escape: str) -> None:
        super().__init__(word, {}, escape)
        self.names = names
        self.missing: list[str] = []

    def value(self, name: str) -> str | None:
        if not _NAME.match(name) or name in self.names:
            return ""
        self.missing.append(name)
        return None

    def choice(self, name: str, modifier: str, value: str | None) -> str:
        if _NAME.match(name) and name not in self.names:
            self.missing.pop()
        self.until("}")
        return ""


def _segments(pattern: str) -> list[list[str]]:
    """A shell pattern (``?``, ``*``, backslash) divided at its stars, a regular expression a character."""
    segments: list[list[str]] = [[]]
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "*":
            segments.append([])
        elif char == "\\" and at + 1 < len(pattern):
            at += 1
            segments[-1].append(re.escape(pattern[at]))
        else:
            segments[-1].append("." if char == "?" else re.escape(char))
        at += 1
    return segments


def _glob(segments: list[list[str]], longest: bool) -> str:
    """A regular expression that matches the pattern at a beginning.

    Between stars the first place where a segment fits is as good as any later
    one, so it is never left again: matching cannot take exponential time.
    """
    first, *rest = ["".join(segment) for segment in segments]
    if not rest:
        return first
    inner = "".join(f"(?>.*?{segment})" for segment in rest[:-1] if segment)
    return f"{first}{inner}{'.*' if longest else '.*?'}{rest[-1]}"
