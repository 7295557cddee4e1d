"""Plain lines: what a log file, a pipe or CI sees.

::

    #1 build example/hello
    #2 [1/2] FROM debian:bookworm
    #2 CACHED
    #3 [2/2] RUN apt-get update
    #3 0.82 Get:1 bookworm InRelease
    #3 DONE 4.2s
    #4 layer 3f2a9c01b2d4 done 12.4MB 0.3s

Of a step that failed there is only ``ERROR``: the command ends with the reason.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from corten.cli.quantities import elapsed, size
from corten.cli.views.steps import Step, Steps
from corten.cli.views.text import clean
from corten.events.model import Event, Finished, Output, Progress, Started, Warned

REPORT_EVERY = 5.0
"""Seconds between two lines about a transfer that takes long."""

_WORDS = {"done": "DONE", "cached": "CACHED", "failed": "ERROR", "cancelled": "CANCELLED"}


class PlainView:
    """A line for what begins, what is written and what ends.  Not locked: see `reporter`."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._steps = Steps()
        self._reported: dict[str, float] = {}
        # Why steps failed, by their parent: said only if the parent does not fail of the same.
        self._reasons: dict[str, list[tuple[Step, str]]] = {}

    def event(self, event: Event) -> None:
        """Fold one event."""
        match event:
            case Started():
                step = self._steps.start(event, self._clock())
                if not step.transfer:
                    self._line(step, step.title)
            case Progress():
                if (progressing := self._steps.progress(event)) is not None:
                    self._progress(progressing)
            case Output():
                if (writing := self._steps.of(event)) is not None:
                    self._output(writing, writing.write(event.stream, event.data))
                else:
                    for line in event.data.decode("utf-8", "replace").splitlines():
                        self._stream.write(clean(line) + "\n")
            case Warned():
                warned = self._steps.of(event)
                prefix = f"#{warned.number} " if warned else ""
                self._stream.write(f"{prefix}WARNING: {clean(event.text)}\n")
            case Finished():
                if (ended := self._steps.finish(event)) is not None:
                    self._finish(ended, event)
        if not isinstance(event, Progress):
            self._stream.flush()

    def draw(self) -> None:
        """Nothing moves between events."""

    def note(self, text: str) -> None:
        """A line that belongs to no step."""
        self._stream.write(text + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Nothing is open."""
        self._stream.flush()

    def _progress(self, step: Step) -> None:
        now = self._clock()
        if now - self._reported.setdefault(step.id, step.begin) >= REPORT_EVERY:
            self._reported[step.id] = now
            total = f" / {size(step.total)}" if step.total else ""
            self._line(
                step, f"{step.title} {size(step.current)}{total} {elapsed(now - step.begin)}"
            )
            self._stream.flush()

    def _output(self, step: Step, lines: list[str]) -> None:
        since = self._clock() - step.begin
        for line in lines:
            self._line(step, f"{since:.2f} {line}")

    def _finish(self, step: Step, event: Finished) -> None:
        self._reported.pop(step.id, None)
        self._output(step, step.end(event))
        word = _WORDS.get(step.status, step.status.upper())
        if step.transfer:
            amount = f" {size(step.current)}" if step.current else ""
            time_taken = "" if step.status == "cached" else f" {elapsed(event.seconds)}"
            text = f"{step.title} {step.status}{amount}{time_taken}"
        else:
            text = f"{word} {elapsed(event.seconds)}" if step.status == "done" else word
        if step.detail and step.status != "failed" and not step.transfer:
            text += f" {step.detail}"
        self._line(step, text)
        self._reason(step)

    def _reason(self, step: Step) -> None:
        """Keep why `step` failed; say why its parts did, if that is not the same.

        The error of an outermost step is what the command reports when it ends.
        """
        why = step.detail if step.status == "failed" else ""
        for part, reason in self._reasons.pop(step.id, ()):
            if reason != why:
                self._line(part, f"ERROR: {reason}")
        if why and step.parent:
            self._reasons.setdefault(step.parent, []).append((step, why))

    def _line(self, step: Step, text: str) -> None:
        self._stream.write(f"#{step.number} {text}\n")
