"""What went wrong when a container could not start, from what crun says of it.

crun writes its own messages to a log file of JSON lines, so that they never mix
with what the command writes; any line there means that the command did not run.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from corten.errors import CortenError, Invalid, Unsupported

LOG_LIMIT = 65536


class CannotExecute(Invalid):
    """The command does not exist in the image or is not executable.

    ``status`` is the exit status that shells and Docker give: 127 or 126.
    """

    def __init__(self, message: str, status: int, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class RuntimeFailed(Unsupported):
    """crun could not make the container."""


_MISSING = re.compile(r"executable file [`'](?P<name>.*?)[`'] not found|open executable: No such")
_REFUSED = re.compile(r"(open|exec)[^:]*.*(Permission denied|Operation not permitted)")
_NOT_A_PROGRAM = re.compile(r"[Ee]xec.*(Exec format error|Is a directory)")


def read_failure(log: Path, command: str) -> CortenError | None:
    """The error that crun logged to `log`; None: it logged none, so the command ran."""
    message = _last_error(log)
    if not message:
        return None
    return failure(message, command)


def failure(message: str, command: str) -> CortenError:
    """`message` of crun, about the start of `command`, as one of our errors."""
    if _MISSING.search(message) or re.search(r"exec.*: No such file or directory$", message):
        hint = "check its spelling, the image's PATH and, for a script, its first line"
        if command.startswith("-"):
            hint = f"options go before the image: corten run {command} … IMAGE COMMAND"
        return CannotExecute(f"command {command!r} is not in the image", 127, hint)
    if _REFUSED.search(message):
        return CannotExecute(
            f"command {command!r} is not executable",
            126,
            "it must be a file with an execute bit: chmod +x",
        )
    if _NOT_A_PROGRAM.search(message):
        return CannotExecute(
            f"command {command!r} is not a program for this machine",
            126,
            "a script needs #! in its first line; an image must be of this architecture",
        )
    return RuntimeFailed(f"crun: {message}")


def _last_error(log: Path) -> str:
    try:
        with log.open("rb") as file:
            text = file.read(LOG_LIMIT).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    messages = [_message(line) for line in text.splitlines()]
    return next((m for m in reversed(messages) if m), "")


def _message(line: str) -> str:
    try:
        entry = msgspec.json.decode(line)
    except ValueError:
        return line.strip()
    if isinstance(entry, dict) and entry.get("level") == "error":
        return str(entry.get("msg", "")).strip()
    return ""
