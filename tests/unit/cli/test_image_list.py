"""``corten images``: the table, and that both ways to it agree."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from corten.cli.entry import parse_images
from corten.cli.image_list import Wanted, known_names, listing
from corten.errors import Usage
from support.catalog import write_images
from support.commands import corten, environment


def ago(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - seconds))


IMAGES = [
    ("docker.io/library/debian:bookworm", ago(3 * 7 * 86400 + 60), 117_234_567),
    ("127.0.0.1:5000/example/node-hello:v1", ago(2 * 86400 + 60), 187_000_000),
    ("docker.io/example/node-hello:latest", ago(2 * 86400 + 60), 187_000_000),
    ("", "", 12),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    root = tmp_path_factory.mktemp("store")
    return root, write_images(root, IMAGES)


@pytest.fixture
def root(store: tuple[Path, list[str]]) -> Path:
    return store[0]


@pytest.fixture
def ids(store: tuple[Path, list[str]]) -> list[str]:
    return [identity.partition(":")[2][:12] for identity in store[1]]


def test_the_table_is_docker_s(root: Path, ids: list[str]) -> None:
    assert listing(root, Wanted()).splitlines() == [
        "REPOSITORY                          TAG        IMAGE ID       CREATED       SIZE",
        f"debian                              bookworm   {ids[0]}   3 weeks ago   117MB",
        f"127.0.0.1:5000/example/node-hello   v1         {ids[1]}   2 days ago    187MB",
        f"example/node-hello                  latest     {ids[2]}   2 days ago    187MB",
        f"<none>                              <none>     {ids[3]}   N/A           12B",
    ]
    assert ids[1] == ids[2]


def test_quiet_and_whole_ids(store: tuple[Path, list[str]], ids: list[str]) -> None:
    assert listing(store[0], Wanted(quiet=True)).split() == ids
    whole = listing(store[0], Wanted(repository="debian", quiet=True, no_trunc=True))
    assert whole == f"{store[1][0]}\n"


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("debian", 1),
        ("docker.io/library/debian", 1),
        ("debian:bookworm", 1),
        ("debian:12", 0),
        ("example/*", 1),
        ("*/node-hello", 2),
        ("127.0.0.1:5000/example/node-hello", 1),
        ("127.0.0.1:5000/example/node-hello:v?", 1),
        ("deb", 0),
    ],
)
def test_a_repository_limits_the_list(root: Path, pattern: str, count: int) -> None:
    assert listing(root, Wanted(repository=pattern)).count("\n") == count + 1


def test_digests_are_shown_on_demand(root: Path) -> None:
    header, first, *_ = listing(root, Wanted(digests=True)).splitlines()
    assert header.split()[:3] == ["REPOSITORY", "TAG", "DIGEST"]
    assert first.split()[2] == "<none>"


def test_formats(root: Path, ids: list[str]) -> None:
    names = listing(root, Wanted(form="{{.Repository}}:{{.Tag}}"))
    assert names.splitlines()[0] == "debian:bookworm"
    assert json.loads(listing(root, Wanted(form="json")).splitlines()[1])["ID"] == ids[1]
    table = listing(root, Wanted(form="table {{.ID}}\\t{{.Size}}"))
    assert table.splitlines()[0] == "IMAGE ID       SIZE"
    with pytest.raises(Usage):
        listing(root, Wanted(form="{{.Repo}}"))


def test_a_root_without_a_store_has_no_images(tmp_path: Path) -> None:
    assert listing(tmp_path, Wanted()).count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_names_for_completion(root: Path) -> None:
    assert sorted(known_names(root)) == [
        "127.0.0.1:5000/example/node-hello:v1",
        "debian:bookworm",
        "example/node-hello:latest",
    ]


@pytest.mark.parametrize(
    ("line", "parsed"),
    [
        ("images", ("", "", set())),
        ("images -q -a", ("", "", {"quiet", "everything"})),
        ("--root /x images", ("/x", "", set())),
        ("images --root=/x --no-trunc debian --digests", ("/x", "debian", {"no_trunc", "digests"})),
        ("image ls debian", ("", "debian", set())),
        ("image list", ("", "", set())),
    ],
)
def test_the_fast_path_knows_plain_forms(line: str, parsed: object) -> None:
    assert parse_images(line.split()) == parsed


@pytest.mark.parametrize(
    "line",
    [
        *("", "image", "image rm x", "images --help", "images --format json", "images a b"),
        *(
            "--debug images",
            "images --root",
            "build",
            "-q images",
            "images -qa",
            "images --",
            "imag",
        ),
        *("--root= images --progress plain",),
    ],
)
def test_the_fast_path_leaves_everything_else_alone(line: str) -> None:
    assert parse_images(line.split()) is None


@pytest.mark.parametrize(
    "arguments",
    [(), ("-q",), ("-a", "--no-trunc"), ("--digests",), ("debian",), ("nothing",)],
    ids=" ".join,
)
def test_both_ways_print_the_same(root: Path, arguments: tuple[str, ...]) -> None:
    fast = corten("images", *arguments, root=root)
    slow = corten("images", *arguments, "--progress", "plain", root=root)
    assert fast.stdout == slow.stdout != ""
    assert (fast.returncode, fast.stderr) == (slow.returncode, slow.stderr) == (0, "")


def test_the_root_is_taken_from_the_option_before_the_environment(root: Path) -> None:
    env = environment(root / "elsewhere")
    assert corten("images", "-q", env=env).stdout == ""
    assert corten("--root", str(root), "images", "-q", env=env).stdout.count("\n") == 4
    assert corten("images", "-q", "--root", str(root), env=env).stdout.count("\n") == 4


def test_a_damaged_catalog_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_bytes(b"no database" * 100)
    result = corten("images", root=tmp_path)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"corten: the catalog {tmp_path}/catalog.db cannot be read: ")
    assert result.stderr.count("\n") == 2
    assert "hint: corten system check --repair" in result.stderr


def test_image_names_complete_from_the_store(root: Path) -> None:
    for line in (
        "corten images de",
        f"corten --root {root} images de",
        f"corten images --root {root} de",
    ):
        words = line.split(" ")
        env = environment(root if "--root" not in line else None)
        env |= {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
        env["_CORTEN_COMPLETE"] = "bash_complete"
        assert corten(env=env).stdout == "plain,debian:bookworm\n"
