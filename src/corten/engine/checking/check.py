"""`check`: is all that lies under a root what it should be, and if not, mend it."""

from __future__ import annotations

import time
from contextlib import ExitStack

import msgspec

from corten.content.blobs import BlobDirectory
from corten.content.listing import CATALOG
from corten.engine.checking.blobs import check_blobs
from corten.engine.checking.catalogs import catalog_problem, rebuild, remember_again
from corten.engine.checking.content import verify
from corten.engine.checking.finding import HARMLESS, Finding, Report
from corten.engine.checking.layers import check_layers, count_layers
from corten.engine.checking.leftovers import check_leftovers
from corten.engine.checking.records import check_records
from corten.engine.checking.scope import Scope
from corten.engine.checking.snapshots import check_containers, check_snapshots, readable_records
from corten.engine.checking.survey import EMPTY, Survey, needs_of, roots_of, survey
from corten.engine.host import Host
from corten.events.job import Job
from corten.snapshot.remains import held_snapshots


def check(host: Host, job: Job, *, repair: bool = False, deep: bool = False) -> Report:
    """Verify blobs, catalog, applied layers, snapshots and containers, and look for leftovers.

    Without `repair` nothing is changed, and other commands may go on meanwhile; with it
    what can be mended is, under a lease.  `deep` compares every applied layer with its tar
    path by path.  Cost: reads and hashes every blob once, on all cores.

    Raises: Conflict: the catalog has to be replaced while others use it; Unavailable: the
    disk does not read or is full; Cancelled.
    """
    begin = time.monotonic()
    with ExitStack() as stack:
        step = stack.enter_context(job.step("repair" if repair else "check", str(host.root)))
        records, unreadable = readable_records(host)
        findings: list[Finding] = []
        problem = catalog_problem(host)
        if problem:
            findings.append(rebuild(host, problem, records, repair=repair))
        lease = ""
        if repair and (host.root / CATALOG).exists():
            # Nobody collects meanwhile what is being mended.
            lease = stack.enter_context(host.store.lease())
        blobs = BlobDirectory(host.root / "content")
        known = _survey(host) if repair or not problem else EMPTY
        roots = roots_of(known, [(r.name, r.manifest) for r in records])
        needs = needs_of(blobs, roots, known, host.platform)
        if problem and repair:
            remember_again(host, needs)
            known = _survey(host)
        scope = Scope(
            host=host, job=step, repair=repair, deep=deep, blobs=blobs, known=known, needs=needs,
            records=records,
            lease=lease,
        )  # fmt: skip
        seen = verify(blobs, needs, step)
        about_blobs, damaged = check_blobs(scope, seen.damaged)
        findings += about_blobs
        # Hashing may have taken long: there are other containers now.
        records, unreadable = readable_records(host)
        scope = msgspec.structs.replace(scope, damaged=frozenset(damaged), records=records)
        findings += check_layers(scope)
        # Before snapshots: what still runs in one that nobody owns is ended first.
        findings += check_leftovers(scope)
        findings += check_containers(scope, unreadable)
        findings += check_snapshots(scope)
        if not problem or repair:
            findings += check_records(scope)
        left = sum(not f.repaired and f.kind not in HARMLESS for f in findings)
        step.result(
            "done",
            f"{left} {'finding' if left == 1 else 'findings'} left" if left else "all is well",
        )
    return Report(
        findings=tuple(findings),
        blobs=seen.blobs,
        size=seen.size,
        layers=count_layers(scope),
        snapshots=sum(1 for _ in held_snapshots(host.root)),
        containers=len(records),
        seconds=time.monotonic() - begin,
    )


def _survey(host: Host) -> Survey:
    file = host.root / CATALOG
    return survey(file) if file.exists() else EMPTY
