"""`Job`: the tree of work, its events, and stopping."""

import threading

import pytest

from corten.errors import Cancelled
from corten.events.job import Job
from corten.events.model import Event, Finished, Output, Progress, Started, Warned


def recorded() -> tuple[Job, list[Event]]:
    events: list[Event] = []
    return Job(events.append), events


def test_a_step_is_framed_by_started_and_finished() -> None:
    job, events = recorded()
    with job.step("copy", "layer", total=10) as step:
        step.advance(4)
        step.advance(6)
    assert events[0] == Started("1", "", "copy", "layer", 10)
    assert events[1:3] == [Progress("1", 4, 10), Progress("1", 10, 10)]
    assert isinstance(events[3], Finished)
    assert (events[3].id, events[3].status) == ("1", "done")


def test_ids_form_a_tree() -> None:
    job, events = recorded()
    with job.step("build", "outer") as outer, outer.step("run", "inner") as inner:
        inner.output(1, b"text")
        inner.warn("careful")
    started = [event for event in events if isinstance(event, Started)]
    assert [(event.id, event.parent) for event in started] == [("1", ""), ("2", "1")]
    assert Output("2", 1, b"text") in events
    assert Warned("2", "careful") in events


def test_the_result_says_how_it_went() -> None:
    job, events = recorded()
    with job.step("copy", "x") as step:
        step.result("cached", "sha256:1")
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert (finished.status, finished.detail) == ("cached", "sha256:1")


def test_an_error_leaves_a_failed_step_and_passes_on() -> None:
    job, events = recorded()
    with pytest.raises(ValueError, match="broken"), job.step("copy", "x"):
        raise ValueError("broken")
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert (finished.status, finished.detail) == ("failed", "broken")


def test_a_reader_that_went_away_is_no_failure() -> None:
    job, events = recorded()
    with pytest.raises(BrokenPipeError), job.step("save", "x"):
        raise BrokenPipeError(32, "Broken pipe")
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert (finished.status, finished.detail) == ("cancelled", "")


def test_cancelling_anywhere_stops_the_whole_tree() -> None:
    job, events = recorded()
    with pytest.raises(Cancelled), job.step("build", "x") as step:
        job.cancel()
        step.advance(1)
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.status == "cancelled"
    assert job.cancelled
    with pytest.raises(Cancelled), job.step("build", "never begins"):
        pytest.fail("the step began")
    assert len(events) == 2


def test_ids_are_unique_over_threads() -> None:
    job, events = recorded()

    def work() -> None:
        for _ in range(50):
            with job.step("copy", "x"):
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [event.id for event in events if isinstance(event, Started)]
    assert len(ids) == len(set(ids)) == 200


def test_a_job_without_a_listener_works() -> None:
    with Job().step("copy", "x") as step:
        step.advance(1)
