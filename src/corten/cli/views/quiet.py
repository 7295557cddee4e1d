"""No progress at all: only warnings, which would otherwise be lost."""

from __future__ import annotations

from typing import TextIO

from corten.cli.views.text import clean
from corten.events.model import Event, Warned


class QuietView:
    """Writes warnings and nothing else."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def event(self, event: Event) -> None:
        """Fold one event."""
        if isinstance(event, Warned):
            self.note(f"warning: {clean(event.text)}")

    def draw(self) -> None:
        """Nothing moves."""

    def note(self, text: str) -> None:
        """A line that belongs to no step."""
        self._stream.write(text + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Nothing is open."""
