"""Pull and push of what is not the usual image of this platform."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.config.settings import Settings
from corten.content.copy import copy
from corten.content.graph import read_document
from corten.content.layout import OCILayout
from corten.engine.archives import copy as copy_place
from corten.engine.host import Host
from corten.engine.transfer import pull, push
from corten.errors import Invalid, NotFound
from corten.events.job import Job
from corten.events.model import Event, Warned
from corten.oci import media
from corten.oci.manifest import build_manifest, parse_document
from corten.oci.reference import Reference
from corten.remote.registries import Registries
from support.contents import AMD64, ARM64, index_of, plain_image, put
from support.registry_server import ServerProcess, corten_registry, docker_registry

pytestmark = [pytest.mark.e2e]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with corten_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with Host(Settings(tmp_path / "root", "overlay")) as made:
        yield made


def test_what_is_no_image_is_refused_and_gets_no_name(
    host: Host, server: ServerProcess, tmp_path: Path
) -> None:
    layout = OCILayout(tmp_path / "layout")
    config = put(layout, b"{}", "application/vnd.example.chart.config.v1+json")
    root, raw = build_manifest(config, [put(layout, b"chart", media.OCTET_STREAM)])
    put(layout, raw, root.media_type)
    name = f"{server.host}/x/chart:1"
    with Registries({}) as registries:
        repository = registries.open(Reference.parse(name), ("pull", "push"))
        copy(layout, repository, root, Job(), name="1")
    with pytest.raises(Invalid, match="no container image"):
        pull(host, name, Job())
    assert host.store.names() == ()
    assert host.store.images() == []


def test_an_image_for_another_platform_can_be_pushed(host: Host, server: ServerProcess) -> None:
    name = f"{server.host}/x/arm:1"
    image = plain_image(host.store, b"content")
    host.store.tag(name, index_of(host.store, (image, ARM64)))
    pushed = push(host, name, Job())
    assert host.store.repo_digests(image.config.digest) == (
        f"{server.host}/x/arm@{pushed.descriptor.digest}",
    )
    with pytest.raises(NotFound, match="no image for linux/amd64"):
        pull(host, name, Job(), platform="linux/amd64")


def test_the_only_image_that_a_registry_has_comes_with_a_warning_if_it_is_another_platforms(
    host: Host, server: ServerProcess
) -> None:
    name = f"{server.host}/x/only:1"
    host.store.tag(name, plain_image(host.store, b"content").root)
    push(host, name, Job())
    said: list[Event] = []
    pull(host, name, Job(said.append), platform="linux/arm64")
    assert [e.text for e in said if isinstance(e, Warned)] == [
        f"{name} is for linux/amd64, not for linux/arm64"
    ]
    said.clear()
    pull(host, name, Job(said.append), platform="linux/amd64")
    assert not [e for e in said if isinstance(e, Warned)]


def test_a_pull_of_what_was_pushed_from_here_brings_nothing_new(
    host: Host, server: ServerProcess
) -> None:
    name = f"{server.host}/x/mine:1"
    image = plain_image(host.store, b"content").root
    host.store.tag(name, image)
    pushed = push(host, name, Job())
    assert pushed.descriptor.digest != image.digest  # it was compressed
    pulled = pull(host, name, Job())
    assert (pulled.digest, pulled.new) == (pushed.descriptor.digest, False)
    host.store.untag(name)
    assert pull(host, name, Job()).new


def test_a_second_push_takes_at_most_three_requests_and_an_untagged_image_is_sent_again(
    host: Host, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with corten_registry(tmp_path / "registry") as fresh:
        name = f"{fresh.host}/x/again:1"
        image = plain_image(host.store, b"content")
        host.store.tag(name, image.root)
        first = push(host, name, Job())
        capfd.readouterr()
        assert push(host, name, Job()) == first
        asked = capfd.readouterr().err.splitlines()
        assert 1 <= len(asked) <= 3
        with Registries({}) as registries:
            repository = registries.open(Reference.parse(name), ("pull", "push", "delete"))
            repository.delete(first.descriptor)
            push(host, name, Job())
            assert repository.resolve("1").digest == first.descriptor.digest


def test_a_layer_that_a_registry_lost_is_sent_again_by_copy(host: Host, tmp_path: Path) -> None:
    """A push trusts a registry that has the manifest; a copy asks for every blob."""
    with docker_registry(tmp_path / "registry") as fresh, Registries({}) as registries:
        name = f"{fresh.host}/x/lossy:1"
        image = plain_image(host.store, b"content")
        host.store.tag(name, image.root)
        repository = registries.open(Reference.parse(name), ("pull", "push"))
        manifest = push(host, name, Job()).descriptor
        layer = parse_document(read_document(repository, manifest)).children[1]
        (lost,) = (tmp_path / "registry").rglob(f"{layer.digest.encoded}/data")
        lost.unlink()
        push(host, name, Job())
        assert not lost.exists()
        copy_place(host, name, f"docker://{name}", Job())
        assert lost.stat().st_size == layer.size
        assert repository.resolve("1").digest == manifest.digest


def test_an_index_of_which_images_are_missing_is_not_copied_as_a_whole(
    host: Host, tmp_path: Path
) -> None:
    amd, arm = plain_image(host.store, b"amd"), plain_image(host.store, b"arm", platform=ARM64)
    host.store.tag("docker.io/x/multi:1", index_of(host.store, (amd, AMD64), (arm, ARM64)))
    host.store.blobs.delete(arm.root.digest)
    target = tmp_path / "layout"
    with pytest.raises(NotFound, match="not all images are here: linux/arm64 missing"):
        copy_place(host, "x/multi:1", f"oci:{target}:1", Job())
    assert not target.exists()
    assert host.store.recall("compressed/gzip", amd.layers[0].digest) is None
    copy_place(host, "x/multi:1", f"oci:{target}:1", Job(), platform="linux/amd64")
    assert {path.name for path in target.iterdir()} == {"oci-layout", "index.json", "blobs"}
