"""Contexts as a build gets them, from bytes on standard input and from addresses."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from corten.builder.contexts import Means, Opened, Wanted, open_contexts
from corten.errors import CortenError
from corten.events.job import Job

DOCKERFILE = "FROM scratch\nCOPY . /\n"


def tar_of(*members: tuple[str, bytes] | tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size, info.mode = len(member[1]), 0o644
            tar.addfile(info, io.BytesIO(member[1]))
    return out.getvalue()


GOOD = ("Dockerfile", DOCKERFILE.encode())
CONTEXT = tar_of(GOOD, ("a.txt", b"a"), ("b.txt", b"b"), (".dockerignore", b"b*"))


@contextmanager
def opened(
    tmp_path: Path, wanted: Wanted, data: bytes = b"", environ: dict[str, str] | None = None
) -> Iterator[Opened]:
    """What a build gets; afterwards nothing is left of it."""
    means = Means(tmp_path / "cache", environ or {}, stdin=io.BytesIO(data))
    try:
        with open_contexts(wanted, means, Job()) as found:
            yield found
    finally:
        assert list((tmp_path / "cache").glob("contexts/*")) == []


def refused(tmp_path: Path, wanted: Wanted, data: bytes = b"", **environ: str) -> str:
    """The message of what is raised."""
    with pytest.raises(CortenError) as caught, opened(tmp_path, wanted, data, environ):
        pass
    return caught.value.message


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir())
