"""crun's messages become our errors."""

import json
from pathlib import Path

import pytest

from corten.runtime.failures import CannotExecute, RuntimeFailed, failure, read_failure


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("executable file `foo` not found in $PATH: No such file or directory", 127),
        ("executable file 'foo' not found: No such file or directory", 127),
        ("open executable: No such file or directory", 127),
        ("exec container process `/foo`: No such file or directory", 127),
        ("open executable: Permission denied", 126),
        ("open executable: Operation not permitted", 126),
        ("exec container process `/foo`: Permission denied", 126),
        ("exec container process `/foo`: Exec format error", 126),
    ],
)
def test_a_command_that_cannot_run_has_the_shells_status(message: str, status: int) -> None:
    error = failure(message, "foo")
    assert isinstance(error, CannotExecute)
    assert error.status == status
    assert "'foo'" in str(error)
    assert error.hint


def test_other_failures_are_cruns_own_words() -> None:
    error = failure("cannot set sysctl: Invalid argument", "foo")
    assert isinstance(error, RuntimeFailed)
    assert str(error) == "crun: cannot set sysctl: Invalid argument"


def entry(level: str, message: str) -> str:
    return json.dumps({"msg": message, "level": level, "time": "2026-01-01T00:00:00Z"}) + "\n"


def test_the_last_error_in_the_log_counts(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(entry("error", "first") + entry("error", "second") + entry("debug", "third"))
    assert str(read_failure(log, "x")) == "crun: second"


def test_a_log_without_errors_or_no_log_means_that_the_command_ran(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert read_failure(log, "x") is None
    log.write_text("")
    assert read_failure(log, "x") is None
    log.write_text(entry("warning", "old kernel"))
    assert read_failure(log, "x") is None


def test_a_line_that_is_no_json_is_taken_as_it_is(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("something went wrong\n")
    assert str(read_failure(log, "x")) == "crun: something went wrong"


def test_an_option_behind_the_image_is_told_where_it_belongs() -> None:
    error = failure("executable file `-p` not found in $PATH: No such file or directory", "-p")
    assert isinstance(error, CannotExecute)
    assert error.hint == "options go before the image: corten run -p … IMAGE COMMAND"
