"""What every view needs to know of the steps of a stream: the state behind the lines."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator

from corten.cli.views.text import Lines, clean
from corten.events.model import Event, Finished, Progress, Started

# Kinds whose units are bytes even where the total is not known at the start.
_TRANSFERS = frozenset({"blob", "config", "layer", "manifest", "transfer", "upload", "download"})
# Kinds that the name of a step already tells.
_SELF_EVIDENT = frozenset({"step", "instruction", "operation", "run", "task", ""})

_LONG_DIGEST = re.compile(r"\bsha256:([0-9a-f]{12})[0-9a-f]{52}\b")

KEPT_LINES = 40
"""How many lines of a step's output are kept, to show them if it fails."""


class Step:
    """One step of a stream, as far as its events have told."""

    __slots__ = (
        "_partial",
        "begin",
        "current",
        "depth",
        "detail",
        "id",
        "kind",
        "number",
        "output",
        "parent",
        "status",
        "title",
        "total",
    )

    def __init__(self, event: Started, number: int, depth: int, begin: float) -> None:
        self.id, self.parent, self.kind = event.id, event.parent, event.kind
        self.number, self.depth, self.begin = number, depth, begin
        self.total, self.current = event.total, 0
        self.status, self.detail = "", ""
        name = _LONG_DIGEST.sub(r"\1", clean(event.name))
        self.title = (
            name if event.kind in _SELF_EVIDENT or name[:1] == "[" else f"{event.kind} {name}"
        )
        self.output: deque[str] = deque(maxlen=KEPT_LINES)
        self._partial: dict[int, Lines] = {}

    @property
    def transfer(self) -> bool:
        """Whether the step's units are bytes on their way."""
        return self.kind in _TRANSFERS or self.total is not None or self.current > 0

    def write(self, stream: int, data: bytes) -> list[str]:
        """Take output; the lines it completes."""
        lines = self._partial.setdefault(stream, Lines()).feed(data)
        self.output.extend(lines)
        return lines

    def end(self, event: Finished) -> list[str]:
        """Take the end; the lines of output that were not complete yet."""
        self.status, self.detail = event.status, clean(event.detail)
        lines = [line for partial in self._partial.values() for line in partial.finish()]
        self.output.extend(lines)
        return lines


class Steps:
    """The steps that run, by id, in the order in which they began."""

    __slots__ = ("_count", "_running")

    def __init__(self) -> None:
        self._running: dict[str, Step] = {}
        self._count = 0

    def start(self, event: Started, now: float) -> Step:
        """A new step; numbers count from 1."""
        self._count += 1
        parent = self._running.get(event.parent)
        step = Step(event, self._count, parent.depth + 1 if parent else 0, now)
        self._running[event.id] = step
        return step

    def of(self, event: Event) -> Step | None:
        """The running step that an event belongs to."""
        return self._running.get(event.id)

    def progress(self, event: Progress) -> Step | None:
        """Note how far the step is."""
        step = self._running.get(event.id)
        if step is not None:
            step.current = event.current
            if event.total is not None:
                step.total = event.total
        return step

    def finish(self, event: Finished) -> Step | None:
        """Take the step out of those that run."""
        return self._running.pop(event.id, None)

    def __iter__(self) -> Iterator[Step]:
        """Running steps, parents before their children."""
        children: dict[str, list[Step]] = {}
        for step in self._running.values():
            parent = step.parent if step.parent in self._running else ""
            children.setdefault(parent, []).append(step)
        pending = children.get("", [])[::-1]
        while pending:
            step = pending.pop()
            yield step
            pending.extend(children.get(step.id, [])[::-1])

    def __len__(self) -> int:
        return len(self._running)
