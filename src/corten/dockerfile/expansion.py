"""Variable expansion, quoting and word splitting.

Spec: Dockerfile reference, "Environment replacement".  An unset variable
expands to nothing.  Positional and special parameters of a shell (``$1``,
``$@``) are never set.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from corten.errors import Invalid

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_SPECIAL = "@*#?-$!0"
_DEPTH = 64
_LIMIT = 1024 * 1024


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


def _needed(word: str, escape: str) -> bool:
    return "$" in word or "'" in word or '"' in word or escape in word


class _Words:
    """Collects words while text is appended: plain text splits, quoted text does not."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.current = ""
        self.open = False

    def plain(self, text: str) -> None:
        for char in text:
            if char.isspace():
                self.close()
            else:
                self.quoted(char)

    def quoted(self, text: str) -> None:
        self.current += text
        self.open = True

    def close(self) -> None:
        if self.open:
            self.done.append(self.current)
        self.current, self.open = "", False


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
        pattern = _glob(self.until("}", keep_escapes=True)[0])
        whole = re.compile(pattern, re.DOTALL)
        cuts = range(len(value) + 1)
        # Shortest from the start: cut early; from the end: cut late; longest the other way round.
        if side == "#":
            for cut in reversed(cuts) if longest else cuts:
                if whole.fullmatch(value, 0, cut):
                    return value[cut:]
        else:
            for cut in cuts if longest else reversed(cuts):
                if whole.fullmatch(value, cut):
                    return value[:cut]
        return value

    def replaced(self, value: str) -> str:
        everywhere = self.doubled("/")
        pattern = self.until("/}", keep_escapes=True)[0]
        ended = self.word[self.at - 1] == "}"
        replacement = "" if ended else self.until("}")[0]
        if not pattern:
            return value
        return re.sub(
            _glob(pattern), lambda _: replacement, value, count=0 if everywhere else 1, flags=re.S
        )


def _glob(pattern: str) -> str:
    """A shell pattern (``?``, ``*``, backslash) as a regular expression."""
    out, at = "", 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\" and at + 1 < len(pattern):
            at += 1
            out += re.escape(pattern[at])
        elif char == "*":
            # Neighbouring stars would make matching take exponential time.
            out += "" if out.endswith(".*") else ".*"
        else:
            out += "." if char == "?" else re.escape(char)
        at += 1
    return out
