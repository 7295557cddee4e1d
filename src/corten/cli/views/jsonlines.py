"""``--progress=json``: one JSON object a line, for programs.

Every object has ``event`` and ``id`` (the step's; empty: the command as a whole).  Steps
form a tree by ``parent``.  Readers must ignore members and events that they do not know.

========== ==================================================================================
event      further members
========== ==================================================================================
started    ``parent`` (id or empty), ``kind``, ``name``, ``total`` (units, bytes for
           transfers; null: unknown)
progress   ``current`` (units so far), ``total``
output     ``stream`` (1 stdout, 2 stderr) and either ``text`` or, if the bytes are not UTF-8,
           ``base64``
warned     ``text``
finished   ``status`` (one of `STATUSES`), ``detail``, ``seconds``
note       ``text``: corten itself has something to say (``id`` is empty)
========== ==================================================================================

The last ``finished`` of a command that makes or moves an image has as ``detail`` what came of
it: the image's ID (build), the manifest's digest (bootstrap, pull, push, copy).  This goes to
standard error; results, as without ``--progress``, to standard output.

`SCHEMA` says the same as a JSON Schema.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any, TextIO

from corten.events.model import STATUSES, Event, Finished, Output, Progress, Started, Warned

_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_TOTAL = {"type": ["integer", "null"], "minimum": 0}


def _shape(event: str, required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {
        "properties": {"event": {"const": event}, "id": _TEXT, **required, **optional},
        "required": ["event", "id", *required],
        "additionalProperties": False,
    }


SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "one line of corten --progress=json",
    "type": "object",
    "oneOf": [
        _shape("started", {"parent": _TEXT, "kind": _TEXT, "name": _TEXT, "total": _TOTAL}),
        _shape("progress", {"current": _COUNT, "total": _TOTAL}),
        _shape("output", {"stream": {"enum": [1, 2]}}, text=_TEXT, base64=_TEXT),
        _shape("warned", {"text": _TEXT}),
        _shape(
            "finished",
            {
                "status": {"enum": list(STATUSES)},
                "detail": _TEXT,
                "seconds": {"type": "number", "minimum": 0},
            },
        ),
        _shape("note", {"text": _TEXT}),
    ],
}


class JsonView:
    """Every event as a line of JSON, at once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def event(self, event: Event) -> None:
        """Fold one event."""
        self._write(document(event))

    def draw(self) -> None:
        """Nothing moves between events."""

    def note(self, text: str) -> None:
        """Something that belongs to no step."""
        self._write({"event": "note", "id": "", "text": text})

    def close(self) -> None:
        """Nothing is open."""

    def _write(self, fields: dict[str, Any]) -> None:
        self._stream.write(json.dumps(fields, separators=(",", ":")) + "\n")
        self._stream.flush()


def document(event: Event) -> dict[str, Any]:
    """The object of one event."""
    match event:
        case Started(id, parent, kind, name, total):
            return {
                "event": "started",
                "id": id,
                "parent": parent,
                "kind": kind,
                "name": name,
                "total": total,
            }
        case Progress(id, current, total):
            return {"event": "progress", "id": id, "current": current, "total": total}
        case Output(id, stream, data):
            return {"event": "output", "id": id, "stream": stream, **_payload(data)}
        case Warned(id, text):
            return {"event": "warned", "id": id, "text": text}
        case Finished(id, status, detail, seconds):
            return {
                "event": "finished",
                "id": id,
                "status": status,
                "detail": detail,
                "seconds": round(seconds, 3),
            }


def _payload(data: bytes) -> dict[str, str]:
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"base64": b64encode(data).decode()}
