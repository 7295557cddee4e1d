"""Keys of image steps, and what the cache gives back, on a real store without mounts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.builder.cache import BuildCache
from corten.builder.context import Context
from corten.builder.graph import (
    Copy,
    MakeDirectory,
    Operation,
    Origin,
    Run,
    Scratch,
    SourceImage,
    Step,
)
from corten.builder.setting import Setting
from corten.builder.stacks import Stacks, layer_descriptor
from corten.builder.worker import ImageWorker, Result
from corten.content.local import LocalStore
from corten.dockerfile.ignore import Ignore
from corten.errors import NotFound
from corten.events.job import Job
from corten.oci.digest import Digest
from corten.oci.platform import Platform
from corten.runtime.protocols import Executor
from corten.snapshot.overlay import OverlaySnapshotter

A, B = Digest.of(b"a"), Digest.of(b"b")
BASE = Step(Scratch())
BELOW = Result((A,), 1)


class Setup:
    def __init__(self, root: Path) -> None:
        self.context = root / "context"
        self.context.mkdir()
        self.root = root / "root"
        self.store = LocalStore(self.root, Platform.parse("linux/amd64"))
        self.cache = BuildCache(self.root / "cache")
        self.origins: dict[Digest, Origin] = {}

    def worker(self, environ: dict[str, str] | None = None, network: str = "host") -> ImageWorker:
        stacks = Stacks(self.store, lambda: OverlaySnapshotter(self.root), self.root / "cache")
        setting = Setting(
            Context(self.context, Ignore()),
            self.root / "cache",
            environ or {},
            network=network,
            origins=self.origins,
        )
        return ImageWorker(stacks, self.no_executor, self.cache, setting)

    def no_executor(self) -> Executor:
        raise AssertionError("nothing is run here")

    def layer(self, data: bytes) -> Digest:
        with self.store.ingest() as ingest:
            ingest.write(data)
            return ingest.commit().digest


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[Setup]:
    made = Setup(tmp_path)
    yield made
    made.cache.close()
    made.store.close()


def key(setup: Setup, op: Operation, *inputs: Result) -> str | None:
    return setup.worker().key(Step(op, (BASE,) * len(inputs)), inputs)


def test_a_key_follows_from_the_operation_and_the_input_s_layers(setup: Setup) -> None:
    run = Run(("x",))
    first = key(setup, run, Result((A,), 1))
    assert first == key(setup, run, Result((A,), 2))
    assert first != key(setup, run, Result((B,), 1))
    assert first != key(setup, run, Result((A, B), 1))
    assert first != key(setup, Run(("y",)), Result((A,), 1))
    assert first != key(setup, Run(("x",), env=("A=b",)), Result((A,), 1))
    assert first != key(setup, MakeDirectory("/x"), Result((A,), 1))


def test_a_key_does_not_depend_on_how_the_input_was_made(setup: Setup) -> None:
    worker = setup.worker()
    one = Step(Run(("x",)), (Step(SourceImage("one", (A,))),))
    two = Step(Run(("x",)), (Step(Run(("y",)), (BASE,)),))
    assert worker.key(one, [BELOW]) == worker.key(two, [BELOW])


def test_what_ran_with_a_network_is_not_taken_for_what_ran_without(setup: Setup) -> None:
    def found(network: str, asked: str) -> str | None:
        step = Step(Run(("x",), network=asked), (BASE,))
        return setup.worker(network=network).key(step, [BELOW])

    assert found("host", "default") != found("none", "default")
    assert found("none", "default") == found("host", "none")
    assert found("host", "default") == found("none", "host")


def test_platforms_have_keys_of_their_own(setup: Setup) -> None:
    worker = setup.worker()
    keys = {worker.key(Step(Run(("x",)), (BASE,), name), [BELOW]) for name in ("a", "b")}
    assert len(keys) == 2


def test_sources_and_copies_from_the_context_have_no_definition_key(setup: Setup) -> None:
    assert key(setup, Scratch()) is None
    assert key(setup, SourceImage("x", (A,))) is None
    assert key(setup, Copy(("/a",), "/b"), BELOW) is None


def test_a_copy_from_a_stage_has_one_by_both_inputs(setup: Setup) -> None:
    copy = Copy(("/a",), "/b", from_input=True)
    keys = {
        key(setup, copy, Result(below), Result(other))
        for below in ((A,), (B,))
        for other in ((A,), (B,))
    }
    assert len(keys) == 4
    linked = Copy(("/a",), "/b", from_input=True, link=True)
    assert key(setup, linked, Result((A,)), Result((B,))) == key(
        setup, linked, Result((B,)), Result((B,))
    )


def test_content_is_looked_at_once_a_copy_of_its_kind_was_saved(setup: Setup) -> None:
    (setup.context / "a").write_text("1")
    step = Step(Copy(("/a",), "/b"), (BASE,))
    worker = setup.worker()
    assert worker.content_key(step, [BELOW], Job()) is None
    worker.save(["content:x"], step, [BELOW], Result((A, B), 5))
    first = worker.content_key(step, [BELOW], Job())
    assert first is not None
    assert setup.worker().content_key(step, [BELOW], Job()) == first
    os.utime(setup.context / "a", (1, 1))
    assert setup.worker().content_key(step, [BELOW], Job()) == first
    (setup.context / "a").write_text("2")
    assert setup.worker().content_key(step, [BELOW], Job()) != first


def test_runs_have_no_content_key(setup: Setup) -> None:
    assert setup.worker().content_key(Step(Run(("x",)), (BASE,)), [BELOW], Job()) is None


def test_a_saved_layer_is_put_upon_the_present_input(setup: Setup) -> None:
    layer = setup.layer(b"some layer")
    step = Step(Run(("x",)), (BASE,))
    worker = setup.worker()
    worker.save(["k"], step, [BELOW], Result((A, layer), 7))
    assert worker.load("k", step, [BELOW]) == Result((A, layer), 7)
    assert worker.load("k", step, [Result((B,))]) == Result((B, layer), 7)
    assert worker.load("other", step, [BELOW]) is None


def test_a_result_whose_layer_is_gone_is_a_miss(setup: Setup) -> None:
    layer = setup.layer(b"some layer")
    step = Step(Run(("x",)), (BASE,))
    worker = setup.worker()
    worker.save(["k"], step, [BELOW], Result((A, layer), 7))
    setup.store.locate(layer_descriptor(layer)).unlink()
    assert worker.load("k", step, [BELOW]) is None


def test_a_step_that_changed_nothing_is_saved_as_such(setup: Setup) -> None:
    step = Step(Run(("x",)), (BASE,))
    worker = setup.worker()
    worker.save(["k"], step, [BELOW], Result((A,), 7))
    assert worker.load("k", step, [BELOW]) == Result((A,), 7)


def test_sources_are_not_saved(setup: Setup) -> None:
    worker = setup.worker()
    worker.save(["k"], BASE, [], Result((), 0))
    assert worker.load("k", BASE, []) is None
    assert worker.run(BASE, [], Job()) == Result(())
    source = Step(SourceImage("x", (A, B)))
    assert worker.run(source, [], Job()) == Result((A, B))


@pytest.mark.parametrize("name", ["stage a", "image example/hello"])
def test_errors_of_copy_from_name_what_it_copies_from(setup: Setup, name: str) -> None:
    step = Step(Copy(("/etc/hostname",), "/b", from_input=True, link=True), (BASE, BASE))
    setup.origins[step.digest] = Origin("COPY …", 3, "", name)
    with pytest.raises(NotFound) as caught:
        setup.worker().run(step, [Result(()), Result(())], Job())
    assert str(caught.value) == f"Dockerfile:3: etc/hostname is not in {name}"


def test_errors_name_the_line(setup: Setup) -> None:
    step = Step(Copy(("/missing",), "/b"), (BASE,))
    setup.origins[step.digest] = Origin("COPY missing /b", 12)
    with pytest.raises(NotFound) as caught:
        setup.worker().run(step, [Result(())], Job())
    assert str(caught.value) == "Dockerfile:12: missing is not in the build context"
    assert caught.value.args == (str(caught.value),)


def test_a_copy_onto_nothing_needs_no_mount(setup: Setup) -> None:
    (setup.context / "a").write_text("1")
    os.utime(setup.context / "a", (1000, 1000))
    step = Step(Copy(("/a",), "/b"), (BASE,))
    worker = setup.worker()
    result = worker.run(step, [Result(())], Job())
    assert result.created == 1000
    (layer,) = result.layers
    assert setup.store.locate(layer_descriptor(layer)).is_file()
    assert worker.content_key(step, [Result(())], Job()) is not None
