"""The drivers that stand behind the contracts of layers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.system.mount import mount, unmount
from support.erofs_utils import accepted
from support.snapshots import Bench


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory, where files are made quickly and no mount can be by file."""
    place = tmp_path / "tmpfs"
    place.mkdir()
    mount("tmpfs", str(place), "tmpfs")
    try:
        yield place
    finally:
        unmount(str(place), detach=True)


@pytest.fixture(params=["erofs", "erofs-loop", "overlay"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    driver, _, loop = str(request.param).partition("-")
    place = request.getfixturevalue("memory") if loop else tmp_path
    made = Bench(driver, place, loop=bool(loop))
    with accepted(made.root):
        yield made
