"""The ten families of errors.

Every error corten raises on purpose is a :class:`CortenError` of one of ten
families.  A family fixes what an edge does with it: the exit status of a
command, the HTTP status and code of a server (one table per edge).  Subclasses
live beside the code that raises them and may carry fields.

The message says in one line what is wrong and names the thing (file, line,
digest, host); ``hint`` says what to do about it.
"""

from __future__ import annotations

from typing import ClassVar


class CortenError(Exception):
    """Base of all errors that corten raises on purpose.

    ``origin`` is ``"source"`` or ``"sink"`` where a transfer failed on one of
    its two sides, else empty.
    """

    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "", origin: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.origin = origin

    def __str__(self) -> str:
        return self.message


class NotFound(CortenError):
    """What was named is not there."""


class Conflict(CortenError):
    """It is there already, in use, or changed by somebody else meanwhile."""


class Invalid(CortenError):
    """Input that breaks its format's rules: a name, a document, a Dockerfile."""


class Corrupt(CortenError):
    """Bytes are not what their digest, size or checksum says."""


class Denied(CortenError):
    """Not allowed: no or wrong credentials, or missing rights."""


class Unavailable(CortenError):
    """A host, disk or service does not answer now.  The only family that is retried."""


class Unsupported(CortenError):
    """Well-formed, but this machine, kernel or version cannot do it."""


class Cancelled(CortenError):
    """The user or the caller stopped it."""

    exit_status = 130


class StepFailed(CortenError):
    """A command run for the user (a build step, a container) ended with a failure."""

    def __init__(self, message: str, *, status: int = 1, hint: str = "", origin: str = "") -> None:
        super().__init__(message, hint=hint, origin=origin)
        self.status = status


class Usage(CortenError):
    """The command line or a call is wrong: unknown option, missing argument."""

    exit_status = 2
