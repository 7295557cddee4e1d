"""What ``--fix`` writes: only the way of writing changes, and nothing around it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corten.dockerfile.errors import DockerfileError
from corten.dockerfile.fixing import Fixed, fix, meaning
from corten.dockerfile.instructions import Dockerfile, Instruction
from corten.dockerfile.lint.checking import check
from corten.dockerfile.lint.finding import BaseFacts, Surroundings
from corten.dockerfile.parser import parse

AROUND = Surroundings(
    bases={
        ("plain", "linux/amd64"): BaseFacts({}),
        ("started", "linux/amd64"): BaseFacts({}, entrypoint=True),
    }
)


def mended(text: str) -> Fixed:
    return fix(text, parse(text), AROUND)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("From a\nrun x\nRUN y", "FROM a\nRUN x\nRUN y"),
        ("from a\nrun x\nRun y", "from a\nrun x\nrun y"),
        ("  from\ta  as  b\t\nRUN x\nRUN y", "  FROM\ta  AS  b\t\nRUN x\nRUN y"),
        ("from a AS b", "from a as b"),
        (
            "FROM a AS Build.1\nCOPY --from=BUILD.1 a b",
            "FROM a AS build.1\nCOPY --from=BUILD.1 a b",
        ),
        ("FROM \\\n  a \\\n  as \\\n  B", "FROM \\\n  a \\\n  AS \\\n  b"),
        ("FROM a\nENV A b", "FROM a\nENV A=b"),
        ("FROM a\nENV  A \t b  c $D ", 'FROM a\nENV  A="b  c $D" '),
        ("FROM a\nENV A 'b c'", "FROM a\nENV A='b c'"),
        ("FROM a\nENV A b\\ c", "FROM a\nENV A=b\\ c"),
        ("FROM a\nLABEL a.b=c\nLABEL d e", "FROM a\nLABEL a.b=c\nLABEL d=e"),
        (
            "FROM a\nENV DEPS \\\n    curl \\\n    git",
            'FROM a\nENV DEPS="\\\ncurl \\\n    git"',
        ),
        ("FROM a\nENV DEPS\\\n  curl\\\n# c\n  git", 'FROM a\nENV DEPS="\\\ncurl\\\n# c\n  git"'),
        ("FROM a\nENV A \\\n  b", "FROM a\nENV A=\\\nb"),
        ("FROM a\nEXPOSE 80/TCP 1-2/Udp", "FROM a\nEXPOSE 80/tcp 1-2/udp"),
        ("FROM a\nEXPOSE 81:80 1.2.3.4:5:6/TCP", "FROM a\nEXPOSE 80 6/tcp"),
        ("FROM a\nRUN x \\\n\n  && y \\\n \t\n  && z", "FROM a\nRUN x \\\n  && y \\\n  && z"),
        (
            "FROM a\nMAINTAINER Joe <j@x>",
            'FROM a\nLABEL org.opencontainers.image.authors="Joe <j@x>"',
        ),
        (
            "from a\nmaintainer  joe",
            'from a\nlabel  org.opencontainers.image.authors="joe"',
        ),
        ("FROM --platform=$TARGETPLATFORM  a AS b", "FROM a AS b"),
        ("FROM plain\nCMD nginx -g off", 'FROM plain\nCMD ["nginx", "-g", "off"]'),
        ("FROM plain\nCMD exec ./a --b=c", 'FROM plain\nCMD ["./a", "--b=c"]'),
        ("FROM a\nENTRYPOINT \\\n  prog x", 'FROM a\nENTRYPOINT \\\n  ["prog", "x"]'),
        ("# escape=`\nFROM a\nENV A b `\n  c", '# escape=`\nFROM a\nENV A="b `\n  c"'),
    ],
)
def test_what_is_certain_is_mended(before: str, after: str) -> None:
    for end in ("", "\n", "\n# the end\n\n"):
        found = mended(before + end)
        assert found.text == after + end
        assert found.changes
    windows = mended("\ufeff" + before.replace("\n", "\r\n") + "\r\n")
    assert windows.text == "\ufeff" + after.replace("\n", "\r\n") + "\r\n"


@pytest.mark.parametrize(
    "text",
    [
        "FROM unknown\nCMD nginx",
        "FROM started\nCMD nginx",
        'FROM plain\nENTRYPOINT ["x"]\nCMD nginx',
        "FROM plain\nENTRYPOINT x\nCMD y",
        "FROM plain\nCMD $PROGRAM",
        "FROM plain\nCMD a && b",
        "FROM plain\nCMD A=b c",
        "FROM plain\nCMD cd /",
        "FROM plain\nCMD ls *",
        "FROM plain\nCMD echo 'x'",
        "FROM plain\nCMD nginx \\\n  -g off",
        'FROM a\nENV A b "c" d',
        "FROM a\nENV A b\\n c",
        "FROM a\nARG version latest",
        'FROM a\nMAINTAINER Joe "the" X',
        "FROM a\nMAINTAINER $joe",
        "FROM a\nLABEL org.opencontainers.image.authors=x\nMAINTAINER joe",
        "FROM a\nEXPOSE 80/$P",
        "FROM a\nENV P=1:2\nEXPOSE $P",
        "FROM --platform=linux/amd64 a",
        "FROM a AS scratch",
        "FROM plain\nWORKDIR x\nENV A=$B",
        "FROM a\nRUN <<E\n  x \\\n\n  run y\nE",
    ],
)
def test_what_is_not_certain_stays(text: str) -> None:
    assert mended(text) == Fixed(text, ())


def test_what_is_skipped_is_not_mended() -> None:
    text = "# check=skip=FromAsCasing\nFROM a as B\n"
    assert mended(text).text == "# check=skip=FromAsCasing\nFROM a as b\n"


def test_a_change_shows_the_lines_and_names_the_rules() -> None:
    text = "ARG A=1\n\nFrom a as B\n# c\nENV X \\\n\n  y\nRUN <<E\nfrom\nE\n"
    first, second = mended(text).changes
    assert first == (
        3,
        "From a as B",
        "FROM a AS b",
        ("ConsistentInstructionCasing", "StageNameCasing", "FromAsCasing"),
    )
    assert second == (
        5,
        "ENV X \\\n\n  y",
        "ENV X=\\\ny",
        ("LegacyKeyValueFormat", "NoEmptyContinuation"),
    )


def _all(dockerfile: Dockerfile) -> list[Instruction]:
    return [
        *dockerfile.arguments,
        *(one for stage in dockerfile.stages for one in (stage.source, *stage.instructions)),
    ]


_LINE = st.builds(
    " ".join,
    st.lists(
        st.sampled_from(
            [
                "FROM a", "From b", "as", "AS", "Name", "ENV", "env", "A", "b", "c d", "'q r'",
                '"s t"', "$V", "${W:-x}", "=", "A=b", "LABEL", "EXPOSE", "80/TCP", "1:2", "RUN",
                "Run", "CMD", "ENTRYPOINT", "x", "MAINTAINER", "\\\n", "\\\n\n", "\\\n# c\n", "\n",
                "\r\n", "<<E\nz\nE\n", "ONBUILD", "ARG", "--platform=$TARGETPLATFORM", "\\", "# c",
            ]
        ),
        max_size=6,
    ),
)  # fmt: skip


@given(st.lists(_LINE, max_size=8), st.sampled_from(["", "# escape=`\n", "\ufeff"]))
def test_mending_keeps_the_meaning_and_is_done_at_once(lines: list[str], lead: str) -> None:
    text = lead + "FROM plain\n" + "\n".join(lines)
    try:
        before = parse(text)
        found = fix(text, before, AROUND)
    except DockerfileError:
        return
    after = parse(found.text)
    olds, news = _all(before), _all(after)
    assert [meaning(one, before.escape) for one in olds] == [
        meaning(one, after.escape) for one in news
    ]
    assert fix(found.text, after, AROUND) == Fixed(found.text, ())
    touched = {change.line for change in found.changes}
    for old, new in zip(olds, news, strict=True):
        assert old.text == new.text or old.line in touched
    left = check(found.text, after, AROUND).findings
    assert len(left) <= len(check(text, before, AROUND).findings)
