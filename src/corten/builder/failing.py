"""What is said of a RUN that failed: its command, its status, and where it stands."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from corten.builder.graph import Origin, Run
from corten.errors import StepFailed

_AROUND = 2
_TALLEST = 8
"""Lines of one instruction that are shown."""
_WIDEST = 200


class RunFailed(StepFailed):
    """A RUN ended with a failure.  ``excerpt`` is the Dockerfile around it, for a terminal.

    If that was asked for, what the step had is still there: `shell` opens a shell in it.
    Whoever catches it then calls `close`.
    """

    excerpt: str = ""
    shell: Callable[[], int] | None = None
    """Runs a shell on our terminal; its exit status."""
    kept: ExitStack | None = None

    def close(self) -> None:
        """Remove what the step had."""
        self.shell = None
        if self.kept is not None:
            self.kept.close()


def run_failed(op: Run, status: int, place: str, text: str, origin: Origin | None) -> RunFailed:
    """The error of `op`; `place` is how messages begin, `text` the Dockerfile's."""
    command = " ".join(op.args)
    if len(command) > _WIDEST:
        command = f"{command[: _WIDEST - 1]}…"
    hint = f"killed by signal {status - 128}" if 128 < status < 193 else ""
    error = RunFailed(
        f"{place}RUN failed with exit status {status}: {command}", status=status, hint=hint
    )
    if origin is not None and text:
        error.excerpt = excerpt(text, origin.line, origin.last)
    return error


def excerpt(text: str, first: int, last: int = 0) -> str:
    """Lines `first` to `last` (from 1) of a file, marked, with two around them."""
    lines = text.split("\n")
    last = max(first, last)
    shown = []
    for number in range(max(1, first - _AROUND), min(len(lines), last + _AROUND) + 1):
        line = lines[number - 1].rstrip("\r")
        if number == len(lines) and not line:
            break
        if first + _TALLEST <= number <= last:
            if number == first + _TALLEST:
                shown.append(f"     | >>> … {last - number + 1} more lines")
            continue
        mark = ">>>" if first <= number <= last else "   "
        shown.append(f"{number:>4} | {mark} {line[:_WIDEST]}".rstrip())
    return "\n".join(shown)
