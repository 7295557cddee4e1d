from __future__ import annotations

from pathlib import Path

import pytest

from corten.content.local import LocalStore
from corten.content.memory import MemoryStore
from corten.errors import Invalid, NotFound
from corten.image.assemble import put as put_document
from corten.image.view import MISSING, history_rows, inspect_document, load_image
from corten.oci import media
from corten.oci.codec import canonical_json
from corten.oci.descriptor import describe
from corten.oci.manifest import build_index, build_manifest
from support.contents import AMD64, ARM64, index_of, plain_image, put, tar_of


def test_an_image_is_its_documents() -> None:
    store = MemoryStore()
    made = plain_image(store, b"a", b"b")
    image = load_image(store, made.root, AMD64)
    assert image.id == made.config.digest
    assert image.layers == made.layers
    assert image.diff_ids == tuple(layer.digest for layer in made.layers)
    assert image.config.config.cmd == ("/bin/true",)


def test_an_index_is_resolved_by_platform() -> None:
    store = MemoryStore()
    amd, arm = plain_image(store, b"amd"), plain_image(store, b"arm", platform=ARM64)
    root = index_of(store, (amd, AMD64), (arm, ARM64))
    assert load_image(store, root, ARM64).id == arm.config.digest
    outer, raw = build_index([root])
    put(store, raw, outer.media_type)
    assert load_image(store, outer, AMD64).id == amd.config.digest


def test_a_platform_that_is_missing_says_which_there_are() -> None:
    store = MemoryStore()
    root = index_of(store, (plain_image(store, b"arm", platform=ARM64), ARM64))
    with pytest.raises(NotFound, match="linux/amd64") as caught:
        load_image(store, root, AMD64)
    assert "linux/arm64" in caught.value.hint


def test_an_artifact_is_no_image() -> None:
    store = MemoryStore()
    root, raw = build_manifest(put(store, b"{}", media.OCI_EMPTY), [])
    put(store, raw, root.media_type)
    with pytest.raises(Invalid, match="no container image"):
        load_image(store, root, AMD64)


def test_layers_and_diff_ids_must_be_as_many() -> None:
    store = MemoryStore()
    made = plain_image(store, b"a")
    root, raw = build_manifest(made.config, [*made.layers, *made.layers])
    put(store, raw, root.media_type)
    with pytest.raises(Invalid, match="number of layers: 2 and 1"):
        load_image(store, root, AMD64)


def test_endless_nesting_is_refused() -> None:
    store = MemoryStore()
    root = plain_image(store, b"a").root
    for _ in range(10):
        root, raw = build_index([root])
        put(store, raw, root.media_type)
    with pytest.raises(Invalid, match="deeper"):
        load_image(store, root, AMD64)


def test_inspect_has_dockers_shape() -> None:
    store = MemoryStore()
    made = plain_image(store, b"a", b"b", created="2024-02-03T04:05:06Z")
    image = load_image(store, made.root, AMD64)
    shown = inspect_document(store, image, ["thing:1"], ["thing@sha256:x"])
    assert shown["Id"] == made.config.digest
    assert shown["RepoTags"] == ["thing:1"]
    assert shown["RepoDigests"] == ["thing@sha256:x"]
    assert shown["Created"] == "2024-02-03T04:05:06Z"
    assert (shown["Os"], shown["Architecture"]) == ("linux", "amd64")
    assert shown["Size"] == sum(layer.size for layer in made.layers)
    assert shown["RootFS"] == {"Type": "layers", "Layers": [d.digest for d in made.layers]}
    assert shown["Config"]["Cmd"] == ["/bin/true"]
    assert shown["Config"]["Labels"] == {"made.by": "a test"}
    assert shown["Config"]["Entrypoint"] is None
    assert shown["Config"]["Env"] is None


def test_fields_that_corten_does_not_know_are_shown() -> None:
    store = MemoryStore()
    config = put(
        store,
        canonical_json(
            {
                "architecture": "amd64",
                "os": "linux",
                "docker_version": "20.10",
                "config": {"ArgsEscaped": True},
                "rootfs": {"type": "layers", "diff_ids": []},
            }
        ),
        media.DOCKER_CONFIG,
    )
    root, raw = build_manifest(config, [])
    put(store, raw, root.media_type)
    image = load_image(store, root, AMD64)
    shown = inspect_document(store, image)
    assert shown["DockerVersion"] == "20.10"
    assert shown["Config"]["ArgsEscaped"] is True
    assert shown["Created"] == "0001-01-01T00:00:00Z"
    assert history_rows(store, image) == []


def _config(*entries: dict[str, object], layers: int) -> bytes:
    diff_ids = [describe(tar_of(n=b"%d" % n), "x").digest for n in range(layers)]
    return canonical_json(
        {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": list(entries),
        }
    )


def test_history_is_newest_first_with_the_sizes_of_layers(tmp_path: Path) -> None:
    with LocalStore(tmp_path, AMD64) as store:
        # The manifest's layers are compressed; what is shown is the size of the tars.
        layers = [put(store, b"gz%d" % n, media.OCI_LAYER_GZIP) for n in range(2)]
        tars = [put(store, tar_of(n=b"%d" % n), media.OCI_LAYER) for n in range(2)]
        raw = _config(
            {"created": "2024-01-01T00:00:00Z", "created_by": "ADD"},
            {"created_by": "ENV a=b", "empty_layer": True},
            {"created_by": "RUN", "comment": "c"},
            layers=2,
        )
        config = describe(raw, media.OCI_CONFIG)
        put_document(store, config, raw)
        root, manifest = build_manifest(config, layers)
        put_document(store, root, manifest)
        rows = history_rows(store, load_image(store, root, AMD64))
    assert [(r.image, r.created_by, r.size, r.comment) for r in rows] == [
        (str(config.digest), "RUN", tars[1].size, "c"),
        (MISSING, "ENV a=b", 0, ""),
        (MISSING, "ADD", tars[0].size, ""),
    ]


def test_layers_without_history_have_lines_too() -> None:
    store = MemoryStore()
    raw = _config({"created_by": "ADD"}, layers=2)
    root, manifest = build_manifest(
        put(store, raw, media.OCI_CONFIG),
        [put(store, b"l%d" % n, media.OCI_LAYER_GZIP) for n in range(2)],
    )
    put(store, manifest, root.media_type)
    rows = history_rows(store, load_image(store, root, AMD64))
    assert [(row.created_by, row.size) for row in rows] == [("", 2), ("ADD", 2)]
