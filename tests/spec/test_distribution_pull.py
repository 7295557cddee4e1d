"""OCI distribution, "Pull" and "API": a test for each MUST, against a real server."""

from __future__ import annotations

import hashlib
import json
import os

import pytest

from corten.oci import media
from corten.oci.digest import Digest
from support.registry_calls import CONFIG, codes, manifest, push_blob, push_image, put_manifest
from support.registry_server import ServerProcess

UNKNOWN = "sha256:" + "0" * 64


def test_determining_support_answers_200(server: ServerProcess) -> None:
    answer = server.request("GET", "/v2/")
    assert answer.status == 200
    assert answer.headers["docker-distribution-api-version"] == "registry/2.0"


def test_pulling_manifests_by_tag_and_digest(server: ServerProcess, name: str) -> None:
    digest = push_image(server, name, "v1")
    raw, _ = manifest()
    for reference in ("v1", digest):
        answer = server.request("GET", f"/v2/{name}/manifests/{reference}")
        assert answer.status == 200
        assert answer.body == raw
        assert answer.headers["docker-content-digest"] == digest
        assert answer.headers["content-type"] == media.OCI_MANIFEST
        assert answer.headers["content-length"] == str(len(raw))


def test_pulling_manifests_content_type_is_the_one_pushed(server: ServerProcess, name: str) -> None:
    push_blob(server, name, CONFIG)
    raw, digest = manifest(mediaType=media.DOCKER_MANIFEST)
    content_type = f"{media.DOCKER_MANIFEST}; charset=utf-8"
    assert put_manifest(server, name, "v1", raw, content_type).status == 201
    answer = server.request("GET", f"/v2/{name}/manifests/{digest}")
    assert answer.headers["content-type"] == media.DOCKER_MANIFEST


def test_pulling_manifests_unknown_is_404(server: ServerProcess, name: str) -> None:
    push_image(server, name, "v1")
    for reference in ("other", UNKNOWN):
        answer = server.request("GET", f"/v2/{name}/manifests/{reference}")
        assert answer.status == 404
        assert codes(answer) == ["MANIFEST_UNKNOWN"]


def test_pulling_manifests_of_a_nonexistent_repository_is_404(server: ServerProcess) -> None:
    assert server.request("GET", "/v2/nobody/here/manifests/latest").status == 404


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v2/UPPER/manifests/latest", "NAME_INVALID"),
        ("/v2/a/manifests/-latest", "TAG_INVALID"),
        ("/v2/a/manifests/sha256:abc", "DIGEST_INVALID"),
        ("/v2/a/blobs/sha256:abc", "DIGEST_INVALID"),
    ],
)
def test_references_in_another_format_are_refused(
    server: ServerProcess, path: str, code: str
) -> None:
    answer = server.request("GET", path)
    assert answer.status == 400
    assert codes(answer) == [code]


def test_pulling_blobs(server: ServerProcess, name: str) -> None:
    data = os.urandom(3_000_000)
    digest = push_blob(server, name, data)
    answer = server.request("GET", f"/v2/{name}/blobs/{digest}")
    assert answer.status == 200
    assert answer.body == data
    assert answer.headers["docker-content-digest"] == digest
    assert answer.headers["content-length"] == str(len(data))


def test_pulling_blobs_that_are_empty(server: ServerProcess, name: str) -> None:
    digest = push_blob(server, name, b"")
    answer = server.request("GET", f"/v2/{name}/blobs/{digest}")
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")


def test_pulling_blobs_unknown_is_404(server: ServerProcess, name: str) -> None:
    push_image(server, name, "v1")
    answer = server.request("GET", f"/v2/{name}/blobs/{UNKNOWN}")
    assert answer.status == 404
    assert codes(answer) == ["BLOB_UNKNOWN"]


def test_blobs_of_another_repository_are_not_there(server: ServerProcess, name: str) -> None:
    digest = push_blob(server, name, b"private")
    push_blob(server, f"{name}/other", b"else")
    for method in ("GET", "HEAD"):
        assert server.request(method, f"/v2/{name}/other/blobs/{digest}").status == 404


@pytest.mark.parametrize("size", [1000, 2_000_000])
@pytest.mark.parametrize(
    ("field", "start", "stop"),
    [
        ("bytes=0-", 0, None),
        ("bytes=10-19", 10, 20),
        ("bytes=500-", 500, None),
        ("bytes=-7", -7, None),
        ("bytes=0-0", 0, 1),
    ],
)
def test_pulling_blobs_by_range(
    server: ServerProcess, name: str, size: int, field: str, start: int, stop: int | None
) -> None:
    data = os.urandom(size)
    digest = push_blob(server, name, data)
    answer = server.request("GET", f"/v2/{name}/blobs/{digest}", headers={"Range": field})
    wanted = data[start:stop]
    first = data.index(wanted)
    assert answer.status == 206
    assert answer.body == wanted
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(wanted) - 1}/{size}"


def test_a_range_outside_of_the_blob_is_416(server: ServerProcess, name: str) -> None:
    digest = push_blob(server, name, b"0123456789")
    path = f"/v2/{name}/blobs/{digest}"
    answer = server.request("GET", path, headers={"Range": "bytes=10-"})
    assert answer.status == 416
    assert answer.headers["content-range"] == "bytes */10"


def test_several_ranges_and_garbage_give_the_whole(server: ServerProcess, name: str) -> None:
    digest = push_blob(server, name, b"0123456789")
    for field in ("bytes=0-1,4-5", "lines=1-2", "bytes=x-"):
        answer = server.request("GET", f"/v2/{name}/blobs/{digest}", headers={"Range": field})
        assert (answer.status, answer.body) == (200, b"0123456789")


def test_a_range_of_another_version_gives_the_whole(server: ServerProcess, name: str) -> None:
    digest = push_blob(server, name, b"0123456789")
    headers = {"Range": "bytes=5-", "If-Range": '"something else"'}
    answer = server.request("GET", f"/v2/{name}/blobs/{digest}", headers=headers)
    assert (answer.status, answer.body) == (200, b"0123456789")


def test_checking_existence_of_blobs(server: ServerProcess, name: str) -> None:
    digest = push_blob(server, name, b"0123456789")
    answer = server.request("HEAD", f"/v2/{name}/blobs/{digest}")
    assert answer.status == 200
    assert answer.body == b""
    assert answer.headers["content-length"] == "10"
    assert answer.headers["docker-content-digest"] == digest
    assert server.request("HEAD", f"/v2/{name}/blobs/{UNKNOWN}").status == 404


def test_checking_existence_of_manifests(server: ServerProcess, name: str) -> None:
    digest = push_image(server, name, "v1")
    raw, _ = manifest()
    for reference in ("v1", digest):
        answer = server.request("HEAD", f"/v2/{name}/manifests/{reference}")
        assert answer.status == 200
        assert answer.body == b""
        assert answer.headers["content-length"] == str(len(raw))
        assert answer.headers["docker-content-digest"] == digest
        assert answer.headers["content-type"] == media.OCI_MANIFEST
    assert server.request("HEAD", f"/v2/{name}/manifests/other").status == 404


def test_what_has_not_changed_is_not_sent_again(server: ServerProcess, name: str) -> None:
    digest = push_image(server, name, "v1")
    for path in (f"/v2/{name}/manifests/v1", f"/v2/{name}/blobs/{Digest.of(CONFIG)}"):
        etag = server.request("GET", path).headers["etag"]
        again = server.request("GET", path, headers={"If-None-Match": f'"x", W/{etag}'})
        assert (again.status, again.body) == (304, b"")
        other = server.request("GET", path, headers={"If-None-Match": '"x"'})
        assert other.status == 200
    assert digest


def test_digests_of_other_algorithms(server: ServerProcess, name: str) -> None:
    data = b"some content"
    digest = "sha512:" + hashlib.sha512(data).hexdigest()
    path = f"/v2/{name}/blobs/uploads/?digest={digest}"
    assert server.request("POST", path, data).status == 201
    answer = server.request("GET", f"/v2/{name}/blobs/{digest}")
    assert answer.body == data
    assert answer.headers["docker-content-digest"] == digest


def test_error_codes_are_a_json_body_of_the_given_form(server: ServerProcess) -> None:
    answer = server.request("GET", "/v2/a/manifests/nothing")
    (entry,) = json.loads(answer.body)["errors"]
    assert entry["code"].replace("_", "").isupper()
    assert isinstance(entry["message"], str)
    assert entry["detail"] == {"name": "a", "reference": "nothing"}


def test_methods_that_an_endpoint_lacks_are_405(server: ServerProcess, name: str) -> None:
    for method, path in (("POST", "/v2/"), ("PUT", f"/v2/{name}/tags/list"), ("PATCH", "/v2/")):
        answer = server.request(method, path, b"")
        assert answer.status == 405
        assert codes(answer) == ["UNSUPPORTED"]
        assert answer.headers["allow"] == "GET"


def test_other_paths_are_404(server: ServerProcess) -> None:
    for path in ("/", "/v1/", "/v2/a/b", "/favicon.ico"):
        assert server.request("GET", path).status == 404


def test_health_is_told(server: ServerProcess) -> None:
    assert server.request("GET", "/healthz").body == b"ok\n"
