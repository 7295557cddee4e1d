"""What a build says of its Dockerfile's checks."""

from __future__ import annotations

import pytest

from corten.builder.named_contexts import parse_contexts
from corten.builder.plan import BaseImage, Wishes
from corten.builder.reviewing import facts, facts_of, review, surroundings
from corten.dockerfile.errors import DockerfileError
from corten.dockerfile.ignore import Ignore, parse_ignore
from corten.dockerfile.parser import parse
from corten.oci.image_config import ContainerConfig, ImageConfig, RootFS

BASE = ImageConfig(
    architecture="amd64",
    os="linux",
    rootfs=RootFS(diff_ids=()),
    config=ContainerConfig(env=("V=1",), entrypoint=("/e",), on_build=("ENV T=1",)),
)
KNOWN = {("base", "linux/amd64"): BaseImage("docker.io/library/base:latest", BASE)}


def said(text: str, ignore: str = "", *contexts: str) -> tuple[str, ...]:
    wishes = Wishes(contexts=parse_contexts(contexts))
    parsed = parse(text)
    around = surroundings(text, parsed, wishes, parse_ignore(ignore), facts_of(KNOWN), last=True)
    return review(text, parsed, around)


def test_a_clean_file_is_not_spoken_of() -> None:
    assert said('FROM base\nENV A=$V$T\nCMD ["x"]\n') == ()


def test_one_line_has_the_count_and_rules_with_lines() -> None:
    text = "FROM base as b\nENV A=$W\nCOPY x /\nCOPY y /\nENV A b\nENV B c\nENV C d\nENV D e\n"
    assert said(text, "x\ny") == (
        "Dockerfile: 8 warnings of the checks: FromAsCasing (line 1), UndefinedVar (line 2),"
        " CopyIgnoredFile (lines 3, 4), LegacyKeyValueFormat (lines 5, 6, 7, …);"
        " build --check explains",
    )


def test_a_single_one() -> None:
    assert said("FROM base as b\n") == (
        "Dockerfile: 1 warning of the checks: FromAsCasing (line 1); build --check explains",
    )


def test_stages_that_are_not_built_are_not_spoken_of() -> None:
    assert said("FROM base as b\nFROM base\n") == ()


def test_a_file_that_asks_for_errors_is_refused_with_the_place() -> None:
    with pytest.raises(DockerfileError) as caught:
        said("# check=error=true\nFROM base as b\nENV A c\n")
    assert str(caught.value) == (
        "Dockerfile:2: FromAsCasing: 'as' and 'FROM' keywords' casing do not match"
        " (and others: FromAsCasing, LegacyKeyValueFormat)"
    )
    assert said("# check=error=true;skip=all\nFROM base as b\n") == ()


def test_what_is_known_of_an_image() -> None:
    known = facts(BASE)
    assert (known.environment, known.entrypoint, known.shell) == ({"V": "1"}, True, False)
    assert known.triggers == ("ENV T=1",)
    assert str(known.platform) == "linux/amd64"
    text = "FROM base AS x\nFROM no"
    wishes = Wishes(target="x")
    around = surroundings(text, parse(text), wishes, Ignore(), facts_of(KNOWN))
    assert (around.target, around.automatic["TARGETARCH"]) == ("x", "amd64")
    assert dict(around.bases) == {("base", "linux/amd64"): known}


def test_named_contexts_are_what_they_stand_for() -> None:
    text = "FROM other\nENV A=$V$W\n"
    assert said(text) == ()  # nothing is known of it
    (image,) = said(text, "", "other=docker-image://base")
    (files,) = said(text, "", "docker.io/library/other:latest=.")
    assert "1 warning of" in image  # W
    assert "2 warnings of" in files
    assert said(text, "", "other=target:x") == ()
