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


def left(host: Host, *, old: bool) -> list[Path]:
    """An index.json that was never finished, and a probe that was killed."""
    probe = host.root / "layers" / ".probe-x"
    probe.mkdir(parents=True)
    file = host.root / "content" / ".index.json.0a1b.tmp"
    for path in (file, probe / "tar"):
        path.write_text("half")
    if old:
        for path in (file, probe):
            os.utime(path, (1, 1))
    return [file, probe]


def test_old_remains_go_and_are_counted(host: Host) -> None:
    paths = left(host, old=True)
    assert reclaim(host) == 2
    assert not any(path.exists() for path in paths)
    assert reclaim(host) == 0


def test_what_may_be_in_the_making_stays(host: Host) -> None:
    paths = left(host, old=False)
    assert reclaim(host) == 0
    collect(host, grace=0)
    assert all(path.exists() for path in paths)


def test_nothing_of_a_living_command_goes_however_old(host: Host) -> None:
    paths = left(host, old=True)
    with host.store.lease():
        assert reclaim(host) == 0
    assert all(path.exists() for path in paths)
