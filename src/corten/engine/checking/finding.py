"""What a check finds, as values."""

from __future__ import annotations

import msgspec

LEFTOVER, COPY = "leftover", "copy"
HARMLESS = (LEFTOVER, COPY)
"""Kinds of what takes room, but is no damage."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it should be.

    ``kind``: catalog, name, image, blob, fact, layer, stack, snapshot, container, cache, mount;
    leftover: what a killed command left, in nobody's way, and the next collection removes;
    copy: what lies there twice and need not.
    ``subject`` names the thing; ``remedy`` is what to do or, if ``repaired``, what was done.
    """

    kind: str
    subject: str
    problem: str
    remedy: str
    repaired: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}: {self.problem}; {self.remedy}"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All findings, and how much was looked at: counts, ``size`` in bytes, ``seconds`` of wall time."""

    findings: tuple[Finding, ...]
    blobs: int
    size: int
    layers: int
    snapshots: int
    containers: int
    seconds: float

    @property
    def left(self) -> tuple[Finding, ...]:
        """The findings that were not repaired."""
        return tuple(finding for finding in self.findings if not finding.repaired)

    @property
    def damage(self) -> tuple[Finding, ...]:
        """Those of them that are no mere leftovers or copies."""
        return tuple(finding for finding in self.left if finding.kind not in HARMLESS)
