"""Typed instructions: what they hold, and what is refused with which hint."""

from __future__ import annotations

import pytest

from corten.dockerfile import instructions as kinds
from corten.dockerfile.durations import parse_duration
from corten.dockerfile.errors import DockerfileError, did_you_mean
from corten.dockerfile.parser import parse, parse_trigger
from corten.errors import Invalid


def one(text: str) -> kinds.Instruction:
    (instruction,) = parse(f"FROM a\n{text}").stages[0].instructions
    return instruction


def test_stages_are_named_and_numbered() -> None:
    parsed = parse(
        "ARG V=1\nFROM a:$V AS Build\nRUN x\nFROM --platform=linux/arm64 b\nFROM build as c\n"
    )
    assert [stage.title for stage in parsed.stages] == ["build", "stage-1", "c"]
    assert parsed.stages[1].source.platform == "linux/arm64"
    assert parsed.arguments[0].pairs == (("V", "1"),)
    assert parsed.stage("BUILD") is parsed.stages[0]
    assert parsed.stage("1") is parsed.stages[1]
    assert parsed.stage("3") is None
    assert parsed.stage("x") is None


def test_of_two_stages_with_one_name_the_later_is_meant() -> None:
    parsed = parse("FROM a AS x\nFROM b AS x")
    assert parsed.stage("x") is parsed.stages[1]


@pytest.mark.parametrize(
    ("text", "args", "shell"),
    [
        ("RUN a b", ("a b",), True),
        ('RUN ["a", "b"]', ("a", "b"), False),
        ("RUN ['a']", ("['a']",), True),
        ('RUN ["a"] && b', ('["a"] && b',), True),
        ('RUN [ "$(a)" = b ]', ('[ "$(a)" = b ]',), True),
    ],
)
def test_shell_and_exec_form(text: str, args: tuple[str, ...], shell: bool) -> None:
    run = one(text)
    assert isinstance(run, kinds.Run)
    assert (run.command.args, run.command.shell) == (args, shell)


def test_run_flags() -> None:
    run = one("RUN --network=none a")
    assert isinstance(run, kinds.Run)
    assert run.network == "none"


def test_copy_has_flags_sources_and_a_destination() -> None:
    copy = one('COPY --from=build --chown=1:2 --chmod=755 --link ["a b", "c", "/d/"]')
    assert isinstance(copy, kinds.Copy)
    assert (copy.sources, copy.destination) == (("a b", "c"), "/d/")
    assert (copy.source_stage, copy.chown, copy.chmod, copy.link) == ("build", "1:2", "755", True)


def test_link_may_be_said_to_be_false() -> None:
    add = one("ADD --link=false a b")
    assert isinstance(add, kinds.Add)
    assert not add.link


def test_arguments_may_lack_a_default_or_have_an_empty_one() -> None:
    arg = one('ARG a b= c="d e"')
    assert isinstance(arg, kinds.Arg)
    assert arg.pairs == (("a", None), ("b", ""), ("c", '"d e"'))


def test_env_has_two_forms() -> None:
    new, old = one("ENV a=b c='d e'"), one("ENV a b=c d")
    assert isinstance(new, kinds.Env)
    assert isinstance(old, kinds.Env)
    assert new.pairs == (("a", "b"), ("c", "'d e'"))
    assert old.pairs == (("a", "b=c d"),)


def test_a_healthcheck_has_times_in_nanoseconds() -> None:
    check = one("HEALTHCHECK --interval=1m30s --timeout=500ms --retries=4 CMD curl x || exit 1")
    assert isinstance(check, kinds.Healthcheck)
    assert (check.interval, check.timeout, check.retries) == (90_000_000_000, 500_000_000, 4)
    assert check.command is not None
    assert check.command.shell
    assert check.command.args == ("curl x || exit 1",)


def test_a_healthcheck_may_be_none_or_an_array() -> None:
    none, array = one("HEALTHCHECK NONE"), one('HEALTHCHECK CMD ["a", "b"]')
    assert isinstance(none, kinds.Healthcheck)
    assert isinstance(array, kinds.Healthcheck)
    assert none.command is None
    assert array.command == kinds.Command(("a", "b"), False)


def test_onbuild_keeps_its_trigger_as_text() -> None:
    onbuild = one("ONBUILD   COPY . /app")
    assert isinstance(onbuild, kinds.Onbuild)
    assert onbuild.trigger == "COPY . /app"
    assert isinstance(parse_trigger(onbuild.trigger), kinds.Copy)


def test_an_onbuild_heredoc_travels_with_the_trigger() -> None:
    onbuild = one("ONBUILD RUN <<E\nx\nE\n")
    assert isinstance(onbuild, kinds.Onbuild)
    run = parse_trigger(onbuild.trigger)
    assert isinstance(run, kinds.Run)
    assert run.command.heredocs[0].content == "x\n"


@pytest.mark.parametrize(
    ("text", "reason", "hint"),
    [
        ("COPPY a b", "unknown instruction COPPY", "did you mean COPY?"),
        ("run --newtork=none x", "RUN has no flag --newtork", "did you mean network?"),
        ("COPY --form=x a b", "COPY has no flag --form", "did you mean from?"),
        ("COPY --from a b", "--from needs a value", "--from=VALUE"),
        ("COPY --from=a --from=b c d", "--from stands twice", ""),
        ("COPY --from=$X a b", "without variables", "FROM $IMAGE AS NAME"),
        ("COPY --link=perhaps a b", "true or false", ""),
        ("CMD --x y", "CMD has no flag --x", "CMD takes no flags"),
        ("COPY a", "needs at least one source and a destination", "COPY SOURCE"),
        ('COPY ["", "b"]', "a path is empty", ""),
        ("ENV A", "ENV A has no value", "write ENV A=value"),
        ("ENV a=b c", "no = in 'c'", "quote"),
        ("ENV", "needs a name and a value", ""),
        ("LABEL =x", "a name is empty", ""),
        ("ARG 1a=b", "is not a variable name", ""),
        ("ARG", "needs at least one argument", "ARG NAME"),
        ("SHELL /bin/sh -c", "SHELL takes a JSON array", '["/bin/sh", "-c"]'),
        ("CMD [1]", "something else than strings", "word"),
        ("RUN", "RUN needs a command", ""),
        ("RUN --network=nat x", "unknown network 'nat'", ""),
        ("USER", "needs one argument", "USER NAME"),
        ("WORKDIR", "needs one argument", ""),
        ("VOLUME", "at least one argument", ""),
        ("EXPOSE", "at least one argument", ""),
        ("ENTRYPOINT", "ENTRYPOINT needs a command", ""),
        ("ONBUILD", "ONBUILD needs an instruction", ""),
        ("ONBUILD ONBUILD RUN x", "ONBUILD cannot be an ONBUILD trigger", ""),
        ("ONBUILD FROM x", "FROM cannot be an ONBUILD trigger", ""),
        ("ONBUILD COPY a", "needs at least one source", ""),
        ("HEALTHCHECK", "takes CMD and a command, or NONE", ""),
        ("HEALTHCHECK CMD", "needs a command", ""),
        ("HEALTHCHECK NONE x", "stands alone", ""),
        ("HEALTHCHECK --interval=soon CMD x", "'soon' is not a duration", "30s"),
        ("HEALTHCHECK --interval=1us CMD x", "at least 1ms", ""),
        ("HEALTHCHECK --retries=-1 CMD x", "is a number", ""),
        ("FROM a b", "takes an image and, after AS, a name", "FROM IMAGE [AS NAME]"),
        ("FROM a AS 1x", "invalid stage name", "a letter"),
    ],
)
def test_mistakes_are_refused_with_line_and_hint(text: str, reason: str, hint: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse(f"FROM a\n\n{text}\n", "app.Dockerfile")
    error = caught.value
    assert str(error).startswith("app.Dockerfile:3: ")
    assert reason in str(error)
    assert hint in error.hint
    assert error.source == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it has no instructions"),
        ("# x\n", "it has no instructions"),
        ("ARG a=b\n", "it has no FROM"),
        ("RUN x\nFROM a", "RUN stands before the first FROM"),
    ],
)
def test_a_file_without_a_stage_is_refused(text: str, reason: str) -> None:
    with pytest.raises(DockerfileError, match=reason):
        parse(text)


def test_a_trigger_that_is_none_is_refused() -> None:
    for text in ("FROM x", "ONBUILD RUN x", "MAINTAINER x", "RUN a\nRUN b", "NONSENSE"):
        with pytest.raises(DockerfileError):
            parse_trigger(text)


def test_an_error_points_at_the_part_that_is_wrong() -> None:
    with pytest.raises(DockerfileError) as caught:
        parse("FROM a\n\tCOPY --form=x a b")
    assert caught.value.excerpt == "   2 | \tCOPY --form=x a b\n       \t     ^^^^^^^^"


def test_an_error_without_a_part_points_at_the_whole_line() -> None:
    error = DockerfileError("x", line=12, source="  RUN")
    assert error.excerpt == "  12 |   RUN\n         ^^^"
    assert DockerfileError("x").excerpt == ""


def test_suggestions_name_the_nearest_or_all() -> None:
    assert did_you_mean("FORM", ["FROM", "RUN"]) == "did you mean FROM?"
    assert did_you_mean("xyz", ["b", "a"]) == "known: a, b"
    assert did_you_mean("x", []) == "none is known here"


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("1.5s", 1_500_000_000),
        ("2h45m", 9_900_000_000_000),
        (".5ms", 500_000),
        ("3µs", 3000),
    ],
)
def test_durations_are_go_s(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "1", "s", "1 s", "-1s", "1d", "1e3s", "99999999999h", "1s x"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_duration(text)


def test_flags_that_may_stand_several_times_keep_their_order() -> None:
    run, copy, add = (
        parse(
            "FROM a AS b\n"
            "RUN --mount=type=cache,target=/x --mount=from=b,target=/y,rw --device=d --security=insecure z\n"
            "COPY --parents --exclude=*.md --exclude=x/** a b/\n"
            "ADD --unpack=false --keep-git-dir --checksum=sha256:1 --exclude=q a b/\n"
        )
        .stages[0]
        .instructions
    )
    assert isinstance(run, kinds.Run)
    assert [mount.options for mount in run.mounts] == [
        (("type", "cache"), ("target", "/x")),
        (("from", "b"), ("target", "/y"), ("readwrite", "true")),
    ]
    assert run.origins == ("b",)
    assert (run.devices, run.security) == (("d",), "insecure")
    assert isinstance(copy, kinds.Copy)
    assert (copy.parents, copy.excludes) == (True, ("*.md", "x/**"))
    assert isinstance(add, kinds.Add)
    assert (add.unpack, add.keep_git_dir, add.checksum) == (False, True, "sha256:1")
    assert add.excludes == ("q",)
