"""From an exception to what the user sees: one line, a hint, an exit status."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from typing import TextIO

import click

from corten.cli.interrupts import INTERRUPTED
from corten.errors import Cancelled, CortenError, StepFailed

USAGE = 2
BROKEN_PIPE = 141
"""As a shell reports a process that SIGPIPE ended."""
ENGINE_FAILED = 125
"""`run`, `exec` …: corten itself failed, not the command in the container (as Docker)."""

_COMMAND_FAILED = (126, 127)
_RUNNING = frozenset({"run", "exec", "create", "start"})


def exit_status(error: BaseException, command: str = "") -> int:
    """The status that `error` ends `command` with."""
    if isinstance(error, KeyboardInterrupt | click.Abort | Cancelled):
        return INTERRUPTED
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, BrokenPipeError):
        return BROKEN_PIPE
    if command in _RUNNING:
        if isinstance(error, StepFailed):
            return error.status
        # 126 and 127: the command in the container cannot be run, or is not there.  Other errors
        # have a status of another kind: a registry's answer, a helper's end.
        status = getattr(error, "status", None)
        return int(status) if status in _COMMAND_FAILED else ENGINE_FAILED
    if isinstance(error, click.UsageError):
        return USAGE
    return error.exit_status if isinstance(error, CortenError) else 1


def report(error: BaseException, stream: TextIO, *, debug: bool = False) -> None:
    """Write what went wrong: ``corten: …``, the lines of the file it is about, and ``hint: …``."""
    if isinstance(error, BrokenPipeError):
        return
    if debug:
        traceback.print_exception(error, file=stream)
    message, hint = explain(error)
    stream.write(f"corten: {message}\n")
    if excerpt := getattr(error, "excerpt", ""):
        from corten.cli.views.text import clean

        stream.write("".join(f"{clean(line)}\n" for line in excerpt.split("\n")))
    if hint:
        stream.write(f"hint: {hint}\n")
    stream.flush()


def explain(error: BaseException) -> tuple[str, str]:
    """Message and hint (or empty), each one line."""
    message, hint = _explain(error)
    return " ".join(message.split()), " ".join(hint.split())


def _explain(error: BaseException) -> tuple[str, str]:
    if isinstance(error, CortenError):
        return error.message, error.hint
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return "cancelled", ""
    if isinstance(error, click.ClickException):
        return _usage(error)
    if isinstance(error, OSError) and error.errno is not None:
        name = error.filename
        name = os.fsdecode(name) if isinstance(name, str | bytes) else name
        where = f"{name}: " if name is not None else ""
        hints = {
            errno.EACCES: "run corten as root, or choose another --root",
            errno.EPERM: "run corten as root",
            errno.ENOSPC: "`corten gc` frees what nothing needs; --root moves the store elsewhere",
            errno.EROFS: "choose another --root",
        }
        return f"{where}{error.strerror}", hints.get(error.errno, "")
    return (
        f"internal error: {type(error).__name__}: {error}",
        "this is a bug in corten: run the command again with --debug and report what it prints",
    )


def _usage(error: click.ClickException) -> tuple[str, str]:
    message = error.format_message()
    message = (message[:1].lower() + message[1:]).rstrip(".")
    hint = getattr(error, "hint", "")
    context = getattr(error, "ctx", None)
    if isinstance(error, click.MissingParameter) and error.param is not None:
        hint = getattr(error.param.type, "missing_hint", "")
    if not hint and context is not None:
        hint = f"see {context.command_path} --help"
    return message, hint


def silence_stdout() -> None:
    """After a broken pipe: let the interpreter's last flush go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
