"""What is said of a file that is no archive, or a damaged one: which, what was found, where, what to do."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from corten.config.settings import Settings
from corten.content.archive_writer import Form
from corten.content.archived import ArchivedImage
from corten.content.local import LocalStore
from corten.engine.archives import copy, input_file
from corten.engine.host import Host
from corten.errors import Corrupt, CortenError, Invalid, NotFound
from corten.events.job import Job
from corten.image.incoming import Spool
from corten.image.transfer import ImportOptions, import_tar, load, save
from corten.oci.codec import convert, decode_object
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.oci.manifest import parse_document
from support.archives import config_of, manifest_of, write_tar
from support.contents import AMD64, tar_of

Bring = Callable[[bytes], object]
NAME = "bad.tar"


LAYER = tar_of(file=b"one" * 5000)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An archive as docker saves it: what has a digest is called by it."""
    config = config_of(LAYER)
    names = f"{Digest.of(config).encoded}.json", f"{Digest.of(LAYER).encoded}/layer.tar"
    members = (
        (names[0], config),
        (names[1], LAYER),
        ("manifest.json", manifest_of(names[0], names[1:])),
    )
    return write_tar(tmp_path_factory.mktemp("whole") / "x.tar", *members).read_bytes()


@pytest.fixture(params=["load", "copy", "import"])
def bring(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bring]:
    """Brings a file of these bytes, called `NAME`, into a store."""
    file = tmp_path / NAME
    with ExitStack() as stack:

        def bring(data: bytes) -> object:
            file.write_bytes(data)
            if request.param == "copy":
                host = stack.enter_context(Host(Settings(tmp_path / "root", "overlay")))
                return copy(host, f"docker-archive:{file}", "x", Job())
            store = stack.enter_context(LocalStore(tmp_path / "root", AMD64))
            opened = stack.enter_context(file.open("rb"))
            if request.param == "load":
                return load(store, opened, Job(), Spool(tmp_path / "spool"))
            return import_tar(store, opened, ImportOptions(AMD64), Job())

        yield bring


def refusal(bring: Bring, data: bytes) -> CortenError:
    with pytest.raises((Invalid, Corrupt)) as caught:
        bring(data)
    assert NAME in caught.value.message
    assert caught.value.hint
    return caught.value


def test_an_empty_file(bring: Bring) -> None:
    assert refusal(bring, b"").message.endswith(f"{NAME} is empty")


@pytest.mark.parametrize("text", [b"just some text", b"just some text\n" * 100])
def test_a_file_of_text(bring: Bring, text: bytes) -> None:
    error = refusal(bring, text)
    assert "is no tar archive: it " in error.message
    assert "begins with 'just some text" in error.message
    assert "corten " in error.hint


def test_a_file_that_is_cut_off(bring: Bring, whole: bytes) -> None:
    error = refusal(bring, whole[:9_000])
    assert "is cut short: it ends at byte 9000" in error.message
    assert " in it would end at byte " in error.message
    assert "fetch it again" in error.hint


def test_a_compressed_file_that_is_cut_off(bring: Bring, whole: bytes) -> None:
    packed = gzip.compress(whole)
    error = refusal(bring, packed[:-100])
    assert f"the gzip data ends in the middle (near byte {len(packed) - 100})" in error.message


def test_a_flipped_byte_of_compressed_data(bring: Bring, whole: bytes) -> None:
    packed = bytearray(gzip.compress(whole))
    packed[len(packed) // 2] ^= 0xFF
    error = refusal(bring, bytes(packed))
    assert "the gzip data is damaged" in error.message
    assert "near byte" in error.message


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x01]) + data[at + 1 :]


def test_a_flipped_byte_of_a_header(bring: Bring, whole: bytes) -> None:
    at = whole.index(b"ustar", 600) // 512 * 512
    error = refusal(bring, flipped(whole, at + 3))
    assert f"a header's checksum is wrong (byte {at} behind " in error.message


@pytest.mark.parametrize("part", [b"oneone", b"amd64"])
def test_a_flipped_byte_of_a_layer_or_configuration(
    tmp_path: Path, whole: bytes, part: bytes
) -> None:
    data = io.BytesIO(flipped(whole, whole.index(part)))
    with LocalStore(tmp_path / "root", AMD64) as store:
        with pytest.raises(Corrupt, match=r"the content of \S+ is .*sha256:") as caught:
            load(store, data, Job(), Spool(tmp_path / "spool"))
        assert "fetch it again" in caught.value.hint
        assert store.images() == []


def test_a_name_that_an_archive_does_not_have(tmp_path: Path, whole: bytes) -> None:
    (tmp_path / NAME).write_bytes(whole)
    with Host(Settings(tmp_path / "root", "overlay")) as host:
        with pytest.raises(NotFound, match=r"there is no \S+other:1 in ") as caught:
            copy(host, f"docker-archive:{tmp_path / NAME}:other:1", "x", Job())
        assert caught.value.hint == "it has docker.io/example/thing:1"


def test_a_directory_that_is_an_oci_layout(tmp_path: Path) -> None:
    (tmp_path / "oci-layout").write_text("{}")
    with pytest.raises(NotFound, match="Is a directory") as caught, input_file(str(tmp_path)):
        pass
    assert caught.value.hint == f"it is an OCI image layout: corten copy oci:{tmp_path} NAME"


@pytest.mark.parametrize(
    ("form", "damage"),
    # A compressed form of another length is made again.
    [("docker", "flipped"), ("docker", "cut"), ("oci", "flipped")],
)
def test_a_layer_that_was_damaged_here_is_not_saved(
    tmp_path: Path, whole: bytes, form: Form, damage: str
) -> None:
    with LocalStore(tmp_path / "root", AMD64) as store:
        (loaded,) = load(store, io.BytesIO(whole), Job(), Spool(tmp_path / "spool"))
        image = ArchivedImage(loaded.descriptor, loaded.names)
        save(store, [image], lambda data: None, Job(), form)  # its compressed form is kept
        document = parse_document(store.blobs.read(image.descriptor.digest, 10_000))
        layer = document.children[-1] if form == "docker" else compressed_layer(store)
        blob = store.blobs.file(layer.digest)
        data = blob.read_bytes()
        blob.write_bytes(flipped(data, 40) if damage == "flipped" else data[:40])
        with pytest.raises(Corrupt, match=f"the content of {layer.digest} is sha256:") as caught:
            save(store, [image], lambda data: None, Job(), form)
    assert "corten system check --repair" in caught.value.hint


def compressed_layer(store: LocalStore) -> Descriptor:
    fact = store.recall("compressed/gzip", Digest.of(LAYER))
    assert fact is not None
    return convert(decode_object(fact.encode(), "fact", 10_000), Descriptor, "fact")
