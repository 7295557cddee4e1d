"""Variable expansion beyond the shared table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corten.dockerfile.expansion import ExpansionError, expand, expand_document, expand_words

VARIABLES = {
    "foo": "foobarbaz",
    "empty": "",
    "path": "/usr/local/bin",
    "stars": "a*b*c",
    "A": "x y",
}


@pytest.mark.parametrize(
    ("word", "result"),
    [
        ("${foo#f*b}", "arbaz"),
        ("${foo##f*b}", "az"),
        ("${foo%b*}", "foobar"),
        ("${foo%%b*}", "foo"),
        ("${foo/ba/fo}", "foofo" + "rbaz"),
        ("${foo//ba/fo}", "fooforfoz"),
        ("${foo/ba}", "foorbaz"),
        ("${foo//ba/}", "foorz"),
        ("${foo//?/-}", "---------"),
        ("${path##*/}", "bin"),
        ("${path%/*}", "/usr/local"),
        ("${path//\\//_}", "_usr_local_bin"),
        ("${stars//\\*/+}", "a+b+c"),
        ("${stars#a\\*}", "b*c"),
        ("${foo#x}", "foobarbaz"),
        ("${foo%x}", "foobarbaz"),
        ("${missing#x}", ""),
        ("${foo#$empty}", "foobarbaz"),
        ("${foo//$empty/x}", "foobarbaz"),
        ("${missing-${foo%baz}}", "foobar"),
        ("${empty-x}", ""),
        ("${empty:-x}", "x"),
        ("${empty+x}", "x"),
        ("${empty:+x}", ""),
        ("${missing-'a b'}", "a b"),
        ('"${missing:-a}"', "a"),
        ("$foo$empty.x", "foobarbaz.x"),
        ("$", "$"),
        ("a$", "a$"),
        ("é$foo", "éfoobarbaz"),
    ],
)
def test_modifiers(word: str, result: str) -> None:
    assert expand(word, VARIABLES) == result


@pytest.mark.parametrize(
    "word",
    [
        "${foo",
        "${foo#",
        "${foo/a",
        "${foo:x}",
        "${foo!x}",
        "${}",
        "'a",
        '"a',
        "${missing:?why}",
        "${a-${b-${c}",
    ],
)
def test_what_cannot_be_expanded(word: str) -> None:
    with pytest.raises(ExpansionError):
        expand(word, VARIABLES)


def test_a_required_variable_says_its_own_message() -> None:
    with pytest.raises(ExpansionError, match=r"^missing: say which$"):
        expand("${missing?say which}", VARIABLES)


def test_the_escape_character_may_be_a_backtick() -> None:
    assert expand("`$foo\\$foo", VARIABLES, "`") == "$foo\\foobarbaz"
    assert expand('"a`"b"', VARIABLES, "`") == 'a"b'


def test_words_divide_at_plain_white_space_only() -> None:
    assert expand_words("a $A \"$A\" 'b c' d\\ e", VARIABLES) == [
        "a",
        "x",
        "y",
        "x y",
        "b c",
        "d e",
    ]
    assert expand_words("$empty", VARIABLES) == []
    assert expand_words("''", VARIABLES) == [""]


def test_quotes_in_a_document_are_text() -> None:
    assert expand_document("'$foo' \"${empty:-x}\" \\$foo \\n", VARIABLES) == (
        "'foobarbaz' \"x\" $foo \\n"
    )
    assert expand_document("plain", {}) == "plain"


def test_nesting_and_growth_are_bounded() -> None:
    with pytest.raises(ExpansionError, match="nested too deeply"):
        expand("${a-" * 2000 + "}" * 2000, {})
    with pytest.raises(ExpansionError, match="longer than"):
        expand("$a" * 2000, {"a": "x" * 1000})


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    value = "a" * 8000
    for pattern in ("*" * 50 + "b", "*a" * 50 + "b", "?*" * 50 + "b"):
        for operator in ("%%", "%", "#", "##", "/", "//"):
            assert expand("${v" + operator + pattern + "}", {"v": value}) == value
    with pytest.raises(ExpansionError, match="longer than"):
        expand("${v/a*b}", {"v": "a" * 100_000})


@given(st.text(max_size=60))
def test_any_text_expands_or_is_refused(text: str) -> None:
    for function in (expand, expand_words, expand_document):
        try:
            function(text, VARIABLES)
        except ExpansionError as error:
            assert str(error)


@given(st.text(alphabet=st.characters(blacklist_characters="'\0"), max_size=40))
def test_single_quotes_keep_everything(text: str) -> None:
    assert expand(f"'{text}'", VARIABLES) == text
