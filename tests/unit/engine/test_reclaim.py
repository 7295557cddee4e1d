"""What killed commands leave outside of what drivers and stores keep goes with a collection."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.config.settings import Settings
from corten.engine.host import Host
from corten.engine.system import collect, reclaim


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with Host(Settings(tmp_path, "overlay")) as made:
        made.store.publish_names()
        yield made


def probe(host: Host, *, old: bool) -> Path:
    """What remains of a first command that was killed, or is at work."""
    path = host.root / "layers" / ".probe-x"
    path.mkdir(parents=True)
    (path / "tar").write_text("half")
    if old:
        os.utime(path, (1, 1))
    return path


def test_old_remains_go_and_are_counted(host: Host) -> None:
    path = probe(host, old=True)
    assert reclaim(host) == 1
    assert not path.exists()
    assert reclaim(host) == 0


def test_what_may_be_in_the_making_stays(host: Host) -> None:
    path = probe(host, old=False)
    assert reclaim(host) == 0
    collect(host, grace=0)
    assert (path / "tar").exists()


def test_nothing_of_a_living_command_goes_however_old(host: Host) -> None:
    path = probe(host, old=True)
    with host.store.lease():
        assert reclaim(host) == 0
    assert (path / "tar").exists()
