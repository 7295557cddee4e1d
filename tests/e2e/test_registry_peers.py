"""Our registry with Debian's clients, our client with Debian's registry."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from corten.content.copy import copy
from corten.errors import Denied, NotFound, Unavailable
from corten.events.job import Job
from corten.oci.reference import Reference
from corten.remote.registries import Registries
from corten.remote.repository import RemoteRepository
from support.images import small_image
from support.registry_calls import push_blob
from support.registry_server import ServerProcess, corten_registry, docker_registry

pytestmark = pytest.mark.e2e

MIB = 1024 * 1024
BOTH = ("pull", "push", "delete")


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with docker_registry(tmp_path_factory.mktemp("docker-registry")) as running:
        yield running


@pytest.fixture
def registries() -> Iterator[Registries]:
    with Registries({}) as opened:
        yield opened


def repository(registries: Registries, server: ServerProcess, name: str) -> RemoteRepository:
    return registries.open(Reference.parse(f"{server.host}/{name}"), BOTH)


def run(*command: str, env: dict[str, str] | None = None) -> str:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=300, env=env
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("types", ["oci", "docker"])
def test_skopeo_pulls_and_pushes(
    server: ServerProcess, registries: Registries, name: str, tmp_path: Path, types: str
) -> None:
    image = small_image(b"one", os.urandom(3 * MIB), media_types=types)
    image.push(repository(registries, server, name), "v1")
    layout = f"dir:{tmp_path}/layout"
    url = f"docker://{server.host}/{name}"
    run("skopeo", "copy", "-q", "--src-tls-verify=false", f"{url}:v1", layout)
    run("skopeo", "copy", "-q", "--dest-tls-verify=false", layout, f"{url}-back:v2")
    back = repository(registries, server, f"{name}-back")
    assert back.resolve("v2").digest == image.root.digest
    for descriptor, data in image.blobs:
        with back.open(descriptor) as reader:
            assert reader.read() == data
    said = json.loads(run("skopeo", "inspect", "--tls-verify=false", f"{url}:v1"))
    assert said["Digest"] == image.root.digest
    assert said["Labels"] == {"made.by": "a test"}
    tags = json.loads(run("skopeo", "list-tags", "--tls-verify=false", url))
    assert tags["Tags"] == ["v1"]
    run("skopeo", "delete", "--tls-verify=false", f"{url}-back:v2")
    with pytest.raises(NotFound):
        back.resolve("v2")


def test_skopeo_copies_between_repositories_of_ours(
    server: ServerProcess, registries: Registries, name: str
) -> None:
    image = small_image(b"x" * 1000)
    image.push(repository(registries, server, name), "v1")
    url = f"docker://{server.host}/{name}"
    run(
        "skopeo",
        "copy",
        "-q",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
        f"{url}:v1",
        f"{url}/copy:v1",
    )
    assert repository(registries, server, f"{name}/copy").resolve("v1") == image.root


@pytest.fixture
def short_path() -> Iterator[Path]:
    # podman takes no run root of more than 50 characters.
    with tempfile.TemporaryDirectory(prefix="corten-") as path:
        yield Path(path)


@pytest.mark.root
def test_podman_pulls_and_pushes(
    server: ServerProcess, registries: Registries, name: str, short_path: Path
) -> None:
    image = small_image(b"hello", os.urandom(2 * MIB))
    image.push(repository(registries, server, name), "v1")
    config = short_path / "containers.conf"
    config.write_text(
        '[containers]\ndefault_ulimits = ["nofile=20000:20000","nproc=32768:32768"]\n'
        '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
    )
    env = {**os.environ, "CONTAINERS_CONF": str(config), "TMPDIR": str(short_path)}
    store = [
        "--root",
        f"{short_path}/root",
        "--runroot",
        f"{short_path}/run",
        "--storage-driver=vfs",
    ]
    podman: Callable[..., str] = lambda *words: run("podman", *store, *words, env=env)  # noqa: E731
    url = f"{server.host}/{name}"
    podman("pull", "-q", "--tls-verify=false", f"{url}:v1")
    digests = podman("image", "inspect", "--format", "{{.Digest}}", f"{url}:v1")
    assert digests.strip() == image.root.digest
    podman("tag", f"{url}:v1", f"{url}/podman:v2")
    podman("push", "-q", "--tls-verify=false", f"{url}/podman:v2")
    pushed = repository(registries, server, f"{name}/podman")
    root = pushed.resolve("v2")
    with pushed.open(root) as reader:
        manifest = json.loads(reader.read())
    assert len(manifest["layers"]) == 2
    podman("rmi", "-f", f"{url}:v1", f"{url}/podman:v2")
    podman("pull", "-q", "--tls-verify=false", f"{url}/podman:v2")


@pytest.mark.parametrize("types", ["oci", "docker"])
def test_our_client_with_debians_registry(
    peer: ServerProcess, registries: Registries, name: str, types: str
) -> None:
    image = small_image(b"tiny", os.urandom(5 * MIB), media_types=types)
    there = repository(registries, peer, name)
    image.push(there, "v1")
    assert there.resolve("v1") == image.root
    assert there.resolve(image.root.digest) == image.root
    assert list(there.tags()) == ["v1"]
    for descriptor, data in image.blobs:
        assert there.has(descriptor)
        with there.open(descriptor) as reader:
            assert reader.read() == data
        with there.open(descriptor, descriptor.size - 5) as reader:
            assert reader.read() == data[-5:]
    there.tag("v2", image.root)
    assert list(there.tags()) == ["v1", "v2"]
    fork = repository(registries, peer, f"{name}/fork")
    layer = image.blobs[1][0]
    assert not fork.has(layer)
    assert fork.mount(layer, name)
    assert fork.has(layer)
    assert name in list(registries.registry(peer.host).catalog())
    there.delete(image.root)
    with pytest.raises(NotFound):
        there.resolve("v1")


def test_what_is_not_there_is_not_found(peer: ServerProcess, server: ServerProcess) -> None:
    with Registries({}) as registries:
        for host in (peer, server):
            there = repository(registries, host, "no/such/repository")
            with pytest.raises(NotFound):
                there.resolve("latest")
            with pytest.raises(NotFound):
                there.resolve("sha256:" + "0" * 64)
            with pytest.raises(NotFound):
                list(there.tags())


@pytest.mark.parametrize("direction", ["ours to theirs", "theirs to ours"])
def test_copies_between_registries(
    server: ServerProcess, peer: ServerProcess, registries: Registries, name: str, direction: str
) -> None:
    ends = (server, peer) if direction == "ours to theirs" else (peer, server)
    source, sink = (repository(registries, end, name) for end in ends)
    image = small_image(b"a", os.urandom(MIB + 1), os.urandom(7 * MIB), b"")
    image.push(source, "v1")
    root = source.resolve("v1")
    copy(source, sink, root, Job(), name="v1")
    assert sink.resolve("v1").digest == image.root.digest
    for descriptor, data in image.blobs:
        with sink.open(descriptor) as reader:
            assert reader.read() == data


_COPY = """
import sys
from corten.content.copy import copy
from corten.events.job import Job
from corten.oci.reference import Reference
from corten.remote.registries import Registries
with Registries({}) as registries:
    source = registries.open(Reference.parse(sys.argv[1]))
    sink = registries.open(Reference.parse(sys.argv[2]), ("pull", "push"))
    copy(source, sink, source.resolve("v1"), Job(), name="v1")
print(*(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))
"""


def test_a_blob_of_200_mb_takes_no_memory_of_its_size(
    tmp_path: Path, registries: Registries, name: str
) -> None:
    image = small_image(os.urandom(200 * MIB))
    with corten_registry(tmp_path / "a") as first, corten_registry(tmp_path / "b") as second:
        image.push(repository(registries, first, name), "v1")
        said = run(
            sys.executable, "-c", _COPY, f"{first.host}/{name}:v1", f"{second.host}/{name}:v1"
        )
        assert repository(registries, second, name).resolve("v1") == image.root
        assert int(said) < 150 * 1024
        assert first.memory_kib() < 150 * 1024
        assert second.memory_kib() < 150 * 1024


def test_a_port_in_use_is_a_conflict_with_a_hint(server: ServerProcess, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from corten.errors import Conflict;"
        "from corten.registry.server import serve\n"
        "try: serve(sys.argv[1], Path(sys.argv[2]))\n"
        "except Conflict as error: print(error, '|', error.hint)"
    )
    said = run(sys.executable, "-c", code, server.host, str(tmp_path / "x"))
    assert f"{server.host} is in use by another program | " in said
    assert "ss -ltnp" in said
    assert not (tmp_path / "x").exists()


def test_the_server_ends_cleanly_on_a_signal(tmp_path: Path) -> None:
    with corten_registry(tmp_path) as running:
        digest = push_blob(running, "a", b"kept")
        assert running.stop() == 0
        running.start()
        assert running.request("GET", f"/v2/a/blobs/{digest}").body == b"kept"


def test_hosts_that_do_not_answer_are_unavailable(registries: Registries) -> None:
    there = registries.open(Reference.parse("127.0.0.1:1/a"))
    with pytest.raises(Unavailable) as caught:
        there.resolve("latest")
    assert "127.0.0.1:1" in str(caught.value)
    assert "refused" in str(caught.value)
    assert caught.value.hint


def test_a_closed_registry_is_denied_with_a_hint(tmp_path: Path, registries: Registries) -> None:
    with corten_registry(tmp_path, "none") as closed, pytest.raises(Denied) as caught:
        repository(registries, closed, "a").resolve("latest")
    assert closed.host in str(caught.value)
    assert "log in" in caught.value.hint
