"""OCI distribution, "Content Discovery" and "Content Management", against a real server."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from corten.oci import media
from corten.oci.digest import Digest
from support.registry_calls import (
    CONFIG,
    codes,
    manifest,
    push_blob,
    push_image,
    put_manifest,
    subject,
)
from support.registry_server import RawAnswer, ServerProcess, corten_registry

UNKNOWN = "sha256:" + "0" * 64
TAGS = ["1.0", "1.10", "1.9", "B", "_x", "a", "latest"]


def listed(answer: RawAnswer) -> Any:
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def next_page(answer: RawAnswer) -> str:
    link = answer.headers.get("link", "")
    assert not link or link.endswith('>; rel="next"')
    return link.partition("<")[2].partition(">")[0]


@pytest.fixture
def tagged(server: ServerProcess, name: str) -> str:
    digest = push_image(server, name, "latest")
    raw, _ = manifest()
    query = "&".join(f"tag={tag}" for tag in reversed(TAGS))
    assert put_manifest(server, name, f"{digest}?{query}", raw).status == 201
    return name


def test_tags_are_listed_in_ascii_order(server: ServerProcess, tagged: str) -> None:
    answer = server.request("GET", f"/v2/{tagged}/tags/list")
    assert listed(answer) == {"name": tagged, "tags": TAGS}
    assert "link" not in answer.headers


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_pages_of_tags_lead_to_each_other(server: ServerProcess, tagged: str, n: int) -> None:
    target, seen = f"/v2/{tagged}/tags/list?n={n}", []
    while target:
        answer = server.request("GET", target)
        page = listed(answer)["tags"]
        target = next_page(answer)
        assert len(page) == n or not target
        seen += page
    assert seen == TAGS


def test_a_page_as_long_as_the_list_has_no_next(server: ServerProcess, tagged: str) -> None:
    for n in (7, 8, 10_000):
        answer = server.request("GET", f"/v2/{tagged}/tags/list?n={n}")
        assert listed(answer)["tags"] == TAGS
        assert "link" not in answer.headers


def test_no_tags_are_asked_for(server: ServerProcess, tagged: str) -> None:
    answer = server.request("GET", f"/v2/{tagged}/tags/list?n=0")
    assert listed(answer)["tags"] == []
    assert "link" not in answer.headers


@pytest.mark.parametrize(
    ("last", "first"), [("1.9", "B"), ("0", "1.0"), ("1.95", "B"), ("z", None)]
)
def test_tags_after_one(server: ServerProcess, tagged: str, last: str, first: str | None) -> None:
    tags = listed(server.request("GET", f"/v2/{tagged}/tags/list?last={last}"))["tags"]
    assert tags == (TAGS[TAGS.index(first) :] if first else [])
    one = listed(server.request("GET", f"/v2/{tagged}/tags/list?n=1&last={last}"))["tags"]
    assert one == tags[:1]


@pytest.mark.parametrize("n", ["-1", "x", "1.5"])
def test_a_number_that_is_none_is_400(server: ServerProcess, tagged: str, n: str) -> None:
    answer = server.request("GET", f"/v2/{tagged}/tags/list?n={n}")
    assert (answer.status, codes(answer)) == (400, ["PAGINATION_NUMBER_INVALID"])


def test_a_repository_without_tags_has_an_empty_list(server: ServerProcess, name: str) -> None:
    push_blob(server, name, b"x")
    assert listed(server.request("GET", f"/v2/{name}/tags/list"))["tags"] == []


def test_tags_of_an_unknown_repository_are_404(server: ServerProcess, name: str) -> None:
    answer = server.request("GET", f"/v2/{name}/tags/list")
    assert (answer.status, codes(answer)) == (404, ["NAME_UNKNOWN"])


def test_the_catalog_lists_repositories_in_pages(server: ServerProcess, name: str) -> None:
    names = [f"{name}/{letter}" for letter in "cab"]
    for repository in names:
        push_blob(server, repository, b"x")
    target, seen = "/v2/_catalog?n=2", []
    while target:
        answer = server.request("GET", target)
        seen += listed(answer)["repositories"]
        target = next_page(answer)
    assert seen == sorted(seen)
    assert set(names) <= set(seen)


def referrers(server: ServerProcess, path: str) -> tuple[RawAnswer, list[dict[str, Any]]]:
    answer = server.request("GET", path)
    document = listed(answer)
    assert answer.headers["content-type"] == media.OCI_INDEX
    assert document["schemaVersion"] == 2
    assert document["mediaType"] == media.OCI_INDEX
    return answer, document["manifests"]


def test_referrers_of_anything_are_never_404(server: ServerProcess, name: str) -> None:
    assert referrers(server, f"/v2/{name}/referrers/{UNKNOWN}")[1] == []
    push_image(server, name, "v1")
    assert referrers(server, f"/v2/{name}/referrers/{UNKNOWN}")[1] == []


def test_referrers_of_an_invalid_digest_are_400(server: ServerProcess, name: str) -> None:
    assert server.request("GET", f"/v2/{name}/referrers/latest").status == 400


def test_referrers(server: ServerProcess, name: str) -> None:
    base = push_image(server, name, "v1")
    target = subject(base, 1)
    with_type, typed = manifest(
        subject=target, artifactType="application/vnd.example.sbom", annotations={"a": "b"}
    )
    without_type, untyped = manifest(subject=target)
    index = json.dumps(
        {"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": [], "subject": target}
    ).encode()
    for raw, digest in ((with_type, typed), (without_type, untyped)):
        assert put_manifest(server, name, digest, raw).status == 201
    assert put_manifest(server, name, Digest.of(index), index, media.OCI_INDEX).status == 201
    _, found = referrers(server, f"/v2/{name}/referrers/{base}")
    by_digest = {entry["digest"]: entry for entry in found}
    assert by_digest[typed] == {
        "mediaType": media.OCI_MANIFEST,
        "digest": typed,
        "size": len(with_type),
        "artifactType": "application/vnd.example.sbom",
        "annotations": {"a": "b"},
    }
    assert by_digest[untyped]["artifactType"] == media.OCI_CONFIG
    assert "artifactType" not in by_digest[Digest.of(index)]
    assert len(found) == 3

    path = f"/v2/{name}/referrers/{base}?artifactType=application/vnd.example.sbom"
    answer, filtered = referrers(server, path)
    assert answer.headers["oci-filters-applied"] == "artifactType"
    assert [entry["digest"] for entry in filtered] == [typed]

    assert server.request("DELETE", f"/v2/{name}/manifests/{typed}").status == 202
    assert len(referrers(server, f"/v2/{name}/referrers/{base}")[1]) == 2


def test_many_referrers_come_in_pages(server: ServerProcess, name: str) -> None:
    push_blob(server, name, CONFIG)
    wanted = set()
    for number in range(7):
        raw, digest = manifest(
            subject=subject(Digest(UNKNOWN), 1), annotations={"x": str(number) * 300_000}
        )
        assert put_manifest(server, name, digest, raw).status == 201
        wanted.add(digest)
    target, seen, pages = f"/v2/{name}/referrers/{UNKNOWN}", [], 0
    while target:
        answer, found = referrers(server, target)
        assert len(answer.body) < 4 * 1024 * 1024
        seen += [entry["digest"] for entry in found]
        target, pages = next_page(answer), pages + 1
    assert sorted(seen) == sorted(wanted)
    assert pages > 1


def test_deleting_a_tag_leaves_the_manifest(server: ServerProcess, tagged: str) -> None:
    digest = server.request("HEAD", f"/v2/{tagged}/manifests/a").headers["docker-content-digest"]
    assert server.request("DELETE", f"/v2/{tagged}/manifests/a").status == 202
    assert server.request("GET", f"/v2/{tagged}/manifests/a").status == 404
    assert server.request("GET", f"/v2/{tagged}/manifests/B").status == 200
    assert server.request("GET", f"/v2/{tagged}/manifests/{digest}").status == 200
    assert "a" not in listed(server.request("GET", f"/v2/{tagged}/tags/list"))["tags"]
    assert server.request("DELETE", f"/v2/{tagged}/manifests/a").status == 404


def test_deleting_a_manifest_takes_its_tags_along(server: ServerProcess, tagged: str) -> None:
    digest = server.request("HEAD", f"/v2/{tagged}/manifests/a").headers["docker-content-digest"]
    assert server.request("DELETE", f"/v2/{tagged}/manifests/{digest}").status == 202
    for reference in (*TAGS, digest):
        assert server.request("GET", f"/v2/{tagged}/manifests/{reference}").status == 404
    assert listed(server.request("GET", f"/v2/{tagged}/tags/list"))["tags"] == []
    assert server.request("DELETE", f"/v2/{tagged}/manifests/{digest}").status == 404


def test_deleting_in_an_unknown_repository_is_404(server: ServerProcess, name: str) -> None:
    for path in (f"manifests/{UNKNOWN}", "manifests/latest", f"blobs/{UNKNOWN}"):
        assert server.request("DELETE", f"/v2/{name}/{path}").status == 404


def test_deleting_a_blob(server: ServerProcess, name: str) -> None:
    digest = push_blob(server, name, os.urandom(100))
    push_blob(server, f"{name}/other", b"x")
    assert server.request("DELETE", f"/v2/{name}/blobs/{digest}").status == 202
    assert server.request("GET", f"/v2/{name}/blobs/{digest}").status == 404
    assert server.request("DELETE", f"/v2/{name}/blobs/{digest}").status == 404


def test_a_blob_of_a_manifest_is_not_deleted(server: ServerProcess, name: str) -> None:
    digest = push_image(server, name, "v1")
    config = f"/v2/{name}/blobs/{Digest.of(CONFIG)}"
    answer = server.request("DELETE", config)
    assert (answer.status, codes(answer)) == (405, ["UNSUPPORTED"])
    assert server.request("DELETE", f"/v2/{name}/manifests/{digest}").status == 202
    assert server.request("DELETE", config).status == 202


def test_without_access_everything_asks_for_an_account(tmp_path_factory: Any) -> None:
    with corten_registry(tmp_path_factory.mktemp("closed"), "none") as closed:
        for method, path in (
            ("GET", "/v2/"),
            ("GET", "/v2/_catalog"),
            ("GET", "/v2/a/manifests/v1"),
            ("POST", "/v2/a/blobs/uploads/"),
            ("DELETE", "/v2/a/manifests/v1"),
        ):
            answer = closed.request(method, path)
            assert (answer.status, codes(answer)) == (401, ["UNAUTHORIZED"])
            assert answer.headers["www-authenticate"].startswith("Basic realm=")


def test_with_read_access_nothing_is_written(tmp_path_factory: Any) -> None:
    data = tmp_path_factory.mktemp("readable")
    with corten_registry(data) as server:
        digest = push_image(server, "a", "v1", (b"layer",))
    with corten_registry(data, "read") as readable:
        assert readable.request("GET", "/v2/a/manifests/v1").status == 200
        assert readable.request("GET", f"/v2/a/blobs/{Digest.of(b'layer')}").body == b"layer"
        for method, path in (
            ("POST", "/v2/a/blobs/uploads/"),
            ("POST", f"/v2/b/blobs/uploads/?mount={Digest.of(b'layer')}&from=a"),
            ("PUT", "/v2/a/manifests/v2"),
            ("DELETE", f"/v2/a/manifests/{digest}"),
        ):
            answer = readable.request(method, path, b"")
            assert answer.status == 401
            assert b"without --anonymous write nobody may " in answer.body
