"""What is wrong in a Dockerfile, and where."""

from __future__ import annotations

from collections.abc import Iterable

from corten.errors import Invalid


class DockerfileError(Invalid):
    """A Dockerfile breaks the rules of its language.

    ``file`` and ``line`` (from 1; 0 where no line is to blame) say where,
    ``source`` is that line's text, ``column`` (from 0) and ``width`` the part of
    it that is wrong.
    """

    def __init__(
        self,
        reason: str,
        *,
        line: int = 0,
        source: str = "",
        part: str = "",
        file: str = "Dockerfile",
        hint: str = "",
    ) -> None:
        self.reason = reason
        self.file = file
        self.line = line
        self.source = source
        self.part = part
        place = f"{file}:{line}" if line else file
        super().__init__(f"{place}: {reason}", hint=hint)

    @property
    def column(self) -> int:
        """Where in ``source`` the wrong part begins; 0 if it is the whole line."""
        found = self.source.find(self.part) if self.part else -1
        return max(found, len(self.source) - len(self.source.lstrip()))

    @property
    def width(self) -> int:
        """How many characters the pointer underlines."""
        if self.part and self.part in self.source:
            return len(self.part)
        return max(1, len(self.source.strip()))

    @property
    def excerpt(self) -> str:
        """The line with a pointer under the wrong part, for a terminal; empty without a line."""
        if not self.line:
            return ""
        number = f"{self.line:>4} | "
        lead = "".join("\t" if c == "\t" else " " for c in self.source[: self.column])
        return f"{number}{self.source}\n{' ' * len(number)}{lead}{'^' * self.width}"

    def located(self, file: str) -> DockerfileError:
        """The same error with the name of the file it stands in."""
        return DockerfileError(
            self.reason,
            line=self.line,
            source=self.source,
            part=self.part,
            file=file,
            hint=self.hint,
        )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint that names the nearest of `known`, or all of them where none is near."""
    from difflib import get_close_matches

    choices = sorted(known)
    near = get_close_matches(word, choices, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]}?"
    return "known: " + ", ".join(choices) if choices else "none is known here"
