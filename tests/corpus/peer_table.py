"""The table of differences, in docs/dockerfile.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from corpus.peer_reasons import reason

_DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "dockerfile.md"
_BEGIN, _END = "<!-- peers: begin -->", "<!-- peers: end -->"
_SHOWN = 4


def table(found: Mapping[str, tuple[str, int, int, list[str]]]) -> str:
    """Per peer: version, cases alike, cases it cannot be asked, and the others by reason."""
    out = []
    for peer, (version, alike, unasked, different) in found.items():
        count = f"{alike} of {alike + len(different)} cases give the same"
        rest = f"; {unasked} cannot be asked of it (flags it does not have)" if unasked else ""
        out += [f"**{version}**: {count}{rest}.", "", "| cases | which | reason |", "|--:|---|---|"]
        for why, cases in _by_reason(peer, different).items():
            out.append(f"| {len(cases)} | {_listed(cases)} | {why} |")
        out.append("")
    return "\n".join(out)


def _by_reason(peer: str, cases: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for case in cases:
        found.setdefault(reason(peer, case) or "not explained yet", []).append(case)
    return found


def _listed(cases: list[str]) -> str:
    shown = "; ".join(case.replace("|", "\\|") for case in cases[:_SHOWN])
    return f"{shown}; …" if len(cases) > _SHOWN else shown


def write(text: str) -> None:
    """Put the table between its marks in the document."""
    document = _DOCUMENT.read_text()
    before, _, rest = document.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    _DOCUMENT.write_text(f"{before}{_BEGIN}\n{text}\n{_END}{after}")
