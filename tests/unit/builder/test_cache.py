"""The build cache and the digests of context files."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from corten.builder.cache import BuildCache, Download, Saved
from corten.builder.hashes import FileHashes, Stamp, hash_file, stamp
from corten.oci.digest import Digest

LAYER = Digest.of(b"layer")


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[BuildCache]:
    with BuildCache(tmp_path / "cache") as opened:
        yield opened


def test_what_was_saved_is_found_under_every_key(cache: BuildCache) -> None:
    cache.save(["a", "b"], "family", Saved(LAYER, 17))
    assert cache.load("a") == cache.load("b") == Saved(LAYER, 17)
    assert cache.load("c") is None
    assert cache.known("family")
    assert not cache.known("other")


def test_a_result_without_a_layer_is_one_too(cache: BuildCache) -> None:
    cache.save(["a"], "", Saved(None, 3))
    assert cache.load("a") == Saved(None, 3)
    assert cache.layers() == frozenset()


def test_saving_again_replaces(cache: BuildCache) -> None:
    cache.save(["a"], "", Saved(LAYER, 1))
    cache.save(["a"], "", Saved(LAYER, 2))
    assert cache.load("a") == Saved(LAYER, 2)


def test_saving_under_no_key_saves_nothing(cache: BuildCache) -> None:
    cache.save([], "family", Saved(LAYER, 1))
    assert not cache.known("family")


def test_layers_names_what_a_collection_may_spare(cache: BuildCache) -> None:
    other = Digest.of(b"other")
    cache.save(["a", "b"], "", Saved(LAYER, 1))
    cache.save(["c"], "", Saved(other, 1))
    assert cache.layers() == {LAYER, other}
    assert cache.forget() == 3
    assert cache.layers() == frozenset()


def test_it_lasts_and_is_shared(tmp_path: Path) -> None:
    with BuildCache(tmp_path) as one, BuildCache(tmp_path) as two:
        one.save(["a"], "", Saved(LAYER, 1))
        assert two.load("a") == Saved(LAYER, 1)
    with BuildCache(tmp_path) as again:
        assert again.load("a") == Saved(LAYER, 1)


@pytest.mark.parametrize("content", [b"no database at all, but long enough to look at" * 40, b""])
def test_a_broken_database_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "build.db").write_bytes(content)
    with BuildCache(tmp_path) as cache:
        cache.save(["a"], "", Saved(LAYER, 1))
        assert cache.load("a") is not None


def test_a_database_of_another_version_is_begun_anew(tmp_path: Path) -> None:
    with BuildCache(tmp_path) as cache:
        cache.save(["a"], "", Saved(LAYER, 1))
    db = sqlite3.connect(tmp_path / "build.db")
    db.execute("PRAGMA user_version = 99")
    db.close()
    with BuildCache(tmp_path) as cache:
        assert cache.load("a") is None


def test_threads_may_share_it(cache: BuildCache) -> None:
    def work(number: int) -> None:
        for turn in range(20):
            cache.save([f"{number}-{turn}"], "f", Saved(LAYER, turn))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(cache.load(f"{n}-{t}") == Saved(LAYER, t) for n in range(4) for t in range(20))


def test_downloads_are_remembered_by_url(cache: BuildCache) -> None:
    assert cache.download("http://h/a") is None
    cache.downloaded("http://h/a", Download("etag", "date", "digest"))
    assert cache.download("http://h/a") == Download("etag", "date", "digest")


def test_stamps_belong_to_a_context(cache: BuildCache) -> None:
    row = (b"a\xff", Stamp(1, 2, 3, 2**62), b"\1" * 32)
    cache.stamp("/one", [row])
    assert cache.stamps("/one") == {b"a\xff": (row[1], row[2])}
    assert cache.stamps("/two") == {}


# Digests of files


def aged(path: Path, content: bytes) -> os.stat_result:
    """A file that is old enough for its digest to be trusted."""
    path.write_bytes(content)
    end = time.monotonic() + 5
    while time.time_ns() - path.stat().st_ctime_ns < 60_000_000 and time.monotonic() < end:
        threading.Event().wait(0.01)
    return path.stat()


def test_an_unchanged_file_s_digest_is_known(cache: BuildCache, tmp_path: Path) -> None:
    state = aged(tmp_path / "f", b"x")
    hashes = FileHashes(cache, "c")
    hashes.keep([(b"f", stamp(state), b"d" * 32)], time.time_ns())
    assert hashes.find("f", state) == b"d" * 32
    hashes.save()
    again = FileHashes(cache, "c")
    assert again.find("f", state) == b"d" * 32
    assert again.find("g", state) is None
    assert FileHashes(cache, "other").find("f", state) is None


@pytest.mark.parametrize("change", ["content", "touch", "replace"])
def test_a_changed_file_s_digest_is_not(cache: BuildCache, tmp_path: Path, change: str) -> None:
    path = tmp_path / "f"
    state = aged(path, b"x")
    hashes = FileHashes(cache, "c")
    hashes.keep([(b"f", stamp(state), b"d" * 32)], time.time_ns())
    if change == "content":
        path.write_bytes(b"y")
        # Even where somebody puts the modification time back, the change time tells.
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    elif change == "touch":
        os.utime(path, ns=(1, 1))
    else:
        (tmp_path / "g").write_bytes(b"x")
        (tmp_path / "g").rename(path)
    assert hashes.find("f", path.stat()) is None


def test_a_file_changed_just_now_is_not_trusted(cache: BuildCache, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x")
    hashes = FileHashes(cache, "c")
    hashes.keep([(b"f", stamp(path.stat()), b"d" * 32)], time.time_ns())
    assert hashes.find("f", path.stat()) is None


def test_digests_are_saved_while_others_come_in(cache: BuildCache, tmp_path: Path) -> None:
    state = aged(tmp_path / "f", b"x")
    hashes = FileHashes(cache, "c")
    count = 20_000

    def keep() -> None:
        for i in range(count):
            hashes.keep([(b"f%d" % i, stamp(state), b"d" * 32)], time.time_ns())

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(keep)
            while not coming.done():
                hashes.save()
            coming.result()
    finally:
        sys.setswitchinterval(interval)
    hashes.save()
    assert len(cache.stamps("c")) == count


def test_many_digests_are_saved_without_being_asked(cache: BuildCache, tmp_path: Path) -> None:
    state = stamp(aged(tmp_path / "f", b"x"))
    hashes = FileHashes(cache, "c")
    hashes.keep([(b"%d" % i, state, b"d" * 32) for i in range(100)], time.time_ns())
    assert cache.stamps("c") == {}
    hashes.keep([(b"%d" % i, state, b"d" * 32) for i in range(10_000)], time.time_ns())
    assert len(cache.stamps("c")) == 10_000
    assert hashes.find("5", (tmp_path / "f").stat()) == b"d" * 32


def test_a_file_is_hashed_whole_whatever_its_position(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 3_000_001)
    with path.open("rb") as file:
        file.read(5)
        digest = hash_file(file.fileno())
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) <= 3_000_001
    assert digest.hex() == Digest.of(b"x" * 3_000_001).encoded
