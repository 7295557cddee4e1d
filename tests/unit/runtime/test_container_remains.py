"""What a killed command leaves of a container is told from containers, and removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from corten.runtime.containers import ContainerRecord, ContainerStore
from corten.runtime.protocols import Process

ID = "ab" * 32


@pytest.fixture
def store(tmp_path: Path) -> ContainerStore:
    return ContainerStore(tmp_path)


def make(store: ContainerStore, name: str) -> ContainerRecord:
    return store.create(ContainerRecord(id="", name=name, process=Process(("true",))))


def test_a_root_without_containers_has_no_remains(store: ContainerStore) -> None:
    assert store.remains() == []
    assert store.sweep([]) == 0


def test_half_made_and_half_removed_containers_are_swept_with_their_names(
    store: ContainerStore,
) -> None:
    kept = make(store, "kept")
    half_made = store.path / ID
    half_made.mkdir()
    (half_made / ".record.json.1").touch()
    half_removed = store.path / f".old-{ID}"
    (half_removed / "exit").mkdir(parents=True)
    (store.path / ".names" / "lost").symlink_to(ID)
    remains = store.remains()
    assert set(remains) == {half_made, half_removed}
    assert store.sweep(remains) == 2
    assert {path.name for path in store.path.iterdir()} == {kept.id, ".names"}
    assert [path.name for path in (store.path / ".names").iterdir()] == ["kept"]
    assert make(store, "lost").name == "lost"


def test_what_became_a_container_after_it_was_listed_stays(store: ContainerStore) -> None:
    (store.path / ID).mkdir(parents=True)
    remains = store.remains()
    (store.path / ID).rmdir()
    record = store.create(ContainerRecord(id=ID, name="late", process=Process(("true",))))
    assert store.sweep(remains) == 0
    assert store.get("late") == record
