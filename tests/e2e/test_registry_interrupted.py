"""Transfers that outlive the server they go through."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from corten.content.copy import copy
from corten.content.local import LocalStore
from corten.content.protocols import BlobReader, Source
from corten.events.job import Job
from corten.oci.descriptor import Descriptor
from corten.oci.reference import Reference
from corten.remote.registries import Registries
from support.images import SmallImage, small_image
from support.registry_calls import begin, chunk
from support.registry_server import ServerProcess, corten_registry

pytestmark = pytest.mark.e2e

MIB = 1024 * 1024
SIZE = 24 * MIB
NAME = "127.0.0.1:1/some/app:v1"


class Stumbling:
    """A source that calls `stumble` once, when half of the large blob has been read."""

    def __init__(self, inner: Source, stumble: Callable[[], None]) -> None:
        self.inner = inner
        self.offsets: list[int] = []
        self._stumble = stumble
        self._lock = threading.Lock()
        self._done = False

    def resolve(self, name: str) -> Descriptor:
        return self.inner.resolve(name)

    def open(self, descriptor: Descriptor, offset: int = 0) -> BlobReader:
        if descriptor.size > SIZE // 2:
            self.offsets.append(offset)
        reader = self.inner.open(descriptor, offset)
        return _StumblingReader(reader, self, offset) if descriptor.size > SIZE // 2 else reader

    def passed(self, offset: int) -> None:
        with self._lock:
            if self._done or offset < SIZE // 2:
                return
            self._done = True
        self._stumble()


class _StumblingReader:
    def __init__(self, inner: BlobReader, owner: Stumbling, offset: int) -> None:
        self._inner = inner
        self._owner = owner
        self._offset = offset

    def read(self, size: int = -1, /) -> bytes:
        self._owner.passed(self._offset)
        data = self._inner.read(size)
        self._offset += len(data)
        return data

    def close(self) -> None:
        self._inner.close()

    def __enter__(self) -> _StumblingReader:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()


@pytest.fixture(scope="module")
def image() -> SmallImage:
    return small_image(os.urandom(SIZE))


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[ServerProcess]:
    with corten_registry(tmp_path / "registry") as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    with LocalStore(tmp_path / "store") as opened:
        yield opened


def restart(server: ServerProcess) -> Callable[[], None]:
    def stumble() -> None:
        server.kill()
        server.start()

    return stumble


def test_a_push_goes_on_after_the_server_was_killed(
    own_server: ServerProcess, store: LocalStore, image: SmallImage
) -> None:
    image.push(store, NAME)
    source = Stumbling(store, restart(own_server))
    with Registries({}) as registries:
        sink = registries.open(Reference.parse(f"{own_server.host}/some/app"), ("pull", "push"))
        copy(source, sink, image.root, Job(), name="v1")
        assert sink.resolve("v1") == image.root
    # It went on where the server had got to: not from the beginning.
    assert len(source.offsets) == 2
    assert source.offsets[0] == 0
    assert 0 < source.offsets[1] <= SIZE // 2 + MIB


def test_a_pull_goes_on_after_the_server_was_killed(
    own_server: ServerProcess, store: LocalStore, image: SmallImage
) -> None:
    with Registries({}) as registries:
        there = registries.open(Reference.parse(f"{own_server.host}/some/app"), ("pull", "push"))
        image.push(there, "v1")
        source = Stumbling(there, restart(own_server))
        copy(source, store, image.root, Job(), name=NAME)
    assert store.resolve(NAME).digest == image.root.digest
    for descriptor, data in image.blobs:
        with store.open(descriptor) as reader:
            assert reader.read() == data
    assert len(source.offsets) == 2
    assert source.offsets[1] > 0


def test_an_upload_survives_a_restart(own_server: ServerProcess) -> None:
    data = os.urandom(3 * MIB)
    location = begin(own_server, "a")
    assert chunk(own_server, location, data[:MIB], 0).status == 202
    own_server.kill()
    own_server.start()
    assert own_server.request("GET", location).headers["range"] == f"0-{MIB - 1}"
    assert chunk(own_server, location, data[MIB:], MIB).status == 202
    digest = image_digest(data)
    assert own_server.request("PUT", f"{location}?digest={digest}", b"").status == 201
    assert own_server.request("GET", f"/v2/a/blobs/{digest}").body == data


def test_what_arrived_before_a_client_broke_off_is_kept(own_server: ServerProcess) -> None:
    data = os.urandom(3 * MIB)
    location = begin(own_server, "a")

    def broken() -> Iterator[bytes]:
        yield data[: 2 * MIB]
        raise KeyError("the client dies here")

    with contextlib.suppress(KeyError):
        own_server.request("PATCH", location, broken(), {"Content-Length": str(len(data))})
    received = own_server.request("GET", location).headers["range"]
    have = int(received.partition("-")[2]) + 1
    assert 0 < have <= 2 * MIB
    assert chunk(own_server, location, data[have:], have).status == 202
    digest = image_digest(data)
    assert own_server.request("PUT", f"{location}?digest={digest}", b"").status == 201


def test_a_kill_never_leaves_a_blob_that_is_not_whole(
    own_server: ServerProcess, tmp_path: Path
) -> None:
    data = os.urandom(8 * MIB)
    location = begin(own_server, "a")
    chunk(own_server, location, data[: 4 * MIB], 0)
    own_server.kill()
    assert [path for path in (tmp_path / "registry" / "blobs").rglob("*") if path.is_file()] == []
    own_server.start()
    digest = image_digest(data)
    assert own_server.request("HEAD", f"/v2/a/blobs/{digest}").status == 404


def image_digest(data: bytes) -> str:
    from corten.oci.digest import Digest

    return Digest.of(data)
