"""What every part of a check works on."""

from __future__ import annotations

from collections.abc import Iterable, Set
from pathlib import Path

import msgspec

from corten.content.blobs import BlobDirectory
from corten.engine.checking.finding import LEFTOVER, Finding
from corten.engine.checking.survey import Need, Needs, Survey
from corten.engine.host import Host
from corten.events.job import Job
from corten.oci.digest import Digest
from corten.runtime.containers import ContainerRecord
from corten.snapshot.remains import is_free

REPAIR = "corten system check --repair"
_NAMED = 5
"""How many of the images that need something are named."""
DAMAGED = "damaged"
"""The directory under the root with what a repair took out of the way, for people to look at."""


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """One check of `host`.  Without ``repair`` nothing may be changed.

    ``lease`` is the check's own, if it has one.  ``damaged`` are blobs whose bytes are wrong
    and still in place.
    """

    host: Host
    job: Job
    repair: bool
    deep: bool
    blobs: BlobDirectory
    known: Survey
    needs: Needs
    records: tuple[ContainerRecord, ...]
    lease: str = ""
    damaged: Set[Digest] = frozenset()

    @property
    def root(self) -> Path:
        """The root that is checked."""
        return self.host.root

    @property
    def busy(self) -> bool:
        """Whether other commands hold leases now: what they make may have no other owner yet."""
        return any(path.stem != self.lease for path in living_leases(self.root))

    def tar(self, layer: Digest) -> Path | None:
        """The layer's tar as it lies in the store, None: it has none."""
        return None if self.blobs.size_or_none(layer) is None else self.blobs.file(layer)

    def whole_tar(self, layer: Digest) -> Path | None:
        """The layer's tar, if its bytes are right."""
        return None if layer in self.damaged else self.tar(layer)


def living_leases(root: Path) -> list[Path]:
    """Lock files of leases that somebody holds now."""
    return [path for path in (root / "content" / "ingest").glob("*.lease") if not is_free(path)]


def mended(kind: str, subject: str, problem: str, done: str) -> Finding:
    """A finding that a repair has seen to; `done` says how."""
    return Finding(kind=kind, subject=subject, problem=problem, remedy=done, repaired=True)


def found(kind: str, subject: str, problem: str, remedy: str) -> Finding:
    """A finding that is left; `remedy` says what to do."""
    return Finding(kind=kind, subject=subject, problem=problem, remedy=remedy)


def leftover(subject: str, problem: str) -> Finding:
    """A finding that need not be repaired."""
    return found(LEFTOVER, subject, problem, "the next corten gc removes it")


def comes_back(need: Need, known: Survey) -> str:
    """What brings the bytes of a blob back that nothing here can make again."""
    from corten.engine.checking.survey import familiar

    pulled = {repository for repository, _, _ in known.repo_digests}
    names = {familiar(name): name for name in known.names}
    # A container gets its bytes back with its image; alone it can only go.
    images = [h for h in sorted(need.holders) if not h.startswith("container ")]
    holders = images or sorted(need.holders)
    # One of several that share it brings it back for all.
    for holder in holders:
        if _repository(names.get(holder, "")) in pulled:
            return f"corten pull {holder}"
    if len(holders) > 1:
        return f"build, load or pull one of them again, or {_go(holders)} them"
    return _remedy(holders[0]) if holders else "nothing needs it: corten gc"


def _go(holders: Iterable[str]) -> str:
    return "corten rm" if all(h.startswith("container ") for h in holders) else "corten rmi"


def _remedy(holder: str) -> str:
    kind, _, rest = holder.partition(" ")
    if kind == "container" and rest:
        return f"corten rm {rest}, or bring its image back"
    if kind == "image" and rest:
        return f"corten rmi {rest}"
    return f"build, load or pull {holder} again, or corten rmi {holder}"


def _repository(name: str) -> str:
    bare = name.partition("@")[0]
    return bare.rpartition(":")[0] if ":" in bare.rpartition("/")[2] else bare


def people(needed_by: Iterable[str]) -> str:
    """Holders for a message; of many the first."""
    names = sorted(needed_by)
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
