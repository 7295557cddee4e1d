"""Challenges and scopes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corten.wire.challenge import (
    Challenge,
    Scope,
    format_challenge,
    merge_scopes,
    parse_challenges,
    parse_scopes,
    repository_scope,
)

BEARER = (
    'Bearer realm="https://auth.example/token",service="registry.example",'
    'scope="repository:samalba/my-app:pull,push"'
)


def test_the_challenge_of_the_token_specification() -> None:
    (challenge,) = parse_challenges(BEARER)
    assert challenge.scheme == "bearer"
    assert challenge.parameters == {
        "realm": "https://auth.example/token",
        "service": "registry.example",
        "scope": "repository:samalba/my-app:pull,push",
    }


@pytest.mark.parametrize(
    ("text", "schemes"),
    [
        ("", []),
        ("Basic", ["basic"]),
        ('Basic realm="x"', ["basic"]),
        ('Basic realm="x", Bearer realm="y", service=z', ["basic", "bearer"]),
        ('Negotiate, Basic realm="x"', ["negotiate", "basic"]),
        ('Negotiate abc123==, Basic realm="x"', ["negotiate", "basic"]),
        ("Basic realm=x,", ["basic"]),
        ('  Basic   realm = "x" ,charset="UTF-8"', ["basic"]),
    ],
)
def test_several_challenges(text: str, schemes: list[str]) -> None:
    assert [challenge.scheme for challenge in parse_challenges(text)] == schemes


def test_quotes_and_backslashes_are_undone() -> None:
    (challenge,) = parse_challenges(r'Basic realm="a \"b\" \\ c, d=e"')
    assert challenge.parameters["realm"] == r'a "b" \ c, d=e'


def test_the_first_of_repeated_parameters_counts() -> None:
    (challenge,) = parse_challenges('Bearer realm="one",realm="two"')
    assert challenge.parameters["realm"] == "one"


def test_an_unclosed_quote_ends_the_reading() -> None:
    assert parse_challenges('Bearer realm="https://x')[0].parameters == {}


@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    for challenge in parse_challenges(text):
        assert challenge.scheme == challenge.scheme.lower()


def test_reading_hostile_text_takes_no_long_time() -> None:
    assert parse_challenges("Bearer " + 'a="' + "\\" * 100_000) is not None
    assert parse_challenges("a," * 100_000)
    assert parse_challenges(" " * 100_000) == ()


PARAMETERS = st.dictionaries(
    st.sampled_from(["realm", "service", "scope", "error"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
)


@given(PARAMETERS)
def test_format_and_parse_round_trip(parameters: dict[str, str]) -> None:
    text = format_challenge("Bearer", parameters)
    assert parse_challenges(text) == (Challenge("bearer", parameters),)
    assert parse_challenges(str(Challenge("bearer", parameters))) == parse_challenges(text)


@pytest.mark.parametrize(
    ("text", "name", "actions"),
    [
        ("repository:a/b:pull", "a/b", {"pull"}),
        ("repository:a/b:pull,push", "a/b", {"pull", "push"}),
        ("repository:host:5000/a/b:pull", "host:5000/a/b", {"pull"}),
        ("repository(plugin):a:pull", "a", {"pull"}),
        ("registry:catalog:*", "catalog", {"*"}),
        ("repository:a:", "a", set()),
    ],
)
def test_scopes(text: str, name: str, actions: set[str]) -> None:
    (scope,) = parse_scopes(text)
    assert (scope.name, scope.actions) == (name, frozenset(actions))


def test_malformed_scopes_are_left_out() -> None:
    assert parse_scopes("x repository:a:pull :: repository: repository:b:push") == (
        repository_scope("a", "pull"),
        repository_scope("b", "push"),
    )


def test_a_scope_is_written_with_its_actions_in_order() -> None:
    assert str(repository_scope("a", "push", "pull")) == "repository:a:pull,push"


def test_merged_scopes_have_one_entry_a_resource() -> None:
    merged = merge_scopes(
        (
            repository_scope("b", "pull"),
            repository_scope("a", "pull"),
            repository_scope("b", "push"),
        )
    )
    assert merged == (repository_scope("a", "pull"), repository_scope("b", "pull", "push"))


def test_a_scope_covers_what_it_contains() -> None:
    both = repository_scope("a", "pull", "push")
    assert both.covers(repository_scope("a", "pull"))
    assert not repository_scope("a", "pull").covers(both)
    assert not both.covers(repository_scope("b", "pull"))
    assert not both.covers(Scope("registry", "a", frozenset()))
