"""Manifests and indexes: parse, build, refuse.  Schemas: shared/specs/oci-image/schema."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corten.errors import CortenError, Invalid, Unsupported
from corten.oci import media
from corten.oci.descriptor import Descriptor, describe
from corten.oci.manifest import (
    MANIFEST_LIMIT,
    Index,
    Manifest,
    build_index,
    build_manifest,
    detect_media_type,
    parse_document,
)
from corten.oci.platform import Platform
from support.schemas import validate

CONFIG = describe(b"{}", media.OCI_CONFIG)
LAYER = describe(b"layer", media.OCI_LAYER_GZIP)


def plain(descriptor: Descriptor) -> dict[str, Any]:
    return {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size,
    }


def document(**fields: Any) -> bytes:
    shape = {"schemaVersion": 2, "config": plain(CONFIG), "layers": [plain(LAYER)], **fields}
    return json.dumps({k: v for k, v in shape.items() if v != "drop"}).encode()


def test_a_built_manifest_parses_to_what_went_in() -> None:
    descriptor, raw = build_manifest(CONFIG, [LAYER], annotations={"a": "b"})
    parsed = parse_document(raw, media.OCI_MANIFEST)
    assert isinstance(parsed, Manifest)
    assert parsed.children == (CONFIG, LAYER)
    assert parsed.annotations == {"a": "b"}
    assert descriptor == describe(raw, media.OCI_MANIFEST)


def test_a_built_manifest_satisfies_the_schema() -> None:
    validate(
        json.loads(build_manifest(CONFIG, [LAYER])[1]), "oci-image", "image-manifest-schema.json"
    )


def test_a_built_index_satisfies_the_schema() -> None:
    manifest, _ = build_manifest(CONFIG, [LAYER])
    validate(json.loads(build_index([manifest])[1]), "oci-image", "image-index-schema.json")


def test_an_empty_index_keeps_its_required_list() -> None:
    _, raw = build_index([])
    assert json.loads(raw)["manifests"] == []
    assert parse_document(raw) == Index(schema_version=2, media_type=media.OCI_INDEX)


def test_building_twice_gives_the_same_bytes() -> None:
    one = build_manifest(CONFIG, [LAYER], annotations={"b": "1", "a": "2"})
    two = build_manifest(CONFIG, [LAYER], annotations={"a": "2", "b": "1"})
    assert one == two


def test_the_declared_media_type_decides_where_the_document_has_none() -> None:
    raw = document()
    assert detect_media_type(raw, media.DOCKER_MANIFEST) == media.DOCKER_MANIFEST
    assert detect_media_type(raw) == media.OCI_MANIFEST
    assert detect_media_type(raw, "application/json") == media.OCI_MANIFEST


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "malformed"),
        (b"[]", "malformed"),
        (b"{", "malformed"),
        (b"{}", "neither"),
        (b"\xff\xfe", "malformed"),
        (b'{"schemaVersion":2,"\xd1":1}', "malformed"),
        (b'{"schemaVersion":2,"manifests":{}}', "malformed"),
        (document(schemaVersion=3), "schemaVersion"),
        (document(schemaVersion="2"), "malformed"),
        (document(config={}), "malformed"),
        (document(layers=[{"digest": "sha256:0", "size": 1, "mediaType": "x"}]), "digest"),
        (document(layers=[{**plain(LAYER), "size": -1}]), "malformed"),
        (document(layers=[{**plain(LAYER), "size": "9"}]), "malformed"),
        (document(layers=[{**plain(LAYER), "size": 2**70}]), "malformed"),
        (document(layers=[{**plain(LAYER), "digest": 5}]), "digest"),
        (document(mediaType=media.OCI_INDEX), "fields"),
        (document(mediaType=7), "mediaType"),
        (document(config="drop", manifests=[], layers=[]), "neither"),
        (b"[" * 100_000, "malformed"),
        (b'{"a":' * 100_000, "malformed"),
    ],
)
def test_malformed_documents_are_refused_with_a_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        parse_document(raw)


@pytest.mark.parametrize("depth", [200, 600, 900, 5000])
def test_any_depth_of_nesting_is_read_or_refused(depth: int) -> None:
    config = f'{{"mediaType":"x","digest":"sha256:{"a" * 64}","size":1}}'
    nested = "[" * depth + "]" * depth
    raw = f'{{"schemaVersion":2,"config":{config},"x":{nested}}}'.encode()
    with contextlib.suppress(Invalid):
        assert parse_document(raw).schema_version == 2


def test_a_media_type_that_contradicts_the_announced_one_is_refused() -> None:
    with pytest.raises(Invalid, match="announced"):
        parse_document(document(mediaType=media.OCI_MANIFEST), media.DOCKER_MANIFEST)
    with pytest.raises(Invalid, match="fields"):
        parse_document(document(), media.OCI_INDEX)


def test_oversized_documents_are_not_even_parsed() -> None:
    with pytest.raises(Invalid, match="larger"):
        parse_document(b" " * (MANIFEST_LIMIT + 1))


def test_schema_1_is_refused_by_name() -> None:
    with pytest.raises(Unsupported, match="schema 1"):
        parse_document(b'{"schemaVersion":1,"fsLayers":[]}')


def test_null_fields_count_as_absent() -> None:
    parsed = parse_document(document(annotations=None, subject=None))
    assert isinstance(parsed, Manifest)
    assert parsed.annotations == {}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("linux/amd64", 0), ("linux/arm64", 1), ("linux/arm/v6", 3), ("linux/arm/v7", 2)],
)
def test_an_index_selects_by_platform_and_prefers_the_exact_variant(
    wanted: str, found: int
) -> None:
    platforms = ["linux/amd64", "linux/arm64/v8", "linux/arm/v7", "linux/arm/v6"]
    entries = [
        Descriptor(
            media_type=media.OCI_MANIFEST,
            digest=describe(text.encode(), "").digest,
            size=1,
            platform=Platform.parse(text),
        )
        for text in platforms
    ]
    index = parse_document(build_index(entries)[1])
    assert isinstance(index, Index)
    selected = index.select(Platform.parse(wanted))
    assert selected is not None
    assert selected.digest == entries[found].digest
    assert index.select(Platform.parse("windows/amd64")) is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["schemaVersion", "config", "layers", "digest", "size", "mediaType"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_no_json_value_breaks_the_parser_with_anything_but_its_own_error(value: Any) -> None:
    with contextlib.suppress(CortenError):
        parse_document(json.dumps(value).encode())
