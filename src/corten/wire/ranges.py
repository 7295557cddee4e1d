"""Byte ranges of downloads and of uploads.

Downloads follow RFC 9110, section 14 (``Range: bytes=…``).  Uploads have a form
of their own: ``Content-Range: 0-99`` on a chunk, ``Range: 0-99`` in answers, both
ends inclusive.  Spec: OCI distribution, "Pushing a blob in chunks".
"""

from __future__ import annotations

import re
from typing import NamedTuple

from corten.wire.codes import refusal

_ONE = re.compile(r"bytes=\s*([0-9]{0,19})-([0-9]{0,19})\s*", re.ASCII | re.IGNORECASE)
_CONTENT = re.compile(r"bytes\s+([0-9]{1,19})-([0-9]{1,19})/(\*|[0-9]{1,19})", re.ASCII | re.I)
_UPLOAD = re.compile(r"(?:bytes[ =])?([0-9]{1,19})-([0-9]{1,19})(?:/(?:\*|[0-9]+))?", re.ASCII)


class Span(NamedTuple):
    """Bytes from ``start`` up to and without ``stop``."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """Bytes in it."""
        return self.stop - self.start


def parse_range(text: str, size: int) -> Span | None:
    """What a ``Range`` field asks of a body of `size` bytes; None: the whole.

    A malformed field and one with several ranges count as absent, which RFC
    9110, section 14.2 allows.  Raises: Invalid (RANGE_INVALID, status 416): no
    byte of it exists.
    """
    found = _ONE.fullmatch(text)
    if found is None:
        return None
    first, last = found.groups()
    if not first and not last:
        return None
    if not first:
        length = int(last)
        if length == 0 or size == 0:
            raise _unsatisfiable(text, size)
        return Span(max(0, size - length), size)
    start = int(first)
    stop = size if not last else min(size, int(last) + 1)
    if last and int(last) < start:
        return None
    if start >= size:
        raise _unsatisfiable(text, size)
    return Span(start, stop)


def format_range(start: int) -> str:
    """The ``Range`` field that asks for everything from `start` on."""
    return f"bytes={start}-"


def format_content_range(span: Span, size: int) -> str:
    """The ``Content-Range`` field of an answer that holds `span`, not empty, of `size` bytes."""
    return f"bytes {span.start}-{span.stop - 1}/{size}"


def parse_content_range(text: str) -> tuple[Span, int | None] | None:
    """The span and, where told, the whole size; None: malformed."""
    found = _CONTENT.fullmatch(text.strip())
    if found is None:
        return None
    start, last = int(found[1]), int(found[2])
    size = None if found[3] == "*" else int(found[3])
    if last < start or (size is not None and last >= size):
        return None
    return Span(start, last + 1), size


def format_chunk(span: Span) -> str:
    """The ``Content-Range`` of an upload's chunk, which is not empty."""
    return f"{span.start}-{span.stop - 1}"


def parse_chunk(text: str) -> Span:
    """Where an upload's chunk belongs.  Raises: Invalid (BLOB_UPLOAD_INVALID): malformed."""
    found = _UPLOAD.fullmatch(text.strip())
    if found is None or int(found[2]) < int(found[1]):
        raise refusal("BLOB_UPLOAD_INVALID", f"malformed Content-Range {text[:60]!r}")
    return Span(int(found[1]), int(found[2]) + 1)


def format_received(size: int) -> str:
    """The ``Range`` of an answer about an upload that has `size` bytes.

    The form cannot say "none": no byte and one byte are both ``0-0``.
    """
    return f"0-{max(0, size - 1)}"


def parse_received(text: str) -> int:
    """How many bytes an upload surely has: 0 for ``0-0`` and for what is malformed."""
    found = _UPLOAD.fullmatch(text.strip())
    if found is None or int(found[1]) != 0 or int(found[2]) == 0:
        return 0
    return int(found[2]) + 1


def _unsatisfiable(text: str, size: int) -> Exception:
    return refusal("RANGE_INVALID", f"range {text[:60]!r} lies outside of {size} bytes")
