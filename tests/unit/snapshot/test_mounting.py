"""Mounting a tree and letting go of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.errors import CortenError
from corten.snapshot.mounting import mount_all, mounted
from corten.snapshot.protocols import Mount
from corten.system.mount import unmount

pytestmark = pytest.mark.root


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path: Path) -> Iterator[None]:
    yield
    text = Path("/proc/self/mounts").read_text()
    assert str(tmp_path) not in text


@pytest.fixture
def stack(tmp_path: Path) -> tuple[Mount, ...]:
    """Two directories bound somewhere and stacked from there."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text(name)
    return (
        Mount("bind", str(tmp_path / "a"), str(tmp_path / "places/a"), ("ro",)),
        Mount("bind", str(tmp_path / "b"), str(tmp_path / "places/b"), ("ro",)),
        Mount(
            "overlay",
            "overlay",
            "",
            (
                "ro",
                f"lowerdir+={tmp_path / 'places/a'}",
                f"lowerdir+={tmp_path / 'places/b'}",
            ),
        ),
    )


def test_tree_is_there_in_the_block_and_gone_after(
    stack: tuple[Mount, ...], tmp_path: Path
) -> None:
    with mounted(stack) as tree:
        assert sorted(path.name for path in tree.iterdir()) == ["a", "b"]
    assert not tree.exists()
    assert not tree.parent.exists()
    assert not (tmp_path / "places").exists()


def test_tree_is_gone_after_a_failure_in_the_block(stack: tuple[Mount, ...]) -> None:
    with pytest.raises(KeyError), mounted(stack) as tree:
        raise KeyError
    assert not tree.parent.exists()


def test_tree_can_be_shown_at_a_given_place(stack: tuple[Mount, ...], tmp_path: Path) -> None:
    target = tmp_path / "here"
    target.mkdir()
    with mounted(stack, target) as tree:
        assert tree == target
        assert len(list(target.iterdir())) == 2
    assert list(target.iterdir()) == []


def test_mounts_before_a_failing_one_are_undone(stack: tuple[Mount, ...], tmp_path: Path) -> None:
    target = tmp_path / "here"
    target.mkdir()
    bad = (*stack[:2], Mount("bind", str(tmp_path / "missing"), "", ()))
    with pytest.raises(CortenError, match="missing"):
        mount_all(bad, target)
    with pytest.raises(CortenError), mounted(bad):
        raise AssertionError("nothing to see")


def test_mount_all_uses_the_places_that_are_named(stack: tuple[Mount, ...], tmp_path: Path) -> None:
    target = tmp_path / "here"
    target.mkdir()
    mount_all(stack, target)
    try:
        assert (tmp_path / "places/a/a").read_text() == "a"
        assert (target / "b").read_text() == "b"
    finally:
        for mount in reversed(stack):
            unmount(mount.target or str(target))
    assert list(target.iterdir()) == []


def test_tree_that_is_still_in_use_goes_with_its_last_user(stack: tuple[Mount, ...]) -> None:
    with mounted(stack) as tree:
        held = os.open(tree / "a", os.O_RDONLY)
    try:
        assert os.read(held, 1) == b"a"
        assert not tree.exists()
    finally:
        os.close(held)


def test_threads_may_mount_the_same_at_once(stack: tuple[Mount, ...]) -> None:
    failures: list[BaseException] = []

    def show() -> None:
        try:
            for _ in range(5):
                with mounted(stack) as tree:
                    assert (tree / "a").read_text() == "a"
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=show) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
