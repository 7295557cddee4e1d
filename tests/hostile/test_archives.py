"""Image archives made to hurt: each is refused with one clear error, and nothing is touched."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest

from corten.content.local import LocalStore
from corten.errors import Corrupt, CortenError, Invalid, NotFound
from corten.events.job import Job
from corten.image.incoming import Spool
from corten.image.transfer import ImportOptions, import_tar, load
from corten.oci.digest import Digest
from support.archives import LAYER, config_of, link, manifest_of, write_tar
from support.contents import AMD64

Members = tuple[tuple[str, bytes | tarfile.TarInfo], ...]

CONFIG = ("config.json", config_of(LAYER))
GOOD_LAYER = ("layer.tar", LAYER)
_OTHER_LAYER = b"\0" * len(LAYER)

ARCHIVES: dict[str, tuple[Members, type[CortenError]]] = {
    "empty": ((), Invalid),
    "no manifest": ((CONFIG, GOOD_LAYER), Invalid),
    "manifest is no JSON": ((("manifest.json", b"[{"),), Invalid),
    "manifest is an object": ((("manifest.json", b"{}"),), Invalid),
    "manifest of numbers": ((("manifest.json", b"[1]"),), Invalid),
    "manifest with broken UTF-8": ((("manifest.json", b'[{"Config": "\xd1"}]'),), Invalid),
    "manifest nested deep": ((("manifest.json", b"[" * 100_000),), Invalid),
    "manifest of no image": ((("manifest.json", b"[]"),), Invalid),
    "config outside": (
        (("manifest.json", manifest_of(config="../../etc/passwd")), CONFIG, GOOD_LAYER),
        Invalid,
    ),
    "config absolute": (
        (("manifest.json", manifest_of(config="/etc/passwd")), CONFIG, GOOD_LAYER),
        Invalid,
    ),
    "config missing": ((("manifest.json", manifest_of()), GOOD_LAYER), NotFound),
    "config is no JSON": (
        (("manifest.json", manifest_of()), ("config.json", b"x"), GOOD_LAYER),
        Invalid,
    ),
    "layer outside": (
        (("manifest.json", manifest_of(layers=("../layer.tar",))), CONFIG, GOOD_LAYER),
        Invalid,
    ),
    "layer missing": ((("manifest.json", manifest_of()), CONFIG), NotFound),
    "layer link outside": (
        (("manifest.json", manifest_of()), CONFIG, ("layer.tar", link("../../../etc/passwd"))),
        Invalid,
    ),
    "layer link absolute": (
        (("manifest.json", manifest_of()), CONFIG, ("layer.tar", link("/etc/passwd"))),
        Invalid,
    ),
    "layer link circle": (
        (
            ("manifest.json", manifest_of()),
            CONFIG,
            ("layer.tar", link("b")),
            ("b", link("layer.tar")),
        ),
        Invalid,
    ),
    "layer is a device": (
        (("manifest.json", manifest_of()), CONFIG, ("layer.tar", link("", tarfile.CHRTYPE))),
        NotFound,
    ),
    "two manifests": (
        (("manifest.json", manifest_of()), CONFIG, GOOD_LAYER, ("manifest.json", b"[]")),
        Invalid,
    ),
    "two layers of one name": (
        (("manifest.json", manifest_of()), CONFIG, GOOD_LAYER, ("./layer.tar", _OTHER_LAYER)),
        Invalid,
    ),
    "layer is not the diff id": (
        (("manifest.json", manifest_of()), CONFIG, ("layer.tar", _OTHER_LAYER)),
        Corrupt,
    ),
    "more layers than diff ids": (
        (("manifest.json", manifest_of(layers=("layer.tar",) * 2)), CONFIG, GOOD_LAYER),
        Invalid,
    ),
    "name is no name": (
        (("manifest.json", manifest_of(tags=("UPPER/../case",))), CONFIG, GOOD_LAYER),
        Invalid,
    ),
    "layout without version": ((("oci-layout", b"{}"), ("index.json", b"{}")), Invalid),
    "layout whose index is a manifest": (
        (
            ("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'),
            ("index.json", b'{"schemaVersion":2,"config":{},"layers":[]}'),
        ),
        Invalid,
    ),
    "layout without its blob": (
        (
            ("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'),
            (
                "index.json",
                json.dumps(
                    {
                        "schemaVersion": 2,
                        "manifests": [
                            {
                                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                                "digest": f"sha256:{'0' * 64}",
                                "size": 10,
                            }
                        ],
                    }
                ).encode(),
            ),
        ),
        NotFound,
    ),
    "layout whose blob is a link outside": (
        (
            ("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'),
            (
                "index.json",
                json.dumps(
                    {
                        "schemaVersion": 2,
                        "manifests": [
                            {
                                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                                "digest": f"sha256:{'0' * 64}",
                                "size": 10,
                            }
                        ],
                    }
                ).encode(),
            ),
            (f"blobs/sha256/{'0' * 64}", link("../../../etc/passwd")),
        ),
        Invalid,
    ),
}


def _snapshot(folder: Path) -> set[str]:
    return {str(p) for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("name", sorted(ARCHIVES))
def test_a_hostile_archive_is_refused(tmp_path: Path, name: str, compressed: bool) -> None:
    members, family = ARCHIVES[name]
    file = write_tar(tmp_path / "image.tar", *members)
    if compressed:
        file.write_bytes(gzip.compress(file.read_bytes()))
    before = _snapshot(tmp_path)
    with LocalStore(tmp_path / "root", AMD64) as store:
        with file.open("rb") as stream, pytest.raises(family) as caught:
            load(store, stream, Job(), Spool(tmp_path / "spool"))
        assert caught.value.message
        assert "\n" not in caught.value.message
        assert store.names() == ()
        assert store.images() == []
    root = str(tmp_path / "root")
    assert {path for path in _snapshot(tmp_path) if not path.startswith(root)} == before


def test_a_giant_manifest_is_refused_by_its_size(tmp_path: Path) -> None:
    file = tmp_path / "image.tar"
    header = tarfile.TarInfo("manifest.json")
    header.size = 8 * 1024**3
    with file.open("wb") as out:
        out.write(header.tobuf())
        out.truncate(512 + header.size + 1024)  # sparse: it takes no room
    with (
        LocalStore(tmp_path / "root", AMD64) as store,
        file.open("rb") as stream,
        pytest.raises(Invalid, match="8589934592 bytes"),
    ):
        load(store, stream, Job(), Spool(tmp_path / "spool"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not an archive at all" * 100,
        b"\x1f\x8b" + b"damaged" * 100,
        gzip.compress(b"x" * 100_000)[:-50],
        b"\x28\xb5\x2f\xfd" + b"\xff" * 100,
    ],
)
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    with LocalStore(tmp_path / "root", AMD64) as store:
        with pytest.raises((Invalid, Corrupt)):
            load(store, io.BytesIO(data), Job(), Spool(tmp_path / "spool"))
        options = ImportOptions(AMD64)
        with pytest.raises((Invalid, Corrupt)):
            import_tar(store, io.BytesIO(data), options, Job())
        assert list(store.walk()) == []
        assert list((store.path / "ingest").glob("*.new")) == []


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    file = write_tar(tmp_path / "image.tar", ("manifest.json", manifest_of()), CONFIG, GOOD_LAYER)
    whole = file.read_bytes()
    with LocalStore(tmp_path / "root", AMD64) as store:
        for size in range(512, 8192, 512):
            file.write_bytes(whole[: size + 100])
            with file.open("rb") as stream, pytest.raises(CortenError):
                load(store, stream, Job(), Spool(tmp_path / "spool"))
        assert store.images() == []


def test_the_layer_is_proven_against_the_diff_id_and_nothing_half_stays(tmp_path: Path) -> None:
    members, _ = ARCHIVES["layer is not the diff id"]
    file = write_tar(tmp_path / "image.tar", *members)
    with LocalStore(tmp_path / "root", AMD64) as store:
        with file.open("rb") as stream, pytest.raises(Corrupt) as caught:
            load(store, stream, Job(), Spool(tmp_path / "spool"))
        assert caught.value.origin == "source"
        stored = {d.digest for d in store.walk()}
        assert Digest.of(LAYER) not in stored
        assert Digest.of(_OTHER_LAYER) not in stored
