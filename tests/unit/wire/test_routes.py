"""Paths of the protocol."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corten.errors import CortenError
from corten.oci.digest import Digest
from corten.wire import routes
from corten.wire.codes import Refused
from corten.wire.routes import Route

DIGEST = "sha256:" + "a" * 64

COMPONENT = st.sampled_from(
    ["a", "app", "library", "blobs", "manifests", "tags", "list", "uploads", "referrers", "v2"]
)
NAMES = st.lists(COMPONENT, min_size=1, max_size=5).map("/".join)
TAGS = st.sampled_from(["latest", "1.0", "list", "uploads", "blobs", "_x", "v1-rc.1"])
ROUTES = st.one_of(
    st.builds(routes.manifest, NAMES, TAGS),
    st.builds(routes.manifest, NAMES, st.just(DIGEST)),
    st.builds(routes.blob, NAMES, st.just(DIGEST)),
    st.builds(routes.uploads, NAMES),
    st.builds(routes.tags, NAMES),
    st.builds(routes.referrers, NAMES, st.just(DIGEST)),
    st.builds(lambda n: Route("upload", n, "0b3-4f"), NAMES),
    st.just(routes.BASE),
    st.just(routes.CATALOG),
)


@given(ROUTES)
def test_what_is_formatted_parses_back(route: Route) -> None:
    assert routes.parse(route.path) == route


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v2/", Route("base")),
        ("/v2", Route("base")),
        ("/v2/_catalog", Route("catalog")),
        ("/v2/a/tags/list", Route("tags", "a")),
        ("/v2/tags/list/tags/list", Route("tags", "tags/list")),
        ("/v2/a/manifests/latest", Route("manifest", "a", "latest")),
        ("/v2/manifests/manifests/manifests", Route("manifest", "manifests", "manifests")),
        (f"/v2/x/blobs/{DIGEST}", Route("blob", "x", DIGEST)),
        (f"/v2/x/blobs/y/blobs/{DIGEST}", Route("blob", "x/blobs/y", DIGEST)),
        ("/v2/x/blobs/uploads/", Route("uploads", "x")),
        ("/v2/x/blobs/uploads", Route("uploads", "x")),
        ("/v2/x/blobs/uploads/blobs/uploads/", Route("uploads", "x/blobs/uploads")),
        ("/v2/x/blobs/uploads/123-abc", Route("upload", "x", "123-abc")),
        ("/v2/x/blobs/uploads/manifests/v1", Route("manifest", "x/blobs/uploads", "v1")),
        (f"/v2/x/referrers/{DIGEST}", Route("referrers", "x", DIGEST)),
    ],
)
def test_paths_are_read_from_their_end(path: str, route: Route) -> None:
    assert routes.parse(path) == route


@pytest.mark.parametrize(
    "path", ["", "/", "/v1/", "/v2/a", "/v2/a/unknown/x", "/v3/a/tags/list", "/v2/a/manifests/x/y"]
)
def test_other_paths_are_no_endpoint(path: str) -> None:
    assert routes.parse(path) is None


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v2/A/manifests/v1", "NAME_INVALID"),
        ("/v2/a//b/manifests/v1", "NAME_INVALID"),
        ("/v2/../b/manifests/v1", "NAME_INVALID"),
        ("/v2/a/../../etc/blobs/uploads/", "NAME_INVALID"),
        ("/v2//manifests/v1", "NAME_INVALID"),
        ("/v2/tags/list", "NAME_INVALID"),
        ("/v2/" + "a" * 256 + "/tags/list", "NAME_INVALID"),
        ("/v2/a\n/manifests/v1", "NAME_INVALID"),
        ("/v2/a\x00b/manifests/v1", "NAME_INVALID"),
        ("/v2/ä/manifests/v1", "NAME_INVALID"),
        ("/v2/a/manifests/.hidden", "TAG_INVALID"),
        ("/v2/a/manifests/" + "t" * 129, "TAG_INVALID"),
        ("/v2/a/manifests/..", "TAG_INVALID"),
        ("/v2/a/manifests/sha256:12", "DIGEST_INVALID"),
        ("/v2/a/blobs/latest", "DIGEST_INVALID"),
        ("/v2/a/blobs/sha256:" + "A" * 64, "DIGEST_INVALID"),
        ("/v2/a/referrers/x", "DIGEST_INVALID"),
        ("/v2/a/blobs/uploads/a.b", "BLOB_UPLOAD_UNKNOWN"),
        ("/v2/a/blobs/uploads/..", "BLOB_UPLOAD_UNKNOWN"),
        ("/v2/a/blobs/uploads/" + "1" * 200, "BLOB_UPLOAD_UNKNOWN"),
    ],
)
def test_malformed_parts_are_refused_with_their_code(path: str, code: str) -> None:
    with pytest.raises(Refused) as caught:
        routes.parse(path)
    assert caught.value.code == code


@given(st.text(max_size=80))
def test_any_text_is_a_route_or_refused(text: str) -> None:
    for path in (text, f"/v2/{text}", f"/v2/a/blobs/uploads/{text}"):
        try:
            route = routes.parse(path)
        except CortenError:
            continue
        if route is not None and route.repository:
            assert ".." not in route.path
            assert route.path.isascii()


def test_digest_of_a_route() -> None:
    assert routes.manifest("a", "latest").digest is None
    assert routes.manifest("a", DIGEST).digest == Digest(DIGEST)


def test_constructors_refuse_malformed_names() -> None:
    for make in (routes.uploads, routes.tags):
        with pytest.raises(Refused):
            make("Upper/Case")
