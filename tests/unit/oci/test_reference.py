"""Image names as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corten.errors import CortenError, Invalid
from corten.oci.digest import Digest
from corten.oci.reference import Reference

DIGEST = Digest.of(b"content")


@pytest.mark.parametrize(
    ("text", "canonical", "familiar"),
    [
        ("debian", "docker.io/library/debian:latest", "debian:latest"),
        ("debian:12", "docker.io/library/debian:12", "debian:12"),
        ("docker.io/debian", "docker.io/library/debian:latest", "debian:latest"),
        ("index.docker.io/a/b", "docker.io/a/b:latest", "a/b:latest"),
        ("example/node-hello", "docker.io/example/node-hello:latest", "example/node-hello:latest"),
        ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
        ("localhost:5000/a/b:v1", "localhost:5000/a/b:v1", "localhost:5000/a/b:v1"),
        ("127.0.0.1:5000/a", "127.0.0.1:5000/a:latest", "127.0.0.1:5000/a:latest"),
        ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"),
        ("ghcr.io/o/r@" + DIGEST, f"ghcr.io/o/r@{DIGEST}", f"ghcr.io/o/r@{DIGEST}"),
        ("a:1@" + DIGEST, f"docker.io/library/a:1@{DIGEST}", f"a:1@{DIGEST}"),
        ("Registry/b", "Registry/b:latest", "Registry/b:latest"),
        ("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
        ("docker.io/library", "docker.io/library/library:latest", "library:latest"),
        ("docker.io/a.b/c:1", "docker.io/a.b/c:1", "docker.io/a.b/c:1"),
        ("docker.io/localhost/c", "docker.io/localhost/c:latest", "docker.io/localhost/c:latest"),
        ("a__b/c---d.e_f", "docker.io/a__b/c---d.e_f:latest", "a__b/c---d.e_f:latest"),
    ],
)
def test_short_forms_stand_for_full_names(text: str, canonical: str, familiar: str) -> None:
    reference = Reference.parse(text)
    assert str(reference) == canonical
    assert reference.familiar() == familiar
    assert Reference.parse(familiar) == reference
    assert Reference.parse(canonical) == reference


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":tag",
        "a:",
        "a b",
        "Debian",
        "a//b",
        "a/",
        "/a",
        "a/../b",
        "a:" + "t" * 129,
        "a:-x",
        "a@sha256:123",
        "a@",
        "-a/b",
        "host:99x/a",
        "a._b",
        "a" * 256,
        "0" * 64,
        "a:b:c",
        "a\n",
        "a:t\n",
    ],
)
def test_malformed_names_are_refused(text: str) -> None:
    with pytest.raises(Invalid):
        Reference.parse(text)


def test_upper_case_gets_the_lower_case_form_as_hint() -> None:
    with pytest.raises(Invalid) as caught:
        Reference.parse("Debian:12")
    assert "debian:12" in caught.value.hint


def test_the_target_is_the_digest_where_there_is_one() -> None:
    assert Reference.parse("a:1").target == "1"
    assert Reference.parse("a:1@" + DIGEST).target == DIGEST
    assert Reference.parse("a:1").with_digest(DIGEST).target == DIGEST


def test_no_default_tag_on_request() -> None:
    assert Reference.parse("a/b", default_tag="").tag == ""


@given(st.text(max_size=80))
def test_any_text_is_parsed_or_refused_and_the_canonical_form_is_stable(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except CortenError:
        return
    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(reference.familiar()) == reference
