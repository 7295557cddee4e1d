"""``python -m bench.builds``: builds beside docker with BuildKit and buildah.

All stores lie on one fresh file system; the programs take turns.  Prints medians of
wall and CPU time and the peers' multiples of ours.  Machines are shared and noisy: quote
the ratios of one run.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.__main__ import BASE, each, say, ten_steps
from bench.disk import fresh_disk
from bench.measure import Cost, table
from bench.peers import Peer, buildah, corten, docker

FILES = 50_000
STAGES = 4


def main() -> int:
    """Run all rows and print the table."""
    parser = argparse.ArgumentParser(prog="bench.builds", description=__doc__)
    parser.add_argument("--times", type=int, default=5, help="runs a figure (median)")
    parser.add_argument("--base", default="debian:bookworm", help="what to bootstrap as base image")
    parser.add_argument("--scratch", type=Path, default=Path("build"), help="for the disk file")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("mounts file systems: run it as root")
    with stores(options.scratch.resolve(), options.base) as (peers, folder):
        rows = dict(benchmarks(peers, folder, options.times))
    print(table(rows))
    return 0


@contextlib.contextmanager
def stores(scratch: Path, base: str) -> Iterator[tuple[list[Peer], Path]]:
    """corten and the peers that are installed, each with the base image in its store."""
    with fresh_disk(scratch / "builds.img") as disk, docker(disk / "docker") as with_docker:
        ours = corten(disk / "corten")
        if with_docker is not None:
            with_docker.env = {"DOCKER_BUILDKIT": "1"}
        peers = [ours, *filter(None, [with_docker, buildah(disk / "buildah")])]
        say(f"bootstrapping {base}")
        ours("bootstrap", base)
        ours("tag", base, BASE)
        archive = disk / "base.tar"
        ours("save", "-o", str(archive), BASE)
        for peer in peers[1:]:
            say(f"loading it into {peer.name}")
            if peer.name == "buildah":
                loaded = peer("pull", "-q", *peer.push_flags[1:], f"docker-archive:{archive}")
                peer("tag", loaded.strip(), BASE)
            else:
                peer("load", "-i", str(archive))
        yield peers, disk


def benchmarks(
    peers: list[Peer], folder: Path, times: int
) -> Iterator[tuple[str, dict[str, Cost]]]:
    """Each kind of build with what it costs each peer."""
    context = ten_steps(folder / "ten")
    yield "ten steps, cold", each(peers, times, building(context, "--no-cache"))
    for name, maker in (
        ("100 instructions, cached", hundred),
        (f"a context of {FILES:,} files, unchanged", many_files),
    ):
        context = maker(folder / maker.__name__)
        for peer in peers:
            building(context)(peer)
        yield name, each(peers, times, building(context))
    context = parallel(folder / "parallel")
    yield (
        f"{STAGES} stages of a second each, cold",
        each(peers, times, building(context, "--no-cache")),
    )


def building(context: Path, *flags: str) -> Callable[[Peer], object]:
    """A build of `context`."""
    return lambda peer: peer.build(context, f"localhost/{context.name}", *flags)


def hundred(context: Path) -> Path:
    """A context whose Dockerfile has a hundred instructions of the usual kinds."""
    context.mkdir()
    (context / "file").write_text("text")
    lines = [f"FROM {BASE}"]
    for number in range(33):
        lines += [f"ENV NAME{number}=value", f"RUN echo {number} > /made-{number}"]
        lines += [f"COPY file /copied-{number}"]
    (context / "Dockerfile").write_text("\n".join(lines) + "\n")
    return context


def many_files(context: Path) -> Path:
    """A context of many files, of which one small directory is left out."""
    for number in range(FILES):
        folder = context / f"tree/{number % 500:03}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file-{number}").write_text(f"{number}\n" * (number % 50))
    (context / ".dockerignore").write_text("tree/499\n")
    (context / "Dockerfile").write_text(f"FROM {BASE}\nCOPY tree /tree\n")
    return context


def parallel(context: Path) -> Path:
    """A context whose Dockerfile has stages that do not need each other."""
    context.mkdir()
    lines = [
        line
        for number in range(STAGES)
        for line in (f"FROM {BASE} AS s{number}", f"RUN sleep 1; echo {number} > /made")
    ]
    lines += ["FROM scratch", *(f"COPY --from=s{n} /made /made-{n}" for n in range(STAGES))]
    (context / "Dockerfile").write_text("\n".join(lines) + "\n")
    return context


if __name__ == "__main__":
    sys.exit(main())
