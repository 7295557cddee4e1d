"""--chmod: what becomes of a mode, beside what chmod(1) makes of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corten.builder.modes import parse_mode
from corten.errors import Invalid

ACTIONS = st.tuples(
    st.sampled_from("+-="),
    st.one_of(st.sampled_from("ugo"), st.text("rwxXst", max_size=4)),
).map("".join)
CLAUSES = st.tuples(
    st.text("ugoa", max_size=3), st.lists(ACTIONS, min_size=1, max_size=3).map("".join)
).map("".join)


@pytest.mark.parametrize(
    ("text", "mode", "directory", "after"),
    [
        ("755", 0o644, False, 0o755),
        ("0644", 0o777, True, 0o644),
        ("7777", 0, False, 0o7777),
        ("0", 0o777, False, 0),
        ("000755", 0, False, 0o755),
        ("755", 0o2700, True, 0o755),
        ("+x", 0o640, False, 0o751),
        ("+w", 0o444, False, 0o666),
        ("g=u", 0o640, False, 0o660),
        ("u=rwX,go=rX", 0o600, False, 0o644),
        ("u=rwX,go=rX", 0o700, False, 0o755),
        ("u=rwX,go=rX", 0o600, True, 0o755),
        ("u+s,g+s", 0o755, False, 0o6755),
        ("+t", 0o777, True, 0o1777),
        ("a=", 0o6777, False, 0),
        ("go-rwx,u=rw", 0o755, False, 0o600),
        ("u+r-w=x", 0o644, False, 0o144),
    ],
)
def test_a_mode_becomes_another(text: str, mode: int, directory: bool, after: int) -> None:
    assert parse_mode(text)(mode, directory) == after


@pytest.mark.parametrize("directory", [False, True])
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(clauses=st.lists(CLAUSES, min_size=1, max_size=3), mode=st.integers(0, 0o7777))
def test_symbolic_modes_do_what_chmod_does(
    tmp_path: Path, directory: bool, clauses: list[str], mode: int
) -> None:
    text = ",".join(clauses)
    target = tmp_path / "it"
    if directory:
        target.mkdir(exist_ok=True)
    else:
        target.touch()
    target.chmod(mode)
    subprocess.run(["chmod", "--", text, target], check=True, umask=0)
    assert oct(parse_mode(text)(mode, directory)) == oct(target.stat().st_mode & 0o7777)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not a mode"),
        ("789", "'789' is not an octal mode"),
        ("10000", "'10000' is not an octal mode"),
        ("77777", "'77777' is not an octal mode"),
        ("u", "'u' is not a mode"),
        ("u+q", "'u+q' is not a mode"),
        ("x+r", "'x+r' is not a mode"),
        ("u+r,", "'' is not a mode (in 'u+r,')"),
        ("u+r, g+w", "' g+w' is not a mode"),
        ("u=rg", "'u=rg' is not a mode"),
        ("-755", "'-755' is not a mode"),
        ("٧٥٥", "is not a mode"),
    ],
)
def test_what_is_no_mode_is_refused(text: str, message: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_mode(text)
    assert message in caught.value.message
    assert caught.value.hint


@given(st.text("ugoarwxXst+-=,0178", max_size=60))
def test_any_text_is_a_mode_or_refused(text: str) -> None:
    try:
        change = parse_mode(text)
    except Invalid:
        return
    assert 0 <= change(0o644, False) <= 0o7777
