"""``make bench``: corten beside podman and docker, all stores on one fresh file system.

Prints medians of wall and CPU time and the peers' multiples of ours.  Machines
are shared and noisy: quote the ratios of one run, not the milliseconds.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.disk import fresh_disk
from bench.measure import Cost, measured, table
from bench.peers import Peer, corten, docker, podman, registry

BASE = "localhost/base:1"
STEPS = 10
PORT = 5055


def main() -> int:
    """Run all benchmarks and print the table."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--times", type=int, default=5, help="runs a figure (median)")
    parser.add_argument("--base", default="debian:bookworm", help="what to bootstrap as base image")
    parser.add_argument(
        "--scratch", type=Path, default=Path("build"), help="where the disk file goes"
    )
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("mounts file systems: run it as root")
    with peers_on_fresh_disk(options.scratch.resolve(), options.base) as (peers, folder):
        rows = dict(benchmarks(peers, folder, options.times))
    print(table(rows))
    return 0


@contextlib.contextmanager
def peers_on_fresh_disk(scratch: Path, base: str) -> Iterator[tuple[list[Peer], Path]]:
    """corten and the peers that are installed, each with the same base image in its store."""
    with fresh_disk(scratch / "bench.img") as disk, docker(disk / "docker") as with_docker:
        ours = corten(disk / "corten")
        peers = [ours, *filter(None, [podman(disk / "podman"), with_docker])]
        say(f"bootstrapping {base}")
        ours("bootstrap", base)
        ours("tag", base, BASE)
        archive = disk / "base.tar"
        ours("save", "-o", str(archive), BASE)
        for peer in peers[1:]:
            say(f"loading it into {peer.name}")
            peer("load", "-i", str(archive))
        yield peers, disk


def benchmarks(
    peers: list[Peer], folder: Path, times: int
) -> Iterator[tuple[str, dict[str, Cost]]]:
    """Each kind of work with what it costs each peer."""
    context = ten_steps(folder / "ten")
    # The dockerd of this benchmark has no bridge: it must not touch the machine's packet filter.
    bridged = [peer for peer in peers if peer.name != "docker"]
    yield "run --rm BASE true", each(bridged, times, lambda p: p.run(BASE, "true"))
    yield (
        "run --rm --network=none …",
        each(peers, times, lambda p: p.run("--network=none", BASE, "true")),
    )
    yield (
        "build, ten steps, cold",
        each(peers, times, lambda p: p.build(context, "localhost/ten", "--no-cache")),
    )
    for peer in peers:
        peer.build(context, "localhost/ten")
    yield (
        "build, ten steps, cached",
        each(peers, times, lambda p: p.build(context, "localhost/ten")),
    )
    with contextlib.ExitStack() as stack:
        yield from transfers(peers, folder, stack, times)
    for peer in peers:
        for number in range(200):
            peer("tag", BASE, f"localhost/many/image-{number}:1")
    yield "images (200 names)", each(peers, times, lambda p: p("images"))


def transfers(
    peers: list[Peer], folder: Path, stack: contextlib.ExitStack, times: int
) -> Iterator[tuple[str, dict[str, Cost]]]:
    """Push of an image to an empty registry, and pull of one until a container has run."""
    names: dict[str, list[str]] = {}

    def tag(peer: Peer) -> None:
        # An empty registry each time: nothing is there already, and nothing can be mounted.
        number = sum(map(len, names.values()))
        host = stack.enter_context(registry(folder / f"registry-{number}", PORT + number))
        name = f"{host}/base:1"
        names.setdefault(peer.name, []).append(name)
        peer("tag", BASE, name)

    yield (
        "push BASE",
        each(peers, times, lambda p: p("push", *p.push_flags, names[p.name][-1]), tag),
    )
    pulled = names["corten"][0]

    def forget(peer: Peer) -> None:
        for image in (*names.pop(peer.name, []), "localhost/ten", BASE, "debian:bookworm", pulled):
            with contextlib.suppress(SystemExit):
                peer("rmi", "-f", image)
        prune = ["gc"] if peer.name == "corten" else ["image", "prune", "-af"]
        peer(*prune)

    def pull(peer: Peer) -> None:
        peer("pull", *peer.push_flags, pulled)
        peer.run("--network=none", pulled, "true")

    yield "pull until it has run", each(peers, times, pull, forget)
    for peer in peers:
        peer("tag", pulled, BASE)


def each(
    peers: list[Peer],
    times: int,
    work: Callable[[Peer], object],
    before: Callable[[Peer], object] | None = None,
) -> dict[str, Cost]:
    """What `work` costs each peer."""
    costs = {}
    for peer in peers:
        say(f"measuring {peer.name}")
        costs[peer.name] = measured(
            lambda peer=peer: work(peer),  # type: ignore[misc]
            times=times,
            before=(lambda peer=peer: before(peer)) if before else None,  # type: ignore[misc]
            daemons=peer.daemons,
        )
    return costs


def ten_steps(context: Path) -> Path:
    """A context whose Dockerfile has ten small RUN steps."""
    context.mkdir()
    lines = [f"FROM {BASE}", *(f"RUN echo {number} > /file-{number}" for number in range(STEPS))]
    (context / "Dockerfile").write_text("\n".join(lines) + "\n")
    return context


def say(text: str) -> None:
    """Progress, on standard error."""
    print(f"… {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
