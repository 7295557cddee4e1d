"""Evaluates a graph: each step once, independent steps at the same time, nothing twice that is cached.

The solver knows nothing of containers or files: what a step means is the
:class:`Worker`'s business.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Generic, Protocol, TypeVar

from corten.builder.graph import Origin, Step, order
from corten.events.job import Job
from corten.oci.digest import Digest

R = TypeVar("R")


class Worker(Protocol[R]):
    """What steps mean.  All methods may be called from several threads.

    A result is cached under up to two keys.  The definition key follows from the
    step and its inputs' results alone; the content key also from what the step
    reads, and costs time to find.
    """

    def key(self, step: Step, inputs: Sequence[R]) -> str | None:
        """The definition key; None: the definition does not decide the result."""

    def content_key(self, step: Step, inputs: Sequence[R], job: Job) -> str | None:
        """The content key; None: there is none, or looking for it before a run is no use."""

    def load(self, key: str, step: Step, inputs: Sequence[R]) -> R | None:
        """What was saved under `key`, if it is still usable."""

    def claim(self, key: str, job: Job) -> AbstractContextManager[object]:
        """The right to run the step with this key, among all builds; others are waited for."""

    def run(self, step: Step, inputs: Sequence[R], job: Job) -> R:
        """Do it."""

    def save(self, keys: Sequence[str], step: Step, inputs: Sequence[R], result: R) -> None:
        """Remember a result under `keys`."""


class Solver(Generic[R]):
    """Evaluates steps with up to `threads` at a time.

    Without `use_cache` nothing is looked up, nor for the steps `fresh`, but results are saved
    all the same.
    """

    def __init__(
        self,
        worker: Worker[R],
        *,
        threads: int = 4,
        use_cache: bool = True,
        fresh: Collection[Digest] = (),
    ) -> None:
        if threads < 1:
            raise ValueError("a solver needs at least one thread")
        self._worker = worker
        self._threads = threads
        self._use_cache = use_cache
        self._fresh = fresh

    def solve(
        self, targets: Sequence[Step], job: Job, origins: Mapping[Digest, Origin] | None = None
    ) -> list[R]:
        """The targets' results, in order.

        A step that `origins` names is shown as a step of `job`, with the status
        ``cached`` or ``done``.  When a step fails, those under way are asked to
        stop, no further one begins, and the first error is raised.

        Raises: what a step raised; Cancelled.
        """
        run = _Evaluation(self, list(order(targets)), job.scope(), origins or {})
        results = run.finish(self._threads)
        return [results[step] for step in targets]

    def evaluate(self, step: Step, inputs: Sequence[R], job: Job, title: str) -> R:
        """One step, whose inputs are there: found in the cache, or run."""
        job.check()
        if not title:
            return self._evaluate(step, inputs, job)
        with job.step("build", title) as child:
            return self._evaluate(step, inputs, child)

    def _evaluate(self, step: Step, inputs: Sequence[R], job: Job) -> R:
        worker = self._worker
        use_cache = self._use_cache and step.digest not in self._fresh
        first = worker.key(step, inputs)
        second = None
        if use_cache:
            if first is not None:
                found = worker.load(first, step, inputs)
                if found is not None:
                    job.result("cached")
                    return found
            second = worker.content_key(step, inputs, job)
            if second is not None:
                found = worker.load(second, step, inputs)
                if found is not None:
                    job.result("cached")
                    if first is not None:
                        worker.save([first], step, inputs, found)
                    return found
        key = first or second
        if key is None or not use_cache:
            return self._run(step, inputs, first, job)
        with worker.claim(key, job):
            # Another build may have run it meanwhile.
            found = worker.load(key, step, inputs)
            if found is not None:
                job.result("cached")
                return found
            return self._run(step, inputs, first, job)

    def _run(self, step: Step, inputs: Sequence[R], first: str | None, job: Job) -> R:
        worker = self._worker
        result = worker.run(step, inputs, job)
        # Asked again: what was read may have changed between the look and the run.
        second = worker.content_key(step, inputs, job)
        worker.save([key for key in (first, second) if key is not None], step, inputs, result)
        return result


class _Evaluation(Generic[R]):
    """One call of solve: which steps are ready, done, or failed."""

    def __init__(
        self, solver: Solver[R], steps: list[Step], job: Job, origins: Mapping[Digest, Origin]
    ) -> None:
        self.solver = solver
        self.job = job
        self.origins = origins
        self.results: dict[Step, R] = {}
        self.error: BaseException | None = None
        self.left = len(steps)
        self.waiting = {step: len(set(step.inputs)) for step in steps}
        self.needed_by: dict[Step, list[Step]] = {step: [] for step in steps}
        for step in steps:
            for needed in set(step.inputs):
                self.needed_by[needed].append(step)
        self.ready = [step for step in reversed(steps) if not step.inputs]
        self.change = threading.Condition()

    def finish(self, threads: int) -> dict[Step, R]:
        # This thread works too; others join it while more than one step is ready.
        helpers: list[threading.Thread] = []
        try:
            self.work(helpers, threads)
        except BaseException as error:  # an interrupt, while this thread waited
            self.fail(error)
        for helper in helpers:
            helper.join()
        if self.error is not None:
            raise self.error
        return self.results

    def work(self, helpers: list[threading.Thread], threads: int) -> None:
        while (step := self.take(helpers, threads)) is not None:
            try:
                inputs = [self.results[needed] for needed in step.inputs]
                origin = self.origins.get(step.digest)
                title = origin.title if origin else ""
                result = self.solver.evaluate(step, inputs, self.job, title)
            except BaseException as error:
                self.fail(error)
                return
            with self.change:
                self.results[step] = result
                self.left -= 1
                for dependent in self.needed_by[step]:
                    self.waiting[dependent] -= 1
                    if not self.waiting[dependent]:
                        self.ready.append(dependent)
                self.change.notify_all()

    def take(self, helpers: list[threading.Thread], threads: int) -> Step | None:
        """The next ready step, waiting for one; None when there is nothing more to do."""
        with self.change:
            while not self.ready:
                if self.error is not None or not self.left:
                    return None
                self.change.wait()
            if self.error is not None:
                return None
            step = self.ready.pop()
            if self.ready and len(helpers) + 1 < threads:
                helper = threading.Thread(
                    target=self.work, args=(helpers, threads), name="corten-step"
                )
                helpers.append(helper)
                helper.start()
            return step

    def fail(self, error: BaseException) -> None:
        with self.change:
            if self.error is None:
                self.error = error
            self.job.cancel()
            self.change.notify_all()
