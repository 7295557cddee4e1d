"""A process that is killed in the middle leaves a store that is whole."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from corten.content.gc import collect
from corten.content.local import LocalStore
from corten.oci import media
from corten.oci.descriptor import describe
from corten.oci.digest import Digest
from support.contents import AMD64

_TESTS = Path(__file__).parents[1]

_INGEST = """
from corten.content.local import LocalStore
from corten.oci.descriptor import describe
import sys, pathlib
data = bytes(range(256)) * 40_000
store = LocalStore(pathlib.Path(sys.argv[1]))
with store.lease(), store.ingest(describe(data, "x")) as ingest:
    ingest.write(data[:5_000_000])
    print("half", flush=True)
    sys.stdin.read()
"""

_LOOP = """
from corten.content.local import LocalStore
from support.contents import plain_image
import sys, pathlib, os
store = LocalStore(pathlib.Path(sys.argv[1]))
number = 0
print("begun", flush=True)
while True:
    image = plain_image(store, os.urandom(300_000), created=f"2024-01-01T00:00:{number % 60:02}Z")
    store.tag(f"docker.io/library/thing:{number % 7}", image.root)
    number += 1
"""


def _start(program: str, root: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", program, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{_TESTS.parent / 'src'}:{_TESTS}"},
    )


def _verify(root: Path) -> int:
    """Check that everything visible is whole; the number of blobs."""
    with LocalStore(root, AMD64) as store:
        count = 0
        for descriptor in store.walk():
            assert Digest.of(store.locate(descriptor).read_bytes()) == descriptor.digest
            count += 1
        for record in store.images():
            document = json.loads(store.locate(record.descriptor).read_bytes())
            for child in (document["config"], *document["layers"]):
                assert store.blobs.size(Digest(child["digest"])) == child["size"]
        for name in store.names():
            assert store.blobs.has(store.resolve(name))
        index = store.path / "index.json"
        if index.exists():
            for child in json.loads(index.read_bytes())["manifests"]:
                assert store.blobs.size(Digest(child["digest"])) == child["size"]
    return count


def test_a_kill_in_the_middle_of_an_ingest_leaves_a_partial_to_go_on_from(tmp_path: Path) -> None:
    data = bytes(range(256)) * 40_000
    wanted = describe(data, media.OCTET_STREAM)
    with _start(_INGEST, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        process.kill()
    with LocalStore(tmp_path, AMD64) as store:
        assert not store.has(wanted)
        assert list(store.walk()) == []
        assert store.leases.oldest() is None
        with store.ingest(wanted) as ingest:
            assert ingest.offset == 5_000_000
            ingest.write(data[5_000_000:])
            ingest.commit()
        assert store.has(wanted)


@pytest.mark.parametrize("attempt", range(6))
def test_a_kill_at_any_moment_shows_nothing_half_written(tmp_path: Path, attempt: int) -> None:
    pause = random.Random(attempt).uniform(0.05, 0.4)
    with _start(_LOOP, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        time.sleep(pause)
        process.kill()
    before = _verify(tmp_path)
    with LocalStore(tmp_path, AMD64) as store:
        collected = collect(store, grace=-1)
        assert collected.blobs <= before
        store.publish_names()
    _verify(tmp_path)


def test_collecting_beside_a_busy_writer_takes_nothing_of_it(tmp_path: Path) -> None:
    with _start(_LOOP, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        try:
            with LocalStore(tmp_path, AMD64) as store:
                for _ in range(10):
                    collect(store)
                    time.sleep(0.05)
                assert process.poll() is None
        finally:
            process.kill()
    assert _verify(tmp_path) > 0
