"""Lowering: which steps and which image a Dockerfile means."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from corten.builder.graph import Copy, MakeDirectory, Run, Scratch, SourceImage, Step
from corten.builder.lower import bases, lower
from corten.builder.plan import BaseImage, Plan, Wishes
from corten.dockerfile.errors import DockerfileError
from corten.dockerfile.parser import parse
from corten.errors import Invalid
from corten.oci.digest import Digest
from corten.oci.image_config import ContainerConfig, History, ImageConfig, RootFS
from corten.oci.platform import Platform

LAYER = Digest.of(b"layer")
ARM = Platform.parse("linux/arm64")


def image(name: str = "docker.io/library/base:latest", **container: object) -> BaseImage:
    config = ContainerConfig(**container)  # type: ignore[arg-type]
    return BaseImage(
        name,
        ImageConfig(
            architecture="amd64",
            os="linux",
            author="somebody",
            config=config,
            rootfs=RootFS(diff_ids=(LAYER,)),
            history=(History(created_by="before"),),
        ),
    )


def plan(text: str, base: BaseImage | None = None, **wishes: object) -> Plan:
    known = {("base", "linux/amd64"): base or image()}
    return lower(parse(text), Wishes(**wishes), known)  # type: ignore[arg-type]


def chain(step: Step) -> list[object]:
    """The operations from the bottom up, along first inputs."""
    found: list[object] = []
    while True:
        found.insert(0, step.op)
        if not step.inputs:
            return found
        step = step.inputs[0]


def runs(found: Plan) -> list[Run]:
    return [step.op for step in found.graph if isinstance(step.op, Run)]


def created_by(found: Plan) -> list[str]:
    return [entry.created_by for entry in found.entries]


def test_scratch_is_the_empty_file_system_with_a_path() -> None:
    found = plan("FROM scratch\nCOPY a /b\n")
    assert chain(found.root) == [Scratch(), Copy(sources=("/a",), destination="/b")]
    assert found.base is None
    assert found.config.env == (
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    )
    assert found.config.working_dir == "/"


def test_a_base_image_gives_layers_and_configuration() -> None:
    found = plan(
        "FROM base\nRUN x\n", image(env=("A=b",), user="u", working_dir="/w", labels={"l": "1"})
    )
    source, run = chain(found.root)
    assert source == SourceImage("docker.io/library/base:latest", (LAYER,))
    assert isinstance(run, Run)
    assert (run.args, run.cwd, run.user) == (("/bin/sh", "-c", "x"), "/w", "u")
    assert run.env[0] == "A=b"
    assert run.env[1].startswith("PATH=")
    assert found.config.labels == {"l": "1"}
    assert found.author == "somebody"


def test_instructions_set_the_configuration() -> None:
    found = plan(
        "FROM base\n"
        'LABEL a=b "c d"="e f"\nENV X=1 Y="$X z"\nUSER me:us\nEXPOSE 80 53/udp 8000-8001\n'
        'VOLUME ["/v"] \nSTOPSIGNAL SIGINT\nENTRYPOINT ["/e"]\nCMD ["c"]\n'
        'SHELL ["/bin/bash", "-c"]\nHEALTHCHECK --interval=3s CMD t\nMAINTAINER Me\nONBUILD RUN o\n'
    )
    config = found.config
    assert config.labels == {"a": "b", "c d": "e f"}
    assert config.environment()["Y"] == " z"
    assert config.user == "me:us"
    assert list(config.exposed_ports) == ["80/tcp", "53/udp", "8000/tcp", "8001/tcp"]
    assert (list(config.volumes), config.stop_signal) == (["/v"], "SIGINT")
    assert (config.entrypoint, config.cmd) == (("/e",), ("c",))
    assert config.shell == ("/bin/bash", "-c")
    assert config.healthcheck is not None
    assert config.healthcheck.test == ("CMD-SHELL", "t")
    assert config.healthcheck.interval == 3_000_000_000
    assert config.on_build == ("RUN o",)
    assert found.author == "Me"
    assert isinstance(found.root.op, SourceImage)
    assert all(entry.step is None for entry in found.entries)


def test_history_reads_as_docker_s_users_know_it() -> None:
    found = plan(
        'FROM base\nARG V=1\nENV A=b\nRUN echo $A\nRUN ["/x", "y z"]\nCOPY --chown=1 a b /c/\nADD d .\n'
        'WORKDIR /w\nCMD x\nENTRYPOINT ["e", "f\\"g"]\nEXPOSE 80\nLABEL k=v\nUSER u\nVOLUME /v /w\n'
        'SHELL ["/s"]\nSTOPSIGNAL 9\n'
    )
    assert created_by(found) == [
        "ARG V=1",
        "ENV A=b",
        "RUN |1 V=1 /bin/sh -c echo $A",
        "RUN |1 V=1 /x y z",
        "COPY --chown=1 a b /c/",
        "ADD d /",
        "WORKDIR /w",
        'CMD ["/bin/sh" "-c" "x"]',
        'ENTRYPOINT ["e" "f\\"g"]',
        "EXPOSE [80/tcp]",
        "LABEL k=v",
        "USER u",
        "VOLUME [/v /w]",
        "SHELL [/s]",
        "STOPSIGNAL 9",
    ]
    assert [entry.step is not None for entry in found.entries] == [
        entry.created_by.split()[0] in ("RUN", "COPY", "ADD", "WORKDIR") for entry in found.entries
    ]


def test_all_of_one_env_sees_the_values_from_before_it() -> None:
    env = plan(
        "FROM base\nENV abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc\n"
    ).config.environment()
    assert (env["abc"], env["def"], env["ghi"]) == ("bye", "hello", "bye")


@pytest.mark.parametrize(
    ("lines", "path"),
    [
        ("WORKDIR /a\nWORKDIR b\nWORKDIR c", "/a/b/c"),
        ("WORKDIR a", "/a"),
        ("WORKDIR /a\nWORKDIR ../b", "/b"),
        ("ENV D=/p\nWORKDIR $D/x/", "/p/x"),
        ("WORKDIR //a//b/./c", "/a/b/c"),
        ("WORKDIR /../..", "/"),
    ],
)
def test_workdir_is_relative_to_the_one_before(lines: str, path: str) -> None:
    assert plan(f"FROM scratch\n{lines}\n").config.working_dir == path


def test_workdir_makes_the_directory_for_the_user() -> None:
    found = plan("FROM base\nUSER u\nWORKDIR /a\n")
    assert found.root.op == MakeDirectory("/a", "u")


@pytest.mark.parametrize(
    ("line", "sources", "destination"),
    [
        ("COPY a b", ("/a",), "/w/b"),
        ("COPY a b/", ("/a",), "/w/b/"),
        ("COPY a .", ("/a",), "/w/"),
        ("COPY a ./", ("/a",), "/w/"),
        ("COPY a ..", ("/a",), "/"),
        ("COPY a /", ("/a",), "/"),
        ("COPY ../../a /b", ("/a",), "/b"),
        ("COPY /a/ //b//c", ("/a",), "/b/c"),
        ("COPY . /b", ("/",), "/b"),
        ("COPY *.c x?y /b/", ("/*.c", "/x?y"), "/b/"),
        ("ENV P=/q\nADD a $P/", ("/a",), "/q/"),
        ("ENV P=q\nADD $P ${P}x", ("/q",), "/w/qx"),
        ("COPY \\$P /b", ("/$P",), "/b"),
        ("ADD http://h/a?b=c /d", ("http://h/a?b=c",), "/d"),
        ("ADD git@h:a.git#v1:x /d", ("git@h:a.git#v1:x",), "/d"),
        ("ADD https://h/a.git http://h/b /d/", ("https://h/a.git", "http://h/b"), "/d/"),
        ("COPY github.com/x /d", ("/github.com/x",), "/d"),
        ("COPY --parents ./x/./y/*.txt /d/", ("/x/./y/*.txt",), "/d/"),
        ("COPY --parents ./x/a.txt y /d/", ("/./x/a.txt", "/./y"), "/d/"),
        ("COPY --parents ../x/./../y/. /d/", ("/x/./y",), "/d/"),
        ("COPY --parents . /d/", ("/./",), "/d/"),
    ],
)
def test_where_a_copy_goes(line: str, sources: tuple[str, ...], destination: str) -> None:
    op = plan(f"FROM scratch\nWORKDIR /w\n{line}\n").root.op
    assert isinstance(op, Copy)
    assert (op.sources, op.destination) == (sources, destination)
    assert op.add is ("ADD" in line)


def test_inline_files_are_expanded_unless_quoted() -> None:
    found = plan("FROM scratch\nENV A=b\nCOPY <<E <<'F' /d/\n$A '$A'\nE\n$A\nF\n")
    op = found.root.op
    assert isinstance(op, Copy)
    assert [(i.name, i.content) for i in op.inline] == [("E", "b 'b'\n"), ("F", "$A\n")]
    assert op.sources == ()


def test_a_heredoc_of_run_is_the_script_or_goes_to_the_command() -> None:
    found = plan("FROM base\nRUN <<E\na\nb\nE\nRUN cat <<E > x\nc\nE\n")
    scripts = [run.args[2] for run in runs(found)]
    assert scripts == ["a\nb\n", "cat <<E > x\nc\nE\n"]


def test_the_shell_is_the_one_set_last() -> None:
    found = plan('FROM base\nRUN a\nSHELL ["/b", "-x"]\nRUN b\nCMD c\nENTRYPOINT d\n')
    assert [run.args for run in runs(found)] == [("/bin/sh", "-c", "a"), ("/b", "-x", "b")]
    assert (found.config.cmd, found.config.entrypoint) == (("/b", "-x", "c"), ("/b", "-x", "d"))


def test_entrypoint_drops_the_base_s_cmd_but_not_the_stage_s() -> None:
    base = image(cmd=("old",))
    assert plan('FROM base\nENTRYPOINT ["e"]\n', base).config.cmd is None
    assert plan('FROM base\nCMD ["c"]\nENTRYPOINT ["e"]\n', base).config.cmd == ("c",)
    assert plan("FROM base\n", base).config.cmd == ("old",)


# Arguments


def run_env(found: Plan) -> Mapping[str, str]:
    return dict(entry.partition("=")[::2] for entry in runs(found)[-1].env)


@pytest.mark.parametrize(
    ("head", "lines", "given", "value"),
    [
        ("", "ARG V=1", {}, "1"),
        ("", "ARG V=1", {"V": "2"}, "2"),
        ("", "ARG V", {"V": "2"}, "2"),
        ("", "ARG V", {}, None),
        ("", "", {"V": "2"}, None),
        ("ARG V=0\n", "", {}, None),
        ("ARG V=0\n", "ARG V", {}, "0"),
        ("ARG V=0\n", "ARG V=1", {}, "1"),
        ("ARG V=0\n", "ARG V", {"V": "2"}, "2"),
        ("", "ARG V=1\nENV V=3", {"V": "2"}, "3"),
        ("", "ENV V=3\nARG V=1", {"V": "2"}, "3"),
        ("", "ARG V=1\nENV V=${V:-x}", {"V": "2"}, "2"),
        ("", "ARG A=1\nARG V=$A-$A", {}, "1-1"),
        ("ARG A=1\nARG V=${A}0\n", "ARG V", {"A": "5"}, "50"),
    ],
)
def test_what_run_sees_of_an_argument(
    head: str, lines: str, given: dict[str, str], value: str | None
) -> None:
    found = plan(f"{head}FROM base\n{lines}\nRUN x\n", build_args=given)
    assert run_env(found).get("V") == value


def test_an_argument_counts_from_its_line_on() -> None:
    found = plan("FROM base\nUSER ${u:-some}\nARG u\nUSER $u\n", build_args={"u": "what"})
    assert created_by(found) == ["USER some", "ARG u=what", "USER what"]


def test_an_argument_is_inherited_by_stages_based_on_it_only() -> None:
    text = "FROM base AS a\nARG V=1\nFROM {}\nRUN x\n"
    assert run_env(plan(text.format("a")))["V"] == "1"
    assert "V" not in run_env(plan(text.format("base")))


def test_arguments_are_not_in_the_image() -> None:
    assert plan("FROM base\nARG V=1\nRUN x\n").config.environment().keys() == {"PATH"}


def test_undeclared_proxies_are_in_no_step_and_no_history() -> None:
    with_proxy = plan("FROM base\nRUN x\n", build_args={"HTTP_PROXY": "http://u:p@h"})
    without = plan("FROM base\nRUN x\n")
    assert with_proxy.root.digest == without.root.digest
    assert created_by(with_proxy) == created_by(without)
    assert with_proxy.warnings == ()


def test_a_declared_proxy_counts() -> None:
    found = plan("FROM base\nARG HTTP_PROXY\nRUN x\n", build_args={"HTTP_PROXY": "http://h"})
    assert run_env(found)["HTTP_PROXY"] == "http://h"


def test_unused_build_arguments_are_warned_of() -> None:
    found = plan("FROM base\nARG A\n", build_args={"A": "1", "B": "2", "C": "3"})
    assert found.warnings == ("build arguments that no ARG asks for: B, C",)


def test_platform_arguments_are_known_to_from_and_where_declared() -> None:
    text = (
        "FROM --platform=$BUILDPLATFORM base AS build\nARG TARGETARCH\nARG TARGETPLATFORM\nRUN x\n"
    )
    found = plan(text, platform=ARM)
    assert (run_env(found)["TARGETARCH"], run_env(found)["TARGETPLATFORM"]) == (
        "arm64",
        "linux/arm64",
    )
    assert "BUILDARCH" not in run_env(found)
    assert found.platform == Platform.parse("linux/amd64")


def test_source_date_epoch_is_taken_from_arguments_and_defaults() -> None:
    assert plan("FROM base\n").epoch is None
    assert plan("FROM base\n", build_args={"SOURCE_DATE_EPOCH": "17"}).epoch == 17
    found = plan("ARG SOURCE_DATE_EPOCH=18\nFROM base\nWORKDIR /a\n")
    assert found.epoch == 18
    assert found.root.op == MakeDirectory("/a", "", 18)
    with pytest.raises(Invalid, match="not a number of seconds"):
        plan("FROM base\n", build_args={"SOURCE_DATE_EPOCH": "soon"})


# Stages


def test_stages_are_taken_by_name_and_number() -> None:
    found = plan("FROM base AS a\nRUN x\nFROM scratch\nCOPY --from=a /p /q\nCOPY --from=0 /r /s\n")
    second = found.root
    first = second.inputs[0]
    assert isinstance(first.op, Copy)
    assert first.op.from_input
    assert first.inputs[1] == second.inputs[1]
    assert runs(found)[0].args == ("/bin/sh", "-c", "x")


def test_copy_from_an_image_asks_for_it() -> None:
    text = "FROM scratch\nCOPY --from=other:1 /a /b\n"
    (request,) = bases(parse(text), Wishes())
    assert (request.name, request.line) == ("other:1", 2)
    other = image("docker.io/library/other:1")
    found = lower(parse(text), Wishes(), {("other:1", "linux/amd64"): other})
    assert found.root.inputs[1].op == SourceImage("docker.io/library/other:1", (LAYER,))


def test_stages_that_are_not_needed_are_not_looked_at() -> None:
    text = "FROM one AS a\nFROM two:${X:?} AS b\nRUN x\nFROM a AS c\n"
    with pytest.raises(DockerfileError, match="X: required"):
        bases(parse(text), Wishes(target="b"))
    assert [request.name for request in bases(parse(text), Wishes(target="c"))] == ["one"]
    assert [request.name for request in bases(parse(text), Wishes(target="0"))] == ["one"]


def test_images_are_asked_for_once_and_by_platform() -> None:
    text = (
        "ARG T=1\nFROM x:$T AS a\nFROM --platform=linux/arm64 x:1 AS b\nFROM x:1\n"
        "COPY --from=a / /a\nCOPY --from=b / /b\n"
    )
    found = [(request.name, str(request.platform)) for request in bases(parse(text), Wishes())]
    assert sorted(found) == [("x:1", "linux/amd64"), ("x:1", "linux/arm64")]


def test_a_stage_based_on_a_stage_inherits_image_and_history() -> None:
    found = plan("FROM base AS a\nENV A=1\nRUN x\nUSER u\nFROM a\nRUN y\n")
    assert created_by(found) == ["ENV A=1", "RUN /bin/sh -c x", "USER u", "RUN /bin/sh -c y"]
    assert (found.config.user, run_env(found)["A"]) == ("u", "1")


def test_two_stages_share_their_common_steps() -> None:
    found = plan(
        "FROM base AS a\nRUN x\nFROM base AS b\nRUN x\nRUN y\nFROM a\nCOPY --from=b /p /p\n"
    )
    assert len(runs(found)) == 2


def test_steps_are_titled_by_stage() -> None:
    found = plan("FROM base AS a\nRUN x\nFROM scratch\nCOPY --from=a /p /q\nCOPY c \\\n d\n")
    titles = [origin.title for origin in found.graph.origins.values()]
    assert sorted(titles) == [
        "[a 1/2] FROM docker.io/library/base:latest",
        "[a 2/2] RUN x",
        "[stage-1 1/2] COPY --from=a /p /q",
        "[stage-1 2/2] COPY c  d",
    ]
    origin = found.graph.origins[found.root.digest]
    assert (origin.line, origin.source) == (5, "COPY c \\")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "FROM scratch AS a\nCOPY --from=b / /\nFROM scratch AS b\nCOPY --from=a / /\n",
            "need one another: b -> a -> b",
        ),
        ("FROM scratch AS a\nCOPY --from=a / /\n", "need one another: a -> a"),
        ("FROM scratch\nCOPY --from=7 / /\n", "there is no stage number 7"),
        ("FROM $NONE\n", "expands to nothing"),
        ("FROM base:${X!}\n", "unknown modifier"),
        ("FROM --platform=a/b/c/d base\n", "invalid platform"),
        ("FROM missing\n", "image missing was not found"),
        ("FROM base\nUSER $NONE\n", "USER is empty after expansion"),
        ("FROM base\nWORKDIR ''\n", "WORKDIR is empty after expansion"),
        ("FROM base\nCOPY a $NONE\n", "the destination is empty"),
        ("FROM base\nCOPY $NONE b\n", "is empty after expansion"),
        ("FROM base\nCOPY a b c\n", "several sources needs a directory"),
        ("FROM base\nCOPY --chmod=u+y a b\n", "--chmod: 'u+y' is not a mode"),
        ("FROM base\nCOPY --chmod=17777 a b\n", "is not an octal mode"),
        ("FROM base\nCOPY --exclude=[ a b\n", "--exclude: pattern '[': bracket without end"),
        ("FROM base\nADD --checksum=sha256:12 http://h/a b\n", "is not a SHA-256"),
        (f"FROM base\nADD --checksum=sha256:{'1' * 64} a b\n", "not for files"),
        (f"FROM base\nADD --checksum=sha256:{'1' * 64} http://h/a c b/\n", "a single source"),
        ("FROM base\nCOPY --chmod=789 a b\n", "is not an octal mode"),
        ("FROM base\nCOPY http://h/a b\n", "COPY does not take URLs"),
        ("FROM base\nCOPY git@h:a.git b\n", "COPY does not take Git repositories"),
        ("FROM base\nADD https://h/a.git#--x b\n", "cannot be a branch, tag or commit"),
        ("FROM base\nADD https://h/a.git#x:../y b\n", "leads out of the repository"),
        ("FROM base\nADD --checksum=sha256:0 git@h:a.git b\n", "is not a commit"),
        ("FROM base\nEXPOSE http\n", "'http' is not a port"),
        ("FROM base\nEXPOSE 70000\n", "out of range"),
        ("FROM base\nEXPOSE 80/icmp\n", "is not a protocol"),
        ("FROM base\nSTOPSIGNAL SIGFOO\n", "is not a signal"),
        ("FROM base\nVOLUME $NONE\n", "a path is empty"),
        ("FROM base\nENV ${X:-}=b\n", "is not a variable name"),
        ("FROM base\nLABEL a=${b\n", "missing }"),
        ("FROM base\nRUN []\n", "RUN needs a command"),
    ],
)
def test_mistakes_are_refused_with_file_and_line(text: str, reason: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        plan(text)
    assert reason in str(caught.value)
    assert caught.value.line
    assert str(caught.value).startswith(f"Dockerfile:{caught.value.line}: ")


def test_an_unknown_target_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(DockerfileError, match="no stage 'biuld'") as caught:
        plan("FROM base AS build\nFROM base\n", target="biuld")
    assert caught.value.hint == "did you mean build? (its stages: build, 1 (unnamed))"


def test_an_unknown_target_far_from_all_is_refused_with_the_stages_there_are() -> None:
    with pytest.raises(DockerfileError, match="no stage 'nope'") as caught:
        plan("FROM base AS zeta\nFROM base AS alpha\n", target="nope")
    assert caught.value.hint == "its stages: zeta, alpha"


@pytest.mark.parametrize("source", ["../hello", "a/../../hello", "/../hello", ".."])
def test_a_source_that_climbs_is_taken_from_the_context_with_a_warning(source: str) -> None:
    found = plan(f"FROM base\nCOPY {source} /x\n")
    (warning,) = found.warnings
    meant = "hello" if "hello" in source else "."
    assert warning.startswith(f"Dockerfile:2: COPY {source}: .. cannot leave the context: ")
    assert warning.endswith(f" {meant}")
    assert plan("FROM base\nCOPY a/../hello ..b /x/\n").warnings == ()
    assert plan("FROM base AS b\nFROM base\nCOPY --from=b ../hello /x\n").warnings == ()


def test_a_copy_knows_the_name_of_what_it_copies_from() -> None:
    found = plan("FROM base AS a\nFROM base\nCOPY --from=a /x /\nCOPY --from=base /y /\nCOPY z /\n")
    origins = [found.graph.origins[step.digest] for step in found.graph]
    taken = {origin.line: origin.taken_from for origin in origins}
    assert (taken[3], taken[4], taken[5]) == ("stage a", "image base", "")


def test_of_an_exposed_host_port_the_containers_counts() -> None:
    found = plan("FROM base\nEXPOSE 8080:80\n")
    assert list(found.config.exposed_ports) == ["80/tcp"]


# Triggers


def test_triggers_run_after_from_and_are_not_inherited() -> None:
    base = image(on_build=("RUN early", "COPY . /app"))
    found = plan("FROM base\nRUN late\n", base)
    assert created_by(found) == ["RUN /bin/sh -c early", "COPY . /app", "RUN /bin/sh -c late"]
    assert found.config.on_build == ()


def test_triggers_may_ask_for_another_image() -> None:
    base = image(on_build=("COPY --from=tool /t /t",))
    text = parse("FROM base\n")
    first = bases(text, Wishes())
    assert [request.name for request in first] == ["base"]
    known = {("base", "linux/amd64"): base}
    assert [request.name for request in bases(text, Wishes(), known)] == ["tool"]
    known["tool", "linux/amd64"] = image("docker.io/library/tool:latest")
    assert bases(text, Wishes(), known) == ()
    assert isinstance(lower(text, Wishes(), known).root.op, Copy)


def test_a_stage_s_triggers_run_in_the_stage_upon_it() -> None:
    found = plan("FROM base AS a\nONBUILD RUN t\nFROM a\n")
    assert created_by(found) == ["ONBUILD RUN t", "RUN /bin/sh -c t"]
    assert found.config.on_build == ()


@pytest.mark.parametrize("trigger", ["NONSENSE", "FROM x", "ONBUILD RUN x", "RUN a\nRUN b"])
def test_a_malformed_trigger_is_the_base_image_s_fault(trigger: str) -> None:
    with pytest.raises(DockerfileError, match="Dockerfile:1: ONBUILD trigger of base"):
        plan("FROM base\n", image(on_build=(trigger,)))


def test_wished_labels_win() -> None:
    assert plan("FROM base\nLABEL a=1 b=2\n", labels={"a": "3"}).config.labels == {
        "a": "3",
        "b": "2",
    }
