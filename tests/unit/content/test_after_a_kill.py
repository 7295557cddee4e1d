"""What a command that was killed between two steps leaves in the catalog and beside the blobs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.content.gc import collect
from corten.content.index_file import read_index
from corten.content.local import LocalStore
from corten.oci.digest import Digest
from support.contents import AMD64
from support.images import small_image

NAME, OTHER = "docker.io/library/one:1", "docker.io/library/two:1"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    with LocalStore(tmp_path, AMD64) as made:
        small_image(b"content").push(made, NAME)
        yield made


def test_the_last_name_takes_the_image_along_in_one_transaction(store: LocalStore) -> None:
    store.untag(NAME, forget=True)
    assert store.images() == []


def test_an_image_that_has_another_name_stays(store: LocalStore) -> None:
    store.tag(OTHER, store.resolve(NAME))
    store.untag(NAME, forget=True)
    assert [record.names for record in store.images()] == [(OTHER,)]


def test_without_forget_the_image_dangles(store: LocalStore) -> None:
    store.untag(NAME)
    assert [record.names for record in store.images()] == [()]


def test_gc_puts_an_index_right_that_still_lists_a_removed_name(store: LocalStore) -> None:
    with store.catalog.change() as change:  # where `untag` may be killed
        change.execute("DELETE FROM names")
        change.execute("DELETE FROM images")
    assert len(read_index(store.path).manifests) == 1
    assert collect(store, grace=-1).blobs == 3
    assert read_index(store.path).manifests == ()


def test_gc_forgets_facts_about_blobs_that_are_gone(store: LocalStore) -> None:
    gone = Digest.of(b"gone")
    there = store.resolve(NAME).digest
    store.remember("diff-id", gone, "x")
    store.remember("diff-id", there, "y")
    collect(store)
    assert store.recall("diff-id", gone) is None
    assert store.recall("diff-id", there) == "y"


def test_drafts_of_the_index_go_with_the_next_one(store: LocalStore) -> None:
    draft = store.path / ".index.json.0011223344.tmp"
    draft.write_bytes(b"{")
    collect(store)
    assert not draft.exists()


def test_an_index_that_says_the_same_is_not_written_again(store: LocalStore) -> None:
    before = (store.path / "index.json").stat()
    store.publish_names()
    after = (store.path / "index.json").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    store.tag(OTHER, store.resolve(NAME))
    assert len(json.loads((store.path / "index.json").read_bytes())["manifests"]) == 2
