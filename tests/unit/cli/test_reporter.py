"""The reporter: which view, which thread, what ^C does; in processes of their own."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from corten.cli.views.reporter import reporter
from corten.errors import Cancelled, Usage
from support.terminal import Terminal

ENV = {**os.environ, "TERM": "xterm-256color", "PYTHONUTF8": "1"}
WAITING = textwrap.dedent(
    """
    import sys, time
    from corten.cli.views.reporter import reporter
    from corten.errors import Cancelled
    try:
        with reporter("{mode}", sys.stderr) as job:
            with job.step("step", "RUN sleep") as step:
                print("ready", flush=True)
                while {condition}:
                    time.sleep(0.01)
                step.check()
    except Cancelled:
        print("cancelled in order")
        sys.exit(130)
    """
)


def script(mode: str, condition: str) -> list[str]:
    return [sys.executable, "-c", WAITING.format(mode=mode, condition=condition)]


def test_auto_is_plain_on_a_stream_that_is_no_terminal() -> None:
    stream = io.StringIO()
    with reporter("auto", stream) as job, job.step("step", "RUN x"):
        pass
    assert stream.getvalue() == "#1 RUN x\n#1 DONE 0.0s\n"


def test_tty_wants_a_terminal() -> None:
    with pytest.raises(Usage, match="needs a terminal"), reporter("tty", io.StringIO()):
        pass


def test_json_is_json_and_quiet_is_quiet() -> None:
    stream = io.StringIO()
    with reporter("json", stream) as job, job.step("step", "RUN x"):
        pass
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == [
        "started",
        "finished",
    ]
    stream = io.StringIO()
    with reporter("quiet", stream) as job, job.step("step", "RUN x"):
        pass
    assert stream.getvalue() == ""


def test_events_of_many_threads_stay_whole_lines() -> None:
    stream = io.StringIO()
    with reporter("plain", stream) as job:

        def work(number: int) -> None:
            with job.step("step", f"RUN {number}") as step:
                for _ in range(50):
                    step.output(1, b"x" * 20 + b"\n")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 8 * 52
    assert sum(line.endswith(" " + "x" * 20) for line in lines) == 8 * 50


def test_a_stream_that_breaks_silences_the_view_and_not_the_work() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as stream:
        done = 0
        with reporter("plain", stream) as job:
            for _ in range(3):
                with job.step("step", "RUN x"):
                    done += 1
        assert done == 3
        with pytest.raises(BrokenPipeError):  # what the view could not write is still there
            stream.flush()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, writing)
        os.close(nowhere)


def test_no_thread_and_no_signal_handler_stay_behind() -> None:
    before = threading.active_count(), signal.getsignal(signal.SIGINT)
    with pytest.raises(RuntimeError), reporter("plain", io.StringIO()) as job:
        assert signal.getsignal(signal.SIGINT) != before[1]
        with job.step("step", "RUN x"):
            raise RuntimeError("broken")
    assert (threading.active_count(), signal.getsignal(signal.SIGINT)) == before


def test_in_another_thread_signals_are_left_alone() -> None:
    result: list[object] = []

    def work() -> None:
        handler = signal.getsignal(signal.SIGINT)
        with reporter("quiet", io.StringIO()) as job, job.step("step", "RUN x"):
            result.append(signal.getsignal(signal.SIGINT) == handler)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert result == [True]


def test_a_cancelled_job_tells_the_view_and_raises() -> None:
    stream = io.StringIO()
    with (
        pytest.raises(Cancelled),
        reporter("plain", stream) as job,
        job.step("step", "RUN x") as step,
    ):
        job.cancel()
        step.check()
    assert stream.getvalue().endswith("#1 CANCELLED\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_interrupt_cancels_the_job(number: signal.Signals) -> None:
    with subprocess.Popen(
        script("plain", "not job.cancelled"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=ENV,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert out == "cancelled in order\n"
    assert "cancelling…" in err
    assert err.endswith("#1 CANCELLED\n")
    assert process.returncode == 130


def test_a_lost_terminal_cancels_the_job() -> None:
    with subprocess.Popen(
        script("plain", "not job.cancelled"), stdout=subprocess.PIPE, text=True, env=ENV
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGHUP)
        out, _ = process.communicate(timeout=30)
    assert out == "cancelled in order\n"
    assert process.returncode == 130


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with reporter("plain", io.StringIO()) as job:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not job.cancelled
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_second_interrupt_ends_at_once_and_leaves_the_terminal_in_order() -> None:
    with Terminal(script("auto", "True"), ENV) as terminal:
        terminal.read_until(lambda text: b"RUN sleep" in text)
        terminal.type(b"\x03")
        terminal.read_until(lambda text: "cancelling…".encode() in text)
        terminal.type(b"\x03")
        assert terminal.wait() == 130
    assert b"cancelled in order" not in terminal.text
    assert terminal.text.rindex(b"\x1b[?25h") > terminal.text.rindex(b"\x1b[?25l")


def test_auto_is_live_on_a_terminal_and_its_end_stays() -> None:
    work = textwrap.dedent(
        """
        import sys
        from corten.cli.views.reporter import reporter
        with reporter("auto", sys.stderr) as job, job.step("step", "RUN x") as step:
            step.output(1, b"hidden\\n")
        """
    )
    with Terminal([sys.executable, "-c", work], ENV) as terminal:
        assert terminal.wait() == 0
    assert "✓".encode() in terminal.text
    assert b"#1" not in terminal.text
    assert terminal.text.endswith(b"\x1b[?25h")


def test_a_dumb_terminal_gets_plain_lines() -> None:
    work = (
        "import sys\nfrom corten.cli.views.reporter import reporter\n"
        "with reporter('auto', sys.stderr) as job, job.step('step', 'RUN x'): pass\n"
    )
    with Terminal([sys.executable, "-c", work], {**ENV, "TERM": "dumb"}) as terminal:
        assert terminal.wait() == 0
    assert b"#1 RUN x" in terminal.text
    assert b"\x1b" not in terminal.text


def test_no_color_is_respected() -> None:
    work = (
        "import sys\nfrom corten.cli.views.reporter import reporter\n"
        "with reporter('auto', sys.stderr) as job, job.step('step', 'RUN x'): pass\n"
    )
    with Terminal([sys.executable, "-c", work], {**ENV, "NO_COLOR": "1"}) as terminal:
        assert terminal.wait() == 0
    assert b"RUN x" in terminal.text
    assert b"\x1b[32m" not in terminal.text
