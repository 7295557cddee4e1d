"""Logical lines, parser directives and here-documents."""

from __future__ import annotations

import pytest

from corten.dockerfile.errors import DockerfileError
from corten.dockerfile.lexer import LIMIT, find_heredocs, lex


def texts(source: str) -> list[str]:
    return [line.text for line in lex(source).lines]


def test_comments_and_empty_lines_are_left_out() -> None:
    assert texts("# one\n\n  # two\nFROM a\n\t\nRUN b # not a comment\n") == [
        "FROM a",
        "RUN b # not a comment",
    ]


def test_a_continued_line_is_one_line_and_knows_its_physical_lines() -> None:
    line = lex("FROM a\nRUN b && \\\n  # a comment\n\n  c\nCMD d\n").lines[1]
    assert (line.text, line.first, line.last) == ("RUN b &&   c", 2, 5)
    assert line.source == "RUN b && \\"


def test_two_escape_characters_at_the_end_do_not_continue() -> None:
    assert texts("ENV A b\\\\\nENV C d") == ["ENV A b\\\\", "ENV C d"]


def test_white_space_behind_the_continuation_character_does_not_matter() -> None:
    assert texts("RUN a \\  \t\n b") == ["RUN a  b"]


def test_carriage_returns_and_a_byte_order_mark_are_no_part_of_the_text() -> None:
    assert texts("\ufeffFROM a\r\nRUN b \\\r\n c\r\n") == ["FROM a", "RUN b  c"]


def test_leading_white_space_of_an_instruction_is_ignored_but_kept_in_continuations() -> None:
    assert texts('   RUN echo "\\\n     hello\\\n     world"') == [
        'RUN echo "     hello     world"'
    ]


@pytest.mark.parametrize(
    "head",
    [
        "#escape=`",
        "# escape = `",
        "#\tESCAPE= `  ",
        "# syntax=x\n# escape=`",
        "# check=skip=all\n#escape=`",
    ],
)
def test_the_escape_directive_changes_the_continuation_character(head: str) -> None:
    lexed = lex(f"{head}\nFROM a\nRUN b `\n c\\\nRUN d")
    assert [line.text for line in lexed.lines] == ["FROM a", "RUN b  c\\", "RUN d"]
    assert lexed.directives["escape"] == "`"


@pytest.mark.parametrize(
    "head", ["# about this\n#escape=`", "\n#escape=`", "# unknown=1\n# escape=`"]
)
def test_directives_end_with_the_first_other_line(head: str) -> None:
    assert lex(f"{head}\nFROM a").escape == "\\"


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("#escape=\\\n#escape=`\nFROM a", 2),
        ("#syntax=a\n#Syntax=b\nFROM a", 2),
        ("#escape=x\nFROM a", 1),
    ],
)
def test_wrong_directives_are_refused_with_their_line(source: str, line: int) -> None:
    with pytest.raises(DockerfileError) as caught:
        lex(source)
    assert caught.value.line == line


def test_a_heredoc_belongs_to_its_instruction() -> None:
    lexed = lex("FROM a\nRUN <<EOF\necho 1\n# kept\n\necho \\\nEOF\nCMD b")
    line = lexed.lines[1]
    assert line.text == "RUN <<EOF"
    assert (line.first, line.last) == (2, 7)
    assert [(d.name, d.content, d.expand) for d in line.heredocs] == [
        ("EOF", "echo 1\n# kept\n\necho \\\n", True)
    ]
    assert lexed.lines[2].text == "CMD b"


def test_several_heredocs_follow_one_another() -> None:
    line = lex("RUN <<A cat > a && <<B cat > b\n1\nA\n2\nB\n").lines[0]
    assert [(d.name, d.content) for d in line.heredocs] == [("A", "1\n"), ("B", "2\n")]


def test_a_dash_takes_leading_tabs_away_and_quotes_forbid_expansion() -> None:
    line = lex('COPY <<-"E" /x\n\t\tone\n two\n\tE\n').lines[0]
    (document,) = line.heredocs
    assert document.content == "one\n two\n"
    assert document.chomp
    assert not document.expand


def test_a_heredoc_without_end_is_refused_at_the_line_that_began_it() -> None:
    with pytest.raises(
        DockerfileError, match=r"Dockerfile:2: here-document EOF has no end"
    ) as caught:
        lex("FROM a\nRUN <<EOF\nx\n")
    assert "only EOF" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("RUN <<A", ["A"]),
        ("RUN cat <<A >b", ["A"]),
        ("RUN cat 3<<A", ["A"]),
        ("RUN echo '<<A'", []),
        ('RUN echo "<<A"', []),
        ("RUN cat <<<A", []),
        ("RUN echo \\<<A", []),
        ("RUN echo $((1<<2))", []),
        ("RUN a<<1b", []),
        ("RUN (<<A cat)", []),
    ],
)
def test_where_a_heredoc_begins(text: str, names: list[str]) -> None:
    assert [document.name for document in find_heredocs(text)] == names


def test_other_instructions_have_no_heredocs() -> None:
    assert texts("FROM a\nCMD cat <<EOF\nENV a=<<B\n") == ["FROM a", "CMD cat <<EOF", "ENV a=<<B"]


def test_a_file_that_is_too_long_or_binary_is_refused() -> None:
    with pytest.raises(DockerfileError, match="longer than"):
        lex("#" * (LIMIT + 1))
    with pytest.raises(DockerfileError, match=r"Dockerfile:2: .*NUL"):
        lex("FROM a\nRUN \0")


def test_thousands_of_continued_lines_take_no_time() -> None:
    source = "RUN a \\\n" + "# c\n\n b \\\n" * 20000 + " d"
    assert lex(source).lines[0].last == 60002
