"""The plain view: text of whole streams."""

from __future__ import annotations

import io
from contextlib import suppress

import pytest

from corten.cli.views.plain import REPORT_EVERY, PlainView
from corten.cli.views.quiet import QuietView
from corten.cli.views.steps import KEPT_LINES
from corten.errors import Cancelled, StepFailed
from corten.events.job import Job
from corten.events.model import Finished, Output, Progress, Started, Warned
from support.terminal import Clock


class Log:
    """A plain view of a real job, with time under control."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.clock = Clock()
        self.view = PlainView(self.stream, self.clock)
        self.job = Job(self.view.event)

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()


def test_a_build_reads_like_a_log() -> None:
    log = Log()
    view = log.view
    view.event(Started("1", "", "build", "example/hello"))
    view.event(Started("2", "1", "step", "[1/2] FROM debian:bookworm"))
    view.event(Finished("2", "cached"))
    view.event(Started("3", "1", "step", "[2/2] RUN apt-get update"))
    log.clock.pass_(0.82)
    view.event(Output("3", 1, b"Get:1 bookworm InRelease\n"))
    view.event(Finished("3", "done", "", 4.2))
    view.event(Started("4", "1", "layer", "3f2a9c01b2d4", 12_400_000))
    view.event(Progress("4", 12_400_000, 12_400_000))
    view.event(Finished("4", "done", "", 0.31))
    view.event(Finished("1", "done", "sha256:ab12", 5.0))
    assert log.lines == [
        "#1 build example/hello",
        "#2 [1/2] FROM debian:bookworm",
        "#2 CACHED",
        "#3 [2/2] RUN apt-get update",
        "#3 0.82 Get:1 bookworm InRelease",
        "#3 DONE 4.2s",
        "#4 layer 3f2a9c01b2d4 done 12.4MB 0.3s",
        "#1 DONE 5.0s sha256:ab12",
    ]


def test_steps_of_a_job_are_numbered_in_the_order_in_which_they_began() -> None:
    log = Log()
    with log.job.step("step", "one"), log.job.step("step", "two"):
        pass
    with log.job.step("step", "three") as step:
        step.result("cached")
    assert [line.split()[0] for line in log.lines] == ["#1", "#2", "#2", "#1", "#3", "#3"]
    assert log.lines[-1] == "#3 CACHED"


def test_failure_and_cancellation_are_said() -> None:
    log = Log()
    with pytest.raises(RuntimeError), log.job.step("step", "RUN false"):
        raise RuntimeError("exit status 1")
    with pytest.raises(Cancelled), log.job.step("step", "RUN sleep"):
        raise Cancelled("cancelled")
    with pytest.raises(RuntimeError), log.job.step("layer", "abc", 100) as layer:
        layer.advance(40)
        raise RuntimeError("connection lost")
    assert log.lines == [
        "#1 RUN false",
        "#1 ERROR",
        "#2 RUN sleep",
        "#2 CANCELLED",
        "#3 layer abc failed 40B 0.0s",
    ]


def test_why_a_part_failed_is_said_only_where_the_whole_does_not_fail_of_it() -> None:
    log = Log()
    with (
        pytest.raises(RuntimeError),
        log.job.step("build", "a") as build,
        build.step("step", "RUN false"),
    ):
        raise RuntimeError("exit status 1")
    with log.job.step("build", "b") as build, suppress(RuntimeError), build.step("step", "RUN x"):
        raise RuntimeError("no mirror")
    assert log.lines == [
        "#1 build a",
        "#2 RUN false",
        "#2 ERROR",
        "#1 ERROR",
        "#3 build b",
        "#4 RUN x",
        "#4 ERROR",
        "#3 DONE 0.0s",
        "#4 ERROR: no mirror",
    ]


def test_output_keeps_lines_together_and_gives_the_unfinished_one_at_the_end() -> None:
    log = Log()
    with log.job.step("step", "RUN x") as step:
        step.output(1, b"out")
        step.output(2, b"err\n")
        step.output(1, b"put\nrest")
    assert log.lines == [
        "#1 RUN x",
        "#1 0.00 err",
        "#1 0.00 output",
        "#1 0.00 rest",
        "#1 DONE 0.0s",
    ]


def test_a_progress_bar_written_with_carriage_returns_becomes_its_last_state() -> None:
    log = Log()
    with log.job.step("step", "RUN x") as step:
        step.output(1, b"10%\r50%\r100%\r\n")
    assert log.lines[1] == "#1 0.00 100%"


def test_escape_sequences_and_controls_of_a_step_do_not_reach_the_reader() -> None:
    log = Log()
    with log.job.step("step", "RUN \x1b]0;title\x07x\nFROM y") as step:
        step.output(1, b"\x1b[31mred\x1b[0m\x07 \x1b[2Jx\x9b1m\n")
        step.warn("a\x1b[1mb")
    text = log.stream.getvalue()
    assert "\x1b" not in text
    assert "\x07" not in text
    assert log.lines[:2] == ["#1 RUN x FROM y", "#1 0.00 red x\ufffd1m"]
    assert log.lines[2] == "#1 WARNING: ab"


def test_a_character_cut_between_two_pieces_is_whole() -> None:
    log = Log()
    with log.job.step("step", "RUN x") as step:
        step.output(1, "ü".encode()[:1])
        step.output(1, "ü".encode()[1:] + b"\n")
    assert log.lines[1] == "#1 0.00 ü"


def test_a_long_transfer_reports_now_and_then() -> None:
    log = Log()
    with log.job.step("layer", "abc", 4_000_000) as layer:
        for _ in range(4):
            log.clock.pass_(REPORT_EVERY / 2)
            layer.advance(1_000_000)
    assert log.lines[:-1] == ["#1 layer abc 2MB / 4MB 5.0s", "#1 layer abc 4MB / 4MB 10.0s"]
    assert log.lines[-1].startswith("#1 layer abc done 4MB")


def test_a_transfer_that_had_nothing_to_do_says_cached() -> None:
    log = Log()
    with log.job.step("layer", "abc", 4_000_000) as layer:
        layer.result("cached")
    assert log.lines == ["#1 layer abc cached"]


def test_events_of_unknown_steps_are_no_error() -> None:
    log = Log()
    log.view.event(Progress("9", 1, 2))
    log.view.event(Finished("9", "done"))
    log.view.event(Output("", 1, b"text\n"))
    log.view.event(Warned("", "careful"))
    assert log.lines == ["text", "WARNING: careful"]


def test_quiet_says_only_warnings() -> None:
    stream = io.StringIO()
    job = Job(QuietView(stream).event)
    with job.step("step", "RUN x") as step:
        step.output(1, b"noise\n")
        step.warn("deprecated")
        step.advance(5)
    assert stream.getvalue() == "warning: deprecated\n"


def test_quiet_says_what_a_step_that_failed_had_written() -> None:
    stream = io.StringIO()
    job = Job(QuietView(stream).event)
    with pytest.raises(StepFailed), job.step("build", "x") as build:
        with build.step("step", "[1/2] RUN fine") as step:
            step.output(1, b"noise\n")
        with build.step("step", "[2/2] RUN \x1b[31mmake") as step:
            step.output(1, b"first of many\n")
            for number in range(KEPT_LINES - 1):
                step.output(1, b"line %d\n" % number)
            step.output(2, b"error: no rule")
            raise StepFailed("RUN failed", status=2)
    title, *lines = stream.getvalue().splitlines()
    assert title == "[2/2] RUN make:"
    assert lines == [*(f"line {number}" for number in range(KEPT_LINES - 1)), "error: no rule"]
