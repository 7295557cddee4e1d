from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.content.catalog import Catalog
from corten.content.leases import Leases


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    made = Catalog(tmp_path / "catalog.db")
    yield made
    made.close()


@pytest.fixture
def leases(catalog: Catalog, tmp_path: Path) -> Leases:
    return Leases(tmp_path / "leases", catalog)


def files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "leases").iterdir())


def test_a_held_lease_is_the_oldest_and_goes_with_its_block(leases: Leases, tmp_path: Path) -> None:
    assert leases.oldest() is None
    with leases.hold() as first, leases.hold() as second:
        assert leases.held == 2
        assert leases.oldest() is not None
        assert files(tmp_path) == sorted([f"{first}.lease", f"{second}.lease"])
    assert leases.held == 0
    assert leases.oldest() is None
    assert files(tmp_path) == []


def test_a_row_whose_owner_was_killed_is_removed(
    leases: Leases, catalog: Catalog, tmp_path: Path
) -> None:
    with leases.hold() as living:
        with catalog.change() as change:
            change.execute("INSERT INTO leases VALUES ('dead', 1.0, 9e18)")
        (tmp_path / "leases" / "dead.lease").touch()
        oldest = leases.oldest()
        assert oldest is not None
        assert oldest > 1.0
        assert catalog.rows("SELECT id FROM leases") == [(living,)]
        assert files(tmp_path) == [f"{living}.lease"]


def test_the_file_of_an_owner_that_was_killed_before_it_had_a_row_is_removed(
    leases: Leases, tmp_path: Path
) -> None:
    with leases.hold() as living:
        (tmp_path / "leases" / f"{os.urandom(12).hex()}.lease").touch()
        assert leases.oldest() is not None
        assert files(tmp_path) == [f"{living}.lease"]


def test_a_file_that_somebody_holds_stays_though_it_has_no_row_yet(
    leases: Leases, catalog: Catalog, tmp_path: Path
) -> None:
    with leases.hold() as lease:
        with catalog.change() as change:
            change.execute("DELETE FROM leases")
        assert leases.oldest() is None
        assert files(tmp_path) == [f"{lease}.lease"]


def test_a_lease_that_expired_protects_nothing_though_it_is_held(
    leases: Leases, catalog: Catalog
) -> None:
    with leases.hold():
        with catalog.change() as change:
            change.execute("UPDATE leases SET expires = 2.0")
        assert leases.oldest() is None
