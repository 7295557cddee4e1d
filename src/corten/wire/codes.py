"""Error codes: one table between the families of errors, the protocol's codes and HTTP.

Both sides use it: a server turns an error into an answer with :func:`encode`, a
client turns an answer into the same error with :func:`decode`.
Spec: OCI distribution, "Error Codes"; Docker's further codes: api.md, "Errors".
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from corten.errors import (
    Conflict,
    Corrupt,
    CortenError,
    Denied,
    Invalid,
    NotFound,
    Unavailable,
    Unsupported,
)
from corten.oci.codec import canonical_json
from corten.wire.challenge import REALM, Challenge, parse_challenges
from corten.wire.messages import Response


class Code(NamedTuple):
    """A code of the protocol: its HTTP status, its family and what it says by default."""

    status: int
    family: type[CortenError]
    message: str


CODES: dict[str, Code] = {
    "BLOB_UNKNOWN": Code(404, NotFound, "blob unknown to registry"),
    "BLOB_UPLOAD_INVALID": Code(400, Invalid, "blob upload invalid"),
    "BLOB_UPLOAD_UNKNOWN": Code(404, NotFound, "blob upload unknown to registry"),
    "DIGEST_INVALID": Code(400, Corrupt, "provided digest did not match uploaded content"),
    "MANIFEST_BLOB_UNKNOWN": Code(
        404, NotFound, "manifest references a manifest or blob unknown to registry"
    ),
    "MANIFEST_INVALID": Code(400, Invalid, "manifest invalid"),
    "MANIFEST_UNKNOWN": Code(404, NotFound, "manifest unknown to registry"),
    "NAME_INVALID": Code(400, Invalid, "invalid repository name"),
    "NAME_UNKNOWN": Code(404, NotFound, "repository name not known to registry"),
    "SIZE_INVALID": Code(400, Corrupt, "provided length did not match content length"),
    "UNAUTHORIZED": Code(401, Denied, "authentication required"),
    "DENIED": Code(403, Denied, "requested access to the resource is denied"),
    "UNSUPPORTED": Code(405, Unsupported, "the operation is unsupported"),
    "TOOMANYREQUESTS": Code(429, Unavailable, "too many requests"),
    # Docker's, from before the OCI's specification.
    "TAG_INVALID": Code(400, Invalid, "manifest tag did not match URI"),
    "MANIFEST_UNVERIFIED": Code(400, Invalid, "manifest failed signature verification"),
    "PAGINATION_NUMBER_INVALID": Code(400, Invalid, "invalid number of results requested"),
    "RANGE_INVALID": Code(416, Invalid, "invalid content range"),
    "UNAVAILABLE": Code(503, Unavailable, "the registry cannot answer now"),
    "UNKNOWN": Code(500, Unavailable, "unknown error"),
}

_FAMILIES: dict[type[CortenError], tuple[int, str]] = {
    NotFound: (404, "NAME_UNKNOWN"),
    Conflict: (409, "DENIED"),
    Corrupt: (400, "DIGEST_INVALID"),
    Denied: (403, "DENIED"),
    Unavailable: (503, "UNAVAILABLE"),
    Unsupported: (405, "UNSUPPORTED"),
    Invalid: (400, "UNSUPPORTED"),
}

_STATUSES: dict[int, type[CortenError]] = {
    400: Invalid,
    401: Denied,
    403: Denied,
    404: NotFound,
    405: Unsupported,
    409: Conflict,
    412: Conflict,
    413: Invalid,
    414: Invalid,
    416: Invalid,
    429: Unavailable,
    431: Invalid,
    501: Unsupported,
}
_MESSAGE_LIMIT = 500


class Refused(CortenError):
    """An error that has a code of the protocol.  Always one of the families, too.

    ``code`` is the protocol's, ``status`` HTTP's, ``detail`` what the ``detail``
    field holds (None: no such field).
    """

    code: str = "UNKNOWN"
    status: int = 500
    detail: Any = None


class _NotFound(Refused, NotFound):
    pass


class _Conflict(Refused, Conflict):
    pass


class _Invalid(Refused, Invalid):
    pass


class _Corrupt(Refused, Corrupt):
    pass


class _Denied(Refused, Denied):
    pass


class _Unavailable(Refused, Unavailable):
    pass


class _Unsupported(Refused, Unsupported):
    pass


_REFUSED: dict[type[CortenError], type[Refused]] = {
    NotFound: _NotFound,
    Conflict: _Conflict,
    Invalid: _Invalid,
    Corrupt: _Corrupt,
    Denied: _Denied,
    Unavailable: _Unavailable,
    Unsupported: _Unsupported,
}


def refusal(
    code: str, message: str = "", *, status: int = 0, detail: Any = None, hint: str = ""
) -> Refused:
    """The error that stands for `code`; `status` overrides the code's own."""
    entry = CODES.get(code, CODES["UNKNOWN"])
    family = entry.family
    if status and status != entry.status:
        family = _STATUSES.get(status, family)
    error = _REFUSED[family](message or entry.message, hint=hint)
    error.code = code if code in CODES else "UNKNOWN"
    error.status = status or entry.status
    error.detail = detail
    return error


def encode(error: CortenError) -> tuple[int, bytes]:
    """The HTTP status and JSON body that say `error` to a client."""
    if isinstance(error, Refused):
        status, code, detail = error.status, error.code, error.detail
    else:
        fitting = (entry for family, entry in _FAMILIES.items() if isinstance(error, family))
        status, code = next(fitting, (500, "UNKNOWN"))
        detail = None
    said: dict[str, Any] = {"code": code, "message": str(error)}
    if detail is not None:
        said["detail"] = detail
    return status, canonical_json({"errors": [said]})


class Complaint(msgspec.Struct):
    """One entry of an errors body."""

    code: str = "UNKNOWN"
    message: str = ""
    detail: Any = None


class _Complaints(msgspec.Struct):
    errors: list[Complaint] = []


def complaints(body: bytes) -> list[Complaint]:
    """The entries of an errors body; empty where `body` is none."""
    try:
        return msgspec.json.decode(body, type=_Complaints).errors
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return []


_MEANINGS = {
    401: "credentials are needed",
    403: "access is denied",
    404: "not found",
    429: "too many requests",
}
"""What a status says where no body does: an answer to HEAD has none."""


def decode(response: Response, what: str) -> Refused:
    """The error that an unsuccessful `response` to `what` ("pull of example/app") says."""
    said = complaints(response.body)
    status = response.status
    host = response.origin.partition("://")[2] or "the registry"
    family = _STATUSES.get(status) or (Unavailable if status >= 500 else Invalid)
    code = said[0].code if said else ""
    # A code says more than a status, but a status of the server's own failure says most.
    if code in CODES and status < 500:
        family = CODES[code].family
    text = "; ".join(filter(None, (_tidy(entry.message or entry.code) for entry in said[:3])))
    text = text or _MEANINGS.get(status, f"HTTP status {status}")
    error = _REFUSED[family](f"{host}: {what}: {text}", hint=_hint(response, host, what))
    error.code, error.status = code if code in CODES else "UNKNOWN", status
    error.detail = said[0].detail if said else None
    return error


def _challenges(response: Response) -> tuple[Challenge, ...]:
    return parse_challenges(response.headers.get("WWW-Authenticate", ""))


def _tidy(text: str) -> str:
    """Text of a stranger for one line of a terminal: no control characters, no flood."""
    return "".join(c if c.isprintable() else " " for c in text[:_MESSAGE_LIMIT]).strip()


def _hint(response: Response, host: str, what: str) -> str:
    status = response.status
    if status == 404:
        return f"check that name and {'digest' if '@' in what else 'tag'} are right"
    if status == 401:
        if any(c.parameters.get("realm") == REALM for c in _challenges(response)):
            return (
                f"{host} has no accounts to log in to: whoever runs it can start it with"
                " --anonymous read (all may pull) or write (all may push)"
            )
        return (
            f"log in to {host} first (docker login, podman login), or check that the name is right"
        )
    if status == 403:
        return f"the account used for {host} may not do this"
    if status == 429:
        return f"{host} limits how often it may be asked: wait, or log in"
    return ""
