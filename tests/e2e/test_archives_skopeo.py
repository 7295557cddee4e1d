"""Layouts and archives of corten's, read and written by Debian's skopeo."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from corten.content.archive_writer import Form
from corten.content.archived import ArchivedImage
from corten.content.copy import copy
from corten.content.layout import OCILayout
from corten.content.local import LocalStore
from corten.events.job import Job
from corten.image.compress import compressed
from corten.image.incoming import Spool
from corten.image.transfer import load, save
from corten.image.view import load_image
from support.contents import AMD64, PlainImage, plain_image

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed"),
]
NAME = "docker.io/example/thing:1"


def _skopeo(*args: str) -> Any:
    done = subprocess.run(
        ["skopeo", "--insecure-policy", *args],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if args[0] == "inspect" else done.stdout


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    with LocalStore(tmp_path / "root", AMD64) as made:
        yield made


@pytest.fixture
def image(store: LocalStore) -> PlainImage:
    made = plain_image(store, b"a" * 100_000, b"second")
    store.tag(NAME, made.root)
    return made


def test_skopeo_reads_the_store_as_a_layout(
    store: LocalStore, image: PlainImage, tmp_path: Path
) -> None:
    found = _skopeo("inspect", f"oci:{store.path}:{NAME}")
    assert found["Digest"] == image.root.digest
    assert found["Layers"] == [layer.digest for layer in image.layers]
    assert found["Labels"] == {"made.by": "a test"}
    _skopeo("copy", f"oci:{store.path}:{NAME}", f"oci:{tmp_path}/copied:there")
    layout = OCILayout(tmp_path / "copied")
    # skopeo compresses plain layers on the way; the image stays the same one.
    assert load_image(layout, layout.resolve("there"), AMD64).id == image.config.digest


@pytest.mark.parametrize("form", ["docker", "oci"])
def test_skopeo_reads_what_we_save_and_we_load_what_it_writes(
    store: LocalStore, image: PlainImage, tmp_path: Path, form: Form
) -> None:
    ours, theirs = tmp_path / "ours.tar", tmp_path / "theirs.tar"
    with ours.open("wb") as out:
        save(store, [ArchivedImage(image.root, (NAME,))], out.write, Job(), form)
    found = _skopeo("inspect", "--config", f"{form}-archive:{ours}:{NAME}")
    assert found["rootfs"]["diff_ids"] == [layer.digest for layer in image.layers]
    _skopeo("copy", f"{form}-archive:{ours}:{NAME}", f"{form}-archive:{theirs}:{NAME}")
    with LocalStore(tmp_path / "other", AMD64) as other:
        with theirs.open("rb") as stream:
            (loaded,) = load(other, stream, Job(), Spool(tmp_path / "spool"))
        assert loaded.names == (NAME,)
        assert other.images()[0].image_id == image.config.digest


def test_layers_of_many_blocks_are_inflated_by_go(store: LocalStore, tmp_path: Path) -> None:
    """Several cores write one gzip stream, block by block; skopeo reads it with Go's package."""
    mixed = b"".join(os.urandom(1000) + b"the same again " * 100 for _ in range(3000))
    made = plain_image(store, mixed)
    outgoing = compressed(store, made.root, Job())
    copy(store, OCILayout(tmp_path / "layout"), outgoing, Job(), name="v1")
    plain = tmp_path / "plain.tar"
    _skopeo("copy", f"oci:{tmp_path}/layout:v1", f"docker-archive:{plain}:{NAME}")
    with tarfile.open(plain) as archive:
        (layer,) = json.loads(archive.extractfile("manifest.json").read())[0]["Layers"]  # type: ignore[union-attr]
        found = hashlib.file_digest(archive.extractfile(layer), "sha256")  # type: ignore[arg-type]
    assert found.hexdigest() == made.layers[0].digest.encoded


def test_skopeo_reads_the_layout_inside_our_docker_archive(
    store: LocalStore, image: PlainImage, tmp_path: Path
) -> None:
    file = tmp_path / "image.tar"
    with file.open("wb") as out:
        save(store, [ArchivedImage(image.root, (NAME,))], out.write, Job(), "docker")
    found = _skopeo("inspect", f"oci-archive:{file}:1")
    assert found["Layers"] == [layer.digest for layer in image.layers]
