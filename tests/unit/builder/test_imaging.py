"""From a plan and results to the configuration of an image."""

from __future__ import annotations

from corten.builder.graph import Graph, Run, Scratch, SourceImage, Step
from corten.builder.imaging import image_config
from corten.builder.plan import BaseImage, Entry, Plan
from corten.builder.worker import Result
from corten.oci.digest import Digest
from corten.oci.image_config import (
    ContainerConfig,
    History,
    ImageConfig,
    RootFS,
    encode_config,
    parse_config,
)
from corten.oci.platform import Platform

A, B, C = (Digest.of(name) for name in (b"a", b"b", b"c"))
AMD = Platform.parse("linux/amd64")
CONFIG = ContainerConfig(env=("P=q",))


def base(created: str = "2020-01-01T00:00:00Z", **fields: str) -> BaseImage:
    config = ImageConfig(
        architecture="amd64",
        os="linux",
        created=created,
        rootfs=RootFS(diff_ids=(A,)),
        history=(History(created=created, created_by="before"),),
    )
    return BaseImage("docker.io/library/base:latest", config)


def chain(*names: str, upon: BaseImage | None = None) -> list[Step]:
    start = Step(SourceImage(upon.name, upon.config.diff_ids)) if upon else Step(Scratch())
    steps = [start]
    for name in names:
        steps.append(Step(Run((name,)), (steps[-1],)))
    return steps


def plan(steps: list[Step], entries: list[Entry], upon: BaseImage | None, **more: object) -> Plan:
    graph = Graph((steps[-1],))
    return Plan(graph, steps[-1], CONFIG, AMD, tuple(entries), upon, **more)  # type: ignore[arg-type]


def test_history_has_a_line_an_instruction_and_layers_only_where_something_changed() -> None:
    steps = chain("one", "nothing", "two")
    entries = [
        Entry("RUN one", steps[1]),
        Entry("ENV x"),
        Entry("RUN nothing", steps[2], "me"),
        Entry("RUN two", steps[3]),
    ]
    results = {
        steps[1]: Result((A,), 100),
        steps[2]: Result((A,), 200),
        steps[3]: Result((A, B), 150),
    }
    config = image_config(plan(steps, entries, None, author="me"), results)
    assert config.diff_ids == (A, B)
    assert [(h.created_by, h.empty_layer, h.author) for h in config.history] == [
        ("RUN one", False, ""),
        ("ENV x", True, ""),
        ("RUN nothing", True, "me"),
        ("RUN two", False, ""),
    ]
    assert [h.created[-6:] for h in config.history] == ["01:40Z", "01:40Z", "03:20Z", "03:20Z"]
    assert config.created == "1970-01-01T00:03:20Z"
    assert config.author == "me"
    assert sum(not h.empty_layer for h in config.history) == len(config.diff_ids)


def test_the_base_s_layers_and_history_come_first() -> None:
    upon = base()
    steps = chain("one", upon=upon)
    config = image_config(
        plan(steps, [Entry("RUN one", steps[1])], upon), {steps[1]: Result((A, B), 5)}
    )
    assert config.diff_ids == (A, B)
    assert [h.created_by for h in config.history] == ["before", "RUN one"]
    # What was brought in is older than the base: time does not go back.
    assert config.history[1].created == config.created == "2020-01-01T00:00:00Z"


def test_source_date_epoch_stands_for_the_build_s_own_times() -> None:
    upon = base()
    steps = chain("one", upon=upon)
    found = plan(steps, [Entry("RUN one", steps[1])], upon, epoch=60)
    config = image_config(found, {steps[1]: Result((A, B), 5)})
    assert [h.created for h in config.history] == ["2020-01-01T00:00:00Z", "1970-01-01T00:01:00Z"]
    assert config.created == "1970-01-01T00:01:00Z"


def test_from_alone_gives_the_base_s_layers_and_time() -> None:
    upon = base("2021-02-03T04:05:06.789Z")
    config = image_config(plan(chain(upon=upon), [], upon), {})
    assert (config.diff_ids, config.created) == ((A,), "2021-02-03T04:05:06.789Z")


def test_a_base_with_an_odd_time_counts_as_old() -> None:
    for odd in ("", "yesterday", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+99:99"):
        upon = base(odd)
        config = image_config(plan(chain(upon=upon), [Entry("ENV a")], upon), {})
        assert config.created == "1970-01-01T00:00:00Z"


def test_nanoseconds_and_offsets_of_a_base_are_understood() -> None:
    for text in ("2020-01-01T00:00:00.123456789Z", "2020-01-01T02:00:00+02:00"):
        upon = base(text)
        config = image_config(plan(chain(upon=upon), [Entry("ENV a")], upon), {})
        assert config.created == "2020-01-01T00:00:00Z"


def test_the_same_plan_gives_the_same_bytes() -> None:
    steps = chain("one")
    found = plan(steps, [Entry("RUN one", steps[1])], None)
    raw = [encode_config(image_config(found, {steps[1]: Result((C,), 7)})) for _ in range(2)]
    assert raw[0] == raw[1]
    again = parse_config(raw[0])
    assert again.config.env == ("P=q",)
    assert again.diff_ids == (C,)
