"""Hostile layers on every way in, under every driver: refused with the member named, or contained.

Around the store lies a canary; whatever a layer tries, it must not change, and nothing stays behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from corten.errors import CortenError, Invalid
from corten.oci.digest import Digest
from hostile.layers import nodes
from hostile.layers.case import Case, Contained, Copied, Rejected, Verdict
from hostile.layers.corpus import COMPRESSED, EVERY, PLAIN
from hostile.layers.ground import WAYS, Ground
from support.registry_server import ServerProcess
from support.tars import look

pytestmark = pytest.mark.root

DRIVERS = ("erofs", "overlay")
NODES = {case.name: case for case in nodes.CASES}


@pytest.fixture(scope="module")
def grounds(
    tmp_path_factory: pytest.TempPathFactory, server: ServerProcess
) -> Iterator[dict[str, Ground]]:
    """One root a driver, used by all cases: each must leave it as it was."""
    made = {}
    try:
        for driver in DRIVERS:
            made[driver] = Ground(tmp_path_factory.mktemp(driver), driver, server)
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
@pytest.mark.parametrize("name", PLAIN)
def test_layer_given_to_the_driver(name: str, driver: str, grounds: dict[str, Ground]) -> None:
    case = PLAIN[name]
    _try(case, case.by(driver), "driver", grounds[driver])


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("name", EVERY)
def test_layer_that_is_pulled(name: str, driver: str, grounds: dict[str, Ground]) -> None:
    case = EVERY[name]
    _try(case, case.by(driver), "pull", grounds[driver])


@pytest.mark.parametrize(("way", "driver"), [("load", "erofs"), ("load-layout", "overlay")])
@pytest.mark.parametrize("name", EVERY)
def test_layer_that_is_loaded(name: str, way: str, driver: str, grounds: dict[str, Ground]) -> None:
    case = EVERY[name]
    _try(case, case.by(driver), way, grounds[driver])


@pytest.mark.parametrize("name", EVERY)
def test_archive_that_is_added(name: str, grounds: dict[str, Ground]) -> None:
    case = EVERY[name]
    verdict = case.verdict if case.added is None else case.added
    if isinstance(verdict, Copied):
        data = case.make(grounds["erofs"].aim)

        def holds(tree: Path) -> None:
            assert (tree / "archive").read_bytes() == data

        verdict = Contained((b"archive",), holds)
    _try(case, verdict, "add", grounds["erofs"])


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


def _try(case: Case, verdict: Verdict, way: str, ground: Ground) -> None:
    data = case.make(ground.aim)
    try:
        if isinstance(verdict, Rejected):
            says = _refusal(verdict, WAYS[way](ground, data))
            assert "\n" not in says
            assert len(says) < 700
            assert ground.host.store.images() == []
        else:
            with WAYS[way](ground, data) as tree:
                listing = verdict.listing(ground.aim)
                if listing is not None:
                    assert set(look(tree, content=False)) == listing
                if verdict.holds is not None:
                    verdict.holds(tree)
    finally:
        assert ground.differences() == {}


def _refusal(verdict: Rejected, trial: AbstractContextManager[Path]) -> str:
    """What the error says.  A function, since what caught it holds on to all it saw."""
    with pytest.raises(verdict.family, match=f"(?s){verdict.says}") as caught, trial:
        pass
    return str(caught.value)
