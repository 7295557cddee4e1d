"""Hostile layers on every way in, under every driver: refused with the member named, or contained.

Around the store lies a canary; whatever a layer tries, it must not change, and nothing stays behind.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from corten.errors import CortenError, Invalid
from corten.oci.digest import Digest
from hostile.layers import nodes
from hostile.layers.case import Case, Contained, Copied, Rejected, Verdict
from hostile.layers.corpus import COMPRESSED, EVERY, PLAIN
from hostile.layers.ground import WAYS, Ground
from support.disks import MEMORY, disk
from support.registry_server import ServerProcess, corten_registry
from support.tars import look

pytestmark = pytest.mark.root

DRIVERS = ("erofs", "overlay")
NODES = {case.name: case for case in nodes.CASES}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An ext4 in memory: so many layers are flushed here."""
    image = MEMORY / f"corten-hostile-{os.getpid()}"
    with disk(image, tmp_path_factory.mktemp("hostile") / "disk", 3072) as mountpoint:
        yield mountpoint


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[ServerProcess]:
    """Our registry on loopback."""
    with corten_registry(place / "registry") as running:
        yield running


@pytest.fixture(scope="module")
def grounds(place: Path, server: ServerProcess) -> Iterator[dict[str, Ground]]:
    """One root a driver, used by all cases: each must leave it as it was."""
    made = {}
    try:
        for driver in DRIVERS:
            (place / driver).mkdir()
            made[driver] = Ground(place / driver, driver, server)
        for ground in made.values():
            ground.settle()
        yield made
    finally:
        for ground in made.values():
            ground.close()


def test_the_corpus_is_large() -> None:
    assert len(EVERY) == len(PLAIN) + len(COMPRESSED)
    assert len(EVERY) >= 110
    assert sum(isinstance(case.verdict, Rejected) for case in EVERY.values()) >= 80
    assert sum(isinstance(case.verdict, Contained) for case in EVERY.values()) >= 60


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("name", EVERY)
def test_layer_every_way_in(name: str, driver: str, grounds: dict[str, Ground]) -> None:
    case, ground = EVERY[name], grounds[driver]
    try:
        for way in WAYS:
            if way == "driver" and name in COMPRESSED:
                continue  # drivers are given tars
            verdict: Verdict | Copied = case.by(driver)
            if way == "add" and case.added is not None:
                verdict = case.added
            try:
                _try(case, verdict, way, ground)
            except BaseException as error:
                error.add_note(f"the way in: {way}")
                raise
    finally:  # what was refused left nothing; once for all ways, as it takes its time
        assert ground.differences() == {}


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("name", [name for name in NODES if "that is read" in name])
def test_files_that_corten_reads_may_be_anything(
    name: str, driver: str, grounds: dict[str, Ground]
) -> None:
    """A fifo would hold a reader for ever, a device would never end."""
    ground = grounds[driver]
    try:
        with (
            WAYS["load"](ground, NODES[name].make(ground.aim)),
            pytest.raises(Invalid, match="daemon"),
        ):
            ground.build("FROM hostile/image:1\nCOPY --chown=daemon Dockerfile /\n")
    finally:
        assert ground.differences() == {}


@pytest.mark.parametrize("way", ["pull", "load", "load-layout"])
def test_the_error_names_the_layer(way: str, grounds: dict[str, Ground]) -> None:
    for case in (EVERY["name that climbs"], EVERY["gzip with a wrong checksum"]):
        data = case.make(b"")
        with (
            pytest.raises(CortenError, match=Digest.of(data).short),
            WAYS[way](grounds["erofs"], data),
        ):
            pass
        assert grounds["erofs"].differences() == {}


def _try(case: Case, verdict: Verdict | Copied, way: str, ground: Ground) -> None:
    data = case.make(ground.aim)
    if isinstance(verdict, Copied):
        verdict = Contained((b"archive",), partial(_holds, data))
    if isinstance(verdict, Rejected):
        says = _refusal(verdict, WAYS[way](ground, data))
        assert "\n" not in says
        assert len(says) < 700
        assert ground.host.store.images() == []
        assert ground.left() == []
        return
    try:
        with WAYS[way](ground, data) as tree:
            listing = verdict.listing(ground.aim)
            if listing is not None:
                assert set(look(tree, content=False)) == listing
            if verdict.holds is not None:
                verdict.holds(tree)
    finally:
        assert ground.differences() == {}


def _holds(data: bytes, tree: Path) -> None:
    """ADD took it for no archive: it is there as it is."""
    assert (tree / "archive").read_bytes() == data


def _refusal(verdict: Rejected, trial: AbstractContextManager[Path]) -> str:
    """What the error says.  A function, since what caught it holds on to all it saw."""
    with pytest.raises(verdict.family, match=f"(?s){verdict.says}") as caught, trial:
        pass
    return str(caught.value)
