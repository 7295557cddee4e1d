"""Whatever a Dockerfile or an ignore file holds: it is read, or refused with a place; in linear time."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corten.builder.lower import bases
from corten.builder.plan import Wishes
from corten.dockerfile.errors import DockerfileError
from corten.dockerfile.expansion import (
    ExpansionError,
    expand,
    expand_document,
    expand_words,
    missing_variables,
)
from corten.dockerfile.ignore import parse_ignore
from corten.dockerfile.lexer import lex
from corten.dockerfile.parser import parse, parse_trigger
from corten.dockerfile.patterns import PatternError
from corten.dockerfile.syntax import SHAPES
from corten.oci.platform import Platform
from support.building import HOST

_MARKS = [
    *SHAPES, "AS", "a", "b=c", "$A", "${A}", "${A:-", "${A##*", "${A//", "}", "'", '"', "\\", "`",
    "\\\n", "\\ \n", "\n", "\r\n", "\t", "#", "# escape=`\n", "# check=skip=all\n", "<<E", "<<-E",
    "<<'E'", "3<<E", "E\n", "[", "]", '["a", "b"]', "--from=a", "--link", "--mount=type=cache,target=/",
    "--chmod=u+x", "--", "=", "/", "..", "*", "**", "!", "[^a-", "80/udp", "NONE", "\ufeff", "\x85",
    "\u2028", "\0", "\ud800",
]  # fmt: skip
_WORDS = st.one_of(st.sampled_from(_MARKS), st.text(max_size=6))
_TEXTS = st.builds(
    lambda words, space: space.join(words),
    st.lists(_WORDS, max_size=30),
    st.sampled_from(["", " "]),
)
_WHOLE = st.builds(lambda lead, text: lead + text, st.sampled_from(["", "FROM a\n"]), _TEXTS)


@given(_WHOLE)
def test_logical_lines_follow_one_another(text: str) -> None:
    try:
        lexed = lex(text)
    except DockerfileError as error:
        _check_place(error, text)
        return
    last = 0
    for line in lexed.lines:
        assert last < line.first <= line.last <= text.count("\n") + 1
        last = line.last


@given(_WHOLE)
def test_a_file_is_parsed_or_refused_with_a_place(text: str) -> None:
    try:
        parsed = parse(text, "here")
    except DockerfileError as error:
        assert error.message.startswith("here:")
        _check_place(error, text)
        return
    assert [stage.index for stage in parsed.stages] == list(range(len(parsed.stages)))
    for stage in parsed.stages:
        assert all(part.line > stage.source.line for part in stage.instructions)


@given(_WHOLE)
def test_what_is_parsed_can_be_asked_for_its_images_or_is_refused_with_a_place(text: str) -> None:
    try:
        parsed = parse(text)
        wanted = bases(parsed, Wishes(platform=HOST, build_platform=HOST))
    except DockerfileError as error:
        _check_place(error, text)
        return
    assert all(isinstance(base.platform, Platform) for base in wanted)


@given(_TEXTS)
def test_a_trigger_is_an_instruction_or_refused(text: str) -> None:
    try:
        assert parse_trigger(text).keyword not in ("ONBUILD", "FROM", "MAINTAINER")
    except DockerfileError as error:
        _check_place(error, text)


def _check_place(error: DockerfileError, text: str) -> None:
    lines = text.split("\n")
    assert 0 <= error.line <= len(lines)
    assert "\n" not in error.message
    assert error.column <= len(error.source)
    if error.line:
        assert error.source.strip("\ufeff") in lines[error.line - 1]


@pytest.mark.parametrize("function", [expand, expand_words, expand_document, missing_variables])
@given(text=_TEXTS, escape=st.sampled_from("\\`"))
def test_a_word_is_expanded_or_refused(
    function: Callable[[str, dict[str, str], str], object], text: str, escape: str
) -> None:
    try:
        function(text, {"A": "a*b/$A", "a": ""}, escape)
    except ExpansionError as error:
        assert "\n" not in error.message or "\n" in text


@given(_TEXTS, _TEXTS)
def test_an_ignore_file_is_read_or_refused_with_a_line(text: str, path: str) -> None:
    try:
        ignore = parse_ignore(text)
    except PatternError as error:
        assert error.message.startswith("ignore file, line ")
        return
    ignore.matches(path)
    ignore.may_keep_below(path)


@given(st.lists(st.sampled_from(["a", "b", "*", "**", "?", "[ab]", "/", "!"]), max_size=8), _TEXTS)
def test_what_is_left_out_takes_all_below_it_along(parts: list[str], below: str) -> None:
    pattern = "".join(parts).replace("!", "")
    ignore = parse_ignore(pattern)
    for path in ("a", "b/a", "a/b/a"):
        if ignore.matches(path):
            assert ignore.matches(f"{path}/{below.strip('/') or 'x'}")


def _lines(work: Callable[[], object]) -> int:
    """How many lines of Python `work` executes: the same in every run, on every machine."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except (DockerfileError, ExpansionError, PatternError):
        pass
    finally:
        sys.settrace(before)
    return count


_REPEATED: dict[str, Callable[[int], object]] = {
    "instructions": lambda n: parse("FROM a\n" * n),
    "continued lines": lambda n: parse("FROM a\nRUN x" + " \\\n y" * n),
    "comments between": lambda n: parse("FROM a\nRUN x \\\n" + "# c\n" * n + "y"),
    "flags": lambda n: parse("FROM a\nCOPY " + "--exclude=a " * n + "x y"),
    "mounts": lambda n: parse("FROM a\nRUN " + "--mount=target=/a " * n + "x"),
    "here-documents": lambda n: parse("FROM a\nRUN " + "<<a " * n + "\n" + "a\n" * n),
    "open here-documents": lambda n: lex("FROM a\n" + "RUN <<a\n" * n),
    "digits before a here-document": lambda n: parse("FROM a\nRUN " + "1" * n + "<< <<"),
    "pairs": lambda n: parse("FROM a\nENV " + "a='b' " * n),
    "quotes": lambda n: parse("FROM a\nENV a=" + "\"'" * n),
    "escapes": lambda n: parse("FROM a\nENV a=" + "\\" * n),
    "triggers": lambda n: parse("FROM a\n" + "ONBUILD RUN x\n" * n),
    "variables": lambda n: expand("$a${a}" * n, {"a": "b"}),
    "choices": lambda n: expand("${a:-x}${b+y}" * n, {"a": "b"}),
    "words": lambda n: expand_words("a '$b' \"$a\" " * n, {"a": "b"}),
    "a document": lambda n: expand_document("$a \\$a 'x'\n" * n, {"a": "b"}),
    "an ignore file": lambda n: parse_ignore("a/*\n!b\n" * n),
    "a pattern of stars": lambda n: parse_ignore("*a" * n),
}


@pytest.mark.parametrize("what", _REPEATED)
def test_work_is_linear_in_the_input(what: str) -> None:
    work = _REPEATED[what]
    once, four_times = _lines(lambda: work(50)), _lines(lambda: work(200))
    assert four_times < 4.2 * once + 100


def test_thousands_of_flags_do_not_copy_the_line_each_time() -> None:
    # What C does is in no count of lines: the pieces that were cut off would come to 100 GB.
    with pytest.raises(DockerfileError, match="has no flag --a"):
        parse("FROM a\nRUN " + "--a " * 250_000 + "x")


def test_triggers_of_triggers_are_refused_however_many() -> None:
    with pytest.raises(DockerfileError, match="ONBUILD cannot be an ONBUILD trigger"):
        parse("FROM a\n" + "ONBUILD " * 100_000 + "RUN x")


@pytest.mark.parametrize("length", [200, 400])
def test_matching_is_bounded_by_pattern_and_path(length: int) -> None:
    ignore = parse_ignore("*a" * 40 + "b")
    work = _lines(lambda: ignore.matches("a" * length))
    assert work < 40 * 2 * length * 8
