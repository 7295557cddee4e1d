"""Ignore files and path patterns."""

from __future__ import annotations

import pytest

from corten.dockerfile.ignore import Ignore, parse_ignore
from corten.dockerfile.patterns import PatternError, compile_match, has_magic


@pytest.mark.parametrize(
    ("text", "out", "kept"),
    [
        ("*.md\n!README.md\n", ["a.md"], ["README.md", "sub/a.md", "a.txt"]),
        ("*/temp*\n", ["x/temporary", "x/temp/y"], ["temp", "x/y/temp"]),
        ("*/*/temp*\n", ["a/b/temp.txt"], ["a/temp"]),
        ("temp?\n", ["tempa"], ["temp", "tempab"]),
        ("**/*.go\n", ["a.go", "x/y/b.go"], ["a.go.txt"]),
        ("# a comment\n\n /lead \n", ["lead", "lead/x"], ["# a comment", "x/lead"]),
        ("a/\n", ["a", "a/b"], ["ab"]),
        ("a/b/../c\n./d//e\n", ["a/c", "d/e"], ["a/b", "d"]),
        ("*\n!a\n!b/c\n", ["x", "b/d"], ["a", "a/deep", "b/c"]),
        ("*.md\n!README*.md\nREADME-secret.md\n", ["README-secret.md"], ["README-x.md"]),
        ("*.md\nREADME-secret.md\n!README*.md\n", ["x.md"], ["README-secret.md"]),
        ("! a\n", [], ["a"]),
        (".\n/\n", [], ["a"]),
        ("\\#x\n\\!y\n", ["#x", "!y"], ["x"]),
        ("\ufeffa\r\nb\r\n", ["a", "b"], ["c"]),
        ("[a-c]x\n[^0-9]y\n", ["bx", "zy"], ["dx", "5y"]),
        ("a\u2028b\nc\x0cd\n", ["a\u2028b", "c\x0cd"], ["a", "b", "c", "d"]),
    ],
)
def test_what_is_left_out(text: str, out: list[str], kept: list[str]) -> None:
    ignore = parse_ignore(text)
    assert [path for path in out if not ignore.matches(path)] == []
    assert [path for path in kept if ignore.matches(path)] == []


def test_an_empty_file_leaves_nothing_out() -> None:
    ignore = parse_ignore("\n# x\n")
    assert not ignore
    assert not ignore.matches("a")


@pytest.mark.parametrize(
    ("directory", "may"),
    [
        ("a", True),
        ("a/b", True),
        ("a/b/c", False),
        ("x", False),
        ("w", True),
        ("w/x/y", True),
        ("ab", False),
    ],
)
def test_only_directories_that_may_hold_something_are_entered(directory: str, may: bool) -> None:
    assert parse_ignore("*\n!a/b/c\n!w/*.txt\n").may_keep_below(directory) is may


@pytest.mark.parametrize("pattern", ["[a", "[", "a[", "[]", "[z-a]", "[-a]", "a\\", "!", "[a-"])
def test_malformed_patterns_are_refused_with_their_line(pattern: str) -> None:
    with pytest.raises(PatternError, match="line 2"):
        parse_ignore(f"fine\n{pattern}\n")


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("*", "abc", True),
        ("a*c", "abc", True),
        ("a*c", "abcd", False),
        ("a?c", "abc", True),
        ("*.js*", "a.json", True),
        ("[ab]*", "bx", True),
        ("[^ab]*", "bx", False),
        ("[a\\]]", "]", True),
        ("arr[[]0].txt", "arr[0].txt", True),
        ("\\*", "*", True),
        ("\\*", "x", False),
        ("a.c", "abc", False),
        ("[\\w]", "w", True),
        ("[\\w]", "x", False),
        ("(a|b)", "a", False),
        ("*", "line\nbreak", True),
    ],
)
def test_names_match_as_in_go(pattern: str, name: str, matches: bool) -> None:
    assert (compile_match(pattern).fullmatch(name) is not None) is matches


def test_which_text_is_a_pattern() -> None:
    assert [text for text in ("a", "a*", "a?", "[a]", "a\\b", "a]") if has_magic(text)] == [
        "a*",
        "a?",
        "[a]",
        "a\\b",
    ]


def test_a_pattern_made_to_be_slow_is_not() -> None:
    ignore = Ignore(["**/a" * 12 + "/b", "*a" * 20 + "b"])
    assert not ignore.matches("/".join("a" * 60))
    assert not ignore.matches("a" * 30)
