"""What the rows work on: a tree of 40,000 files, a large file, images in two registries."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from bench.disk import fresh_disk
from bench.measure import run
from bench.peers import Peer, corten, registry

FILES = 40_000
TREE_BYTES = 400_000_000
LARGE = 256 * 1024
MIB = 1024 * 1024
PORT = 5755
"""Of docker-registry; ours takes the next one."""
VARIANTS = 3
"""How many more images there are with a layer of their own of as many files."""
_SOURCES = ("/usr/share", "/usr/lib")


class Inputs(NamedTuple):
    """Where everything is.

    ``host`` is docker-registry, ``our_host`` corten's; both have ``base:1``, ``many:1``
    and ``many:40`` (the same content in forty layers and more).  ``our_host`` also has
    ``also:0`` (``many:1``) to ``also:3`` (the same files elsewhere).  ``log`` is the
    former's, a line a request.
    """

    folder: Path
    tree: Path
    host: str
    our_host: str
    log: Path
    server: int


@contextlib.contextmanager
def inputs(scratch: Path, base: str, port: int = PORT) -> Iterator[Inputs]:
    """All inputs, on a disk of their own, with both registries running."""
    with contextlib.ExitStack() as stack:
        disk = stack.enter_context(fresh_disk(scratch / "layers-inputs.img", 16))
        host = stack.enter_context(registry(disk / "registry", port, counting=True))
        server = stack.enter_context(our_registry(disk / "corten-registry", port + 1))
        say("making a tree of 40,000 files")
        tree = disk / "context"
        count, size = make_tree(tree / "files")
        say(f"{count} files, {size >> 20} MiB")
        (tree / "Dockerfile").write_text(f"FROM {host}/base:1\nCOPY files /srv/files\n")
        found = Inputs(disk, tree, host, f"127.0.0.1:{port + 1}", disk / "registry" / "log", server)
        make_images(found, corten(disk / "corten"), base, scratch)
        yield found


def make_images(found: Inputs, ours: Peer, base: str, scratch: Path) -> None:
    """Build the images, and let skopeo (Go's gzip, level 6) bring them to both registries."""
    kept = scratch / "layers-base.tar"
    host, archive = found.host, found.folder / "image.tar"
    if kept.exists():
        ours("load", "-i", str(kept))
    else:
        say(f"bootstrapping {base}")
        ours("bootstrap", base)
        ours("save", "-o", str(kept), base)
    ours("tag", base, f"{host}/base:1")
    say("building and publishing the images")
    ours.build(found.tree, "localhost/many:1")
    forty = forty_layers(found)
    ours.build(forty, "localhost/many:40")
    shutil.rmtree(forty)
    for name, source in (
        ("base:1", base), ("many:1", "localhost/many:1"), ("many:40", "localhost/many:40"),
    ):  # fmt: skip
        archive.unlink(missing_ok=True)
        ours("save", "-o", str(archive), source)
        quiet = ["skopeo", "--insecure-policy", "copy", "-q", "--dest-tls-verify=false"]
        run([*quiet, f"docker-archive:{archive}", f"docker://{host}/{name}"])
        run([*quiet, "--src-tls-verify=false", f"docker://{host}/{name}",
             f"docker://{found.our_host}/{name}"])  # fmt: skip
    archive.unlink()
    make_variants(found, ours)
    shutil.rmtree(found.folder / "corten")
    os.sync()


def make_variants(found: Inputs, ours: Peer) -> None:
    """Give our registry images whose layers are as large as that of ``many:1``, and others."""
    file = found.tree / "Dockerfile"
    kept = file.read_text()
    ours("tag", "localhost/many:1", f"{found.our_host}/also:0")
    for number in range(1, 1 + VARIANTS):
        file.write_text(kept.replace("/srv/files", f"/srv/{number}/files"))
        ours.build(found.tree, f"{found.our_host}/also:{number}")
    file.write_text(kept)
    for number in range(1 + VARIANTS):
        ours("push", f"{found.our_host}/also:{number}")


def forty_layers(found: Inputs) -> Path:
    """A context that copies the tree in forty parts, a layer each, on the base."""
    context = found.folder / "forty"
    context.mkdir()
    lines = [f"FROM {found.host}/base:1"]
    # Links to the files: the layers hold the same content as the one layer does.
    for directory, _, files in os.walk(found.tree / "files"):
        place = Path(directory).relative_to(found.tree / "files")
        part = context / f"part-{crc32(os.fsencode(place)) % 39}" / place
        part.mkdir(parents=True, exist_ok=True)
        for name in files:
            (part / name).hardlink_to(Path(directory) / name)
    lines += [f"COPY part-{number} /srv/files" for number in range(39)]
    (context / "Dockerfile").write_text("\n".join(lines) + "\n")
    return context


def make_tree(folder: Path) -> tuple[int, int]:
    """Copy this machine's own files, evenly chosen, until there are enough of them.

    Returns how many there are, and their bytes.
    """
    candidates: list[tuple[str, int]] = []
    for source in _SOURCES:
        for directory, names, files in os.walk(source):
            names.sort()
            for name in sorted(files):
                path = f"{directory}/{name}"
                state = os.lstat(path)
                if stat.S_ISREG(state.st_mode) and state.st_size <= LARGE:
                    candidates.append((path, state.st_size))
    chosen = [candidates[at * len(candidates) // FILES] for at in range(FILES)]
    total = 0
    for number, (path, size) in enumerate(chosen):
        target = folder / path[1:]
        if target.exists():  # fewer candidates than files: some are there twice
            target = target.with_name(f"{target.name}.{number}")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        os.utime(target, (1_700_000_000 + number, 1_700_000_000 + number))
        total += size
    # A few large ones, as real layers have them, bring it to its size.
    number = 0
    for library in sorted(Path("/usr/lib").rglob("*.so*")):
        if total >= TREE_BYTES:
            break
        if library.is_file() and not library.is_symlink() and library.stat().st_size > LARGE:
            number += 1
            target = folder / "large" / f"{number}-{library.name}"
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(library, target)
            os.utime(target, (1_700_000_000, 1_700_000_000))
            total += library.stat().st_size
    return len(chosen) + number, total


def make_big(context: Path, gigabytes: int = 2) -> Path:
    """A context with one file: by turns a MiB of noise and a MiB of text."""
    context.mkdir()
    noise = random.Random(1)
    words = [f"word{noise.randrange(1 << 24):x}" for _ in range(4000)]
    with (context / "big").open("wb") as file:
        for _ in range(gigabytes * 512):
            file.write(noise.randbytes(MIB))
            text = " ".join(noise.choices(words, k=MIB // 10)).encode()
            file.write(text[:MIB].ljust(MIB, b"\n"))
    (context / "Dockerfile").write_text("FROM scratch\nCOPY big /big\n")
    return context


@contextlib.contextmanager
def our_registry(data: Path, port: int) -> Iterator[int]:
    """corten's own registry for the time of the block; its process."""
    program = Path(sys.executable).with_name("corten")
    with data.with_suffix(".log").open("wb") as log:
        server = subprocess.Popen(
            [program, "registry", "serve", "--quiet", "--addr", f"127.0.0.1:{port}",
             "--data", data],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        time.sleep(1.5)
        if server.poll() is not None:
            raise SystemExit("corten registry serve does not start")
        yield server.pid
    finally:
        server.terminate()
        server.wait(timeout=30)


def say(text: str) -> None:
    """Progress, on standard error."""
    print(f"… {text}", file=sys.stderr, flush=True)
