"""Whatever stands in a file: findings or a `DockerfileError`, in time linear in its length."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corten.dockerfile.errors import DockerfileError
from corten.dockerfile.ignore import parse_ignore
from corten.dockerfile.lint.checking import check
from corten.dockerfile.lint.finding import BaseFacts, Surroundings
from corten.dockerfile.parser import parse
from corten.dockerfile.syntax import SHAPES

AROUND = Surroundings(
    automatic={"TARGETPLATFORM": "linux/amd64"},
    bases={
        ("a", "linux/amd64"): BaseFacts({"E": "$E"}, triggers=("ENV X=1", "FROM no", "COPY $T /"))
    },
    ignore=parse_ignore("x*\n!x1"),
)
_WORDS = st.one_of(
    st.sampled_from(
        [
            *SHAPES, "AS", "as", "a", "$A", "${A}", "${A:-$B}", "${A#*}", "${", "$", "'", '"', "\\",
            "\\\n", "\\\n\n", "\n", "\r\n", "#", "# c\n", "[", '["a"]', "--from=a", "--platform=$A",
            "--mount=target=$A", "<<E", "E\n", "80/TCP", "1:2", "=", "A=", "=b", "/", "..", "\x1b[2J",
            "\u2028", "\x0c", "\x85", "ﬀ", "\ufeff",
        ]
    ),
    st.text(max_size=8),
)  # fmt: skip
_TEXTS = st.lists(_WORDS, max_size=30).map(" ".join)
_LEADS = st.sampled_from(
    ["", "FROM a\n", "ARG A\nFROM a AS b\n", "# check=experimental=all\nFROM a\n"]
)


@given(_LEADS, _TEXTS, st.sampled_from(["", "b", "0"]), st.booleans())
def test_any_text_gives_findings_in_the_file_or_an_error(
    lead: str, text: str, target: str, last: bool
) -> None:
    text = lead + text
    around = Surroundings(
        automatic=AROUND.automatic,
        bases=AROUND.bases,
        ignore=AROUND.ignore,
        target=target,
        last=last,
    )
    try:
        report = check(text, parse(text), around)
    except DockerfileError:
        return
    lines = text.removeprefix("\ufeff").split("\n")
    for finding in report.findings:
        source = lines[finding.line - 1]
        assert finding.message
        assert finding.spot.column + finding.spot.width <= len(source)


@given(st.text(alphabet=";=,skiperotu allxn", max_size=30))
def test_any_directive_gives_findings_or_an_error(value: str) -> None:
    text = f"# check={value}\nFROM a as B\n"
    try:
        check(text, parse(text), AROUND)
    except DockerfileError as error:
        assert error.line in (0, 1)


def _time(text: str) -> float:
    parsed = parse(text)
    best = 1e9
    for _ in range(2):
        begin = time.process_time()
        check(text, parsed, AROUND)
        best = min(best, time.process_time() - begin)
    return best


@pytest.mark.parametrize(
    "stages",
    ["FROM s0\nENV N=1\n", "FROM s{0} AS s{1}\nENV M{0}=$N7\n", "FROM s0\nENV X=$M\n"],
)
def test_many_stages_upon_many_variables_take_linear_time(stages: str) -> None:
    """Each shares what it begins with."""

    def text(count: int) -> str:
        variables = "".join(f"ENV N{n}=1\n" for n in range(count))
        bodies = "".join(stages.format(n, n + 1) for n in range(count))
        leaves = "".join(f"FROM s{n}\n" for n in range(count)) if "AS" in stages else ""
        return f"FROM a AS s0\n{variables}{bodies}{leaves}"

    short, long = _time(text(300)), _time(text(2400))
    assert long < 8 * 4 * short + 0.05, (short, long)


@pytest.mark.parametrize(
    "repeated",
    [
        "ENV A{0}=$A{0} B{0}=$C{0}\n",
        "FROM s{0} AS s{1}\nENV A{0}=$B\n",
        "run x \\\n\n  $y\n",
        "COPY --from=s0 x{0} $z /d/\n",
        "COPY x{0} y /d/\n",
        "ENV A=$A$A$A\n",
        "EXPOSE 1:2 3/TCP $P\nCMD x\nWORKDIR y\n",
        "ONBUILD ENV A=$A\n",
    ],
)
def test_time_is_linear(repeated: str) -> None:
    def text(count: int) -> str:
        body = "".join(repeated.format(n, n + 1) for n in range(count))
        return f"FROM a AS s0\nARG A=x\n{body}"

    short, long = _time(text(300)), _time(text(2400))
    assert long < 8 * 4 * short + 0.05, (short, long)


def test_ten_thousand_instructions_take_seconds_at_most() -> None:
    text = "FROM a\n" + "".join(f"ENV N{n}=${{M{n}}} O=$N{n - 1}\n" for n in range(10_000))
    assert _time(text) < 5


def test_one_instruction_with_thousands_of_findings() -> None:
    text = "FROM scratch\nENV " + " ".join(f"A{n}=$B{n}" for n in range(20_000)) + "\n"
    begin = time.process_time()
    report = check(text, parse(text), Surroundings())
    assert len(report.findings) == 20_000
    assert time.process_time() - begin < 5
