"""What the user sees of an error, and the exit status."""

from __future__ import annotations

import io

import click
import pytest

from corten.cli.failures import exit_status, explain, report
from corten.errors import (
    Cancelled,
    Conflict,
    Corrupt,
    CortenError,
    Denied,
    Invalid,
    NotFound,
    StepFailed,
    Unavailable,
    Unsupported,
    Usage,
)
from corten.runtime.failures import CannotExecute
from corten.system.process import HelperFailed
from corten.wire.codes import refusal

FAMILIES = (NotFound, Conflict, Invalid, Corrupt, Denied, Unavailable, Unsupported)


@pytest.mark.parametrize("family", FAMILIES)
def test_families_end_with_one_and_with_125_around_a_container(family: type[CortenError]) -> None:
    assert exit_status(family("x"), "build") == 1
    assert exit_status(family("x"), "run") == 125
    assert exit_status(family("x"), "exec") == 125


@pytest.mark.parametrize(
    ("error", "command", "status"),
    [
        (Usage("x"), "build", 2),
        (click.UsageError("x"), "", 2),
        (click.UsageError("x"), "run", 125),
        (Cancelled("x"), "build", 130),
        (Cancelled("x"), "run", 130),
        (KeyboardInterrupt(), "pull", 130),
        (click.Abort(), "pull", 130),
        (BrokenPipeError(), "images", 141),
        (CannotExecute("x", 127, ""), "run", 127),
        (CannotExecute("x", 126, ""), "exec", 126),
        (StepFailed("x", status=7), "run", 7),
        (StepFailed("x", status=7), "build", 1),
        (refusal("MANIFEST_UNKNOWN", status=404), "run", 125),
        (HelperFailed("crun", 1, "x"), "run", 125),
        (click.exceptions.Exit(3), "", 3),
        (KeyError("x"), "", 1),
        (OSError(13, "Permission denied"), "", 1),
    ],
)
def test_exit_statuses(error: BaseException, command: str, status: int) -> None:
    assert exit_status(error, command) == status


def test_an_error_is_one_line_and_its_hint_another() -> None:
    stream = io.StringIO()
    report(NotFound("no image 'debain'", hint="corten images lists\nall"), stream)
    assert stream.getvalue() == "corten: no image 'debain'\nhint: corten images lists all\n"


def test_an_error_without_hint_is_one_line() -> None:
    stream = io.StringIO()
    report(Invalid("a\n  b"), stream)
    assert stream.getvalue() == "corten: a b\n"


def test_an_unexpected_exception_asks_for_debug_and_shows_no_traceback() -> None:
    stream = io.StringIO()
    report(KeyError("layers"), stream)
    first, second = stream.getvalue().splitlines()
    assert first == "corten: internal error: KeyError: 'layers'"
    assert "--debug" in second


def test_debug_shows_the_traceback_first() -> None:
    stream = io.StringIO()
    try:
        raise ValueError("inside")
    except ValueError as error:
        report(error, stream, debug=True)
    text = stream.getvalue()
    assert text.startswith("Traceback")
    assert text.splitlines()[-2] == "corten: internal error: ValueError: inside"


def test_an_error_of_the_system_names_the_file_and_what_to_do() -> None:
    message, hint = explain(PermissionError(13, "Permission denied", "/var/lib/corten"))
    assert message == "/var/lib/corten: Permission denied"
    assert "--root" in hint
    message, hint = explain(OSError(28, "No space left on device", b"/x"))
    assert message == "/x: No space left on device"
    assert "corten gc" in hint


def test_a_broken_pipe_is_not_worth_a_word() -> None:
    stream = io.StringIO()
    report(BrokenPipeError(), stream)
    assert stream.getvalue() == ""
