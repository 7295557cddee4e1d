"""Early writeback changes no byte, leaves no thread, and forgets no error."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

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


def test_an_error_that_the_kernel_tells_once_is_raised_at_the_end(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    try:
        writeback = EarlyWriteback(writing)
        writeback.reached(STEP)  # a pipe cannot be flushed
        writeback.close()
        writeback.close()
        assert threads() == []
        with (tmp_path / "file").open("wb") as file:
            os.dup2(file.fileno(), writing)
            with pytest.raises(OSError, match="Invalid argument"):
                writeback.finish()
    finally:
        os.close(reading)
        os.close(writing)


def test_the_end_waits_for_all(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb", buffering=0) as file:
        writeback = EarlyWriteback(file.fileno())
        file.write(bytes(STEP))
        writeback.reached(STEP)
        writeback.finish()
        assert threads() == []
