"""``python -m bench.layers``: the layer store beside podman, docker with BuildKit, and buildah.

Every measurement is made in a new store on a file system made for it, the
programs taking turns.  Prints medians of wall and CPU time (commands and
daemons), peak memory, and the peers' multiples of ours; ``--json`` keeps every
sample.  Machines are shared and noisy: quote the ratios of one run.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.layers import compression, lives
from bench.layers.inputs import PORT, inputs, make_big, say
from bench.layers.lives import Sample, Stage
from bench.measure import Cost, table

ROWS: dict[str, tuple[Callable[[str, Stage], Iterator[Sample]], tuple[str, ...]]] = {
    "pull": (lives.pulled, ("corten", "podman", "docker")),
    "remove": (lives.removed, ("corten", "podman")),
    "copy": (lives.built, ("corten", "docker", "buildah", "podman")),
    "start": (lives.started, ("corten",)),
    "big": (lives.big, ("corten",)),
}


def main() -> int:
    """Run the rows that are asked for."""
    parser = argparse.ArgumentParser(prog="bench.layers", description=__doc__)
    parser.add_argument("rows", nargs="*", help=f"of {', '.join(ROWS)}, compression (all)")
    parser.add_argument("--times", type=int, default=3, help="samples a figure (median)")
    parser.add_argument("--peers", default="", help="only these, comma-separated")
    parser.add_argument("--base", default="debian:bookworm", help="what to bootstrap as base image")
    parser.add_argument("--scratch", type=Path, default=Path("build"), help="for disk files")
    parser.add_argument("--port", type=int, default=PORT, help="this and the next are served at")
    parser.add_argument("--json", type=Path, help="write all samples to this file")
    options = parser.parse_args()
    wanted = options.rows or [*ROWS, "compression"]
    if unknown := set(wanted) - set(ROWS) - {"compression"}:
        parser.error(f"no such rows: {', '.join(sorted(unknown))}")
    if os.geteuid() != 0:
        parser.error("mounts file systems: run it as root")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the disks go away
    peers = set(filter(None, options.peers.split(",")))
    samples: dict[str, dict[str, list[Cost]]] = {}
    with inputs(options.scratch.resolve(), options.base, options.port) as found:
        if "compression" in wanted:
            print(compression.table_of(found))
        if "big" in wanted:
            say("making a file of 2 GiB")
            make_big(found.folder / "big")
        for row in wanted:
            if row in ROWS:
                life, names = ROWS[row]
                chosen = [name for name in names if not peers or name in peers]
                for turn in range(options.times):
                    # Who goes first changes, so that none profits from its place.
                    for name in chosen[turn % len(chosen) :] + chosen[: turn % len(chosen)]:
                        take(
                            samples,
                            row,
                            name,
                            life(name, Stage(found, options.scratch.resolve(), turn)),
                        )
    if samples:
        report(samples, options.json)
    return 0


def take(
    samples: dict[str, dict[str, list[Cost]]], row: str, name: str, life: Iterator[Sample]
) -> None:
    """Add what a life yields."""
    say(f"{row}: {name}")
    for work, cost in life:
        say(f"  {work}: {cost.wall:.2f} s, {cost.cpu:.2f} s of CPU, {cost.peak:.0f} MiB")
        samples.setdefault(work, {}).setdefault(name, []).append(cost)


def report(samples: dict[str, dict[str, list[Cost]]], file: Path | None) -> None:
    """The table of medians; all samples to `file`."""
    medians = {
        work: {
            name: Cost(*(statistics.median(values) for values in zip(*costs, strict=True)))
            for name, costs in by_name.items()
        }
        for work, by_name in samples.items()
    }
    print(table(medians))
    for work, costs in medians.items():
        shown = ", ".join(f"{name} {cost.peak:.0f}" for name, cost in costs.items() if cost.peak)
        if shown:
            print(f"peak MiB, {work}: {shown}")
    if file is not None:
        file.write_text(json.dumps({
            work: {name: [cost._asdict() for cost in costs] for name, costs in by_name.items()}
            for work, by_name in samples.items()
        }, indent=1))  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
