from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.content.listing import ImageRow, image_rows
from corten.content.local import LocalStore
from corten.oci.digest import Digest
from corten.oci.reference import Reference
from support.contents import AMD64, plain_image, put


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    with LocalStore(tmp_path / "a root? 100%#", AMD64) as made:
        yield made


def test_no_store_has_no_rows(tmp_path: Path) -> None:
    assert image_rows(tmp_path / "nothing") == []


def test_each_name_has_a_row_and_a_dangling_image_too(store: LocalStore) -> None:
    old, new = plain_image(store, b"old"), plain_image(store, b"new")
    store.tag("docker.io/library/a:1", old.root)
    store.tag("docker.io/library/a:1", new.root)
    store.tag("registry.example/b:2", new.root)
    rows = {row.name: row for row in image_rows(store.root)}
    assert set(rows) == {"", "docker.io/library/a:1", "registry.example/b:2"}
    assert rows[""].image_id == old.config.digest
    row = rows["docker.io/library/a:1"]
    assert row.image_id == new.config.digest
    assert row.digest == new.root.digest
    assert row.created == "2024-02-03T04:05:06Z"
    assert row.size == new.layers[0].size
    assert abs(row.added - time.time()) < 600


def test_a_dangling_image_is_listed_once(store: LocalStore) -> None:
    from corten.oci.manifest import build_manifest

    image = plain_image(store, b"a")
    root, raw = build_manifest(image.config, image.layers, annotations={"k": "v"})
    put(store, raw, root.media_type)
    store.tag("docker.io/library/a:1", image.root)
    store.tag("docker.io/library/a:2", root)
    store.untag("docker.io/library/a:1")
    assert [row.name for row in image_rows(store.root)] == ["docker.io/library/a:2"]
    store.untag("docker.io/library/a:2")
    assert [row.name for row in image_rows(store.root)] == [""]


def test_the_latest_comes_first(store: LocalStore) -> None:
    for number in range(3):
        store.tag(f"docker.io/library/a:{number}", plain_image(store, b"%d" % number).root)
    assert [row.tag for row in image_rows(store.root)] == ["2", "1", "0"]


def test_the_repositorys_own_digest_is_shown(store: LocalStore) -> None:
    image = plain_image(store, b"a")
    store.tag("docker.io/library/a:1", image.root)
    store.tag("registry.example/b:2", image.root)
    pushed = Digest.of(b"pushed")
    store.add_repo_digest("registry.example/b", pushed, image.config.digest)
    rows = {row.name: row.repo_digest for row in image_rows(store.root)}
    assert rows == {"docker.io/library/a:1": "", "registry.example/b:2": pushed}


@pytest.mark.parametrize(
    "text",
    [
        "debian:12",
        "example/node-hello",
        "localhost:5000/a/b:c",
        "registry.example/a:b",
        "debian@sha256:" + "0" * 64,
        "docker.io/library/a/b:1",
        "docker.io/a.b/c:1",
        "docker.io/localhost/c:1",
    ],
)
def test_names_are_shown_so_that_they_parse_to_themselves(text: str) -> None:
    reference = Reference.parse(text)
    row = ImageRow(str(reference), "", "", "", 0.0, 0)
    shown = row.repository if row.tag == "<none>" else f"{row.repository}:{row.tag}"
    parsed = Reference.parse(shown, default_tag="")
    assert (parsed.name, parsed.tag) == (reference.name, reference.tag)


def test_short_names_are_short() -> None:
    row = ImageRow("docker.io/library/debian:bookworm", "", "", "", 0.0, 0)
    assert (row.repository, row.tag) == ("debian", "bookworm")
    row = ImageRow("docker.io/example/x:1", "", "", "", 0.0, 0)
    assert (row.repository, row.tag) == ("example/x", "1")
    row = ImageRow("", "", "", "", 0.0, 0)
    assert (row.repository, row.tag) == ("<none>", "<none>")


def test_two_hundred_images_are_listed_in_three_milliseconds(store: LocalStore) -> None:
    root = plain_image(store, b"a").root
    store.tag("docker.io/library/a:0", root)
    with store.catalog.change() as change:
        for number in range(200):
            digest = Digest.of(b"%d" % number)
            change.execute(
                "INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, ?)",
                (digest, root.media_type, 1, digest, "2024-02-03T04:05:06Z", 1, float(number)),
            )
            change.execute(
                "INSERT INTO names VALUES (?, ?, ?, ?, ?, ?)",
                (f"docker.io/x/{number}:1", f"docker.io/x/{number}", digest, "m", 1, 1.0),
            )
    best = 1.0
    for _ in range(20):
        begin = time.process_time()
        assert len(image_rows(store.root)) == 201
        best = min(best, time.process_time() - begin)
    assert best < 0.003


def test_nothing_heavy_is_imported() -> None:
    program = (
        "import sys; import corten.content.listing;"
        "print(*(set(sys.modules) & {'msgspec', 'dataclasses', 'corten.oci', 'hashlib',"
        " 'threading', 'inspect', 'pathlib'}))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {program}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == []
