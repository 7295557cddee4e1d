"""Dockerfile reference: what its sections say, one test a statement, by the examples' own words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corten.builder.graph import Copy, Run
from corten.builder.lower import bases, lower
from corten.builder.plan import BaseImage, Plan, Wishes
from corten.dockerfile.errors import DockerfileError
from corten.dockerfile.instructions import Dockerfile
from corten.dockerfile.parser import parse
from corten.dockerfile.syntax import SHAPES
from corten.errors import CortenError
from corten.oci.image_config import ContainerConfig, ImageConfig, RootFS


def planned(text: str, **wishes: object) -> Plan:
    dockerfile = parse(text)
    asked = Wishes(**wishes)  # type: ignore[arg-type]
    config = ImageConfig(
        architecture="amd64",
        os="linux",
        config=ContainerConfig(labels={"from": "base"}, cmd=("base",)),
        rootfs=RootFS(diff_ids=()),
    )
    known = {
        (request.name, str(request.platform)): BaseImage(request.name, config)
        for request in bases(dockerfile, asked)
    }
    return lower(dockerfile, asked, known)


def commands(text: str, **wishes: object) -> list[tuple[str, ...]]:
    return [step.op.args for step in planned(text, **wishes).graph if isinstance(step.op, Run)]


def script(text: str) -> str:
    return commands(f"FROM a\n{text}")[-1][-1]


# Format


@pytest.mark.parametrize("keyword", sorted(SHAPES))
def test_format_instructions_are_not_case_sensitive(keyword: str) -> None:
    examples = {
        "FROM": "FROM x", "RUN": "RUN x", "CMD": "CMD x", "LABEL": "LABEL a=b", "ENV": "ENV a=b",
        "MAINTAINER": "MAINTAINER x", "EXPOSE": "EXPOSE 1", "ADD": "ADD a b", "COPY": "COPY a b",
        "ENTRYPOINT": "ENTRYPOINT x", "VOLUME": "VOLUME /x", "USER": "USER x", "ARG": "ARG x",
        "WORKDIR": "WORKDIR /x", "ONBUILD": "ONBUILD RUN x", "STOPSIGNAL": "STOPSIGNAL 9",
        "HEALTHCHECK": "HEALTHCHECK NONE", "SHELL": 'SHELL ["x"]',
    }  # fmt: skip
    example = examples[keyword]
    word, _, rest = example.partition(" ")
    for form in (word.lower(), word.title(), word):
        parsed: Dockerfile = parse(f"FROM a\n{form} {rest}\n")
        assert len(parsed.stages) + len(parsed.stages[0].instructions) == 2


def test_format_comments_are_removed_before_execution() -> None:
    assert script("RUN echo hello \\\n# comment\nworld") == script("RUN echo hello \\\nworld")


def test_format_a_marker_elsewhere_is_an_argument() -> None:
    assert script("RUN echo 'some # of cool things'") == "echo 'some # of cool things'"


def test_format_leading_white_space_is_ignored_but_not_in_arguments() -> None:
    assert script("    RUN echo hello") == "echo hello"
    assert script('RUN echo "\\\n     hello\\\n     world"') == 'echo "     hello     world"'


def test_format_a_dockerfile_begins_with_from_after_directives_comments_and_args() -> None:
    assert parse("# escape=`\n# x\nARG a\n\nFROM b\n").stages[0].source.image == "b"
    with pytest.raises(DockerfileError):
        parse("ENV a=b\nFROM b\n")


# Parser directives


def test_escape_backtick_leaves_backslashes_alone() -> None:
    text = "# escape=`\n\nFROM a\nCOPY testfile.txt c:\\\nRUN dir c:\\\n"
    plan = planned(text)
    copies = [step.op for step in plan.graph if isinstance(step.op, Copy)]
    assert copies[0].destination == "/c:\\"
    assert commands(text) == [("/bin/sh", "-c", "dir c:\\")]


def test_escape_is_not_performed_in_run_except_at_the_end_of_a_line() -> None:
    assert script("RUN echo \\$x \\n") == "echo \\$x \\n"


# Environment replacement


@pytest.mark.parametrize(
    ("line", "parsed"),
    [
        ("WORKDIR ${FOO}", "/bar"),
        ("WORKDIR $FOO/x", "/bar/x"),
        ("WORKDIR \\$FOO", "/$FOO"),
        ("WORKDIR ${FOO}_bar", "/bar_bar"),
    ],
)
def test_environment_replacement_examples(line: str, parsed: str) -> None:
    assert planned(f"FROM scratch\nENV FOO=/bar\n{line}\n").config.working_dir == parsed


@pytest.mark.parametrize(
    "line",
    [
        "ADD $V /x",
        "COPY $V /x",
        "ENV E=$V",
        "EXPOSE $V",
        "LABEL l=$V",
        "USER $V",
        "VOLUME $V",
        "WORKDIR $V",
        "STOPSIGNAL $V",
        "ONBUILD USER $V",
    ],
)
def test_environment_replacement_is_for_these_instructions(line: str) -> None:
    text = f"FROM scratch AS s\nENV V=9\n{line}\nFROM s\n"
    history = [entry.created_by for entry in planned(text).entries]
    assert any("9" in line and "V=9" not in line for line in history)


@pytest.mark.parametrize("line", ['CMD ["$V"]', "CMD $V", "ENTRYPOINT $V", "RUN $V", 'RUN ["$V"]'])
def test_environment_replacement_is_the_shell_s_for_run_cmd_entrypoint(line: str) -> None:
    history = [entry.created_by for entry in planned(f"FROM a\nENV V=9\n{line}\n").entries]
    assert "$V" in history[-1]


# Shell and exec form


def test_exec_form_needs_double_quotes() -> None:
    assert commands("FROM a\nRUN ['echo']\n") == [("/bin/sh", "-c", "['echo']")]


def test_exec_form_with_unescaped_backslashes_is_shell_form() -> None:
    line = 'RUN ["c:\\windows\\system32\\tasklist.exe"]'
    assert commands(f"FROM a\n{line}\n")[0][:2] == ("/bin/sh", "-c")
    assert commands(f"FROM a\n{line.replace(chr(92), chr(92) * 2)}\n") == [
        ("c:\\windows\\system32\\tasklist.exe",)
    ]


# FROM, ARG


def test_from_sees_arguments_declared_before_it() -> None:
    text = "ARG  CODE_VERSION=latest\nFROM base:${CODE_VERSION}\nCMD  /code/run-app\nFROM extras:${CODE_VERSION}\n"
    assert [r.name for r in bases(parse(text), Wishes())] == ["extras:latest"]
    assert [r.name for r in bases(parse(text), Wishes(target="0"))] == ["base:latest"]
    given = Wishes(build_args={"CODE_VERSION": "7"})
    assert [r.name for r in bases(parse(text), given)] == ["extras:7"]


def test_an_argument_before_from_is_outside_of_every_stage() -> None:
    run = "RUN echo $VERSION"
    outside = planned(f"ARG VERSION=latest\nFROM busybox:$VERSION\n{run}\n")
    inside = planned(f"ARG VERSION=latest\nFROM busybox:$VERSION\nARG VERSION\n{run}\n")
    assert "VERSION=latest" not in outside.root.op.env  # type: ignore[union-attr]
    assert "VERSION=latest" in inside.root.op.env  # type: ignore[union-attr]


def test_env_overrides_arg_of_the_same_name() -> None:
    text = "FROM ubuntu\nARG CONT_IMG_VER\nENV CONT_IMG_VER=v1.0.0\nRUN x\n"
    op = planned(text, build_args={"CONT_IMG_VER": "v2.0.1"}).root.op
    assert isinstance(op, Run)
    assert "CONT_IMG_VER=v1.0.0" in op.env
    assert "CONT_IMG_VER=v2.0.1" not in op.env


@pytest.mark.parametrize(
    ("lines", "differs"),
    [
        ("ARG V\nRUN echo $V", True),
        ("ARG V\nRUN echo hello", True),
        ("ARG V\nENV V=$V\nRUN echo $V", True),
        ("ARG V\nENV V=hello\nRUN echo $V", False),
        ("RUN echo $V\nARG V", False),
    ],
)
def test_impact_of_an_argument_on_caching(lines: str, differs: bool) -> None:
    roots = {
        planned(f"FROM ubuntu\n{lines}\n", build_args={"V": value}).root.digest
        for value in ("1", "2")
    }
    assert (len(roots) == 2) is differs


# LABEL, CMD, ENTRYPOINT


def test_labels_of_one_line_or_several_are_the_same() -> None:
    one = planned('FROM a\nLABEL multi.label1="value1" multi.label2="value2" other="value3"\n')
    several = planned(
        'FROM a\nLABEL multi.label1="value1" \\\n  multi.label2="value2" \\\n  other="value3"\n'
    )
    assert one.config.labels == several.config.labels
    assert one.config.labels["from"] == "base"


def test_label_values_can_span_lines() -> None:
    text = 'FROM a\nLABEL description="This text illustrates \\\nthat label-values can span multiple lines."\n'
    assert planned(text).config.labels["description"] == (
        "This text illustrates that label-values can span multiple lines."
    )


def test_single_quotes_take_a_value_as_it_is() -> None:
    assert planned("FROM a\nENV V=1\nLABEL e='foo-$V'\n").config.labels["e"] == "foo-$V"


def test_labels_of_copied_from_stages_are_not_in_the_output() -> None:
    plan = planned("FROM a AS x\nLABEL only=x\nFROM scratch\nCOPY --from=x /a /b\n")
    assert plan.config.labels == {}


def test_only_the_last_cmd_takes_effect() -> None:
    assert planned('FROM a\nCMD ["1"]\nCMD ["2"]\n').config.cmd == ("2",)


def test_env_forms() -> None:
    env = planned(
        'FROM a\nENV MY_NAME="John Doe" MY_DOG=Rex\\ The\\ Dog \\\n    MY_CAT=fluffy\n'
    ).config.environment()
    assert (env["MY_NAME"], env["MY_DOG"], env["MY_CAT"]) == ("John Doe", "Rex The Dog", "fluffy")
    assert (
        planned("FROM a\nENV ONE TWO= THREE=world\n").config.environment()["ONE"]
        == "TWO= THREE=world"
    )


# ONBUILD, HEALTHCHECK


def test_onbuild_may_not_chain_nor_trigger_from_or_maintainer() -> None:
    for trigger in ("ONBUILD RUN x", "FROM x", "MAINTAINER x"):
        with pytest.raises(DockerfileError):
            parse(f"FROM a\nONBUILD {trigger}\n")


def test_only_the_last_healthcheck_takes_effect() -> None:
    plan = planned(
        "FROM a\nHEALTHCHECK CMD one\nHEALTHCHECK --interval=5m --timeout=3s CMD two || exit 1\n"
    )
    assert plan.config.healthcheck is not None
    assert plan.config.healthcheck.test == ("CMD-SHELL", "two || exit 1")
    none = planned("FROM a\nHEALTHCHECK CMD x\nHEALTHCHECK NONE\n").config.healthcheck
    assert none is not None
    assert none.test == ("NONE",)


# Whatever somebody writes


_WORDS = st.sampled_from(
    [*SHAPES, "a", "b:1", "/x", "$V", "${V:-", "}", "'", '"', "\\", "\n", "\\\n", " ", "=", "[", "]",
     '["a"]', "--from=x", "--", "<<E", "\nE\n", "#", "AS", "x", "scratch", "80/tcp", "CMD", "\t", "é"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(_WORDS, max_size=25).map(" ".join))
def test_any_text_is_a_plan_or_an_error_of_ours(text: str) -> None:
    try:
        planned(f"FROM a AS x\n{text}\n")
    except CortenError as error:
        assert str(error)
