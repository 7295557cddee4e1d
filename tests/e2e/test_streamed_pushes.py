"""Pushes that send layers while they are compressed, to servers that fail, stop or are slow."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from corten.config.settings import Settings
from corten.content.local import LocalStore
from corten.engine.archives import copy as copy_place
from corten.engine.host import Host
from corten.engine.transfer import push
from corten.errors import Denied, Unavailable
from corten.events.job import Job
from corten.events.model import Event, Finished, Progress, Started
from corten.image.compress import compressed
from corten.image.view import load_image
from corten.oci.descriptor import Descriptor
from corten.oci.reference import Reference
from corten.remote.registries import Registries
from support.contents import AMD64, PlainImage, plain_image
from support.registry_server import ServerProcess, corten_registry, docker_registry

pytestmark = pytest.mark.e2e

MIB = 1024 * 1024
SIZE = 24 * MIB


class Watched:
    """A job that acts once, when a step of kind ``send`` has come to `at` bytes."""

    def __init__(self, act: Callable[[], None], at: int = SIZE // 2) -> None:
        self.events: list[Event] = []
        self.job = Job(self._emit)
        self.sent = 0
        self._act, self._at = act, at
        self._kinds: dict[str, str] = {}

    def _emit(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Started):
            self._kinds[event.id] = event.kind
        elif isinstance(event, Progress) and self._kinds[event.id] == "send":
            before, self.sent = self.sent, event.current
            if before < self._at <= event.current:
                self._act()

    def statuses(self, kind: str) -> list[str]:
        return [
            e.status for e in self.events if isinstance(e, Finished) and self._kinds[e.id] == kind
        ]


@pytest.fixture(params=["corten", "docker-registry"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerProcess]:
    serve = corten_registry if request.param == "corten" else docker_registry
    with serve(tmp_path / "registry") as running:
        yield running


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with Host(Settings(tmp_path / "root", "overlay")) as made:
        yield made


@pytest.fixture(scope="module")
def noise() -> bytes:
    return os.urandom(SIZE)


def tagged(host: Host, server: ServerProcess, *contents: bytes) -> tuple[str, PlainImage]:
    """An image that was built here, under a name at the server."""
    name = f"{server.host}/some/app:v1"
    image = plain_image(host.store, *contents)
    host.store.tag(name, image.root)
    return name, image


def check_there(host: Host, name: str, root: Descriptor) -> None:
    """The registry has the image that the store has compressed, byte by byte."""
    reference = Reference.parse(name)
    with Registries({}) as registries:
        there = registries.open(reference)
        assert there.resolve(reference.tag) == root
        for layer in load_image(host.store, root, AMD64).layers:
            with there.open(layer) as sent, host.store.open(layer) as kept:
                assert sent.read() == kept.read()


def test_layers_arrive_as_they_would_from_the_store(
    host: Host, server: ServerProcess, noise: bytes, tmp_path: Path
) -> None:
    contents = (noise, b"a" * 3_000_000, b"small")
    name, _ = tagged(host, server, *contents)
    watched = Watched(lambda: None)
    root = push(host, name, watched.job).descriptor
    assert watched.statuses("send") == ["done"] * 3
    assert watched.statuses("copy") == ["done"] * 2  # configuration and manifest
    check_there(host, name, root)
    with LocalStore(tmp_path / "other", AMD64) as other:
        assert compressed(other, plain_image(other, *contents).root, Job()) == root
    # Elsewhere in the same registry nothing is sent a second time.
    again = Watched(lambda: None)
    copy_place(host, name, f"docker://{server.host}/another:v1", again.job)
    assert again.statuses("compress") == ["cached"] * 3
    assert again.statuses("copy").count("mounted") == 4  # and the configuration


def test_a_push_goes_on_after_the_server_was_killed(
    host: Host, server: ServerProcess, noise: bytes
) -> None:
    def restart() -> None:
        server.kill()
        server.start()

    name, _ = tagged(host, server, noise)
    watched = Watched(restart)
    root = push(host, name, watched.job).descriptor
    assert watched.statuses("send") == ["compressed"]
    check_there(host, name, root)


def test_what_arrived_before_the_server_was_killed_is_not_sent_again(
    host: Host, noise: bytes, tmp_path: Path
) -> None:
    with corten_registry(tmp_path / "registry") as server:

        def restart() -> None:
            uploads, end = tmp_path / "registry/uploads", time.monotonic() + 20
            while sum(file.stat().st_size for file in uploads.iterdir()) < 2 * MIB:
                assert time.monotonic() < end, "what was sent does not arrive"
                time.sleep(0.01)
            server.kill()
            server.start()

        name, _ = tagged(host, server, noise)
        watched = Watched(restart)
        push(host, name, watched.job)
        layer = next(
            e.id for e in watched.events
            if isinstance(e, Started) and e.kind == "copy" and (e.total or 0) > SIZE // 2
        )  # fmt: skip
        begun = next(e.current for e in watched.events if isinstance(e, Progress) and e.id == layer)
        assert 2 * MIB <= begun < SIZE


def test_a_server_that_stays_away_is_named_and_what_was_compressed_is_kept(
    host: Host, noise: bytes, tmp_path: Path
) -> None:
    with corten_registry(tmp_path / "registry") as server:
        name, image = tagged(host, server, noise)
        with pytest.raises(Unavailable, match=server.host):
            push(host, name, Watched(server.kill).job)
        fact = host.store.recall("compressed/gzip", image.layers[0].digest)
        assert fact is not None
        assert list((host.store.path / "ingest").glob("*.new")) == []
        server.start()
        again = Watched(lambda: None)
        check_there(host, name, push(host, name, again.job).descriptor)
        assert again.statuses("compress") == ["cached"]


def test_a_slow_server_slows_the_compression(host: Host, noise: bytes, tmp_path: Path) -> None:
    """Else what is between the two would grow without end."""
    reached: list[int] = []
    with corten_registry(tmp_path / "registry") as server:

        def wake() -> None:
            reached.append(watched.sent)
            os.kill(server.pid, signal.SIGCONT)

        def halt() -> None:
            os.kill(server.pid, signal.SIGSTOP)
            threading.Timer(0.6, wake).start()

        name, _ = tagged(host, server, noise * 2)
        watched = Watched(halt, at=4 * MIB)
        root = push(host, name, watched.job).descriptor
        assert watched.statuses("send") == ["done"]
        check_there(host, name, root)
    # Sockets on both sides hold some megabytes, and so do the queues.
    assert reached[0] < 36 * MIB < 2 * SIZE


def test_who_may_not_push_hears_so_before_anything_is_compressed(
    host: Host, noise: bytes, tmp_path: Path
) -> None:
    with corten_registry(tmp_path / "registry", "read") as server:
        name, image = tagged(host, server, noise)
        watched = Watched(lambda: None)
        with pytest.raises(Denied):
            push(host, name, watched.job)
        assert watched.sent == 0
        assert host.store.recall("compressed/gzip", image.layers[0].digest) is None
