"""Why other builders make something else of a case than the reference says."""

from __future__ import annotations

from collections.abc import Mapping

_BY_REASON: Mapping[str, Mapping[str, tuple[str, ...]]] = {"docker": {}, "buildah": {}}

REASONS: Mapping[str, Mapping[str, str]] = {
    peer: {case: reason for reason, cases in reasons.items() for case in cases}
    for peer, reasons in _BY_REASON.items()
}
"""By peer and case."""
