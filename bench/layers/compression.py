"""Size and speed of compressions on real layers: the base image's, and the tree of 40,000 files.

Every compressor gets the whole tar in pieces of a MiB, in this process; seconds
are of CPU, so that other work on the machine counts little.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import zstandard
from isal import igzip_lib, isal_zlib

from bench.layers.inputs import Inputs
from bench.measure import run
from corten.archive.compression import deflater

MIB = 1024 * 1024


class Row(NamedTuple):
    """One compressor on one tar: MB a second in and, unpacked again, out; size in % of the tar."""

    name: str
    wall: float
    cpu: float
    inflate: float
    size: float


def table_of(found: Inputs) -> str:
    """The table."""
    lines = []
    for layer, tar in tars(found):
        lines.append(f"{layer}: {tar.stat().st_size / 1e6:.0f} MB")
        lines.append(f"  {'':24} {'MB/s':>8} {'MB/s of CPU':>12} {'inflate MB/s':>13} {'size':>8}")
        lines += map(shown, rows(tar))
        tar.unlink()
    return "\n".join(lines)


def shown(row: Row) -> str:
    """A line of the table."""
    speeds = f"{row.wall:8.0f} {row.cpu:12.0f} {row.inflate:13.0f}"
    return f"  {row.name:24} {speeds} {row.size:7.2f}%"


def tars(found: Inputs) -> Iterator[tuple[str, Path]]:
    """The layers, as GNU tar writes them."""
    tree = found.folder / "tree.tar"
    run(["tar", "-C", found.tree, "--sort=name", "-cf", tree, "files"])
    yield "40,000 files", tree
    base = found.folder / "base.tar"
    run(["skopeo", "--insecure-policy", "copy", "-q", "--src-tls-verify=false",
         f"docker://{found.host}/base:1", f"dir:{found.folder / 'base-dir'}"])  # fmt: skip
    largest = max((found.folder / "base-dir").iterdir(), key=lambda path: path.stat().st_size)
    base.write_bytes(igzip_lib.decompress(largest.read_bytes(), flag=igzip_lib.DECOMP_GZIP))
    yield "Debian root", base


def rows(tar: Path) -> Iterator[Row]:
    """Each compressor in turn."""
    for level in (1, 2, 3):
        name = f"isal {level}"
        yield measured(name, tar, lambda level=level: isal_zlib.compressobj(level, wbits=31))  # type: ignore[misc]
    yield measured("corten, one thread", tar, lambda: Ours(1))
    yield measured("corten, all threads", tar, lambda: Ours(0))
    for level in (1, 6):
        name = f"zlib {level}"
        yield measured(name, tar, lambda level=level: zlib.compressobj(level, wbits=31))  # type: ignore[misc]
    for level in (1, 3, 6):
        name = f"zstd {level}"
        yield measured(
            name,
            tar,
            lambda level=level: zstandard.ZstdCompressor(level=level).compressobj(),  # type: ignore[misc]
        )


class Ours:
    """corten's deflater in the form of zlib's objects."""

    def __init__(self, threads: int) -> None:
        self._out: list[bytes] = []
        self._deflater = deflater("gzip", self._out.append, threads=threads)

    def compress(self, data: bytes) -> bytes:
        """Some of the output."""
        self._deflater.feed(data)
        return self._taken()

    def flush(self) -> bytes:
        """The rest of it."""
        self._deflater.finish()
        return self._taken()

    def _taken(self) -> bytes:
        out = b"".join(self._out)
        self._out.clear()
        return out


def measured(name: str, tar: Path, make: Callable[[], object]) -> Row:
    """Compress and inflate once."""
    size = tar.stat().st_size / 1e6
    stream: object = make()
    pieces = []
    wall, cpu = time.perf_counter(), time.process_time()
    with tar.open("rb") as file:
        while data := file.read(MIB):
            pieces.append(stream.compress(data))  # type: ignore[attr-defined]
    pieces.append(stream.flush())  # type: ignore[attr-defined]
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    begin = time.process_time()
    if name.startswith("zstd"):
        back: object = zstandard.ZstdDecompressor().decompressobj()
    else:
        back = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    count = sum(len(back.decompress(piece)) for piece in pieces if piece)  # type: ignore[attr-defined,misc]
    inflate = time.process_time() - begin
    if count != tar.stat().st_size:
        raise SystemExit(f"{name}: {count} bytes came back")
    return Row(name, size / wall, size / cpu, size / inflate, sum(map(len, pieces)) / 1e4 / size)
