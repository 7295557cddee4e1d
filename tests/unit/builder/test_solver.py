"""The solver: order, sharing, parallelism, caching, failure and cancellation."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import pytest

from corten.builder.graph import Copy, Origin, Run, Scratch, Step, order
from corten.builder.solver import Solver
from corten.errors import Cancelled, Invalid
from corten.events.job import Job
from corten.events.model import Event, Finished, Started

BASE = Step(Scratch())


def run(name: str, *inputs: Step) -> Step:
    return Step(Run((name,)), inputs or (BASE,))


class Texts:
    """A worker whose results are texts: a real one, of another kind than images.

    Steps named in ``contents`` have a content key, which follows from that content.
    """

    def __init__(self) -> None:
        self.saved: dict[str, str] = {}
        self.ran: list[str] = []
        self.contents: dict[str, str] = {}
        self.actions: dict[str, Callable[[Job], None]] = {}
        self.keyless: set[str] = set()
        self.locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def name(self, step: Step) -> str:
        return step.op.args[0] if isinstance(step.op, Run) else "base"

    def key(self, step: Step, inputs: Sequence[str]) -> str | None:
        if step == BASE or self.name(step) in self.keyless:
            return None
        return f"key {self.name(step)}({','.join(inputs)})"

    def content_key(self, step: Step, inputs: Sequence[str], job: Job) -> str | None:
        content = self.contents.get(self.name(step))
        return None if content is None else f"content {self.name(step)} {content}"

    def load(self, key: str, step: Step, inputs: Sequence[str]) -> str | None:
        return self.saved.get(key)

    def claim(self, key: str, job: Job) -> AbstractContextManager[object]:
        return self.locks[key]

    def save(self, keys: Sequence[str], step: Step, inputs: Sequence[str], result: str) -> None:
        self.saved.update(dict.fromkeys(keys, result))

    def run(self, step: Step, inputs: Sequence[str], job: Job) -> str:
        name = self.name(step)
        self.ran.append(name)
        if name in self.actions:
            self.actions[name](job)
        return f"{name}({','.join(inputs)})"


def solve(worker: Texts, *targets: Step, threads: int = 1, use_cache: bool = True) -> list[str]:
    return Solver(worker, threads=threads, use_cache=use_cache).solve(targets, Job())


def diamond() -> tuple[Step, Step, Step, Step]:
    first = run("first")
    left, right = run("left", first), run("right", first)
    return first, left, right, run("top", left, right)


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_each_step_runs_once_and_after_its_inputs(threads: int) -> None:
    worker = Texts()
    _, left, _, top = diamond()
    results = solve(worker, top, left, top, threads=threads)
    assert results[0] == results[2] == "top(left(first(base())),right(first(base())))"
    assert results[1] == "left(first(base()))"
    assert sorted(worker.ran) == ["base", "first", "left", "right", "top"]
    assert worker.ran[:2] == ["base", "first"]
    assert worker.ran[-1] == "top"


@pytest.mark.parametrize("threads", [1, 8])
def test_a_wide_and_deep_graph_gives_the_same_results(threads: int) -> None:
    layer = [run(f"r0-{i}") for i in range(20)]
    for depth in range(1, 6):
        layer = [run(f"r{depth}-{i}", layer[i], layer[(i * 7 + 3) % 20]) for i in range(20)]
    worker = Texts()
    assert solve(worker, *layer, threads=threads) == solve(Texts(), *layer)
    assert len(worker.ran) == 121
    assert len(set(worker.ran)) == 121


def test_independent_steps_run_at_the_same_time() -> None:
    worker = Texts()
    meeting = threading.Barrier(2, timeout=20)

    def meet(job: Job) -> None:
        meeting.wait()

    worker.actions = {"left": meet, "right": meet}
    *_, top = diamond()
    assert solve(worker, top, threads=2)


@pytest.mark.parametrize(("use_cache", "times"), [(True, 1), (False, 2)])
def test_a_step_that_two_builds_need_at_once_runs_once_unless_all_shall_run(
    use_cache: bool, times: int
) -> None:
    worker = Texts()
    began, go_on = threading.Event(), threading.Event()

    def hold(job: Job) -> None:
        began.set()
        assert go_on.wait(20)

    worker.actions["left"] = hold
    results: list[str] = []
    target = run("left")
    builds = [
        threading.Thread(target=lambda: results.extend(solve(worker, target, use_cache=use_cache)))
        for _ in range(2)
    ]
    builds[0].start()
    assert began.wait(20)
    builds[1].start()
    go_on.set()
    for build in builds:
        build.join()
    assert results == ["left(base())"] * 2
    assert worker.ran.count("left") == times


def test_no_more_threads_than_allowed_work() -> None:
    worker = Texts()
    lock, now, most = threading.Lock(), 0, 0

    def busy(job: Job) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        threading.Event().wait(0.002)
        with lock:
            now -= 1

    steps = [run(str(i)) for i in range(30)]
    worker.actions = {str(i): busy for i in range(30)}
    solve(worker, *steps, threads=3)
    assert 1 <= most <= 3


def test_a_saved_result_is_not_made_again() -> None:
    worker = Texts()
    *_, top = diamond()
    first = solve(worker, top)
    worker.ran.clear()
    assert solve(worker, top) == first
    assert worker.ran == ["base"]


def test_a_changed_step_makes_what_follows_it_run() -> None:
    worker = Texts()
    solve(worker, run("c", run("b", run("a"))))
    worker.ran.clear()
    solve(worker, run("c", run("x", run("a"))))
    assert worker.ran == ["base", "x", "c"]


def test_without_lookups_everything_runs_and_is_saved_all_the_same() -> None:
    worker = Texts()
    step = run("a")
    solve(worker, step)
    worker.ran.clear()
    worker.saved.clear()
    solve(worker, step, use_cache=False)
    assert worker.ran == ["base", "a"]
    worker.ran.clear()
    solve(worker, step)
    assert worker.ran == ["base"]


def test_the_content_decides_where_the_definition_does_not() -> None:
    worker = Texts()
    worker.keyless, worker.contents = {"copy"}, {"copy": "1"}
    step = run("copy")
    solve(worker, step)
    worker.ran.clear()
    solve(worker, step)
    assert worker.ran == ["base"]
    worker.contents["copy"] = "2"
    solve(worker, step)
    assert worker.ran == ["base", "base", "copy"]


def test_a_hit_by_content_is_remembered_by_definition() -> None:
    worker = Texts()
    worker.contents = {"copy": "same"}
    solve(worker, run("copy", run("a")))
    solve(worker, run("copy", run("b")))
    assert worker.ran.count("copy") == 1
    worker.contents.clear()
    solve(worker, run("copy", run("b")))
    assert worker.ran.count("copy") == 1


def test_the_content_key_is_asked_for_again_after_the_run() -> None:
    worker = Texts()
    worker.keyless, worker.contents = {"copy"}, {"copy": "before"}
    worker.actions = {"copy": lambda job: worker.contents.update(copy="after")}
    solve(worker, run("copy"))
    assert "content copy after" in worker.saved
    assert "content copy before" not in worker.saved


@pytest.mark.parametrize("threads", [1, 4])
def test_a_failure_is_raised_and_nothing_follows_it(threads: int) -> None:
    worker = Texts()

    def fail(job: Job) -> None:
        raise Invalid("broken")

    worker.actions = {"left": fail}
    *_, top = diamond()
    with pytest.raises(Invalid, match="broken"):
        solve(worker, top, threads=threads)
    assert "top" not in worker.ran
    assert not any("left" in key for key in worker.saved)


def test_a_failure_stops_what_runs_beside_it_but_not_the_caller_s_job() -> None:
    worker = Texts()
    begun = threading.Event()

    def fail(job: Job) -> None:
        assert begun.wait(20)
        raise Invalid("broken")

    stopped = []

    def long(job: Job) -> None:
        begun.set()
        try:
            for _ in range(10_000):
                job.check()
                threading.Event().wait(0.002)
        except Cancelled:
            stopped.append(True)
            raise

    worker.actions = {"left": fail, "right": long}
    *_, top = diamond()
    job = Job()
    with pytest.raises(Invalid, match="broken"):
        Solver(worker, threads=2).solve([top], job)
    assert stopped == [True]
    assert not job.cancelled


@pytest.mark.parametrize("threads", [1, 4])
def test_a_cancelled_job_stops_everything(threads: int) -> None:
    worker = Texts()
    job = Job()
    worker.actions = {"first": lambda inner: job.cancel()}
    *_, top = diamond()
    with pytest.raises(Cancelled):
        Solver(worker, threads=threads).solve([top], job)
    assert worker.ran == ["base", "first"]


def test_an_interrupt_is_raised_like_any_error() -> None:
    worker = Texts()

    def interrupt(job: Job) -> None:
        raise KeyboardInterrupt

    worker.actions = {"first": interrupt}
    with pytest.raises(KeyboardInterrupt):
        solve(worker, diamond()[-1], threads=2)


def test_titled_steps_are_shown_with_how_they_ended() -> None:
    worker = Texts()
    events: list[Event] = []
    steps = [run("a"), run("b")]
    solve(worker, steps[0])
    origins = {step.digest: Origin(f"step {worker.name(step)}") for step in steps}
    Solver(worker, threads=1).solve(steps, Job(events.append), origins)
    names = {e.id: e.name for e in events if isinstance(e, Started)}
    ended = {names[e.id]: e.status for e in events if isinstance(e, Finished)}
    assert ended == {"step a": "cached", "step b": "done"}
    assert {e.kind for e in events if isinstance(e, Started)} == {"build"}


def test_a_failed_step_is_shown_as_failed() -> None:
    worker = Texts()
    events: list[Event] = []
    step = run("a")

    def fail(job: Job) -> None:
        raise Invalid("broken")

    worker.actions = {"a": fail}
    with pytest.raises(Invalid):
        Solver(worker).solve([step], Job(events.append), {step.digest: Origin("a")})
    assert [(e.status, e.detail) for e in events if isinstance(e, Finished)] == [
        ("failed", "broken")
    ]


def test_no_threads_are_left() -> None:
    before = threading.active_count()
    solve(Texts(), *(run(str(i)) for i in range(50)), threads=8)
    assert threading.active_count() == before


def test_a_solver_needs_a_thread_and_nothing_to_do_is_nothing() -> None:
    with pytest.raises(ValueError, match="at least one thread"):
        Solver(Texts(), threads=0)
    assert solve(Texts()) == []


def test_a_step_that_takes_the_same_input_twice_is_ready_when_it_is_there() -> None:
    worker = Texts()
    once = run("a")
    assert solve(worker, Step(Copy(("/",), "/", from_input=True), (once, once))) == [
        "base(a(base()),a(base()))"
    ]
    assert order([once]) == [BASE, once]
