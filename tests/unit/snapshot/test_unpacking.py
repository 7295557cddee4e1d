"""Layers are applied while they come in; what is wrong with them stays out."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import zstandard

from corten.content.copy import copy
from corten.content.local import LocalStore
from corten.content.memory import MemoryStore
from corten.errors import Corrupt, Invalid, NotFound
from corten.events.job import Job
from corten.image.compress import compressed
from corten.oci import media
from corten.oci.descriptor import Descriptor, describe
from corten.oci.digest import Digest
from corten.oci.image_config import ImageConfig, RootFS, encode_config
from corten.oci.manifest import build_index, build_manifest
from corten.snapshot.erofs import ErofsSnapshotter
from corten.snapshot.overlay import OverlaySnapshotter
from corten.snapshot.stacking import StackingSnapshotter
from corten.snapshot.unpacking import DIFF_ID, GZIP_FORM, UnpackingSink
from support.tars import directory, file, link, pack

UID, GID = os.getuid(), os.getgid()
TAR = pack(
    directory(b"d", uid=UID, gid=GID),
    *(file(b"d/%d" % i, os.urandom(i * 400), uid=UID, gid=GID) for i in range(100)),
    link(b"h", b"d/1"),
)
DIFF = Digest.of(TAR)
FORMS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": (media.OCI_LAYER_GZIP, lambda data: gzip.compress(data, 1, mtime=0)),
    "zstd": (media.OCI_LAYER_ZSTD, zstandard.ZstdCompressor(write_checksum=True).compress),
    "plain": (media.OCI_LAYER, lambda data: data),
    "mislabelled": (media.OCI_LAYER_GZIP, lambda data: data),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    with LocalStore(tmp_path / "root") as opened:
        yield opened


@pytest.fixture(params=["erofs", "overlay"])
def snapshotter(request: pytest.FixtureRequest, tmp_path: Path) -> StackingSnapshotter:
    kind = ErofsSnapshotter if request.param == "erofs" else OverlaySnapshotter
    return kind(tmp_path / "root")


@pytest.fixture
def sink(store: LocalStore, snapshotter: StackingSnapshotter) -> UnpackingSink:
    return UnpackingSink(store, snapshotter)


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def put(sink: UnpackingSink, descriptor: Descriptor, data: bytes, step: int = 10_000) -> None:
    with sink.ingest(descriptor) as ingest:
        for at in range(0, len(data), step):
            ingest.write(data[at : at + step])
        ingest.commit(descriptor.digest)


def blobs(store: LocalStore) -> set[str]:
    return {str(descriptor.digest) for descriptor in store.walk()}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("step", [1, 100_000])
def test_layer_is_stored_inflated_and_applied(
    form: str,
    step: int,
    store: LocalStore,
    snapshotter: StackingSnapshotter,
    sink: UnpackingSink,
) -> None:
    kind, compress = FORMS[form]
    tar = TAR if step > 1 else pack(file(b"f", b"x", uid=UID, gid=GID))
    data, diff_id = compress(tar), Digest.of(tar)
    layer = describe(data, kind)
    assert not sink.has(layer)
    put(sink, layer, data, step)
    assert sink.has(layer)
    assert snapshotter.has(diff_id)
    assert store.recall(DIFF_ID, layer.digest) == str(diff_id)
    assert store.locate(describe(tar, media.OCI_LAYER)).read_bytes() == tar
    assert blobs(store) == {str(layer.digest), str(diff_id)}


def test_layer_under_another_algorithm_gets_a_sha256_diff_id(
    store: LocalStore, snapshotter: StackingSnapshotter, sink: UnpackingSink
) -> None:
    layer = describe(TAR, media.OCI_LAYER, "sha512")
    put(sink, layer, TAR)
    assert store.recall(DIFF_ID, layer.digest) == str(DIFF)
    assert snapshotter.has(DIFF)


def test_blob_that_was_there_before_is_applied_when_asked_for(
    store: LocalStore, snapshotter: StackingSnapshotter, sink: UnpackingSink
) -> None:
    data = gzip.compress(TAR)
    layer = describe(data, media.DOCKER_LAYER_GZIP)
    with store.ingest(layer) as ingest:
        ingest.write(data)
        ingest.commit()
    assert not snapshotter.has(DIFF)
    assert sink.has(layer)
    assert snapshotter.has(DIFF)


def test_transfer_that_goes_on_where_it_stopped_is_applied_too(
    store: LocalStore, snapshotter: StackingSnapshotter, sink: UnpackingSink
) -> None:
    data = gzip.compress(TAR)
    layer = describe(data, media.OCI_LAYER_GZIP)
    with sink.ingest(layer) as ingest:
        ingest.write(data[:5000])
    with sink.ingest(layer) as ingest:
        assert ingest.offset == 5000
        ingest.write(data[5000:])
        ingest.commit()
    assert snapshotter.has(DIFF)


@pytest.mark.parametrize(
    ("data", "family"),
    [
        (gzip.compress(TAR)[:-4], Corrupt),
        (gzip.compress(TAR) + b"garbage", Corrupt),
        # Whether gzip or the tar is found damaged first depends on the bytes.
        (gzip.compress(TAR)[:4000] + bytes(64) + gzip.compress(TAR)[4064:], (Corrupt, Invalid)),
        (gzip.compress(TAR[:-40_000]), Invalid),
        (gzip.compress(pack(file(b"../up"))), Invalid),
        (pack(file(b"f"), link(b"a", b"f/b")), Invalid),
        (b"no tar", Invalid),
    ],
)
def test_bad_layer_is_refused_and_no_blob_stays(
    data: bytes,
    family: type[Exception] | tuple[type[Exception], ...],
    store: LocalStore,
    snapshotter: StackingSnapshotter,
) -> None:
    sink = UnpackingSink(store, snapshotter)
    layer = describe(data, media.OCI_LAYER_GZIP)
    with pytest.raises(family, match=layer.digest.short):
        put(sink, layer, data)
    assert blobs(store) == set()
    assert store.recall(DIFF_ID, layer.digest) is None
    layers = store.root / "layers" / snapshotter.driver
    assert not layers.exists() or list(layers.iterdir()) == []


def test_wrong_bytes_are_not_applied(
    store: LocalStore, snapshotter: StackingSnapshotter, sink: UnpackingSink
) -> None:
    data = gzip.compress(TAR)
    layer = msgspec.structs.replace(
        describe(data, media.OCI_LAYER_GZIP), digest=Digest.of(b"something else")
    )
    with pytest.raises(Corrupt):
        put(sink, layer, data)
    assert blobs(store) == set()
    assert not snapshotter.has(DIFF)


class Damaging(MemoryStore):
    """A repository whose copy of every layer has one changed byte."""

    origin = "registry.example/some/app"

    def open(self, descriptor: Descriptor, offset: int = 0) -> io.BytesIO:
        data = bytearray(super().open(descriptor).read())
        if media.is_layer(descriptor.media_type):
            data[len(data) // 2] ^= 0xFF
        return io.BytesIO(bytes(data)[offset:])


@pytest.mark.parametrize("form", ["gzip", "plain"])
def test_a_layer_that_its_registry_damaged_is_blamed_on_the_registry(
    form: str, store: LocalStore, sink: UnpackingSink
) -> None:
    source = Damaging()
    kind, compress = FORMS[form]
    data = compress(b"".join(pack(file(b"%d" % i))[:512] for i in range(64)) + bytes(1024))
    layer, config = describe(data, kind), describe(b"{}", media.OCI_EMPTY)
    root, raw = build_manifest(config, [layer])
    for content, descriptor in ((data, layer), (b"{}", config), (raw, root)):
        with source.ingest(descriptor) as ingest:
            ingest.write(content)
            ingest.commit()
    with pytest.raises(Corrupt) as caught:
        copy(source, sink, root, Job())
    assert caught.value.message.startswith(f"registry.example/some/app: layer {layer.digest.short}")
    assert (
        f"the content of {layer.digest} is not what that digest says, but " in caught.value.message
    )
    assert "try again" in caught.value.hint
    assert not sink.has(layer)


def test_layer_left_without_commit_is_not_applied(
    snapshotter: StackingSnapshotter, sink: UnpackingSink
) -> None:
    data = gzip.compress(TAR)
    layer = describe(data, media.OCI_LAYER_GZIP)
    with pytest.raises(KeyError), sink.ingest(layer) as ingest:
        ingest.write(data)
        raise KeyError
    assert not snapshotter.has(DIFF)


def test_other_blobs_pass_through(store: LocalStore, sink: UnpackingSink) -> None:
    config = describe(b"{}", media.OCI_CONFIG)
    put(sink, config, b"{}")
    with sink.ingest() as ingest:
        ingest.write(b"nameless")
        assert ingest.commit().digest == Digest.of(b"nameless")
    assert blobs(store) == {str(config.digest), str(Digest.of(b"nameless"))}


def image(store: LocalStore, tars: list[bytes], diff_ids: list[Digest]) -> Descriptor:
    """An image in `store` whose configuration says `diff_ids`."""

    def keep(data: bytes, kind: str) -> Descriptor:
        descriptor = describe(data, kind)
        with store.ingest(descriptor) as ingest:
            ingest.write(data)
            ingest.commit()
        return descriptor

    layers = [keep(gzip.compress(tar, mtime=0), media.OCI_LAYER_GZIP) for tar in tars]
    config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFS(tuple(diff_ids)))
    manifest, raw = build_manifest(keep(encode_config(config), media.OCI_CONFIG), layers)
    keep(raw, manifest.media_type)
    index, raw = build_index([manifest])
    keep(raw, index.media_type)
    return index


def test_copy_into_the_sink_is_a_pull(
    tmp_path: Path, store: LocalStore, snapshotter: StackingSnapshotter, sink: UnpackingSink
) -> None:
    other = pack(file(b"f", b"2", uid=UID, gid=GID))
    with LocalStore(tmp_path / "source") as source:
        root = image(source, [TAR, other, TAR], [DIFF, Digest.of(other), DIFF])
        copy(source, sink, root, Job(), name="docker.io/library/test:latest")
    assert store.resolve("docker.io/library/test:latest").digest == root.digest
    assert snapshotter.has(DIFF)
    assert snapshotter.has(Digest.of(other))


@pytest.mark.parametrize("wrong", [[Digest.of(b"another tar")], [], [DIFF, DIFF]])
def test_image_whose_layers_are_not_what_its_configuration_says_is_not_named(
    wrong: list[Digest], tmp_path: Path, store: LocalStore, sink: UnpackingSink
) -> None:
    with LocalStore(tmp_path / "source") as source:
        root = image(source, [TAR], wrong)
        with pytest.raises(Corrupt, match="configuration"):
            copy(source, sink, root, Job(), name="docker.io/library/test:latest")
    with pytest.raises(NotFound):
        store.resolve("docker.io/library/test:latest")


def test_hash_of_the_tar_is_that_of_the_inflated_bytes(
    store: LocalStore, sink: UnpackingSink
) -> None:
    data = gzip.compress(TAR)
    layer = describe(data, media.OCI_LAYER_GZIP)
    put(sink, layer, data)
    assert store.recall(DIFF_ID, layer.digest) == f"sha256:{hashlib.sha256(TAR).hexdigest()}"


def test_a_layer_that_came_as_gzip_leaves_as_the_same_blob(
    store: LocalStore, sink: UnpackingSink
) -> None:
    media_type, compress = FORMS["gzip"]
    layer = describe(compress(TAR), media_type)
    put(sink, layer, compress(TAR))
    plain = describe(TAR, media.OCI_LAYER)
    config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFS((DIFF,)))
    raw = encode_config(config)
    put(sink, describe(raw, media.OCI_CONFIG), raw)
    built, manifest = build_manifest(describe(raw, media.OCI_CONFIG), [plain])
    put(sink, built, manifest)
    outgoing = compressed(store, built, Job())
    assert outgoing == build_manifest(describe(raw, media.OCI_CONFIG), [layer])[0]


def test_image_with_a_link_to_what_no_layer_below_has_is_not_named(
    tmp_path: Path, store: LocalStore
) -> None:
    sink = UnpackingSink(store, OverlaySnapshotter(tmp_path / "root"))
    below, linking = pack(file(b"f", b"1", uid=UID, gid=GID)), pack(link(b"b", b"f"))
    diff_ids = [Digest.of(below), Digest.of(linking)]
    with LocalStore(tmp_path / "source") as source:
        good = image(source, [below, linking], diff_ids)
        copy(source, sink, good, Job(), name="docker.io/library/good:latest")
        bad = image(source, [linking, below], diff_ids[::-1])
        with pytest.raises(Invalid, match=f"{diff_ids[1].short}: b is a hard link to f, which"):
            copy(source, sink, bad, Job(), name="docker.io/library/bad:latest")
    assert store.resolve("docker.io/library/good:latest").digest == good.digest
    with pytest.raises(NotFound):
        store.resolve("docker.io/library/bad:latest")


class _Killed(BaseException):
    """As with SIGKILL nothing after it is done."""


class _Dying(LocalStore):
    """A store whose user is killed when it has remembered `left` facts."""

    left = 1

    def remember(self, kind: str, digest: Digest, value: str) -> None:
        if not self.left:
            raise _Killed
        self.left -= 1
        super().remember(kind, digest, value)


def test_a_kill_between_two_facts_loses_no_compressed_form(tmp_path: Path) -> None:
    data = gzip.compress(TAR)
    layer = describe(data, media.OCI_LAYER_GZIP)
    with _Dying(tmp_path / "root") as dying, pytest.raises(_Killed):
        put(UnpackingSink(dying, ErofsSnapshotter(dying.root)), layer, data)
    with LocalStore(tmp_path / "root") as store:
        assert UnpackingSink(store, ErofsSnapshotter(store.root)).has(layer)
        assert store.recall(DIFF_ID, layer.digest) == str(DIFF)
        form = store.recall(GZIP_FORM, DIFF)
        assert form is not None
        assert str(layer.digest) in form
