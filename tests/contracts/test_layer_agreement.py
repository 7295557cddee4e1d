"""A stack of generated layers is the same under both drivers."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corten.archive.entry import Entry
from corten.errors import Invalid
from corten.snapshot.removal import remove_tree
from support.erofs_utils import accepted
from support.snapshots import Bench
from support.tars import Look, directory, file, link, pack, symlink

pytestmark = pytest.mark.root

FOLDERS = [b"", b"d/", b"d/e/", b"x/"]
NAMES = [b"a", b"b", b"d", b"e", b"x"]


@st.composite
def members(draw: st.DrawFn) -> Entry | tuple[Entry, bytes]:
    """Anything that a layer may hold, also nonsense."""
    folder, base = draw(st.sampled_from(FOLDERS)), draw(st.sampled_from(NAMES))
    name = folder + base
    match draw(st.integers(0, 8)):
        case 0 | 1 | 2:
            return file(
                name, draw(st.binary(max_size=4)), mode=draw(st.sampled_from([0o644, 0o4755]))
            )
        case 3:
            return directory(name, draw(st.sampled_from([0o755, 0o1700])), mtime_ns=5)
        case 4:
            return symlink(name, draw(st.sampled_from([b"a", b"/d", b"../x"])))
        case 5:
            return link(name, draw(st.sampled_from(FOLDERS)) + draw(st.sampled_from(NAMES)))
        case 6 | 7:
            return file(folder + b".wh." + base)
        case _:
            return file(folder + b".wh..wh..opq")


def outcome(bench: Bench, tars: list[bytes]) -> dict[bytes, Look] | str:
    """What is seen of the stack; or why it is refused, without what differs by driver."""
    try:
        layers = [bench.layer(tar) for tar in tars]
        return bench.look(*layers)
    except Invalid as error:
        return error.message


def comparable(seen: dict[bytes, Look] | str) -> object:
    """Without link counts: a name that an upper layer hides still counts under overlayfs."""
    if isinstance(seen, str):
        return seen
    return {path: look[:-1] for path, look in seen.items()}


@settings(max_examples=60, deadline=None)
@given(stack=st.lists(st.lists(members(), max_size=6), min_size=1, max_size=4))
def test_both_drivers_show_the_same_stack(
    stack: list[list[Entry | tuple[Entry, bytes]]],
) -> None:
    tars = [pack(*layer) for layer in stack]
    place = Path(tempfile.mkdtemp(prefix="corten-agreement-"))
    try:
        found = {}
        for driver in ("erofs", "overlay"):
            (place / driver).mkdir()
            with accepted(place / driver / "root"):
                found[driver] = comparable(outcome(Bench(driver, place / driver), tars))
        assert found["erofs"] == found["overlay"]
    finally:
        remove_tree(place)
