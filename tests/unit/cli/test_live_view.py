"""The live view, seen through a terminal emulator."""

from __future__ import annotations

import re

import pytest

from corten.cli.views.live import TAIL, LiveView, Style
from corten.cli.views.text import cells
from corten.events.job import Job
from corten.events.model import Finished, Output, Progress, Started, Warned
from support.terminal import Clock, Screen


class Show:
    """A live view on a screen, with time under control."""

    def __init__(self, columns: int = 80, lines: int = 24, style: Style | None = None) -> None:
        self.screen = Screen(columns, lines)
        self.clock = Clock()
        self.view = LiveView(self.screen, self.screen.size, style, self.clock)  # type: ignore[arg-type]
        self.job = Job(self.view.event)

    @property
    def rows(self) -> list[str]:
        return self.screen.everything()


def test_a_running_step_shows_its_time_and_the_end_of_its_output() -> None:
    show = Show(60)
    show.view.event(Started("1", "", "step", "[2/3] RUN make"))
    for number in range(10):
        show.view.event(Output("1", 1, b"line %d\n" % number))
    show.clock.pass_(3.14)
    show.view.draw()
    first, *tail = show.rows
    assert first[2:] == "[2/3] RUN make" + " " * (57 - 14 - 4) + "3.1s"
    assert tail == [f"  │ line {number}" for number in range(10 - TAIL, 10)]


def test_output_is_folded_when_the_step_is_done() -> None:
    show = Show(60)
    with show.job.step("step", "[2/3] RUN make") as step:
        step.output(1, b"noise\n")
        show.view.draw()
        assert "  │ noise" in show.rows
    show.view.draw()
    assert [row.split() for row in show.rows] == [["✓", "[2/3]", "RUN", "make", "0.0s"]]


def test_output_of_a_failed_step_stays_on_the_screen() -> None:
    show = Show(60)
    with pytest.raises(RuntimeError), show.job.step("step", "RUN make") as step:
        step.output(2, b"make: *** no rule\nwithout end")
        show.view.draw()
        raise RuntimeError("exit status 2")
    show.view.close()
    assert show.rows[:2] == ["  │ make: *** no rule", "  │ without end"]
    assert show.rows[2].startswith("✗ RUN make ")
    assert show.rows[2].split()[-2] == "failed"


def test_transfers_show_bar_amount_and_speed() -> None:
    show = Show(100)
    show.view.event(Started("1", "", "layer", "3f2a9c01b2d4", 40_000_000))
    show.clock.pass_(2.0)
    show.view.event(Progress("1", 10_000_000, 40_000_000))
    show.view.draw()
    (row,) = show.rows
    assert "layer 3f2a9c01b2d4" in row
    assert "█████░░░░░░░░░░░░░░░" in row
    assert "10MB / 40MB" in row
    assert "5MB/s" in row
    assert row.endswith("2.0s")


def test_a_transfer_of_unknown_size_shows_how_much_came() -> None:
    show = Show(100)
    show.view.event(Started("1", "", "context", "."))
    show.view.event(Progress("1", 7_000_000))
    show.clock.pass_(1)
    show.view.draw()
    assert "7MB " in show.rows[0]
    assert "/ " not in show.rows[0]


def test_parallel_steps_stand_below_their_parent_and_end_above() -> None:
    show = Show(60)
    show.view.event(Started("1", "", "pull", "debian"))
    show.view.event(Started("2", "1", "layer", "aaa", 100))
    show.view.event(Started("3", "1", "layer", "bbb", 100))
    show.view.draw()
    assert [row[:12].strip("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ") for row in show.rows] == [
        "pull debian"[:10],
        "layer aa",
        "layer bb",
    ]
    show.view.event(Finished("3", "done", "", 1.0))
    show.view.event(Finished("2", "cached"))
    show.view.event(Finished("1", "done", "", 1.0))
    show.view.close()
    assert [row.split()[:3] for row in show.rows] == [
        ["✓", "layer", "bbb"],
        ["✓", "layer", "aaa"],
        ["✓", "pull", "debian"],
    ]
    assert "cached" in show.rows[1]


def test_frames_replace_each_other_and_nothing_is_written_twice() -> None:
    show = Show(60, 10)
    for step in range(15):
        with show.job.step("step", f"step {step}") as running:
            for line in range(9):
                running.output(1, b"output %d\n" % line)
                show.view.draw()
    show.view.close()
    assert [row.split()[1:3] for row in show.rows] == [["step", str(n)] for n in range(15)]


@pytest.mark.parametrize("columns", [12, 20, 30, 45, 60, 79, 80, 120, 200])
def test_no_row_is_wider_than_the_terminal(columns: int) -> None:
    show = Show(columns)
    show.view.event(Started("1", "", "build", "example/with-a-rather-long-name:latest"))
    show.view.event(Started("2", "1", "layer", "3f2a9c01b2d4", 123_000_000))
    show.view.event(Progress("2", 99_900_000, 123_000_000))
    show.view.event(Started("3", "1", "step", "[1/2] RUN " + "漢字 " * 60))
    show.view.event(Output("3", 1, ("wide 漢字" * 50 + "\n").encode()))
    show.clock.pass_(100)
    show.view.draw()
    show.view.draw()
    # Had a row wrapped, the second frame would not lie exactly over the first.
    assert len(show.rows) == 4
    assert all(cells(row) < columns for row in show.rows)
    show.view.event(Finished("3", "failed", "x", 3.0))
    show.view.close()
    assert all(cells(row) < columns for row in show.rows)


def test_more_steps_than_lines_show_the_newest_and_count_the_rest() -> None:
    show = Show(60, 6)
    for number in range(20):
        show.view.event(Started(str(number + 1), "", "layer", f"layer{number}", 100))
    show.view.draw()
    show.view.draw()
    assert show.rows[0] == "16 more running"
    assert len(show.rows) == 5
    assert "layer19" in show.rows[-1]


@pytest.mark.parametrize("narrow", [30, 45])
def test_a_terminal_that_gets_narrower_shows_every_step_once(narrow: int) -> None:
    show = Show(100)
    show.view.event(Started("1", "", "layer", "aaaaaaaa", 100))
    show.view.event(Started("2", "", "step", "RUN " + "x" * 90))
    show.view.draw()
    show.screen.resize(narrow, 24)
    show.view.draw()
    assert len(show.rows) == 2
    show.screen.resize(100, 24)
    show.view.draw()
    assert len(show.rows) == 2
    assert "aaaaaaaa" in show.rows[0]


def test_a_warning_scrolls_up_and_stays() -> None:
    show = Show(60)
    show.view.event(Started("1", "", "step", "RUN x"))
    show.view.draw()
    show.view.event(Warned("1", "MAINTAINER is old"))
    show.view.draw()
    assert show.rows[0] == "! MAINTAINER is old"
    assert "RUN x" in show.rows[1]


def test_close_leaves_unfinished_steps_on_the_screen_and_the_cursor_visible() -> None:
    show = Show(60)
    show.view.event(Started("1", "", "step", "RUN x"))
    show.view.draw()
    assert show.screen.cursor_hidden
    show.view.note("cancelling…")
    show.view.draw()
    assert show.rows[-1] == "cancelling…"
    show.view.close()
    assert not show.screen.cursor_hidden
    assert [row.split()[:3] for row in show.rows] == [["-", "RUN", "x"]]


def test_what_cancelling_said_is_gone_when_all_has_ended() -> None:
    show = Show(60)
    show.view.event(Started("1", "", "step", "RUN x"))
    show.view.note("cancelling… (again to stop at once)")
    show.view.draw()
    show.view.event(Finished("1", "cancelled", "", 1.0))
    show.view.close()
    assert not any("cancelling" in row for row in show.rows)
    assert "cancelled" in show.rows[0]
    assert not show.screen.cursor_hidden


def test_a_command_without_steps_writes_nothing() -> None:
    show = Show()
    show.view.draw()
    show.view.close()
    assert show.rows == []
    assert not show.screen.cursor_hidden


def test_without_unicode_and_colour_only_plain_characters_are_shown() -> None:
    show = Show(80, style=Style(colour=False, unicode=False))
    written: list[str] = []
    original = show.screen.write
    show.screen.write = lambda text: written.append(text) or original(text)  # type: ignore[method-assign,func-returns-value]
    show.view.event(Started("1", "", "layer", "abc", 100))
    show.view.event(Progress("1", 50, 100))
    show.view.event(Started("2", "", "step", "RUN x"))
    show.view.event(Output("2", 1, b"out\n"))
    show.view.draw()
    show.view.event(Finished("2", "failed", "", 1.0))
    show.view.close()
    text = "".join(written)
    assert text.isascii()
    assert not re.search(r"\x1b\[[0-9;]*m", text)
    assert "#####....." in text


def test_escape_sequences_of_a_step_do_not_move_the_cursor() -> None:
    show = Show(60)
    show.view.event(Started("1", "", "step", "RUN \x1b[10Ax"))
    show.view.event(Output("1", 1, b"\x1b[2J\x1b[Hgone\rback\n"))
    show.view.draw()
    show.view.draw()
    assert show.rows[0].split()[1:3] == ["RUN", "x"]
    assert show.rows[1] == "  │ back"
