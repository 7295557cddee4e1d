"""Every operation of a client, against answers in a list."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import pytest

from corten import errors
from corten.oci import media
from corten.oci.descriptor import Descriptor, describe
from corten.oci.digest import Digest
from corten.wire import client
from corten.wire.dialogue import Dialogue
from corten.wire.messages import Headers, Request, Response

T = TypeVar("T")
ORIGIN = "https://registry.example"
RAW = json.dumps({"schemaVersion": 2, "manifests": []}).encode()
ROOT = describe(RAW, media.OCI_INDEX)
BLOB = Digest.of(b"blob")


class Body:
    def __init__(self) -> None:
        self.closed = False

    def read(self, size: int = -1, /) -> bytes:
        return b""

    def close(self) -> None:
        self.closed = True


def answer(status: int, body: bytes = b"", stream: Body | None = None, **fields: str) -> Response:
    headers = Headers(tuple((name.replace("_", "-"), value) for name, value in fields.items()))
    return Response(
        status=status, headers=headers, body=body, stream=stream, origin=ORIGIN, url=ORIGIN + "/v2/"
    )


def play(dialogue: Dialogue[T], *answers: Response) -> tuple[T, list[Request]]:
    asked: list[Request] = []
    rest = iter(answers)
    try:
        request = next(dialogue)
        while True:
            asked.append(request)
            request = dialogue.send(next(rest))
    except StopIteration as stop:
        assert next(rest, None) is None
        result: T = stop.value
        return result, asked


def field(request: Request, name: str) -> str | None:
    return Headers(request.headers).get(name)


def test_ping() -> None:
    _, (asked,) = play(client.ping(), answer(200))
    assert (asked.method, asked.target) == ("GET", "/v2/")
    with pytest.raises(errors.NotFound, match="does not speak"):
        play(client.ping(), answer(404))
    with pytest.raises(errors.Denied):
        play(client.ping(), answer(401))
    with pytest.raises(errors.Unsupported):
        play(client.ping(), answer(204))


def test_resolve_by_head() -> None:
    fields = {"Docker_Content_Digest": ROOT.digest, "Content_Length": str(ROOT.size)}
    head = answer(200, Content_Type=f"{media.OCI_INDEX}; charset=utf-8", **fields)  # type: ignore[arg-type]
    found, (asked,) = play(client.resolve("a", "v1"), head)
    assert found == ROOT
    assert (asked.method, asked.target) == ("HEAD", "/v2/a/manifests/v1")
    assert media.OCI_INDEX in (field(asked, "Accept") or "")


@pytest.mark.parametrize(
    "head",
    [
        answer(200),
        answer(405),
        answer(501),
        answer(200, Content_Type=media.OCI_INDEX, Content_Length="5"),
        answer(
            200, Content_Type="text/html", Docker_Content_Digest=ROOT.digest, Content_Length="5"
        ),
    ],
)
def test_resolve_falls_back_to_get(head: Response) -> None:
    get = answer(200, RAW, Content_Type=media.OCI_INDEX)
    found, asked = play(client.resolve("a", "v1"), head, get)
    assert found == ROOT
    assert [request.method for request in asked] == ["HEAD", "GET"]


def test_resolve_of_a_blobs_digest() -> None:
    found, asked = play(client.resolve("a", BLOB), answer(404), answer(200, Content_Length="4"))
    assert found == Descriptor(media_type=media.OCTET_STREAM, digest=BLOB, size=4)
    assert asked[1].target == f"/v2/a/blobs/{BLOB}"
    with pytest.raises(errors.NotFound):
        play(client.resolve("a", BLOB), answer(404), answer(404))


@pytest.mark.parametrize(
    ("status", "family"),
    [(404, errors.NotFound), (401, errors.Denied), (429, errors.Unavailable)],
)
def test_resolve_fails_as_its_status_says(status: int, family: type[Exception]) -> None:
    with pytest.raises(family, match="a:v1"):
        play(client.resolve("a", "v1"), answer(status))


def test_a_malformed_name_is_not_asked_for() -> None:
    for name, reference in (("UP", "v1"), ("a", "-"), ("a", "sha256:x"), ("../b", "v1")):
        with pytest.raises((errors.Invalid, errors.Corrupt)):
            play(client.resolve(name, reference))


def test_get_manifest_by_digest_is_verified() -> None:
    good = answer(200, RAW, Content_Type=media.OCI_INDEX)
    (raw, kind), _ = play(client.get_manifest("a", ROOT.digest), good)
    assert (raw, kind) == (RAW, media.OCI_INDEX)
    with pytest.raises(errors.Corrupt):
        play(client.get_manifest("a", BLOB), good)


def test_get_manifest_with_a_wrong_content_type_goes_by_the_document() -> None:
    (_, kind), _ = play(client.get_manifest("a", "v1"), answer(200, RAW, Content_Type="text/plain"))
    assert kind == media.OCI_INDEX
    with pytest.raises(errors.Invalid):
        play(client.get_manifest("a", "v1"), answer(200, b"<html>", Content_Type="text/html"))


def test_stat_blob() -> None:
    size, _ = play(client.stat_blob("a", BLOB), answer(200, Content_Length="4"))
    assert size == 4
    for text in ("", "-1", "x", "9" * 30):
        with pytest.raises(errors.Invalid):
            play(client.stat_blob("a", BLOB), answer(200, Content_Length=text))


def test_open_blob_from_the_beginning() -> None:
    body = Body()
    opened, (asked,) = play(client.open_blob("a", BLOB), answer(200, stream=body))
    assert opened == (body, 0, None)
    assert asked.stream
    assert field(asked, "Range") is None


def test_open_blob_from_an_offset() -> None:
    ranged = answer(206, stream=Body(), Content_Range="bytes 3-9/10")
    opened, (asked,) = play(client.open_blob("a", BLOB, 3), ranged)
    assert (opened.offset, opened.length) == (3, 7)
    assert field(asked, "Range") == "bytes=3-"


def test_open_blob_where_the_registry_knows_no_ranges() -> None:
    opened, _ = play(
        client.open_blob("a", BLOB, 3), answer(200, stream=Body(), Content_Length="10")
    )
    assert (opened.offset, opened.length) == (0, 10)


@pytest.mark.parametrize("text", ["bytes 2-9/10", "", "bytes 3-1/10"])
def test_open_blob_with_another_range_closes_the_body(text: str) -> None:
    body = Body()
    with pytest.raises(errors.Invalid):
        play(client.open_blob("a", BLOB, 3), answer(206, stream=body, Content_Range=text))
    assert body.closed


def test_open_blob_that_is_not_there() -> None:
    with pytest.raises(errors.NotFound):
        play(client.open_blob("a", BLOB), answer(404))


def test_mount() -> None:
    location, (asked,) = play(client.mount("a", BLOB, "b"), answer(201))
    assert location == ""
    assert dict(asked.query) == {"mount": BLOB, "from": "b"}
    location, _ = play(client.mount("a", BLOB, "b"), answer(202, Location="/v2/a/blobs/uploads/1"))
    assert location == "/v2/a/blobs/uploads/1"


def test_an_upload_from_beginning_to_end() -> None:
    location, (post,) = play(client.start_upload("a"), answer(202, Location="u?s=1"))
    assert location == "/v2/u?s=1"
    assert field(post, "Content-Length") == "0"
    location, (patch,) = play(
        client.send_chunk(location, b"blob", 6, 4), answer(202, Location="/n")
    )
    assert location == "/n"
    assert field(patch, "Content-Range") == "6-9"
    assert field(patch, "Content-Length") == "4"
    _, (put,) = play(client.finish_upload("/n?s=2", BLOB), answer(201))
    assert put.url(ORIGIN) == f"{ORIGIN}/n?s=2&digest={BLOB}"


def test_a_stream_of_unknown_length_has_no_range() -> None:
    _, (patch,) = play(client.send_chunk("/u", b"x", 0, None), answer(202, Location="/u"))
    assert field(patch, "Content-Range") is None
    assert field(patch, "Content-Length") is None


def test_the_algorithm_is_told_where_it_is_not_the_usual() -> None:
    _, (post,) = play(client.start_upload("a", "sha512"), answer(202, Location="/u"))
    assert post.query == (("digest-algorithm", "sha512"),)


def test_a_blob_that_is_not_its_digests_is_corrupt() -> None:
    body = b'{"errors":[{"code":"DIGEST_INVALID"}]}'
    with pytest.raises(errors.Corrupt):
        play(client.finish_upload("/u", BLOB, b"x"), answer(400, body))


@pytest.mark.parametrize(
    ("text", "offset"), [("0-99", 100), ("0-0", 0), ("", 0), ("bytes=0-99", 100)]
)
def test_upload_status(text: str, offset: int) -> None:
    progress, _ = play(client.upload_status("/u"), answer(204, Range=text, Location="/v"))
    assert progress == (offset, "/v")
    progress, _ = play(client.upload_status("/u"), answer(204, Range=text))
    assert progress == (offset, "/u")
    with pytest.raises(errors.NotFound):
        play(client.upload_status("/u"), answer(404))


@pytest.mark.parametrize("status", [204, 404, 500])
def test_cancelling_does_not_fail(status: int) -> None:
    _, (asked,) = play(client.cancel_upload("/u"), answer(status))
    assert asked.method == "DELETE"


def test_put_manifest() -> None:
    stored, (asked,) = play(
        client.put_manifest("a", "v1", RAW, media.OCI_INDEX),
        answer(201, Docker_Content_Digest=ROOT.digest, OCI_Subject=BLOB),
    )
    assert stored == (ROOT.digest, True)
    assert field(asked, "Content-Type") == media.OCI_INDEX
    stored, _ = play(client.put_manifest("a", "v1", RAW, media.OCI_INDEX), answer(201))
    assert stored == (ROOT.digest, False)


def test_put_manifest_that_was_changed_is_corrupt() -> None:
    with pytest.raises(errors.Corrupt):
        play(
            client.put_manifest("a", "v1", RAW, media.OCI_INDEX),
            answer(201, Docker_Content_Digest=BLOB),
        )


def test_put_manifest_that_is_too_large_is_not_sent() -> None:
    with pytest.raises(errors.Invalid):
        play(client.put_manifest("a", "v1", bytes(5_000_000), media.OCI_INDEX))


def test_deletions() -> None:
    _, (asked,) = play(client.delete_manifest("a", "v1"), answer(202))
    assert (asked.method, asked.target) == ("DELETE", "/v2/a/manifests/v1")
    _, (asked,) = play(client.delete_blob("a", BLOB), answer(202))
    assert asked.target == f"/v2/a/blobs/{BLOB}"
    with pytest.raises(errors.Unsupported):
        play(client.delete_manifest("a", "v1"), answer(405))


def page(**names: Any) -> bytes:
    return json.dumps(names).encode()


def test_lists_in_pages() -> None:
    link = '</v2/a/tags/list?last=y&n=2>; rel="next"'
    first, (asked,) = play(
        client.list_tags("a", n=2), answer(200, page(name="a", tags=["x", "y"]), Link=link)
    )
    assert first.names == ("x", "y")
    assert first.next == "/v2/a/tags/list?last=y&n=2"
    assert asked.query == (("n", "2"),)
    last, (asked,) = play(client.list_tags("a", first.next), answer(200, page(tags=["z"])))
    assert last == (("z",), "")
    assert asked.url(ORIGIN) == f"{ORIGIN}/v2/a/tags/list?last=y&n=2"


def test_no_tags_may_be_null() -> None:
    empty, _ = play(client.list_tags("a"), answer(200, page(tags=None)))
    assert empty.names == ()


def test_the_catalog() -> None:
    found, (asked,) = play(client.list_repositories(), answer(200, page(repositories=["a"])))
    assert found.names == ("a",)
    assert asked.target == "/v2/_catalog"
    with pytest.raises(errors.Denied):
        play(client.list_repositories(), answer(401))
