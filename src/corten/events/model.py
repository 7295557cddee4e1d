"""The events themselves: five frozen records.

Everything that happens is one stream of these.  Terminal views, plain lines,
JSON lines and (later) Docker's JSON messages and server-sent events are folds
over the stream; the code that does the work knows none of them.

``id`` names a step within one stream; ``parent`` is the id of the step that
contains it (empty for the outermost), so the ids form a tree.
"""

from __future__ import annotations

import msgspec


class Started(msgspec.Struct, frozen=True):
    """A step began.  ``total`` is in units (bytes for transfers), None if unknown."""

    id: str
    parent: str
    kind: str
    name: str
    total: int | None = None


class Progress(msgspec.Struct, frozen=True):
    """The step is ``current`` units far; ``total`` repeats or corrects Started's."""

    id: str
    current: int
    total: int | None = None


class Output(msgspec.Struct, frozen=True):
    """Bytes that a process of this step wrote; ``stream`` is 1 (stdout) or 2 (stderr)."""

    id: str
    stream: int
    data: bytes


class Warned(msgspec.Struct, frozen=True):
    """Something the user should know that does not stop the step."""

    id: str
    text: str


class Finished(msgspec.Struct, frozen=True):
    """The step ended.

    ``status`` is one of `STATUSES`; ``detail`` is a short text for people (a digest,
    an error); ``seconds`` is wall time.
    """

    id: str
    status: str
    detail: str = ""
    seconds: float = 0.0


STATUSES = ("done", "cached", "mounted", "compressed", "failed", "cancelled")
"""How steps end.  ``cached``: nothing had to be done; ``mounted``: a registry had the blob in
another repository, so no bytes moved; ``compressed``: a layer is, but the registry that it was
sent to meanwhile failed, so that it is sent again."""

Event = Started | Progress | Output | Warned | Finished
