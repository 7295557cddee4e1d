"""``corten lock`` and ``build --locked``: a build on what was there when it was written."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from corten.oci.digest import Digest
from support.building import BUSYBOX, needs_busybox
from support.commands import corten
from support.registry_server import ServerProcess, corten_registry

pytestmark = [pytest.mark.root, pytest.mark.e2e]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with corten_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


def publish(root: Path, name: str, text: str) -> None:
    """Give the registry an image whose file ``/version`` says `text`."""
    context = root.with_suffix(".context")
    context.mkdir(exist_ok=True)
    (context / "version").write_text(text)
    (context / "busybox").write_bytes(BUSYBOX.read_bytes())
    (context / "Dockerfile").write_text(
        "FROM scratch\nCOPY --chmod=755 busybox /bin/cat\nCOPY version /version\n"
        'ENTRYPOINT ["/bin/cat", "/version"]\n'
    )
    for words in (("build", "-t", name, str(context)), ("push", name)):
        done = corten(*words, root=root)
        assert done.returncode == 0, done.stderr


def test_a_locked_build_stays_on_the_image_that_was_there(
    tmp_path: Path, server: ServerProcess
) -> None:
    needs_busybox()
    name = f"{server.host}/lock/base:1"
    publish(tmp_path / "publisher", name, "old")
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(
        f"ARG TAG=0\nFROM {server.host}/lock/base:$TAG AS base\nFROM scratch AS other\n"
        f"COPY --from={name} /version /\nFROM base\nLABEL a=b\n"
    )
    root = tmp_path / "root"
    done = corten("lock", "--build-arg", "TAG=1", str(context), root=root)
    assert done.returncode == 0, done.stderr
    lock = json.loads((context / "Dockerfile.lock").read_text())
    assert list(lock["images"]) == [name]
    assert f"{name} {lock['images'][name]}  (new)" in done.stdout
    again = corten("lock", "--build-arg", "TAG=1", str(context), root=root)
    assert f"{name} {lock['images'][name]}\n" in again.stdout

    publish(tmp_path / "publisher", name, "new")
    for flags, said in (([], "new"), (["--locked"], "old")):
        fresh = tmp_path / f"root-{said}"
        words = ["build", "-t", "x", *flags, "--build-arg", "TAG=1", str(context)]
        built = corten(*words, root=fresh)
        assert built.returncode == 0, built.stderr
        ran = corten("run", "--rm", "--network=none", "x", root=fresh)
        assert ran.stdout == said, ran.stderr
    # What was pulled once by its digest is not asked for again.
    server.stop()
    built = corten(
        "build", "--locked", "--build-arg", "TAG=1", str(context), root=tmp_path / "root-old"
    )
    assert built.returncode == 0, built.stderr


def test_what_the_lock_file_does_not_have_is_not_built_on(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM localhost:9/x\n")
    root = tmp_path / "root"
    done = corten("build", "--locked", str(tmp_path), root=root)
    assert done.returncode != 0
    assert "there is no lock file" in done.stderr
    (tmp_path / "Dockerfile.lock").write_text('{"version": 1, "images": {}, "remotes": {}}')
    done = corten("build", "--locked", str(tmp_path), root=root)
    assert "Dockerfile:1: the lock file has no image localhost:9/x" in done.stderr
    (tmp_path / "Dockerfile.lock").write_text('{"version": 1, "images": {"x:y:z": 1}}')
    done = corten("build", "--locked", str(tmp_path), root=root)
    assert "Dockerfile.lock: " in done.stderr
    assert "corten lock writes it anew" in done.stderr


def test_an_image_that_nobody_has_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nFROM localhost:9/x\n")
    done = corten("lock", str(tmp_path), root=tmp_path / "root")
    assert done.returncode != 0
    assert "Dockerfile:2: cannot pin localhost:9/x: " in done.stderr
    assert not (tmp_path / "Dockerfile.lock").exists()


def test_what_add_takes_from_elsewhere_is_pinned(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "a.txt").write_text("old")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(files))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{running.server_port}/a.txt"
        context = tmp_path / "context"
        context.mkdir()
        (context / "Dockerfile").write_text(f"FROM scratch\nADD {url} /a.txt\n")
        root = tmp_path / "root"
        done = corten("lock", str(context), root=root)
        assert done.returncode == 0, done.stderr
        lock = json.loads((context / "Dockerfile.lock").read_text())
        assert lock["remotes"] == {url: str(Digest.of(b"old"))}
        assert corten("build", "--locked", str(context), root=root).returncode == 0
        (files / "a.txt").write_text("new")
        # Cached as what was pinned; without the cache the server has something else.
        assert corten("build", "--locked", str(context), root=root).returncode == 0
        done = corten("build", "--locked", "--no-cache", str(context), root=root)
        assert done.returncode != 0
        assert f"{url} has the checksum" in done.stderr
        (context / "Dockerfile").write_text(f"FROM scratch\nADD {url}?b /a.txt\n")
        done = corten("build", "--locked", str(context), root=root)
        assert f"Dockerfile:2: the lock file has no {url}?b" in done.stderr
        running.shutdown()


def test_an_image_that_is_only_here_cannot_be_pinned(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (tmp_path / "Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
    assert corten("build", "-t", "localhost:9/here", str(tmp_path), root=root).returncode == 0
    (tmp_path / "Dockerfile").write_text("FROM localhost:9/here\n")
    done = corten("lock", str(tmp_path), root=root)
    assert done.returncode != 0
    assert "it is only here: push it to a registry" in done.stderr
