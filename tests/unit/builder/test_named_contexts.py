"""Named contexts: their names, and what they stand for in a Dockerfile."""

from __future__ import annotations

import pytest

from corten.builder.graph import Copy, Run, SourceImage, order
from corten.builder.lower import bases, lower
from corten.builder.named_contexts import (
    NamedContext,
    context_key,
    parse_contexts,
    split_layout,
)
from corten.builder.plan import BaseImage, Plan, Wishes
from corten.dockerfile.errors import DockerfileError
from corten.dockerfile.parser import parse
from corten.errors import CortenError, Invalid, Usage
from corten.oci.digest import Digest
from corten.oci.image_config import ImageConfig, RootFS


def plan(text: str, *contexts: str, fresh: tuple[str, ...] = ()) -> tuple[Plan, list[str]]:
    """The plan, and the images that it asked for."""
    dockerfile = parse(text, "Dockerfile")
    wishes = Wishes(contexts=parse_contexts(contexts), fresh=fresh)
    asked = []
    known: dict[tuple[str, str], BaseImage] = {}
    while missing := bases(dockerfile, wishes, known):
        for each in missing:
            asked.append(each.name)
            rootfs = RootFS(diff_ids=(Digest.of(each.name.encode()),))
            config = ImageConfig(architecture="amd64", os="linux", rootfs=rootfs)
            known[each.name, str(each.platform)] = BaseImage(each.name, config)
    return lower(dockerfile, wishes, known), asked


@pytest.mark.parametrize(
    "name",
    ["alpine", "Alpine", "alpine:latest", "docker.io/library/alpine", "DOCKER.IO/library/alpine"],
)
def test_an_image_has_one_key_however_it_is_written(name: str) -> None:
    assert context_key(name) == "alpine"
    _, asked = plan("FROM docker.io/library/alpine:latest", f"{name}=docker-image://busybox:1")
    assert asked == ["busybox:1"]


def test_another_tag_is_another_image() -> None:
    _, asked = plan("FROM alpine:3.20", "alpine=docker-image://busybox")
    assert asked == ["alpine:3.20"]


def test_copies_and_mounts_take_from_files() -> None:
    text = "FROM alpine\nCOPY --from=src a /\nRUN --mount=from=src,target=/s make\n"
    made, _ = plan(text, "src=.")
    copy, run = (entry.step for entry in made.entries if entry.step)
    assert isinstance(copy.op, Copy)
    assert copy.op.context == "src"
    assert not copy.op.from_input
    assert len(copy.inputs) == 1
    mounted = run.inputs[1].op
    assert isinstance(mounted, Copy)
    assert mounted.context == "src"


def test_an_image_may_stand_for_itself() -> None:
    digest = "sha256:" + "1" * 64
    _, asked = plan("FROM alpine", f"alpine=docker-image://alpine@{digest}")
    assert asked == [f"alpine@{digest}"]


def test_files_are_a_file_system_to_begin_with() -> None:
    made, asked = plan("FROM src\nCOPY a /\n", "src=../src")
    first = next(step.op for step in order([made.root]) if isinstance(step.op, Copy))
    assert (first.context, first.sources, first.destination) == ("src", ("/",), "/")
    assert asked == [] and made.base is None
    titles = [origin.title for origin in made.graph.origins.values()]
    assert titles == ["[context src 1/1] files of context src", "[stage-0 1/1] COPY a /"]
    assert len([e for e in made.entries if e.step]) == 2


def test_a_stage_of_that_name_is_replaced() -> None:
    text = "FROM alpine AS base\nRUN make\nFROM base\nCOPY --from=base /x /\n"
    made, asked = plan(text, "base=docker-image://busybox")
    assert asked == ["busybox"]
    names = [step.op.name for step in order([made.root]) if isinstance(step.op, SourceImage)]
    assert names == ["busybox"]


def test_a_context_may_be_another_stage() -> None:
    text = "FROM alpine AS tools\nRUN a\nFROM debian AS base\nFROM scratch\nCOPY --from=base /x /\n"
    _, asked = plan(text, "base=target:tools")
    assert asked == ["alpine"]
    with pytest.raises(DockerfileError, match="stage 'tool', which there is not"):
        plan(text, "base=target:tool")
    with pytest.raises(DockerfileError, match="need one another"):
        plan(text, "base=target:base")


def test_copies_take_from_contexts() -> None:
    _, asked = plan("FROM scratch\nCOPY --from=nginx /x /\n", "nginx=oci-layout:///srv/l:v1")
    assert asked == ["oci-layout:///srv/l:v1"]


def test_steps_of_chosen_stages_are_fresh() -> None:
    text = "FROM alpine AS a\nRUN 1\nRUN 2\nFROM alpine AS b\nRUN 3\nCOPY --from=a /x /\n"
    made, _ = plan(text, fresh=("a",))
    fresh = [step.op for step in order([made.root]) if step.digest in made.fresh]
    assert [op.args[-1] for op in fresh if isinstance(op, Run)] == ["1", "2"]
    assert len(fresh) == 2
    assert len(plan(text, fresh=("A", "1"))[0].fresh) == 4
    with pytest.raises(DockerfileError, match="no stage 'c'"):
        plan(text, fresh=("c",))


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("x", Usage),
        ("=y", Usage),
        ("x=", Usage),
        ("scratch=.", Usage),
        ("a b=.", Usage),
        ("x=docker-image://UPPER", Invalid),
        ("x=oci-layout://", Invalid),
    ],
)
def test_what_names_nothing_is_refused(text: str, family: type[CortenError]) -> None:
    with pytest.raises(family):
        parse_contexts([text])


def test_values_are_told_apart() -> None:
    digest = "sha256:" + "2" * 64
    assert parse_contexts(["A=d=e", "b=target:s"]) == {
        "a": NamedContext("files", "d=e"),
        "b": NamedContext("stage", "s"),
    }
    assert split_layout("oci-layout:///a/b") == ("/a/b", "")
    assert split_layout("oci-layout://a:1.0") == ("a", "1.0")
    assert split_layout(f"oci-layout://a:b@{digest}") == ("a:b", digest)
