"""Early writeback: a hint that changes no byte and leaves no thread."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from corten.system.writeback import STEP, EarlyWriteback


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "corten-writeback"]


def test_the_file_is_as_it_was_written(tmp_path: Path) -> None:
    piece = os.urandom(STEP // 4)
    with (tmp_path / "file").open("w+b", buffering=0) as file:
        writeback = EarlyWriteback(file.fileno())
        for number in range(1, 13):
            file.write(piece)
            writeback.reached(number * len(piece))
        writeback.close()
        assert threads() == []
    assert (tmp_path / "file").read_bytes() == piece * 12


def test_nothing_begins_for_a_small_file(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        writeback = EarlyWriteback(file.fileno())
        writeback.reached(STEP - 1)
        assert threads() == []
        writeback.close()


def test_what_the_kernel_refuses_is_no_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    try:
        writeback = EarlyWriteback(writing)
        writeback.reached(STEP)
        writeback.close()
        writeback.close()
        assert threads() == []
    finally:
        os.close(reading)
        os.close(writing)
