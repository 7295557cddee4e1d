"""Between JSON and the typed documents of this package: one encoder, one converter."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from corten.errors import Invalid
from corten.oci.digest import Digest

T = TypeVar("T")


def _encode_digest(value: Any) -> Any:
    if isinstance(value, Digest):
        return str.__str__(value)
    raise TypeError(f"cannot encode {type(value)!r}")


def _decode_digest(kind: type, value: Any) -> Any:
    if kind is Digest and isinstance(value, str):
        return Digest(value)
    raise Invalid(f"a digest is written as a string, not as {value!r}")


_encoder = msgspec.json.Encoder(enc_hook=_encode_digest, order="deterministic")


def canonical_json(value: Any) -> bytes:
    """Compact JSON with sorted keys: the same value gives the same bytes."""
    return _encoder.encode(value)


def to_plain(value: Any) -> Any:
    """A typed value as dicts, lists and strings."""
    return msgspec.to_builtins(value, enc_hook=_encode_digest)


def decode_object(raw: bytes, what: str, limit: int) -> dict[str, Any]:
    """The JSON object in `raw`.

    Raises: Invalid: longer than `limit` bytes, not JSON, not an object; `what`
    names the document in the message.
    """
    if len(raw) > limit:
        raise Invalid(f"{what} of {len(raw)} bytes is larger than the limit of {limit}")
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"malformed {what}: {error}") from error


def convert(document: dict[str, Any], kind: type[T], what: str) -> T:
    """`document` as a `kind`.  A null field counts as absent (OCI image, config.md, "Properties").

    Raises: Invalid: a field is missing or of the wrong type, or it is nested too deep.
    """
    try:
        return msgspec.convert(_without_nulls(document), kind, dec_hook=_decode_digest)
    except (msgspec.ValidationError, RecursionError) as error:
        raise Invalid(f"malformed {what}: {error}") from error


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
