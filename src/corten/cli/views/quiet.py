"""No progress at all: only warnings, and what a step that failed had written."""

from __future__ import annotations

from typing import TextIO

from corten.cli.views.steps import Steps
from corten.cli.views.text import clean
from corten.events.model import Event, Finished, Output, Started, Warned


class QuietView:
    """Writes what would otherwise be lost, and nothing else."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._steps = Steps()

    def event(self, event: Event) -> None:
        """Fold one event."""
        match event:
            case Started():
                self._steps.start(event, 0.0)
            case Output():
                if (step := self._steps.of(event)) is not None:
                    step.write(event.stream, event.data)
            case Warned():
                self.note(f"warning: {clean(event.text)}")
            case Finished():
                step = self._steps.finish(event)
                if step is not None:
                    step.end(event)
                    if event.status == "failed" and step.output:
                        self.note("\n".join([f"{step.title}:", *step.output]))

    def draw(self) -> None:
        """Nothing moves."""

    def note(self, text: str) -> None:
        """A line that belongs to no step."""
        self._stream.write(text + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Nothing is open."""
