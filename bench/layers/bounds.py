"""What a machine needs for the parts of the work alone: what no program can be faster than.

A layer's bytes have to be read, inflated or deflated, hashed and written; corten means to be
as slow as the slowest of these, not as all of them together.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from bench.measure import run

_INFLATE = """
import sys
from isal import igzip_lib
stream = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
with open(sys.argv[1], "rb") as file:
    while piece := file.read(1 << 20):
        stream.decompress(piece)
"""
_DEFLATE = """
import sys
from corten.archive.compression import deflater
stream = deflater("gzip", len)
with open(sys.argv[1], "rb") as file:
    while piece := file.read(1 << 20):
        stream.feed(piece)
stream.finish()
"""


def inflate(blob: Path) -> None:
    """Inflate a gzip file in one thread, and throw the bytes away."""
    run([sys.executable, "-c", _INFLATE, blob])


def deflate(tar: Path) -> None:
    """Compress a file as corten compresses layers, on all cores, and throw the bytes away."""
    run([sys.executable, "-c", _DEFLATE, tar])


def hash_bytes(file: Path) -> None:
    """Hash a file in one thread."""
    run(["openssl", "dgst", "-sha256", file])


def write(file: Path, target: Path) -> None:
    """Copy a file that is in the page cache, wait for the disk, and remove the copy."""
    run(["dd", f"if={file}", f"of={target}", "bs=1M", "conv=fsync", "status=none"])
    target.unlink()


def blobs_of(root: Path) -> Iterator[tuple[str, Path]]:
    """The large blobs of a store, each with ``tar`` or ``gzip``."""
    for file in sorted((root / "content" / "blobs" / "sha256").iterdir()):
        if file.stat().st_size > 100 << 20:
            with file.open("rb") as opened:
                yield "gzip" if opened.read(2) == b"\x1f\x8b" else "tar", file
