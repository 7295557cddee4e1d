"""The live view: what runs is redrawn in place, what ended scrolls up and stays.

::

    ✓ [1/3] FROM debian:bookworm                                    cached
    ✓ [2/3] RUN apt-get install nodejs                               12.4s
    ⠹ [3/3] RUN npm install                                           3.1s
      │ added 64 packages in 2s
    ⠹ layer 3f2a9c01b2d4  ████████░░░░░░░░░░░░  12.4MB / 31MB  8.2MB/s  1.5s

Written by hand, in a dozen control sequences that every terminal knows: a library for
this would cost more start-up than all the rest of a short command.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, TextIO

from corten.cli.quantities import elapsed, size
from corten.cli.views.steps import Step, Steps
from corten.cli.views.text import cells, clean, clip
from corten.events.model import Event, Finished, Output, Progress, Started, Warned

TAIL = 6
"""Lines of output shown below a running step."""

_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"
_CLEAR_LINE, _CLEAR_BELOW = "\x1b[K", "\x1b[J"


class Style(NamedTuple):
    """What the terminal can show: colours, and characters beyond ASCII."""

    colour: bool = True
    unicode: bool = True

    def paint(self, code: str, text: str) -> str:
        """`text` in a colour or weight (SGR parameters)."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text


class Row(NamedTuple):
    """A drawn line and how many columns it takes."""

    text: str
    width: int


class LiveView:
    """A terminal view.  Not locked; `draw` wants to be called some ten times a second.

    `measure` tells columns and lines of the terminal, asked anew for every frame.
    """

    def __init__(
        self,
        stream: TextIO,
        measure: Callable[[], tuple[int, int]],
        style: Style | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._measure = measure
        self._style = style or Style()
        self._clock = clock
        self._steps = Steps()
        self._speeds: dict[str, tuple[float, int, float]] = {}
        self._ended: list[Row] = []  # to scroll up with the next frame
        self._drawn: tuple[Row, ...] = ()
        self._note = ""
        self._hidden = False
        self._frames = 0

    def event(self, event: Event) -> None:
        """Fold one event; the next `draw` shows it."""
        match event:
            case Started():
                self._steps.start(event, self._clock())
            case Progress():
                self._steps.progress(event)
            case Output():
                if (writing := self._steps.of(event)) is not None:
                    writing.write(event.stream, event.data)
            case Warned():
                self._keep("33", "!", clean(event.text), "", 0)
            case Finished():
                if (ended := self._steps.finish(event)) is not None:
                    ended.end(event)
                    self._finish(ended, event.seconds)
                    if not self._steps:
                        self._rest()

    def note(self, text: str) -> None:
        """Show a line below everything until the end.  Safe to call at any moment."""
        self._note = text

    def draw(self) -> None:
        """Bring the terminal up to date."""
        columns, lines = self._measure()
        frame = self._frame(max(columns - 1, 10), max(lines - 1, 1))
        if not frame and not self._ended and not self._drawn:
            return
        self._frames += 1
        out = [] if self._hidden else [_HIDE]
        out.append(self._back(columns))
        out += [row.text + _CLEAR_LINE + "\n" for row in (*self._ended, *frame)]
        out.append(_CLEAR_BELOW)
        # The state first: an interrupt between the two must not draw over what is kept.
        self._hidden, self._drawn, self._ended = True, tuple(frame), []
        self._stream.write("".join(out))
        self._stream.flush()

    def close(self) -> None:
        """The last frame stays on the screen, without the note; the cursor comes back."""
        for step in list(self._steps):
            self._keep("33", "-", step.title, elapsed(self._clock() - step.begin), step.depth)
        self._steps = Steps()
        self._note = ""
        self._rest()

    def _rest(self) -> None:
        """Nothing runs now: leave the terminal to others, who may write to it from here on."""
        self.draw()
        if self._hidden and not self._drawn:
            self._hidden = False
            self._stream.write(_SHOW)
            self._stream.flush()

    # What ended

    def _finish(self, step: Step, seconds: float) -> None:
        self._speeds.pop(step.id, None)
        amount = f"{size(step.current)}  " if step.transfer and step.current else ""
        took = elapsed(seconds)
        match step.status:
            case "failed":
                for line in step.output:
                    self._keep("31", self._mark("│", "|"), line, "", step.depth + 1)
                self._keep("31", self._mark("✗", "x"), step.title, f"failed  {took}", step.depth)
            case "cancelled":
                self._keep("33", "-", step.title, "cancelled", step.depth)
            case "cached":
                self._keep("34", self._mark("✓", "*"), step.title, "cached", step.depth)
            case _:
                title = f"{step.title}  {step.detail}" if step.detail else step.title
                self._keep("32", self._mark("✓", "*"), title, amount + took, step.depth)

    def _keep(self, colour: str, mark: str, title: str, right: str, depth: int) -> None:
        columns, _ = self._measure()
        self._ended.append(self._row(colour, mark, (title, right), depth, max(columns - 1, 10)))

    # What runs

    def _frame(self, width: int, height: int) -> list[Row]:
        now = self._clock()
        steps = list(self._steps)
        note = clip(self._note, width)
        foot = [Row(self._style.paint("33", note), cells(note))] if note else []
        room = max(height - len(foot), 1)
        hidden = len(steps) - room
        if hidden > 0:  # the newest matter most; one line says what is missing
            steps = steps[hidden + 1 :]
        talking = [step for step in steps if step.output and not step.transfer]
        tail = min(TAIL, (room - len(steps)) // max(len(talking), 1))
        rows = []
        if hidden > 0:
            more = clip(f"{hidden + 1} more running", width)
            rows.append(Row(self._style.paint("2", more), cells(more)))
        for step in steps:
            rows.append(self._running(step, now, width))
            if step in talking and tail > 0:
                rows += [self._quote(line, step.depth, width) for line in list(step.output)[-tail:]]
        return rows + foot

    def _running(self, step: Step, now: float, width: int) -> Row:
        spinner = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏" if self._style.unicode else "|/-\\"
        mark = spinner[self._frames % len(spinner)]
        took = elapsed(now - step.begin)
        if not (step.transfer and (step.total or step.current)):
            return self._row("36", mark, (step.title, took), step.depth, width)
        speed = self._speed(step, now)
        amount = size(step.current) + (f" / {size(step.total)}" if step.total else "")
        if width < 50:
            share = f"{100 * step.current // step.total}%" if step.total else amount
            return self._row("36", mark, (step.title, share), step.depth, width)
        bar = self._bar(step, 20 if width >= 90 else 10)
        right = f"{bar}  {amount:>17}  {size(speed, 2) + '/s':>7}  {took:>6}"
        return self._row("36", mark, (step.title, right), step.depth, width)

    def _bar(self, step: Step, length: int) -> str:
        if not step.total:
            return " " * length
        full, empty = ("█", "░") if self._style.unicode else ("#", ".")
        done = min(length * step.current // step.total, length)
        return full * done + empty * (length - done)

    def _speed(self, step: Step, now: float) -> float:
        """Bytes a second over the last half second or more, smoothed."""
        then, before, speed = self._speeds.get(step.id, (step.begin, 0, 0.0))
        if now - then >= 0.5:
            latest = (step.current - before) / (now - then)
            speed = latest if not speed else 0.6 * speed + 0.4 * latest
            self._speeds[step.id] = now, step.current, speed
        elif not speed and now > step.begin:
            return step.current / (now - step.begin)
        return speed

    def _quote(self, line: str, depth: int, width: int) -> Row:
        text = clip(f"{'  ' * (depth + 1)}{self._mark('│', '|')} {line}", width)
        return Row(self._style.paint("2", text), cells(text))

    def _row(self, colour: str, mark: str, parts: tuple[str, str], depth: int, width: int) -> Row:
        """``mark title      right``: the title gives way, then the right side."""
        title, right = parts
        indent = "  " * min(depth, max(width // 8, 0))
        room = width - len(indent) - 2
        if cells(right) > room // 2 and cells(title) + cells(right) + 2 > room:
            right = clip(right, max(room - min(cells(title), 24) - 2, 0))
        left_room = room - cells(right) - (2 if right else 0)
        title = clip(title, max(left_room, 0))
        gap = " " * (room - cells(title) - cells(right)) if right else ""
        text = f"{indent}{self._style.paint(colour, mark)} {title}{gap}"
        width_taken = len(indent) + 2 + cells(title) + len(gap) + cells(right)
        return Row(text + self._style.paint("2", right), width_taken)

    def _mark(self, fine: str, ascii_: str) -> str:
        return fine if self._style.unicode else ascii_

    def _back(self, columns: int) -> str:
        """To the first line of the last frame; a narrower terminal has wrapped its lines."""
        rows = sum(max(-(-row.width // max(columns, 1)), 1) for row in self._drawn)
        return f"\r\x1b[{rows}A" if rows else "\r"
