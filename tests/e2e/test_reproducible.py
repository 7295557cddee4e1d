"""The same inputs give the same bytes, wherever and however they are built."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.builder.attest import Attest, ProvenanceOptions
from corten.errors import Invalid
from corten.oci.platform import Platform
from support.building import BUSYBOX, HOST, Workshop, needs_busybox

pytestmark = [pytest.mark.root, pytest.mark.e2e]

DOCKERFILE = """FROM scratch AS base
COPY --chmod=755 busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
FROM base AS one
RUN mkdir /one && dd if=/dev/zero of=/one/sparse bs=1 count=1 seek=17M && echo x > /one/x
FROM base AS two
RUN mkdir /two && ln -s one /two/link && echo y > /two/y && ln /two/y /two/z
FROM base
COPY --from=one /one /one
COPY --from=two /two /two
RUN rm /bin/vi && touch /end && touch -d @1000 /old
"""
EPOCH = {"SOURCE_DATE_EPOCH": "86400"}


@pytest.fixture
def shops(tmp_path: Path) -> Iterator[list[Workshop]]:
    needs_busybox()
    made = [Workshop(tmp_path / driver, driver) for driver in ("erofs", "overlay")]
    for shop in made:
        shop.write({"busybox": BUSYBOX.read_bytes()})
    try:
        yield made
        assert [shop.leftovers() for shop in made] == [[], []]
    finally:
        for shop in made:
            shop.close()


def test_threads_caches_roots_and_drivers_leave_no_trace(shops: list[Workshop]) -> None:
    wishes = {
        "build_args": EPOCH,
        "rewrite_times": True,
        "attest": Attest(provenance=ProvenanceOptions(mode="max"), sbom=True),
        "platforms": (HOST, Platform.parse("386")),
    }
    shop, other = shops
    shop.write({"Dockerfile": DOCKERFILE})
    other.write({"Dockerfile": DOCKERFILE})
    results = [
        shop.run(threads=16, **wishes),
        shop.run(threads=1, **wishes),
        shop.run(threads=1, no_cache=True, **wishes),
        other.run(threads=16, **wishes),
    ]
    assert len({result.descriptor.digest for result in results}) == 1
    assert len(results[0].images) == 2
    squashed = {each.run(squash=True, **wishes).descriptor.digest for each in shops}
    assert len(squashed) == 1


def test_no_file_is_newer_than_what_was_asked_for(shops: list[Workshop]) -> None:
    shop = shops[0]
    built = shop.build(DOCKERFILE, build_args=EPOCH, rewrite_times=True)
    times: dict[str, float] = {}
    for layer in built.manifest.layers:
        with tarfile.open(shop.store.locate(layer)) as tar:
            times |= {member.name: member.mtime for member in tar}
    assert max(times.values()) == 86400
    assert times["old"] == 1000
    plain = shop.build(DOCKERFILE, build_args=EPOCH)
    with shop.tree(built) as tree, shop.tree(plain) as wanted:
        for path in ("one/sparse", "two/z", "bin/busybox"):
            assert (tree / path).read_bytes() == (wanted / path).read_bytes()
        assert (tree / "two/z").stat().st_ino == (tree / "two/y").stat().st_ino
        assert not (tree / "bin/vi").exists()


def test_times_need_a_time(shops: list[Workshop]) -> None:
    with pytest.raises(Invalid, match="rewrite-timestamp needs a time"):
        shops[0].build("FROM scratch\nCOPY busybox /\n", rewrite_times=True)
