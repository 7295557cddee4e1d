"""Several real processes pull one image from a slow registry into one store."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from corten.content.memory import MemoryStore
from corten.content.protocols import PIECE
from corten.oci import media
from support.commands import COMMAND, corten, environment
from support.contents import PlainImage, plain_image, read_all
from support.scripted_server import ScriptedServer, Seen

pytestmark = [pytest.mark.e2e]

PIECES, PAUSE = 8, 0.12
"""Each blob comes in so many pieces, with so many seconds between them."""
LAYERS, SIZE = 5, 4 * 1024 * 1024

_BLOB = re.compile(r"/v2/x/app/blobs/(sha256:[0-9a-f]{64})")
_RANGE = re.compile(r"bytes=(\d+)-")


class SlowRegistry:
    """Gives one image, piece by piece, and notes which blobs were asked for from where.

    While `gate` is not set it stops in the middle of each blob.
    """

    def __init__(self) -> None:
        self.store = MemoryStore()
        contents = [os.urandom(SIZE) for _ in range(LAYERS)]
        self.image: PlainImage = plain_image(self.store, *contents)
        self.fetched: list[tuple[str, int]] = []
        self.gate = threading.Event()
        self.gate.set()
        blobs = (self.image.config, *self.image.layers)
        self.blobs = {str(d.digest): read_all(self.store, d) for d in blobs}
        self.server = ScriptedServer(self._answer)
        self.name = f"{self.server.host}/x/app:1"

    def _answer(self, seen: Seen) -> bytes | Iterator[bytes]:
        if found := _BLOB.fullmatch(seen.path):
            return self._blob(found[1], seen)
        if seen.path.startswith("/v2/x/app/manifests/"):
            raw = read_all(self.store, self.image.root)
            head = f"Content-Type: {media.OCI_MANIFEST}\r\nDocker-Content-Digest: {self.image.root.digest}\r\n"
            body = b"" if seen.method == "HEAD" else raw
            return _head("200 OK", len(raw), head) + body
        return _head("200 OK", 0)

    def _blob(self, digest: str, seen: Seen) -> Iterator[bytes]:
        data = self.blobs[digest]
        wanted = _RANGE.fullmatch(seen.headers.get("range", ""))
        begin = int(wanted[1]) if wanted else 0
        self.fetched.append((digest, begin))
        rest = data[begin:]
        content_range = f"Content-Range: bytes {begin}-{len(data) - 1}/{len(data)}\r\n"
        yield _head("206 Partial Content" if wanted else "200 OK", len(rest), content_range)
        step = max(len(data) // PIECES, 1)
        for at in range(0, len(rest), step):
            if at > len(rest) // 2:
                self.gate.wait(60)
            yield rest[at : at + step]
            time.sleep(PAUSE)


def _head(status: str, length: int, more: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n".encode()
    )


@pytest.fixture
def registry() -> Iterator[SlowRegistry]:
    made = SlowRegistry()
    yield made
    made.gate.set()
    made.server.close()


def start_pull(root: Path, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "--progress", "json", "pull", name],
        env=environment(root, CORTEN_STORAGE_DRIVER="overlay"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_until_it_waits(pull: subprocess.Popen[str]) -> str:
    """What it says up to the step ``wait``."""
    assert pull.stderr is not None
    said = ""
    for line in pull.stderr:
        said += line
        if json.loads(line).get("kind") == "wait":
            return said
    raise AssertionError(f"it did not wait: {said}")


def events(said: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


def kinds(said: str) -> dict[str, list[object]]:
    """The statuses with which steps ended, by the kinds of the steps."""
    found: dict[str, list[object]] = {}
    kind_of: dict[object, str] = {}
    for event in events(said):
        if event["event"] == "started":
            kind_of[event["id"]] = str(event["kind"])
        elif event["event"] == "finished":
            found.setdefault(kind_of[event["id"]], []).append(event["status"])
    return found


def check_store(root: Path, image: PlainImage) -> None:
    """All blobs are whole, all layers applied, nothing is on its way."""
    blobs = root / "content" / "blobs" / "sha256"
    for file in blobs.iterdir():
        assert hashlib.sha256(file.read_bytes()).hexdigest() == file.name
    assert {d.digest.encoded for d in (image.root, image.config, *image.layers)} == {
        file.name for file in blobs.iterdir()
    }
    applied = {p.name for p in (root / "layers" / "overlay").iterdir() if p.name[0] != "."}
    assert applied == {layer.digest.encoded for layer in image.layers}
    left = [p.name for p in (root / "content" / "ingest").iterdir() if not p.name.endswith("lock")]
    assert left == []


def wait_until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


@pytest.mark.root
@pytest.mark.parametrize("count", [2, 10])
def test_each_blob_is_fetched_once_however_many_pull(
    registry: SlowRegistry, tmp_path: Path, count: int
) -> None:
    root = tmp_path / "root"
    pulls = [start_pull(root, registry.name) for _ in range(count)]
    try:
        said = [pull.communicate(timeout=120) for pull in pulls]
    finally:
        for pull in pulls:
            pull.kill()
    assert [pull.returncode for pull in pulls] == [0] * count, said
    assert sorted(registry.fetched) == sorted((digest, 0) for digest in registry.blobs)
    found = [kinds(errors) for _, errors in said]
    copied = [status for each in found for status in each["copy"]]
    # Every blob moved in one process; the manifest is asked for by all.
    assert len(copied) == count * (LAYERS + 2)
    assert copied.count("cached") >= (count - 1) * (LAYERS + 1)
    assert any("wait" in each for each in found)
    assert all(status == "done" for each in found for status in each.get("wait", []))
    check_store(root, registry.image)


@pytest.mark.root
def test_when_the_fetcher_is_killed_who_waits_goes_on_from_where_it_stopped(
    registry: SlowRegistry, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    ingest = root / "content" / "ingest"
    registry.gate.clear()
    first = start_pull(root, registry.name)
    second = None
    try:

        def has_begun() -> bool:
            sizes = [p.stat().st_size for p in ingest.glob("*.part")] if ingest.is_dir() else []
            return sum(size >= PIECE for size in sizes) >= 2

        wait_until(has_begun, "nothing came")
        second = start_pull(root, registry.name)
        said = read_until_it_waits(second)
        whom = f": process {first.pid} (corten --progress json pull {registry.name}) is bringing it"
        assert str(events(said)[-1]["name"]).endswith(whom)
        first.kill()
        first.wait()
        registry.gate.set()
        assert second.stderr is not None
        said += second.stderr.read()  # not `communicate`, which forgets what the loop read ahead
        second.wait(120)
    finally:
        for pull in (first, second):
            if pull is not None:
                pull.kill()
                pull.communicate()
    assert second.returncode == 0, said
    later = [(digest, begin) for digest, begin in registry.fetched if begin]
    assert sum(begin >= PIECE for _, begin in later) >= 2
    assert all(begin < len(registry.blobs[digest]) for digest, begin in later)
    assert kinds(said)["wait"]
    # The dead one's lease goes with the next collection.
    assert corten("gc", root=root).returncode == 0
    check_store(root, registry.image)
    shown = corten("images", "-q", root=root)
    assert shown.stdout.strip() == registry.image.config.digest.encoded[:12]


@pytest.mark.root
def test_who_waits_can_be_interrupted_and_the_other_goes_on(
    registry: SlowRegistry, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    registry.gate.clear()
    first = start_pull(root, registry.name)
    wait_until(lambda: len(registry.fetched) >= 4, "nothing was asked for")
    second = start_pull(root, registry.name)
    try:
        read_until_it_waits(second)
        begin = time.monotonic()
        second.terminate()
        second.communicate(timeout=30)
        assert time.monotonic() - begin < 10
        registry.gate.set()
        _, said = first.communicate(timeout=120)
    finally:
        for pull in (first, second):
            pull.kill()
            pull.communicate()
    assert second.returncode != 0
    assert first.returncode == 0, said
    assert sorted(registry.fetched) == sorted((digest, 0) for digest in registry.blobs)
    check_store(root, registry.image)
