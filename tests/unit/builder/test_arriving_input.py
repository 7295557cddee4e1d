"""Standard input that comes slowly, or not to an end."""

# ruff: noqa: SIM117 - a pipe around what is read from it reads better as two blocks

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from corten.builder.arriving_input import ArrivingInput
from corten.builder.contexts import Means, Wanted, open_contexts
from corten.errors import Cancelled
from corten.events.job import Job
from support.contexts import CONTEXT, DOCKERFILE, files


def test_a_context_that_never_ends_is_cancelled(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, CONTEXT[:1024])
    job = Job()
    cancel = threading.Timer(0.05, job.cancel)
    rescue = threading.Timer(5, os.close, [writing])  # else a fault here would hang the tests
    cancel.start()
    rescue.start()
    with open(reading, "rb") as stdin, pytest.raises(Cancelled):
        with open_contexts(Wanted("-"), Means(tmp_path, {}, stdin=stdin), job):
            pass
    cancel.join()
    assert rescue.is_alive()
    rescue.cancel()
    rescue.join()
    os.close(writing)


@pytest.mark.parametrize("data", [CONTEXT, DOCKERFILE.encode()], ids=["tar", "Dockerfile"])
def test_what_comes_in_small_pieces_is_whole(tmp_path: Path, data: bytes) -> None:
    reading, writing = os.pipe()

    def write() -> None:
        for at in range(0, len(data), 7):
            os.write(writing, data[at : at + 7])
        os.close(writing)

    writer = threading.Thread(target=write)
    writer.start()
    with open(reading, "rb") as stdin:
        with open_contexts(Wanted("-"), Means(tmp_path, {}, stdin=stdin), Job()) as found:
            assert found.dockerfile is not None
            assert found.dockerfile.read_text() == DOCKERFILE
            assert ("a.txt" in files(found.directory)) == (data == CONTEXT)
    writer.join()


def test_reading_gives_what_is_there() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"abc")
    with open(reading, "rb") as stdin, open(writing, "wb"):
        assert ArrivingInput(stdin, Job()).read(1 << 20) == b"abc"
