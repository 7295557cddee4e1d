from __future__ import annotations

import gzip
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import zstandard

from corten.content.archived import Archive
from corten.content.docker_archive import open_archive
from corten.content.tar_files import TarFiles
from corten.errors import NotFound, Unsupported
from corten.oci import media
from corten.oci.descriptor import describe
from corten.oci.digest import Digest
from corten.oci.manifest import Manifest, parse_document
from support.archives import LAYER, config_of, link, manifest_of, write_tar
from support.contents import read_all

Open = Callable[..., Archive]


@pytest.fixture
def open_(tmp_path: Path) -> Iterator[Open]:
    with ExitStack() as stack:

        def make(*members: tuple[str, bytes | tarfile.TarInfo]) -> Archive:
            file = write_tar(tmp_path / "image.tar", *members)
            return open_archive(TarFiles(stack.enter_context(file.open("rb")).fileno(), "it"))

        yield make


def _layers(archive: Archive, at: int = 0) -> Manifest:
    root = archive.images[at].descriptor
    document = parse_document(read_all(archive, root), root.media_type)
    assert isinstance(document, Manifest)
    return document


def test_an_archive_is_an_image_with_its_names(open_: Open) -> None:
    archive = open_(
        ("config.json", config_of(LAYER)),
        ("layer.tar", LAYER),
        ("manifest.json", manifest_of(tags=("thing:1", "localhost:5000/thing:2"))),
    )
    (image,) = archive.images
    assert image.names == ("docker.io/library/thing:1", "localhost:5000/thing:2")
    manifest = _layers(archive)
    assert manifest.layers == (describe(LAYER, media.OCI_LAYER),)
    assert read_all(archive, manifest.layers[0], 100) == LAYER[100:]
    assert manifest.config.digest == Digest.of(config_of(LAYER))
    assert read_all(archive, manifest.config) == config_of(LAYER)


def test_images_without_names_are_found_by_digest(open_: Open) -> None:
    archive = open_(
        ("manifest.json", manifest_of(tags=None)),
        ("config.json", config_of(LAYER)),
        ("layer.tar", LAYER),
    )
    root = archive.images[0].descriptor
    assert archive.resolve(root.digest) == root
    assert list(archive.tags()) == []


@pytest.mark.parametrize(
    ("compress", "media_type"),
    [
        (lambda data: gzip.compress(data, mtime=0), media.OCI_LAYER_GZIP),
        (lambda data: zstandard.ZstdCompressor().compress(data), media.OCI_LAYER_ZSTD),
    ],
)
def test_compressed_layers_are_named_by_their_own_digest(
    open_: Open, compress: Callable[[bytes], bytes], media_type: str
) -> None:
    compressed = compress(LAYER)
    archive = open_(
        ("config.json", config_of(LAYER, LAYER)),
        ("layer.tar", compressed),
        ("manifest.json", manifest_of(layers=("layer.tar", "layer.tar"))),
    )
    assert _layers(archive).layers == (describe(compressed, media_type),) * 2
    assert read_all(archive, _layers(archive).layers[0]) == compressed


def test_a_compression_without_a_media_type_is_unsupported(open_: Open) -> None:
    with pytest.raises(Unsupported, match="bzip2"):
        open_(
            ("config.json", config_of(LAYER)),
            ("layer.tar", b"BZh91AY&SY"),
            ("manifest.json", manifest_of()),
        )


def test_layers_that_are_links_within_the_archive_are_followed(open_: Open) -> None:
    archive = open_(
        ("manifest.json", manifest_of(layers=("a/layer.tar", "b/layer.tar"))),
        ("config.json", config_of(LAYER, LAYER)),
        ("a/layer.tar", link("../real.tar")),
        ("b/layer.tar", link("a/layer.tar", tarfile.LNKTYPE)),
        ("./real.tar", LAYER),
    )
    assert read_all(archive, _layers(archive).layers[1]) == LAYER


def test_an_archive_of_before_docker_1_10_says_what_to_do(open_: Open) -> None:
    with pytest.raises(Unsupported) as caught:
        open_(("repositories", b"{}"), ("abc/layer.tar", LAYER))
    assert "Docker" in caught.value.hint


def test_a_blob_that_is_not_in_it_is_not_found(open_: Open) -> None:
    archive = open_(
        ("config.json", config_of(LAYER)), ("layer.tar", LAYER), ("manifest.json", manifest_of())
    )
    other = describe(b"other", media.OCI_LAYER)
    assert not archive.has(other)
    assert archive.has(_layers(archive).layers[0])
    assert archive.has(archive.images[0].descriptor)
    with pytest.raises(NotFound):
        archive.open(other)
