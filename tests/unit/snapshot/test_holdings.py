"""What drivers keep on disk appears whole and goes whole."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path

import pytest

from corten.errors import Conflict, Corrupt, Invalid, NotFound
from corten.oci.digest import Digest
from corten.snapshot.drafts import open_locked
from corten.snapshot.holdings import Holdings, LayerRecord
from corten.snapshot.protocols import Snapshot
from corten.snapshot.stacks import RootMetadata

ONE, TWO = Digest.of(b"1"), Digest.of(b"2")


@pytest.fixture
def holdings(tmp_path: Path) -> Holdings:
    return Holdings(tmp_path, "erofs")


def publish(holdings: Holdings, diff_id: Digest, content: str = "") -> None:
    with holdings.draft() as draft:
        (draft / "content").write_text(content)
        holdings.publish(draft, diff_id, LayerRecord("erofs", whiteouts=True))


def test_published_draft_is_the_layer(holdings: Holdings) -> None:
    assert not holdings.has_layer(ONE)
    publish(holdings, ONE, "x")
    assert holdings.has_layer(ONE)
    assert holdings.layer_record(ONE) == LayerRecord("erofs", whiteouts=True)
    assert (holdings.layer(ONE) / "content").read_text() == "x"


def test_layer_that_is_there_already_stays_as_it_is(holdings: Holdings) -> None:
    publish(holdings, ONE, "first")
    publish(holdings, ONE, "second")
    assert (holdings.layer(ONE) / "content").read_text() == "first"
    assert [path.name for path in holdings.layers.iterdir()] == [ONE.encoded]


def test_draft_that_fails_leaves_nothing(holdings: Holdings) -> None:
    with pytest.raises(KeyError), holdings.draft() as draft:
        (draft / "half").write_text("")
        raise KeyError
    assert list(holdings.layers.iterdir()) == []


def test_drivers_do_not_see_each_others_layers_and_snapshots(
    holdings: Holdings, tmp_path: Path
) -> None:
    publish(holdings, ONE)
    holdings.add_snapshot(Snapshot("k", (ONE,), False), None)
    other = Holdings(tmp_path, "overlay")
    assert not other.has_layer(ONE)
    assert list(other.walk_snapshots()) == []
    with pytest.raises(NotFound, match="erofs driver") as caught:
        other.snapshot("k")
    assert "--storage-driver erofs" in caught.value.hint
    with pytest.raises(Conflict):
        other.add_snapshot(Snapshot("k", (), False), None)


def test_snapshot_is_what_was_asked_for(holdings: Holdings) -> None:
    owner = RootMetadata(0o711, os.getuid(), os.getgid(), 123_000_000_789)
    path = holdings.add_snapshot(Snapshot("k", (ONE, TWO), False), owner)
    assert holdings.snapshot("k") == (path, Snapshot("k", (ONE, TWO), False))
    status = (path / "upper").stat()
    assert (status.st_mode & 0o7777, status.st_mtime_ns) == (0o711, 123_000_000_789)
    assert path.stat().st_mode & 0o7777 == 0o700
    readonly = holdings.add_snapshot(Snapshot("r", (), True), owner)
    assert [p.name for p in readonly.iterdir()] == ["snapshot.json"]


def test_root_directory_is_0755_whatever_the_umask(holdings: Holdings) -> None:
    before = os.umask(0o077)
    try:
        path = holdings.add_snapshot(Snapshot("k", (), False), None)
    finally:
        os.umask(before)
    assert (path / "upper").stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize("key", ["", ".", "..", "../x", "a/b", ".x", "skeleton", "é", "a b"])
def test_keys_that_are_not_plain_names_are_invalid(key: str, holdings: Holdings) -> None:
    with pytest.raises(Invalid):
        holdings.add_snapshot(Snapshot(key, (), False), None)
    with pytest.raises(Invalid):
        holdings.remove_snapshot(key)


@pytest.mark.parametrize("damaged", [b"{", b"[]", b'{"driver": "\xd1rofs", "layers": []}'])
def test_damaged_records_are_corrupt(holdings: Holdings, damaged: bytes) -> None:
    publish(holdings, ONE)
    (holdings.layer(ONE) / "layer.json").write_bytes(damaged)
    with pytest.raises(Corrupt, match=ONE.short):
        holdings.layer_record(ONE)
    path = holdings.add_snapshot(Snapshot("k", (), False), None)
    (path / "snapshot.json").write_bytes(damaged)
    with pytest.raises(Corrupt, match="k"):
        holdings.snapshot("k")


def test_a_snapshot_whose_record_a_power_cut_emptied_stops_nothing_and_can_be_removed(
    holdings: Holdings,
) -> None:
    publish(holdings, ONE)
    path = holdings.add_snapshot(Snapshot("k", (ONE,), False), None)
    (path / "snapshot.json").write_bytes(b"")
    assert list(holdings.walk_snapshots()) == [Snapshot("k", (), False)]
    assert holdings.prune(set()) == 1
    holdings.remove_snapshot("k")
    assert list(holdings.walk_snapshots()) == []


def test_prune_sweeps_what_crashes_left_but_not_what_is_being_made(holdings: Holdings) -> None:
    publish(holdings, ONE)
    (holdings.layers / ".new-crashed").mkdir()
    (holdings.layers / ".old-crashed").mkdir()
    (holdings.layers / ".old-crashed" / "x").write_text("")
    working = holdings.layers / ".new-working"
    working.mkdir()
    fd = os.open(working, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        assert holdings.prune({ONE.encoded}) == 0
    finally:
        os.close(fd)
    assert {path.name for path in holdings.layers.iterdir()} == {
        ONE.encoded,
        ".new-working",
        ".lock",
    }


def test_layers_are_pruned_only_if_they_were_applied_before(holdings: Holdings) -> None:
    publish(holdings, ONE)
    publish(holdings, TWO)
    now = time.time()
    os.utime(holdings.layer(ONE) / "layer.json", (now - 7200, now - 7200))
    assert holdings.prune(set(), now - 3600) == 1
    assert (holdings.has_layer(ONE), holdings.has_layer(TWO)) == (False, True)


def test_only_their_owner_gets_into_the_layers(holdings: Holdings) -> None:
    publish(holdings, ONE)
    assert holdings.layers.parent.stat().st_mode & 0o7777 == 0o700
    assert holdings.layers.stat().st_mode & 0o7777 == 0o700


def test_new_directory_that_a_sweep_took_away_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / ".new-x"
    path.mkdir()
    found: list[int | None] = []
    sweeping = os.open(path, os.O_RDONLY)
    fcntl.flock(sweeping, fcntl.LOCK_EX)
    other = threading.Thread(target=lambda: found.append(open_locked(path)))
    other.start()
    path.rmdir()
    os.close(sweeping)
    other.join()
    assert found == [None]


def test_removals_beside_sweeps_are_neither_lost_nor_refused(holdings: Holdings) -> None:
    stopped = threading.Event()
    failures: list[BaseException] = []

    def sweep() -> None:
        while not stopped.is_set():
            try:
                holdings.prune({ONE.encoded})
            except BaseException as error:
                failures.append(error)

    other = threading.Thread(target=sweep)
    other.start()
    try:
        for _ in range(150):
            path = holdings.add_snapshot(Snapshot("k", (), False), None)
            (path / "upper" / "d").mkdir()
            holdings.remove_snapshot("k")
            assert not path.exists()
            publish(holdings, ONE)
            assert holdings.has_layer(ONE)
    finally:
        stopped.set()
        other.join()
    assert failures == []
    assert list(holdings.snapshots.iterdir()) == []


def test_layers_under_a_snapshot_are_not_pruned(holdings: Holdings) -> None:
    publish(holdings, ONE)
    publish(holdings, TWO)
    holdings.add_snapshot(Snapshot("k", (TWO,), True), None)
    assert holdings.prune(set()) == 1
    assert not holdings.has_layer(ONE)
    assert holdings.has_layer(TWO)


def test_removed_snapshot_is_gone_at_once(holdings: Holdings) -> None:
    path = holdings.add_snapshot(Snapshot("k", (), False), None)
    (path / "upper/file").write_text("")
    holdings.remove_snapshot("k")
    holdings.remove_snapshot("k")
    assert list(holdings.snapshots.iterdir()) == []
