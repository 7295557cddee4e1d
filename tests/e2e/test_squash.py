"""Squashing changes how many layers there are, and nothing of what is in them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.builder.members import Members
from support.building import BUSYBOX, Built, Workshop, needs_busybox

pytestmark = [pytest.mark.root, pytest.mark.e2e]

BASE = """FROM scratch
COPY --chmod=755 busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
RUN mkdir -p /gone/deep /again /file /kept/in && touch /gone/deep/a /again/old /file/x /kept/a /kept/in/b && ln -s /kept /link
"""
CHANGES = """FROM bb
RUN rm -r /gone && rm -r /again && mkdir /again && touch /again/new && rm /kept/a
RUN rm -r /file && echo 1 > /file && echo twice > /one && ln /one /two && chmod 4711 /two
COPY --link f /link/f
RUN rm /file && mkdir -m 700 /file && touch /file/y && mkdir /tmp2 && echo x > /tmp2/x
RUN rm -r /tmp2 && touch /kept/in/c && mknod /fifo p && ln -s nowhere /dangling && chmod 1777 /
"""


@pytest.fixture(params=["erofs", "overlay"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workshop]:
    needs_busybox()
    made = Workshop(tmp_path, request.param)
    made.write({"busybox": BUSYBOX.read_bytes(), "f": "f"})
    try:
        made.build(BASE, tags=("bb",))
        yield made
        assert made.leftovers() == []
    finally:
        made.close()


def contents(shop: Workshop, built: Built) -> list[object]:
    """All that is in the image: metadata, times, links, and digests of contents."""
    found: list[object] = []
    with shop.stacks().view(built.config.diff_ids, "the image") as tree:
        for entry, fd in Members(tree).below():
            data = b""
            if fd is not None:
                with os.fdopen(os.dup(fd), "rb") as file:
                    data = hashlib.sha256(file.read()).digest()
            found.append((entry, data))
    return found


def test_one_layer_makes_the_same_of_the_base_as_many_did(shop: Workshop) -> None:
    plain = shop.build(CHANGES)
    squashed = shop.build(CHANGES, squash=True)
    base = plain.config.diff_ids[:3]
    assert squashed.config.diff_ids[:3] == base
    assert len(plain.config.diff_ids) > 6
    assert len(squashed.config.diff_ids) == 4
    assert contents(shop, squashed) == contents(shop, plain)
    # What came and went is in no layer any more.
    tar = shop.store.locate(squashed.manifest.layers[-1]).read_bytes()
    assert b"tmp2" not in tar
    history = squashed.config.history
    assert sum(not line.empty_layer for line in history) == 4
    assert history[-1].created_by == "corten build --squash"
    # Found again, and the same bytes without what was remembered.
    again = shop.build(CHANGES, squash=True)
    assert again.result == squashed.result


def test_squashing_gives_the_same_bytes_whatever_the_driver(tmp_path: Path) -> None:
    needs_busybox()
    text = "FROM scratch\nCOPY d /d\nCOPY d/a /d/z\nCOPY --link d/a /e/a\n"
    layers = set()
    for driver in ("erofs", "overlay"):
        shop = Workshop(tmp_path / driver, driver)
        try:
            shop.write({"d/a": "a", "d/sub/b": "b"})
            for path in (shop.context, *shop.context.rglob("*")):
                os.utime(path, (1000, 1000))
            layers.add(shop.build(text, squash=True).config.diff_ids)
        finally:
            shop.close()
    assert len(layers) == 1
    assert len(layers.pop()) == 1


def test_a_single_layer_stays_as_it_is(tmp_path: Path) -> None:
    needs_busybox()
    shop = Workshop(tmp_path)
    try:
        shop.write({"f": "f"})
        plain = shop.build("FROM scratch\nCOPY f /\n")
        assert shop.build("FROM scratch\nCOPY f /\n", squash=True).result == plain.result
    finally:
        shop.close()
