"""What builds on other machines remember."""

from __future__ import annotations

import pytest

from corten.builder.cache import Saved
from corten.builder.shared_cache import (
    Made,
    SharedCache,
    SharedCaches,
    read_document,
    write_document,
)
from corten.engine.build_caches import parse_cache_from, parse_cache_to
from corten.errors import Invalid
from corten.events.job import Job
from corten.oci import media
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest

ONE, TWO = Digest.of(b"one"), Digest.of(b"two")
BLOB = Descriptor(media_type=media.OCI_LAYER_GZIP, digest=Digest.of(b"zip"), size=3)
STEPS = (
    Made(("step:b", "content:a"), "family:x", Saved(ONE, 5)),
    Made(("step:c",), "", Saved(None, 7)),
    Made(("step:d",), "", Saved(TWO, 9)),
)


def fetch(blob: Descriptor, layer: Digest, job: Job, /) -> None:
    """Asked for nothing that it has not."""
    assert (blob, layer) == (BLOB, ONE)


def test_a_document_has_the_steps_whose_layers_travel() -> None:
    document = read_document(write_document(STEPS, (ONE,)))
    cache = SharedCaches([SharedCache(document, {ONE: BLOB}, fetch)])
    assert cache.load("step:b") == cache.load("content:a") == Saved(ONE, 5)
    assert cache.load("step:c") == Saved(None, 7)
    assert cache.load("step:d") is None
    assert cache.known("family:x")
    assert not cache.known("family:y")
    assert cache.blob(ONE) == BLOB
    assert cache.fetch(ONE, Job())
    assert not cache.fetch(TWO, Job())


def test_the_order_of_the_steps_does_not_change_the_bytes() -> None:
    assert write_document(STEPS, (ONE, TWO)) == write_document(STEPS[::-1], (ONE, TWO))


def test_a_layer_that_its_place_does_not_have_is_not_known() -> None:
    document = read_document(write_document(STEPS, (ONE, TWO)))
    cache = SharedCache(document, {ONE: BLOB}, fetch)
    assert cache.load("step:d") is None


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b'{"version":2,"layers":[],"records":[]}',
        b'{"version":1,"layers":[],"records":[{"keys":["a"],"layer":0}]}',
        b'{"version":1,"layers":["sha256:.."],"records":[]}',
        b'{"version":1,"layers":[],"records":[{"keys":[1]}]}',
        b'{"version":1,"layers":[],"records":[{"keys":["a"],"created":100000000000000000}]}',
        b'{"version":1,"layers":[],"records":[{"keys":["a"],"created":-1}]}',
    ],
)
def test_what_is_no_document_is_refused(raw: bytes) -> None:
    with pytest.raises(Invalid):
        read_document(raw)


@pytest.mark.parametrize(
    ("text", "where", "name"),
    [
        ("h/a/b", "h/a/b:latest", "latest"),
        ("type=registry,ref=localhost:5000/a:c", "localhost:5000/a:c", "c"),
        ("type=local,src=some/dir", "some/dir", "latest"),
        ("type=local,src=some/dir,tag=x", "some/dir", "x"),
    ],
)
def test_places_to_read_from(text: str, where: str, name: str) -> None:
    place = parse_cache_from(text)
    assert (place.where.removeprefix("docker.io/"), place.name) == (where, name)


def test_places_to_write_to() -> None:
    place = parse_cache_to("type=registry,ref=localhost:5000/a:c,mode=max,ignore-error=true")
    assert (place.everything, place.lenient, place.name) == (True, True, "c")
    assert parse_cache_to("type=inline").type == "inline"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("type=gha", "knows no type 'gha'"),
        ("type=local", "names no place"),
        ("type=registry,mode=max", "names no place"),
        ("type=local,dest=x,mode=all", "min or max"),
        ("type=local,dest=x,moed=max", "no option 'moed'"),
        ("type=local,dest", "has no value"),
    ],
)
def test_places_that_are_none_are_refused(text: str, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        parse_cache_to(text)
