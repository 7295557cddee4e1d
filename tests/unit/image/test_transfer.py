from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from corten.content.archive_writer import Form, write_archive
from corten.content.archived import ArchivedImage
from corten.content.local import LocalStore
from corten.content.memory import MemoryStore
from corten.errors import Cancelled, Corrupt, Invalid, NotFound, Unsupported
from corten.events.job import Job
from corten.image.compress import compressed
from corten.image.incoming import Spool
from corten.image.transfer import ImportOptions, export_tree, import_tar, load, save
from corten.image.view import load_image
from corten.oci import media
from corten.oci.digest import Digest
from corten.oci.manifest import build_manifest
from support.contents import AMD64, ARM64, index_of, plain_image, put, tar_of
from support.troubled import Lying

NAME, OTHER = "docker.io/library/thing:1", "registry.example/a/other:2"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    with LocalStore(tmp_path / "root", AMD64) as made:
        yield made


@pytest.fixture
def other(tmp_path: Path) -> Iterator[LocalStore]:
    with LocalStore(tmp_path / "other", AMD64) as made:
        yield made


def _saved(store: LocalStore, form: Form, *images: ArchivedImage) -> bytes:
    out = io.BytesIO()
    save(store, images, out.write, Job(), form)
    return out.getvalue()


def _members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = {}
        for member in archive.getmembers():
            file = archive.extractfile(member)
            if file is not None:
                found[member.name] = file.read()
        return found


@pytest.mark.parametrize("form", ["docker", "oci"])
def test_what_is_saved_can_be_loaded_with_all_names(
    store: LocalStore, other: LocalStore, tmp_path: Path, form: Form
) -> None:
    one, two = plain_image(store, b"a" * 2_000_000, b"b"), plain_image(store, b"c")
    data = _saved(
        store,
        form,
        ArchivedImage(one.root, (NAME,)),
        ArchivedImage(one.root, (OTHER,)),
        ArchivedImage(two.root, ()),
    )
    loaded = load(other, io.BytesIO(data), Job(), Spool(tmp_path / "spool"))
    assert [image.names for image in loaded] == [(NAME, OTHER), ()]
    names = {record.image_id: record.names for record in other.images()}
    assert names == {one.config.digest: (NAME, OTHER), two.config.digest: ()}


@pytest.mark.parametrize("form", ["docker", "oci"])
@pytest.mark.parametrize("wrong", [b"x", b"more than it should be"])
def test_an_archive_of_what_lies_elsewhere_has_no_wrong_bytes(form: Form, wrong: bytes) -> None:
    source = Lying()
    image = plain_image(source, b"a")
    layer = image.layers[0]
    source.lie(layer, wrong.ljust(layer.size, b"x") if wrong == b"x" else wrong * layer.size)
    with pytest.raises(Corrupt, match=layer.digest):
        write_archive(form, source, [ArchivedImage(image.root, ())], lambda data: None, Job())


def test_an_image_for_another_platform_can_be_saved(store: LocalStore) -> None:
    image = plain_image(store, b"a")
    root = index_of(store, (image, ARM64))
    (item,) = json.loads(
        _members(_saved(store, "docker", ArchivedImage(root, ())))["manifest.json"]
    )
    assert item["Config"].endswith(image.config.digest.encoded)


@pytest.mark.parametrize("form", ["docker", "oci"])
def test_the_same_images_give_the_same_archive(store: LocalStore, form: Form) -> None:
    image = ArchivedImage(plain_image(store, b"a", b"b").root, (NAME,))
    assert _saved(store, form, image) == _saved(store, form, image)


def test_a_docker_archive_has_dockers_documents(store: LocalStore) -> None:
    image = plain_image(store, b"a", b"b")
    members = _members(_saved(store, "docker", ArchivedImage(image.root, (NAME, OTHER))))
    (item,) = json.loads(members["manifest.json"])
    assert item["RepoTags"] == ["thing:1", "registry.example/a/other:2"]
    assert Digest.of(members[item["Config"]]) == image.config.digest
    assert [Digest.of(members[path]) for path in item["Layers"]] == [
        layer.digest for layer in image.layers
    ]
    assert json.loads(members["repositories"]) == {
        "thing": {"1": image.layers[-1].digest.encoded},
        "registry.example/a/other": {"2": image.layers[-1].digest.encoded},
    }
    index = json.loads(members["index.json"])
    assert [m["annotations"]["io.containerd.image.name"] for m in index["manifests"]] == [
        NAME,
        OTHER,
    ]
    for descriptor in index["manifests"]:
        assert f"blobs/{descriptor['digest'].replace(':', '/')}" in members


def test_a_docker_archive_of_a_compressed_image_has_plain_layers(store: LocalStore) -> None:
    plain = plain_image(store, b"a")
    root = compressed(store, plain.root, Job())
    members = _members(_saved(store, "docker", ArchivedImage(root, (NAME,))))
    (item,) = json.loads(members["manifest.json"])
    assert [Digest.of(members[path]) for path in item["Layers"]] == [plain.layers[0].digest]


def test_a_docker_archive_takes_this_hosts_image_of_an_index(store: LocalStore) -> None:
    amd, arm = plain_image(store, b"amd"), plain_image(store, b"arm", platform=ARM64)
    root = index_of(store, (arm, ARM64), (amd, AMD64))
    members = _members(_saved(store, "docker", ArchivedImage(root, (NAME,))))
    (item,) = json.loads(members["manifest.json"])
    assert item["Config"].endswith(amd.config.digest.encoded)


def test_an_artifact_fits_into_an_oci_archive_only(
    store: LocalStore, other: LocalStore, tmp_path: Path
) -> None:
    root, raw = build_manifest(put(store, b"{}", media.OCI_EMPTY), [put(store, b"sbom", "text/x")])
    put(store, raw, root.media_type)
    image = ArchivedImage(root, (NAME,))
    with pytest.raises((Invalid, Unsupported)):
        _saved(store, "docker", image)
    load(other, io.BytesIO(_saved(store, "oci", image)), Job(), Spool(tmp_path))
    assert other.resolve(NAME).digest == root.digest


def test_an_index_travels_with_the_children_that_are_there(
    store: LocalStore, other: LocalStore, tmp_path: Path
) -> None:
    away = MemoryStore()
    amd, arm = plain_image(store, b"amd"), plain_image(away, b"arm", platform=ARM64)
    root = index_of(store, (amd, AMD64), (arm, ARM64))
    data = _saved(store, "oci", ArchivedImage(root, (NAME,)))
    (loaded,) = load(other, io.BytesIO(data), Job(), Spool(tmp_path))
    assert load_image(other, loaded.descriptor, AMD64).id == amd.config.digest


def test_an_oci_archive_has_compressed_layers(store: LocalStore) -> None:
    image = plain_image(store, b"a")
    members = _members(_saved(store, "oci", ArchivedImage(image.root, (NAME,))))
    assert f"blobs/sha256/{image.layers[0].digest.encoded}" not in members
    index = json.loads(members["index.json"])
    assert index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] == NAME


@pytest.mark.parametrize(
    "compress",
    [gzip.compress, bz2.compress, lzma.compress, zstandard.compress],
)
def test_compressed_archives_are_loaded(
    store: LocalStore, other: LocalStore, tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    image = plain_image(store, b"a")
    data = compress(_saved(store, "docker", ArchivedImage(image.root, (NAME,))))
    load(other, io.BytesIO(data), Job(), Spool(tmp_path / "spool"))
    assert other.names() == (NAME,)
    assert list((tmp_path / "spool").iterdir()) == []


def test_an_archive_can_come_by_a_pipe(
    store: LocalStore, other: LocalStore, tmp_path: Path
) -> None:
    image = plain_image(store, b"a" * 3_000_000)
    reading, writing = os.pipe()

    def send() -> None:
        with os.fdopen(writing, "wb") as out:
            save(store, [ArchivedImage(image.root, (NAME,))], out.write, Job())

    thread = threading.Thread(target=send)
    thread.start()
    try:
        with os.fdopen(reading, "rb") as stream:
            load(other, stream, Job(), Spool(tmp_path / "spool"))
    finally:
        thread.join()
    assert other.images()[0].image_id == image.config.digest


def test_loading_goes_through_any_sink(store: LocalStore, tmp_path: Path) -> None:
    image = plain_image(store, b"a")
    sink = MemoryStore()
    data = _saved(store, "docker", ArchivedImage(image.root, (NAME,)))
    load(sink, io.BytesIO(data), Job(), Spool(tmp_path))
    assert load_image(sink, sink.resolve(NAME), AMD64).id == image.config.digest


def test_saving_can_be_cancelled(store: LocalStore) -> None:
    image = plain_image(store, b"a")
    job = Job()
    job.cancel()
    with pytest.raises(Cancelled):
        save(store, [ArchivedImage(image.root, (NAME,))], io.BytesIO().write, job)


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.compress])
def test_a_root_file_system_becomes_an_image(
    store: LocalStore, compress: Callable[[bytes], bytes]
) -> None:
    tar = tar_of(hello=b"world")
    options = ImportOptions(AMD64, changes=('CMD ["/hello"]', "ENV A=b"), message="from a disk")
    root = import_tar(store, io.BytesIO(compress(tar)), options, Job())
    image = load_image(store, root, AMD64)
    assert image.diff_ids == (Digest.of(tar),)
    assert image.layers[0].media_type == media.OCI_LAYER
    assert image.config.config.cmd == ("/hello",)
    assert image.config.config.env == ("A=b",)
    assert image.config.history[0].comment == "from a disk"
    # The time is the newest in the tar, so the same bytes give the same image.
    assert image.config.created == "2023-11-14T22:13:20Z"
    assert root == import_tar(store, io.BytesIO(tar), options, Job())


def test_an_imports_time_can_be_given(store: LocalStore) -> None:
    root = import_tar(store, io.BytesIO(tar_of(a=b"")), ImportOptions(AMD64, created=0), Job())
    assert load_image(store, root, AMD64).config.created == "1970-01-01T00:00:00Z"


def test_a_wrong_change_is_refused_before_anything_is_read(store: LocalStore) -> None:
    stream = io.BytesIO(tar_of(a=b""))
    with pytest.raises(Invalid):
        import_tar(store, stream, ImportOptions(AMD64, changes=("RUN x",)), Job())
    assert stream.tell() == 0


@pytest.mark.parametrize(
    "data",
    [
        b"no tar at all" * 100,
        b"\x1f\x8b\x08\x00 no gzip",
        tar_of(**{"manifest.json": b"{"}),
        tar_of(**{"manifest.json": b'[{"Config":"c.json","Layers":["l.tar"],"RepoTags":["a:b"]}]'}),
        tar_of(
            **{
                "manifest.json": b'[{"Config":"c.json","Layers":["l.tar"],"RepoTags":["a:b"]}]',
                "c.json": b'{"config":',
                "l.tar": b"",
            }
        ),
    ],
    ids=["bytes", "gzip", "manifest", "lacking", "config"],
)
def test_a_malformed_archive_is_named_once(store: LocalStore, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bad.tar"
    path.write_bytes(data)
    with path.open("rb") as file, pytest.raises((Invalid, Corrupt, NotFound)) as caught:
        load(store, file, Job(), Spool(tmp_path / "spool"))
    assert caught.value.message.startswith(str(path))
    assert str(caught.value).count(str(path)) == 1
    assert store.images() == []


def test_a_tree_is_exported_and_comes_back(store: LocalStore, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc" / "motd").write_bytes(b"hello")
    (tree / "link").symlink_to("etc/motd")
    out = io.BytesIO()
    export_tree(tree, out.write)
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as archive:
        names = {member.name for member in archive}
        assert {"etc", "etc/motd", "link"} <= names
    root = import_tar(store, io.BytesIO(out.getvalue()), ImportOptions(AMD64), Job())
    assert load_image(store, root, AMD64).diff_ids == (Digest.of(out.getvalue()),)
