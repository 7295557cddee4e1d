"""OCI distribution, "Push": a test for each MUST, against a real server."""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterator

import pytest

from corten.oci import media
from corten.oci.digest import Digest
from support.registry_calls import (
    CONFIG,
    begin,
    chunk,
    codes,
    manifest,
    push_blob,
    push_image,
    put_manifest,
    subject,
)
from support.registry_server import ServerProcess

DATA = os.urandom(300_000)
DIGEST = Digest.of(DATA)


def pulled(server: ServerProcess, name: str, digest: str) -> bytes:
    answer = server.request("GET", f"/v2/{name}/blobs/{digest}")
    assert answer.status == 200
    return answer.body


def test_starting_an_upload_gives_a_location_with_a_unique_session(
    server: ServerProcess, name: str
) -> None:
    seen = set()
    for _ in range(3):
        answer = server.request("POST", f"/v2/{name}/blobs/uploads/", b"")
        assert answer.status == 202
        session = answer.headers["location"].rpartition("/")[2]
        assert str(uuid.UUID(session)) == session
        seen.add(session)
    assert len(seen) == 3


def test_post_then_put(server: ServerProcess, name: str) -> None:
    location = begin(server, name)
    answer = server.request("PUT", f"{location}?digest={DIGEST}", DATA)
    assert answer.status == 201
    assert server.request("GET", answer.headers["location"]).body == DATA
    assert pulled(server, name, DIGEST) == DATA


def test_single_post(server: ServerProcess, name: str) -> None:
    answer = server.request("POST", f"/v2/{name}/blobs/uploads/?digest={DIGEST}", DATA)
    assert answer.status == 201
    assert server.request("GET", answer.headers["location"]).body == DATA


@pytest.mark.parametrize("way", ["post", "put"])
def test_content_that_is_not_the_digests_is_refused(
    server: ServerProcess, name: str, way: str
) -> None:
    if way == "post":
        path = f"/v2/{name}/blobs/uploads/?digest={DIGEST}"
        answer = server.request("POST", path, DATA[:-1])
    else:
        location = begin(server, name)
        answer = server.request("PUT", f"{location}?digest={DIGEST}", DATA + b"x")
        assert server.request("GET", location).status == 404
    assert answer.status == 400
    assert codes(answer) == ["DIGEST_INVALID"]
    assert server.request("HEAD", f"/v2/{name}/blobs/{DIGEST}").status == 404


@pytest.mark.parametrize("digest", ["sha256:12", "x", "", "md5:" + "0" * 32, "sha256:" + "g" * 64])
def test_an_invalid_or_unsupported_digest_is_400(
    server: ServerProcess, name: str, digest: str
) -> None:
    answer = server.request("POST", f"/v2/{name}/blobs/uploads/?digest={digest}", b"x")
    assert answer.status == 400
    assert codes(answer) == ["DIGEST_INVALID"]
    location = begin(server, name)
    assert server.request("PUT", f"{location}?digest={digest}", b"x").status == 400


def test_closing_without_a_digest_is_400(server: ServerProcess, name: str) -> None:
    answer = server.request("PUT", begin(server, name), DATA)
    assert (answer.status, codes(answer)) == (400, ["DIGEST_INVALID"])


def test_chunks_in_order(server: ServerProcess, name: str) -> None:
    location = begin(server, name)
    for start, stop in ((0, 100_000), (100_000, 250_000)):
        answer = chunk(server, location, DATA[start:stop], start)
        assert answer.status == 202
        assert answer.headers["range"] == f"0-{stop - 1}"
        location = answer.headers["location"]
    answer = chunk(server, f"{location}?digest={DIGEST}", DATA[250_000:], 250_000, "PUT")
    assert answer.status == 201
    assert pulled(server, name, DIGEST) == DATA


def test_the_last_chunk_may_come_before_the_closing_request(
    server: ServerProcess, name: str
) -> None:
    location = chunk(server, begin(server, name), DATA, 0).headers["location"]
    assert server.request("PUT", f"{location}?digest={DIGEST}", b"").status == 201
    assert pulled(server, name, DIGEST) == DATA


@pytest.mark.parametrize("start", [0, 50_000, 150_000])
def test_chunks_out_of_order_are_416(server: ServerProcess, name: str, start: int) -> None:
    location = chunk(server, begin(server, name), DATA[:100_000], 0).headers["location"]
    for method, path in (("PATCH", location), ("PUT", f"{location}?digest={DIGEST}")):
        answer = chunk(server, path, DATA[start : start + 50_000], start, method)
        assert answer.status == 416
        assert answer.headers["range"] == "0-99999"
    status = server.request("GET", location)
    assert (status.status, status.headers["range"]) == (204, "0-99999")


def test_the_first_chunk_begins_at_0(server: ServerProcess, name: str) -> None:
    assert chunk(server, begin(server, name), DATA, 1).status == 416


def test_a_range_that_contradicts_the_length_is_refused(server: ServerProcess, name: str) -> None:
    location = begin(server, name)
    answer = server.request("PATCH", location, b"abc", {"Content-Range": "0-9"})
    assert (answer.status, codes(answer)) == (400, ["SIZE_INVALID"])
    malformed = server.request("PATCH", location, b"abc", {"Content-Range": "abc"})
    assert (malformed.status, codes(malformed)) == (400, ["BLOB_UPLOAD_INVALID"])
    assert server.request("GET", location).headers["range"] == "0-0"


def test_a_stream_without_a_stated_length(server: ServerProcess, name: str) -> None:
    def pieces() -> Iterator[bytes]:
        for start in range(0, len(DATA), 7001):
            yield DATA[start : start + 7001]

    answer = server.request("PATCH", begin(server, name), pieces())
    assert answer.status == 202
    assert answer.headers["range"] == f"0-{len(DATA) - 1}"
    path = f"{answer.headers['location']}?digest={DIGEST}"
    assert server.request("PUT", path, b"").status == 201


def test_status_of_an_upload(server: ServerProcess, name: str) -> None:
    location = begin(server, name)
    chunk(server, location, DATA[:500], 0)
    answer = server.request("GET", location)
    assert answer.status == 204
    assert answer.headers["range"] == "0-499"
    assert answer.headers["location"] == location


def test_cancelling_an_upload(server: ServerProcess, name: str) -> None:
    location = begin(server, name)
    chunk(server, location, DATA[:500], 0)
    assert server.request("DELETE", location).status == 204
    for method in ("GET", "DELETE", "PATCH", "PUT"):
        answer = server.request(method, f"{location}?digest={DIGEST}", b"x")
        assert (answer.status, codes(answer)) == (404, ["BLOB_UPLOAD_UNKNOWN"])


def test_an_upload_belongs_to_its_repository(server: ServerProcess, name: str) -> None:
    session = begin(server, name).rpartition("/")[2]
    assert server.request("GET", f"/v2/{name}/other/blobs/uploads/{session}").status == 404


def test_uploads_with_another_algorithm(server: ServerProcess, name: str) -> None:
    digest = "sha512:" + hashlib.sha512(DATA).hexdigest()
    path = f"/v2/{name}/blobs/uploads/?digest-algorithm=sha512"
    location = server.request("POST", path, b"").headers["location"]
    assert server.request("PUT", f"{location}?digest={digest}", DATA).status == 201
    assert pulled(server, name, digest) == DATA
    unannounced = begin(server, name)
    assert server.request("PUT", f"{unannounced}?digest={digest}", DATA).status == 201
    refused = server.request("POST", f"/v2/{name}/blobs/uploads/?digest-algorithm=md5", b"")
    assert (refused.status, codes(refused)) == (400, ["DIGEST_INVALID"])


def test_mounting_a_blob_from_another_repository(server: ServerProcess, name: str) -> None:
    digest = push_blob(server, name, DATA)
    path = f"/v2/{name}/fork/blobs/uploads/?mount={digest}&from={name}"
    answer = server.request("POST", path, b"")
    assert answer.status == 201
    assert answer.headers["location"] == f"/v2/{name}/fork/blobs/{digest}"
    assert pulled(server, f"{name}/fork", digest) == DATA


@pytest.mark.parametrize("origin", ["nobody/here", "", "../x", "UPPER"])
def test_a_mount_that_cannot_be_begins_an_upload(
    server: ServerProcess, name: str, origin: str
) -> None:
    push_blob(server, name, DATA)
    path = f"/v2/{name}/fork/blobs/uploads/?mount={DIGEST}&from={origin}"
    answer = server.request("POST", path, b"")
    assert answer.status == 202
    location = f"{answer.headers['location']}?digest={DIGEST}"
    assert server.request("PUT", location, DATA).status == 201


def test_manifests_are_kept_byte_for_byte(server: ServerProcess, name: str) -> None:
    push_blob(server, name, CONFIG)
    raw, digest = manifest(annotations={"é": "ü"}, unknownField=[1, 2.50, None])
    raw = raw.replace(b"{", b"{ \n", 1) + b"\n\n"
    answer = put_manifest(server, name, "v1", raw)
    assert answer.status == 201
    assert answer.headers["docker-content-digest"] == Digest.of(raw) != digest
    assert server.request("GET", answer.headers["location"]).body == raw


def test_manifests_by_digest_have_to_be_that_digests(server: ServerProcess, name: str) -> None:
    push_blob(server, name, CONFIG)
    raw, digest = manifest()
    assert put_manifest(server, name, digest, raw).status == 201
    assert server.request("GET", f"/v2/{name}/manifests/{digest}").body == raw
    refused = put_manifest(server, name, digest, raw + b" ")
    assert (refused.status, codes(refused)) == (400, ["DIGEST_INVALID"])
    long = "sha512:" + hashlib.sha512(raw).hexdigest()
    answer = put_manifest(server, name, long, raw)
    assert answer.headers["docker-content-digest"] == long


def test_tags_with_a_push_by_digest(server: ServerProcess, name: str) -> None:
    push_blob(server, name, CONFIG)
    raw, digest = manifest()
    tags = [f"1.{number}" for number in range(12)]
    query = "&".join(f"tag={tag}" for tag in tags)
    answer = put_manifest(server, name, f"{digest}?{query}", raw)
    assert answer.status == 201
    assert answer.headers["oci-tag"].split(", ") == tags
    for tag in tags:
        found = server.request("HEAD", f"/v2/{name}/manifests/{tag}")
        assert found.headers["docker-content-digest"] == digest
    assert put_manifest(server, name, f"{digest}?tag=-x", raw).status == 400
    many = "&".join(f"tag=t{number}" for number in range(101))
    assert put_manifest(server, name, f"{digest}?{many}", raw).status == 414


def test_content_that_is_missing_refuses_the_manifest(server: ServerProcess, name: str) -> None:
    push_blob(server, name, CONFIG)
    raw, digest = manifest(layers=(b"never pushed", b"neither"))
    answer = put_manifest(server, name, "v1", raw)
    assert codes(answer) == ["MANIFEST_BLOB_UNKNOWN"]
    assert 400 <= answer.status < 500
    detail = json.loads(answer.body)["errors"][0]["detail"]
    assert {entry["digest"] for entry in detail} == {
        Digest.of(b"never pushed"),
        Digest.of(b"neither"),
    }
    for reference in ("v1", digest):
        assert server.request("GET", f"/v2/{name}/manifests/{reference}").status == 404


def test_an_index_needs_its_manifests(server: ServerProcess, name: str) -> None:
    raw, digest = manifest()
    index = {
        "schemaVersion": 2,
        "mediaType": media.OCI_INDEX,
        "manifests": [subject(digest, len(raw))],
    }
    text = json.dumps(index).encode()
    refused = put_manifest(server, name, "v1", text, media.OCI_INDEX)
    assert codes(refused) == ["MANIFEST_BLOB_UNKNOWN"]
    push_image(server, name, "child")
    assert put_manifest(server, name, "v1", text, media.OCI_INDEX).status == 201


def test_a_size_that_is_not_the_blobs_refuses_the_manifest(
    server: ServerProcess, name: str
) -> None:
    push_blob(server, name, CONFIG)
    raw, _ = manifest()
    wrong = raw.replace(f'"size": {len(CONFIG)}'.encode(), b'"size": 5')
    answer = put_manifest(server, name, "v1", wrong)
    assert (answer.status, codes(answer)) == (400, ["MANIFEST_INVALID"])


def test_layers_that_lie_elsewhere_need_not_be_there(server: ServerProcess, name: str) -> None:
    push_blob(server, name, CONFIG)
    foreign = {
        "mediaType": media.DOCKER_FOREIGN,
        "digest": str(DIGEST),
        "size": len(DATA),
        "urls": ["https://elsewhere.example/layer"],
    }
    document, _ = manifest()
    raw = json.dumps({**json.loads(document), "layers": [foreign]}).encode()
    assert put_manifest(server, name, "v1", raw).status == 201


def test_a_subject_need_not_exist_and_is_acknowledged(server: ServerProcess, name: str) -> None:
    push_blob(server, name, CONFIG)
    raw, digest = manifest(subject=subject(DIGEST, 5))
    answer = put_manifest(server, name, digest, raw)
    assert answer.status == 201
    assert answer.headers["oci-subject"] == DIGEST
    plain, _ = manifest()
    assert "oci-subject" not in put_manifest(server, name, "v1", plain).headers


def test_manifests_of_4_mib_are_taken_larger_ones_are_413(server: ServerProcess, name: str) -> None:
    push_blob(server, name, CONFIG)
    limit = 4 * 1024 * 1024
    raw, _ = manifest()
    padded = raw + b" " * (limit - len(raw))
    assert put_manifest(server, name, "big", padded).status == 201
    answer = put_manifest(server, name, "big", padded + b" ")
    assert answer.status == 413


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b'{"schemaVersion":1,"fsLayers":[]}',
        b'{"schemaVersion":2,"config":{}}',
        b'{"schemaVersion":2,"config":{"mediaType":"x","digest":"../../x","size":1}}',
        b'{"schemaVersion":2,"config":5,"manifests":5}',
        b"[" * 100_000,
    ],
)
def test_malformed_manifests_are_refused(server: ServerProcess, name: str, raw: bytes) -> None:
    answer = put_manifest(server, name, "v1", raw)
    assert answer.status == 400
    assert codes(answer)[0] in ("MANIFEST_INVALID", "DIGEST_INVALID")


def test_a_contradicting_media_type_is_refused(server: ServerProcess, name: str) -> None:
    push_blob(server, name, CONFIG)
    raw, _ = manifest()
    answer = put_manifest(server, name, "v1", raw, media.OCI_INDEX)
    assert (answer.status, codes(answer)) == (400, ["MANIFEST_INVALID"])


def test_pushing_again_moves_the_tag(server: ServerProcess, name: str) -> None:
    first = push_image(server, name, "v1")
    second = push_image(server, name, "v1", annotations={"a": "b"})
    assert first != second
    head = server.request("HEAD", f"/v2/{name}/manifests/v1")
    assert head.headers["docker-content-digest"] == second
    assert server.request("HEAD", f"/v2/{name}/manifests/{first}").status == 200


def test_the_same_blob_may_be_pushed_twice(server: ServerProcess, name: str) -> None:
    assert push_blob(server, name, DATA) == push_blob(server, name, DATA)
    assert re.fullmatch("sha256:[0-9a-f]{64}", DIGEST)
