"""A feed makes the index of a large layer while its tar is being committed."""

import threading
from pathlib import Path

import pytest

from corten.errors import Invalid, Unsupported
from corten.oci.digest import Digest
from corten.snapshot.erofs_index import build_index
from corten.snapshot.feeding import TreeFeed, read_tree
from corten.snapshot.tree import LayerTree
from support.tars import file, pack

DIFF_ID = Digest.of(b"")
LARGE = pack(*(file(b"d%d/f%d" % (i % 50, i), b"%d" % i) for i in range(2500)))
SMALL = pack(file(b"f", b"1"))


class Publishing:
    """What a feed gives to its driver."""

    def __init__(self) -> None:
        self.indexes: list[bytes] = []

    def __call__(self, tree: LayerTree, diff_id: Digest, tar: Path, index: bytes) -> None:
        self.indexes.append(index)


def test_the_index_of_a_large_layer_is_the_one_that_its_tree_has(tmp_path: Path) -> None:
    tar = tmp_path / "tar"
    tar.write_bytes(LARGE)
    published = Publishing()
    with TreeFeed(published, build_index) as feed:
        for at in range(0, len(LARGE), 70_000):
            feed.feed(LARGE[at : at + 70_000])
        feed.end()
        feed.finish(DIFF_ID, tar)
    assert published.indexes == [build_index(read_tree(tar), len(LARGE))]


def test_a_small_layer_has_its_index_made_by_the_driver() -> None:
    published = Publishing()
    with TreeFeed(published, build_index) as feed:
        feed.feed(SMALL)
        feed.finish(DIFF_ID, Path("tar"))
    assert published.indexes == [b""]


def test_what_an_index_cannot_express_is_raised_when_the_layer_is_to_be_published() -> None:
    def refuse(tree: LayerTree, size: int) -> bytes:
        raise Unsupported(f"{size} bytes are too many")

    published = Publishing()
    with TreeFeed(published, refuse) as feed:
        feed.feed(LARGE)
        feed.end()
        with pytest.raises(Unsupported, match=f"{len(LARGE)} bytes are too many"):
            feed.finish(DIFF_ID, Path("tar"))
    assert published.indexes == []


def test_a_tar_that_ends_in_the_middle_is_refused_before_its_index_is_made() -> None:
    with TreeFeed(Publishing(), build_index) as feed:
        feed.feed(LARGE[:700])
        with pytest.raises(Invalid, match="in the middle"):
            feed.end()


def test_a_feed_that_is_given_up_leaves_no_thread() -> None:
    before = threading.active_count()
    with TreeFeed(Publishing(), build_index) as feed:
        feed.feed(LARGE)
        feed.end()
    assert threading.active_count() == before
