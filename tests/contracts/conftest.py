"""The drivers that stand behind the contracts of layers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.system.mount import mount, unmount
from support.snapshots import Bench


@pytest.fixture(params=["erofs", "erofs-loop", "overlay"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    driver, _, loop = str(request.param).partition("-")
    if not loop:
        yield Bench(driver, tmp_path)
        return
    # tmpfs cannot back a mount by file.
    place = tmp_path / "tmpfs"
    place.mkdir()
    mount("tmpfs", str(place), "tmpfs")
    try:
        yield Bench(driver, place, loop=True)
    finally:
        unmount(str(place), detach=True)
