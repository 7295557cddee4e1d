"""A layer whose tar is lost is made again from its compressed blob by the command that needs it."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from corten.config.settings import Settings
from corten.content.copy import copy
from corten.content.memory import MemoryStore
from corten.engine.archives import copy as copy_image
from corten.engine.build import BuildOptions, build
from corten.engine.checking.check import check
from corten.engine.containers import create, rootfs_of
from corten.engine.creation import ContainerOptions
from corten.engine.host import Host
from corten.engine.lookup import LayerMissing
from corten.errors import Corrupt
from corten.events.job import Job
from corten.oci.digest import Digest
from corten.snapshot.unpacking import UnpackingSink
from support.images import SmallImage, small_image

NAME = "registry.example/app:1"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with Host(Settings(tmp_path / "root", "erofs")) as made:
        yield made


@pytest.fixture
def pulled(host: Host) -> SmallImage:
    image = small_image(b"one" * 5000, b"two" * 5000)
    source = MemoryStore()
    image.push(source, NAME)
    copy(source, UnpackingSink(host.store, host.snapshotter), image.root, Job())
    host.store.tag(NAME, image.root)
    return image


class Layer:
    """The first layer: its blobs and what the driver has of it."""

    def __init__(self, host: Host, image: SmallImage) -> None:
        known = host.store.recall("diff-id", image.blobs[0][0].digest)
        assert known is not None
        self.digest = Digest(known)
        self.packed = host.store.blobs.file(image.blobs[0][0].digest)
        self.blob = host.store.blobs.file(self.digest)
        self.folder = host.root / "layers" / "erofs" / self.digest.encoded

    def is_whole(self) -> bool:
        files = (self.blob, self.folder / "data")
        return all(
            hashlib.sha256(file.read_bytes()).hexdigest() == self.digest.encoded for file in files
        )


def lose(layer: Layer) -> None:
    layer.blob.unlink()
    (layer.folder / "data").unlink()


def cut(layer: Layer) -> None:
    os.truncate(layer.blob, 700)  # the driver's is a link to it


def lose_folder(layer: Layer) -> None:
    layer.blob.unlink()
    shutil.rmtree(layer.folder)


Damage = Callable[[Layer], None]
damages = pytest.mark.parametrize("damage", [lose, cut, lose_folder])


@damages
def test_a_new_container_makes_it_again(host: Host, pulled: SmallImage, damage: Damage) -> None:
    layer = Layer(host, pulled)
    damage(layer)
    create(host, ContainerOptions(image=NAME, command=("x",)), Job())
    assert layer.is_whole()
    assert check(host, Job()).findings == ()


@damages
def test_a_container_that_is_started_again_makes_it_again(
    host: Host, pulled: SmallImage, damage: Damage
) -> None:
    record = create(host, ContainerOptions(image=NAME, command=("x",)), Job())
    layer = Layer(host, pulled)
    damage(layer)
    assert rootfs_of(host, record)
    assert layer.is_whole()


def test_a_container_of_another_driver_than_the_one_in_use_makes_it_again(
    host: Host, pulled: SmallImage
) -> None:
    record = create(host, ContainerOptions(image=NAME, command=("x",)), Job())
    layer = Layer(host, pulled)
    cut(layer)
    with Host(Settings(host.root, "overlay")) as other:
        assert rootfs_of(other, record)
    assert layer.is_whole()


@damages
@pytest.mark.root
def test_a_build_makes_it_again(
    host: Host, pulled: SmallImage, damage: Damage, tmp_path: Path
) -> None:
    layer = Layer(host, pulled)
    damage(layer)
    (tmp_path / "Dockerfile").write_text(f"FROM {NAME}\nWORKDIR /new\n")
    build(host, BuildOptions(context=tmp_path), Job())
    assert layer.is_whole()


def test_what_the_zstd_form_of_a_layer_says_is_believed_as_well(
    host: Host, pulled: SmallImage
) -> None:
    """Only gzip has a fact of its own; what a layer was seen to inflate to is one for all."""
    layer = Layer(host, pulled)
    host.store.forget("compressed/gzip", layer.digest)
    lose(layer)
    create(host, ContainerOptions(image=NAME, command=("x",)), Job())
    assert layer.is_whole()


def test_without_any_whole_form_the_error_says_what_to_do(host: Host, pulled: SmallImage) -> None:
    layer = Layer(host, pulled)
    lose(layer)
    os.truncate(layer.packed, 20)
    with pytest.raises(Corrupt, match="nothing here has its bytes") as caught:
        create(host, ContainerOptions(image=NAME, command=("x",)), Job())
    assert "corten system check --repair" in caught.value.hint
    assert not layer.blob.exists()
    assert list((host.root / "content" / "ingest").glob("*.new")) == []


def test_a_tar_that_a_power_cut_spoilt_is_no_form_of_a_layer(
    host: Host, pulled: SmallImage
) -> None:
    """Then the image is not all here, and is pulled again: what is here would not start."""
    layer = Layer(host, pulled)
    layer.packed.unlink()
    layer.blob.write_bytes(bytes(layer.blob.stat().st_size))
    os.setxattr(layer.blob, "user.corten.unsettled", b"an earlier boot")
    with pytest.raises(LayerMissing):
        create(host, ContainerOptions(image=NAME, command=("x",), pull="never"), Job())


def test_what_leaves_the_store_damaged_is_told_what_mends_it(
    host: Host, pulled: SmallImage, tmp_path: Path
) -> None:
    packed = Layer(host, pulled).packed
    packed.write_bytes(bytes(packed.stat().st_size))
    with pytest.raises(Corrupt, match="the content of sha256:") as caught:
        copy_image(host, NAME, f"oci:{tmp_path / 'layout'}", Job())
    assert caught.value.hint == "if it is damaged here, corten system check --repair mends it"
