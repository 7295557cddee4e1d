"""Every rule: what breaks it, with line and pointer, and what does not."""

from __future__ import annotations

import pytest

from corten.dockerfile.errors import DockerfileError
from corten.dockerfile.ignore import parse_ignore
from corten.dockerfile.lint.checking import RULES, check, foreign_images, images_matter
from corten.dockerfile.lint.finding import BaseFacts, Finding, Surroundings
from corten.dockerfile.parser import parse
from corten.oci.platform import Platform

AMD = Platform.parse("linux/amd64")
AUTOMATIC = {"TARGETPLATFORM": "linux/amd64", "TARGETARCH": "amd64", "BUILDPLATFORM": "linux/amd64"}
BASES = {
    ("base", "linux/amd64"): BaseFacts({"HOME": "/root", "PYTHON_VERSION": "3"}, platform=AMD),
    ("started", "linux/amd64"): BaseFacts({}, entrypoint=True),
    ("bashed", "linux/amd64"): BaseFacts({}, shell=True),
    ("trigger", "linux/amd64"): BaseFacts({}, triggers=("ENV FROM_TRIGGER=1", "RUN x")),
    ("foreign", "linux/amd64"): BaseFacts({}, platform=Platform.parse("linux/arm64")),
}


def around(ignore: str = "", **more: object) -> Surroundings:
    given = {"automatic": AUTOMATIC, "bases": BASES, "ignore": parse_ignore(ignore), **more}
    return Surroundings(**given)  # type: ignore[arg-type]


def found(text: str, where: Surroundings | None = None) -> list[Finding]:
    return list(check(text, parse(text), where or around()).findings)


def of(rule: str, text: str, where: Surroundings | None = None) -> list[tuple[int, str]]:
    """Line and the text that is pointed at, of the rule's findings."""
    lines = text.split("\n")
    return [
        (one.line, lines[one.line - 1][one.spot.column : one.spot.column + one.spot.width])
        for one in found(text, where)
        if one.rule.name == rule
    ]


BROKEN = [
    ("StageNameCasing", "FROM a AS Build", (1, "Build")),
    ("FromAsCasing", "FROM a as b", (1, "as")),
    ("FromAsCasing", "from a AS b", (1, "AS")),
    ("FromAsCasing", "FROM a As b", (1, "As")),
    ("NoEmptyContinuation", "FROM a\nRUN x \\\n\n y", (2, "")),
    ("NoEmptyContinuation", "FROM a\nRUN x \\\n  \t\n", (2, "")),
    ("ConsistentInstructionCasing", "FROM a\nRUN x\nrun y", (3, "run")),
    ("ConsistentInstructionCasing", "from a\nrun x\nRUN y", (3, "RUN")),
    ("ConsistentInstructionCasing", "FROM a\nEntryPoint x", (2, "EntryPoint")),
    ("ConsistentInstructionCasing", "arg A\nFROM a\nRUN x", (1, "arg")),
    ("DuplicateStageName", "FROM a AS b\nFROM c AS B", (2, "B")),
    ("ReservedStageName", "FROM a AS scratch", (1, "scratch")),
    ("ReservedStageName", "FROM a AS Context", (1, "Context")),
    ("JSONArgsRecommended", "FROM a\nCMD x y", (2, "x y")),
    ("JSONArgsRecommended", "FROM a\nENTRYPOINT x", (2, "x")),
    ("JSONArgsRecommended", 'FROM a AS b\nSHELL ["/s"]\nFROM a\nCMD x', (4, "x")),
    ("MaintainerDeprecated", "FROM a\nMAINTAINER me", (2, "")),
    ("UndefinedArgInFrom", "FROM a:${TAG}", (1, "${TAG")),
    ("UndefinedArgInFrom", "FROM --platform=$PLATFORM a", (1, "$PLATFORM")),
    ("UndefinedArgInFrom", "FROM b\nARG TAG=1\nFROM a:$TAG", (3, "$TAG")),
    ("WorkdirRelativePath", "FROM base\nWORKDIR app", (2, "app")),
    ("WorkdirRelativePath", "FROM base\nENV D=app\nWORKDIR $D/x", (3, "$D/x")),
    ("WorkdirRelativePath", "FROM base AS b\nWORKDIR /x\nFROM base\nWORKDIR y", (4, "y")),
    ("UndefinedVar", "FROM base\nENV A=$B", (2, "$B")),
    ("UndefinedVar", "FROM base\nENV A=1 B=$A", (2, "$A")),
    ("UndefinedVar", "FROM base\nLABEL a=${B%x}", (2, "${B")),
    ("UndefinedVar", "FROM base\nCOPY --chown=$U a /b", (2, "$U")),
    ("UndefinedVar", "FROM base\nCOPY --exclude=$U a /b", (2, "$U")),
    ("UndefinedVar", "FROM base\nADD x $D", (2, "$D")),
    ("UndefinedVar", "FROM base\nRUN --mount=type=bind,target=/$T x", (2, "$T")),
    ("UndefinedVar", "FROM base\nARG A=$B", (2, "$B")),
    ("UndefinedVar", "FROM base\nARG A=$B B=1", (2, "$B")),
    ("UndefinedVar", "FROM base\nEXPOSE $P", (2, "$P")),
    ("UndefinedVar", "FROM base\nUSER $P", (2, "$P")),
    ("UndefinedVar", "FROM base\nVOLUME /$P", (2, "$P")),
    ("UndefinedVar", "FROM base\nSTOPSIGNAL $P", (2, "$P")),
    ("UndefinedVar", "FROM base\nWORKDIR /$P", (2, "$P")),
    ("UndefinedVar", "FROM base\nENV A=${B:-$C}", (2, "$C")),
    ("UndefinedVar", "FROM scratch\nCOPY <<E /x\n$B\nE", (2, "")),
    ("UndefinedVar", "ARG G=1\nFROM base\nENV A=$G", (3, "$G")),
    ("MultipleInstructionsDisallowed", 'FROM a\nCMD ["x"]\nRUN y\nCMD ["z"]', (2, "")),
    ("MultipleInstructionsDisallowed", "FROM a\nHEALTHCHECK NONE\nHEALTHCHECK CMD x", (2, "")),
    ("LegacyKeyValueFormat", "FROM a\nENV A b c", (2, "A")),
    ("LegacyKeyValueFormat", "FROM a\nLABEL a b", (2, "a")),
    ("LegacyKeyValueFormat", "FROM a\nARG version latest", (2, "version")),
    ("InvalidBaseImagePlatform", "FROM foreign", (1, "foreign")),
    (
        "RedundantTargetPlatform",
        "FROM --platform=$TARGETPLATFORM a",
        (1, "--platform=$TARGETPLATFORM"),
    ),
    (
        "RedundantTargetPlatform",
        "FROM --platform=${TARGETPLATFORM} a",
        (1, "--platform=${TARGETPLATFORM}"),
    ),
    ("SecretsUsedInArgOrEnv", "FROM a\nARG TOKEN", (2, "TOKEN")),
    ("SecretsUsedInArgOrEnv", "FROM a\nENV DB_PASSWORD=x", (2, "DB_PASSWORD")),
    ("SecretsUsedInArgOrEnv", "ARG api_key\nFROM a", (1, "api_key")),
    ("InvalidDefaultArgInFrom", "ARG T\nFROM a:$T", (2, "a:$T")),
    ("InvalidDefaultArgInFrom", "ARG T=UPPER\nFROM $T", (2, "$T")),
    ("FromPlatformFlagConstDisallowed", "FROM --platform=linux/arm64 a", (1, "linux/arm64")),
    ("CopyIgnoredFile", "FROM a\nCOPY x/ignored /y", (2, "x/ignored")),
    ("CopyIgnoredFile", "FROM a\nADD ./x/ignored/*.txt /y", (2, "./x/ignored/*.txt")),
    ("CopyIgnoredFile", "FROM a\nENV D=ignored\nCOPY x/$D/a b /y/", (3, "x/$D/a")),
    ("ExposeProtoCasing", "FROM a\nEXPOSE 80/TCP 81/tcp", (2, "80/TCP")),
    ("ExposeInvalidFormat", "FROM a\nEXPOSE 81 80:80", (2, "80:80")),
    ("ExposeInvalidFormat", "FROM base\nENV P=80:80\nEXPOSE $P", (3, "$P")),
]


@pytest.mark.parametrize(("rule", "text", "place"), BROKEN)
def test_what_breaks_a_rule_is_found_once_and_pointed_at(
    rule: str, text: str, place: tuple[int, str]
) -> None:
    assert of(rule, text, around("**/ignored")) == [place]


KEPT = [
    ("StageNameCasing", "FROM a AS b-1"),
    ("FromAsCasing", "From a as b"),
    ("FromAsCasing", "FROM a"),
    ("NoEmptyContinuation", "FROM a\nRUN x \\\n# c\n y\n\nRUN <<E\n\na \\\n\nE"),
    ("ConsistentInstructionCasing", "FROM a\nONBUILD run x"),
    ("DuplicateStageName", "FROM a\nFROM b\nFROM a AS c"),
    ("JSONArgsRecommended", 'FROM a\nSHELL ["/s"]\nCMD x'),
    ("JSONArgsRecommended", 'FROM a AS b\nSHELL ["/s"]\nFROM b\nCMD x'),
    ("JSONArgsRecommended", "FROM bashed\nCMD x"),
    ("JSONArgsRecommended", "FROM a\nHEALTHCHECK CMD x\nCMD []"),
    ("UndefinedArgInFrom", "ARG A\nFROM a${A} AS b\nFROM --platform=$BUILDPLATFORM c${B:-}"),
    ("WorkdirRelativePath", "FROM base AS b\nWORKDIR /x\nWORKDIR y\nFROM b\nWORKDIR z"),
    ("WorkdirRelativePath", "FROM base\nARG D\nWORKDIR $D/x"),
    ("WorkdirRelativePath", "FROM unknown\nWORKDIR $D/x"),
    ("UndefinedVar", "FROM base\nENV A=$HOME:$PATH:$PYTHON_VERSION"),
    ("UndefinedVar", "FROM base\nRUN $x\nCMD $x\nENTRYPOINT $x"),
    ("UndefinedVar", "FROM base\nENV A=${B:-x}${B+y}${B:?}$1$@\\$C'$D'"),
    ("UndefinedVar", "FROM base\nARG A\nARG B=1 C=$B\nENV D=$A$B$C"),
    ("UndefinedVar", "FROM base AS b\nENV A=1\nFROM b\nENV B=$A"),
    ("UndefinedVar", "FROM trigger\nENV A=$FROM_TRIGGER"),
    ("UndefinedVar", "FROM base AS b\nONBUILD ENV T=1\nFROM b\nENV A=$T"),
    ("UndefinedVar", "FROM unknown\nENV A=$COMPLETELY_ELSE"),
    ("UndefinedVar", "FROM scratch\nCOPY <<'E' /x\n$B\nE"),
    ("UndefinedVar", "ARG G=1\nFROM base\nARG G\nENV A=$G"),
    ("MultipleInstructionsDisallowed", 'FROM a\nCMD ["x"]\nFROM b\nCMD ["y"]'),
    ("MultipleInstructionsDisallowed", "FROM a\nENV A=1\nENV B=1\nRUN x\nRUN y"),
    ("LegacyKeyValueFormat", "FROM a\nENV A=b C=d\nARG E F\nARG g h\nRUN $h"),
    ("LegacyKeyValueFormat", "FROM a\nARG a b c"),
    ("InvalidBaseImagePlatform", "FROM base\nFROM unknown\nFROM foreign-not\nFROM scratch"),
    ("RedundantTargetPlatform", "FROM --platform=$BUILDPLATFORM a"),
    (
        "RedundantTargetPlatform",
        "ARG TARGETPLATFORM=linux/s390x\nFROM --platform=$TARGETPLATFORM a",
    ),
    ("SecretsUsedInArgOrEnv", "FROM a\nARG KEYBOARD\nENV PUBLIC_KEY=x MONKEY=y\nLABEL token=x"),
    ("InvalidDefaultArgInFrom", "ARG T=1\nARG V\nFROM a:$T$V\nFROM b_${TARGETARCH}\nFROM $X"),
    ("FromPlatformFlagConstDisallowed", "FROM --platform=linux/arm64 a AS build_arm64"),
    ("FromPlatformFlagConstDisallowed", "FROM --platform=$BUILDPLATFORM a"),
    ("CopyIgnoredFile", "FROM a AS b\nFROM a\nCOPY --from=b x/ignored /y\nCOPY . /\nCOPY *.md /"),
    ("CopyIgnoredFile", "FROM a\nADD https://h/ignored /\nADD <<ignored /\nignored\nCOPY kept /"),
    ("CopyIgnoredFile", "FROM a\nCOPY some /"),
    ("ExposeProtoCasing", "FROM base\nARG P=TCP\nEXPOSE 80/udp 80/$P"),
    ("ExposeInvalidFormat", "FROM a\nEXPOSE 80 81-82/udp $P"),
]


@pytest.mark.parametrize(("rule", "text"), KEPT)
def test_what_keeps_a_rule_is_not_spoken_of(rule: str, text: str) -> None:
    assert of(rule, text, around("**/ignored\nkept\n!kept\nsome\n!some/file")) == []


def test_every_rule_has_an_example_that_breaks_it_and_one_that_keeps_it() -> None:
    experimental = {name for name, rule in RULES.items() if rule.experimental}
    assert len(RULES) == 22
    assert {rule for rule, *_ in BROKEN} | experimental == set(RULES)
    silent = {"ReservedStageName", "MaintainerDeprecated"}
    assert {rule for rule, _ in KEPT} | silent | experimental == set(RULES)


EXPERIMENTAL = "# check=experimental=InvalidDefinitionDescription\n\n"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("# not it\nFROM a AS b", [4]),
        ("# not it\nARG V=1\nFROM a", [4]),
        ("FROM a\n# not it\nARG V W", [5]),
        ("# b is it\nFROM a AS b\n# W is it\nARG V W", []),
        ("# not it\n\nFROM a AS b\n# not it\n#\nARG V\n# not it\nFROM a\n# x\nRUN y", []),
    ],
)
def test_a_description_begins_with_the_name(text: str, lines: list[int]) -> None:
    text = EXPERIMENTAL + text
    assert [line for line, _ in of("InvalidDefinitionDescription", text)] == lines
    plain = text.replace("# check=experimental=InvalidDefinitionDescription", "#")
    assert of("InvalidDefinitionDescription", plain) == []


def test_a_directive_is_no_description() -> None:
    assert of("InvalidDefinitionDescription", "# check=experimental=all\nFROM a AS b") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "FROM base\nENV PATH=$PAHT:/x",
            "Usage of undefined variable '$PAHT' (did you mean $PATH?)",
        ),
        (
            "FROM unknown\nENV PATH=$PAHT:/x",
            "Usage of undefined variable '$PAHT' (did you mean $PATH?)",
        ),
        (
            "FROM --platform=$BUILDPLATFROM scratch",
            "FROM argument 'BUILDPLATFROM' is not declared (did you mean BUILDPLATFORM?)",
        ),
        (
            "FROM base\nENTRYPOINT x",
            "JSON arguments recommended for ENTRYPOINT to prevent unintended",
        ),
        ("FROM base\nADD /ignored /", 'Attempting to Add file "/ignored" that is excluded'),
        ("FROM base\nRUN x \\\n\n y", "Empty continuation line found in: RUN x  y"),
        ("FROM base\nEXPOSE 1.2.3.4:1:2", "host-port mapping, found '1.2.3.4:1:2'"),
        ("FROM foreign", 'pulled with platform "linux/arm64", expected "linux/amd64"'),
        ("FROM base\nrun x\nRUN y", "Command 'run' should match the case of the command majority"),
    ],
)
def test_messages_name_the_thing(text: str, said: str) -> None:
    assert any(said in one.message for one in found(text, around("ignored")))


def test_a_platform_flag_chooses_the_image_that_is_known() -> None:
    arm = {("base", "linux/arm64"): BaseFacts({"ARM": "1"})}
    text = "FROM --platform=linux/arm64 base AS arm64\nENV A=$ARM\nFROM base\nENV A=$ARM"
    assert of("UndefinedVar", text, around(bases=BASES | arm)) == [(4, "$ARM")]


def test_build_arguments_count_as_they_are_given() -> None:
    text = "ARG I\nFROM ${I:-base} AS b\nARG D=app\nWORKDIR $D"
    assert of("WorkdirRelativePath", text) == [(4, "$D")]
    assert of("WorkdirRelativePath", text, around(build_args={"D": "/app"})) == []


def test_stages_upon_one_stage_do_not_see_one_another() -> None:
    text = (
        "FROM base AS b\nENV B=1\nFROM b AS c\nENV C=$B\nFROM b AS d\nENV D=$C\n"
        "FROM c\nENV E=$C$D\nFROM d\nENV F=$D$C\n"
    )
    assert of("UndefinedVar", text) == [(6, "$C"), (8, "$D"), (10, "$C")]


def test_long_chains_of_stages_keep_their_variables() -> None:
    links = "".join(f"FROM s{n} AS s{n + 1}\nENV V{n}=$V{n - 1}\nFROM s{n}\n" for n in range(80))
    text = f"FROM base AS s0\nENV V=1\n{links}FROM s80\nENV A=$V$V0$V40$V79$V80\n"
    assert [place for _, place in of("UndefinedVar", text)] == ["$V80"]


def test_with_a_target_only_what_it_needs_is_looked_at() -> None:
    text = (
        "FROM base AS A\nFROM base AS B\nFROM base AS C\nCOPY --from=a x /\n"
        "FROM c\nRUN --mount=from=1,target=/m x\nFROM base AS D\n"
    )
    assert [line for line, _ in of("StageNameCasing", text)] == [1, 2, 3, 7]
    assert [line for line, _ in of("StageNameCasing", text, around(target="c"))] == [1, 3]
    assert [line for line, _ in of("StageNameCasing", text, around(target="3"))] == [1, 2, 3]
    assert [line for line, _ in of("StageNameCasing", text, around(last=True))] == [7]
    with pytest.raises(DockerfileError, match="it has no stage 'dd'"):
        found(text, around(target="dd"))


def test_the_images_that_matter_are_those_that_stages_build_upon() -> None:
    def names(text: str, last: bool = False) -> list[str]:
        return [name for name, _ in foreign_images(text, parse(text), around(last=last))]

    text = "ARG I=a\nFROM $I AS b\nFROM b\nFROM scratch\nFROM c\nFROM c\nCOPY --from=d x y"
    assert names(text) == ["a", "c"]
    assert names(text, last=True) == ["c"]


@pytest.mark.parametrize(
    ("body", "matter"),
    [
        ('RUN $x\nCMD ["x"]\nLABEL a=b', False),
        ("CMD x", True),
        ("ENV A=$B", True),
        ("COPY <<E /\n$x\nE", True),
        ("RUN --mount=target=/$x y", True),
    ],
)
def test_what_images_hold_matters_to_variables_and_shell_forms(body: str, matter: bool) -> None:
    assert images_matter(parse(f"FROM a\n{body}")) is matter


def test_what_cannot_be_expanded_is_an_error_with_its_place() -> None:
    for text, line in (("FROM base\nENV A=${B", 2), ("ARG A=${B\nFROM x", 1), ("FROM ${B:z}", 1)):
        with pytest.raises(DockerfileError) as caught:
            found(text)
        assert caught.value.line == line


def test_links_are_those_of_dockers_pages() -> None:
    assert RULES["FromAsCasing"].link.endswith("/go/dockerfile/rule/from-as-casing/")
    assert RULES["InvalidBaseImagePlatform"].link == ""


def test_places_are_right_behind_a_byte_order_mark_and_in_continuations() -> None:
    text = "\ufeffFROM a as b\r\nENV X=1 \\\r\n# c $Y\r\n   Z=$Y\r\n"
    (casing,) = [one for one in found(text) if one.rule.name == "FromAsCasing"]
    assert (casing.line, casing.spot.column, casing.spot.width) == (1, 7, 2)
    (undefined,) = [
        one for one in found(text.replace("FROM a", "FROM base")) if one.rule.name == "UndefinedVar"
    ]
    assert (undefined.line, undefined.spot.column) == (4, 5)
