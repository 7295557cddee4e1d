"""What killed commands leave beside layers and snapshots goes with the next collection."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

from corten.snapshot.drafts import UNFINISHED_AGE, is_unfinished, rename_draft, sweep
from corten.snapshot.remains import leftovers
from corten.snapshot.skeleton import skeleton

LONG_AGO = time.time() - 2 * UNFINISHED_AGE


def unfinished(directory: Path, name: str) -> Path:
    file = directory / name
    file.write_text("half")
    os.utime(file, (LONG_AGO, LONG_AGO))
    return file


def test_files_that_were_never_finished_are_swept_and_stop_no_sweep(tmp_path: Path) -> None:
    old = [unfinished(tmp_path, name) for name in (".driver.json.0a1b.tmp", ".new-driver-x")]
    fresh = tmp_path / ".driver.json.2c3d.tmp"
    fresh.write_text("somebody is writing it")
    (tmp_path / ".new-dead").mkdir()
    sweep(tmp_path)
    assert not any(file.exists() for file in old)
    assert list(tmp_path.iterdir()) == [fresh]


def test_other_files_stay_however_old(tmp_path: Path) -> None:
    kept = {unfinished(tmp_path, name) for name in ("driver.json", ".lock", "a.tmp", ".tmp-x")}
    (tmp_path / ".names.tmp").mkdir()
    sweep(tmp_path)
    assert set(tmp_path.iterdir()) == kept | {tmp_path / ".names.tmp"}
    assert not is_unfinished(tmp_path / "gone")


def test_a_check_lists_what_a_sweep_removes(tmp_path: Path) -> None:
    (tmp_path / "snapshots").mkdir()
    file = unfinished(tmp_path / "snapshots", ".driver.json.0a1b.tmp")
    assert list(leftovers(tmp_path)) == [file]
    sweep(tmp_path / "snapshots")
    assert list(leftovers(tmp_path)) == []


def test_a_half_made_skeleton_is_a_draft_like_any_other(tmp_path: Path) -> None:
    """The directory is made under a name, and a lock, that a sweep knows."""
    half = tmp_path / ".new-0123"
    (half / "etc").mkdir(parents=True)
    sweep(tmp_path)
    assert not half.exists()
    made = skeleton(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [made.name]
    assert made.stat().st_mode & 0o777 == 0o755
    assert made.stat().st_mtime == 0


def test_a_directory_that_goes_while_a_draft_takes_its_name_is_no_failure(tmp_path: Path) -> None:
    # It is there when the rename is tried, and gone when one looks why.
    target = tmp_path / "layer"
    over = threading.Event()

    def come_and_go() -> None:
        while not over.is_set():
            with suppress(OSError):
                target.mkdir()
                (target / "file").touch()
            with suppress(OSError):
                (target / "file").unlink()
                target.rmdir()

    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        for number in range(300):
            draft = tmp_path / f"draft-{number}"
            draft.mkdir()
            (draft / "file").touch()
            rename_draft(draft, target)
    finally:
        over.set()
        other.join()
