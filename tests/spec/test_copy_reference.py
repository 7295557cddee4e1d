"""Dockerfile reference, "ADD" and "COPY": the examples, carried out on small contexts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from corten.builder.graph import Copy
from corten.builder.lower import lower
from corten.builder.plan import Wishes
from corten.dockerfile.parser import parse
from corten.errors import Invalid, NotFound
from support.copies import Grove


@pytest.fixture
def grove(tmp_path: Path) -> Grove:
    return Grove(tmp_path)


def copied(grove: Grove, text: str, *context: str) -> list[str]:
    """The files that a Dockerfile's copies give."""
    grove.put(*context)
    plan = lower(parse(f"FROM scratch\n{text}\n"), Wishes(), {})
    made = []
    for step in plan.graph:
        if isinstance(step.op, Copy):
            entries = grove.entries(step.op)
            made += [os.fsdecode(each.name) for each in entries if each.kind != "directory"]
    return made


@pytest.mark.parametrize("keyword", ["ADD", "COPY"])
@pytest.mark.parametrize(
    ("line", "made"),
    [
        ("file1.txt file2.txt /usr/src/things/", ["usr/src/things/file1.txt", "usr/src/things/file2.txt"]),
        ("file1.txt /", ["file1.txt"]),
        ("*.png /dest/", ["dest/a.png", "dest/b.png"]),
        ("index.?s /dest/", ["dest/index.js", "dest/index.ts"]),
        ("arr[[]0].txt /dest/", ["dest/arr[0].txt"]),
        ('["arr[[]0].txt", "/dest x/"]', ["dest x/arr[0].txt"]),
        ("file1.txt /abs/", ["abs/file1.txt"]),
        ("file1.txt /abs", ["abs"]),
        ("something/ /something", ["something/in", "something/sub/deep"]),
        ("something /something", ["something/in", "something/sub/deep"]),
        ("../something /something", ["something/in", "something/sub/deep"]),
        ("/something /something/", ["something/in", "something/sub/deep"]),
        ("--exclude=*.txt hom* /mydir/", ["mydir/home.md", "mydir/homely"]),
        ("--exclude=*.txt --exclude=*.md hom* /mydir/", ["mydir/homely"]),
        ("--exclude=sub something /x", ["x/in"]),
    ],
)  # fmt: skip
def test_sources_and_destinations(grove: Grove, keyword: str, line: str, made: list[str]) -> None:
    context = (
        "file1.txt", "file2.txt", "a.png", "b.png", "index.js", "index.ts", "index.cjs",
        "arr[0].txt", "arr0.txt", "something/in", "something/sub/deep", "home.txt", "home.md",
        "homely",
    )  # fmt: skip
    assert copied(grove, f"{keyword} {line}", *context) == made


def test_a_relative_destination_is_relative_to_workdir(grove: Grove) -> None:
    text = "WORKDIR /usr/src/app\nCOPY test.txt rel/"
    assert copied(grove, text, "test.txt") == ["usr/src/app/rel/test.txt"]


def test_parents_examples(grove: Grove) -> None:
    context = ("x/a.txt", "y/a.txt", "x/y/a.txt", "x/y/b.txt")
    text = "COPY ./x/a.txt ./y/a.txt /no_parents/"
    assert set(copied(grove, text, *context)) == {"no_parents/a.txt"}
    text = "COPY --parents ./x/a.txt ./y/a.txt /parents/"
    assert copied(grove, text) == ["parents/x/a.txt", "parents/y/a.txt"]
    text = "COPY --parents ./x/./y/*.txt /parents/"
    assert copied(grove, text) == ["parents/y/a.txt", "parents/y/b.txt"]
    text = "COPY --parents=false x/a.txt /p/"
    assert copied(grove, text) == ["p/a.txt"]
    text = "COPY --parents ./src/**/*.txt /parents/"
    assert copied(grove, text, "src/a.txt", "src/x/b.txt", "src/x/y/c.txt", "src/x/z") == [
        "parents/src/a.txt",
        "parents/src/x/b.txt",
        "parents/src/x/y/c.txt",
    ]


@pytest.mark.parametrize(
    ("lines", "modes"),
    [
        ("COPY --chmod=755 app.sh /app/", {"app/app.sh": 0o755}),
        ("COPY --chmod=644 file.txt /data/", {"data/file.txt": 0o644}),
        ("ARG MODE=440\nCOPY --chmod=$MODE file.txt /", {"file.txt": 0o440}),
        ("COPY --chmod=+x app.sh /app/", {"app/app.sh": 0o751}),
        ("COPY --chmod=g=u file.txt /", {"file.txt": 0o660}),
        (
            "COPY --chmod=u=rwX,go=rX tree /app/",
            {"app/bin": 0o755, "app/bin/run": 0o755, "app/plain": 0o644},
        ),
    ],
)
def test_chmod_examples(grove: Grove, lines: str, modes: dict[str, int]) -> None:
    grove.put("app.sh", "file.txt", "tree/bin/run", "tree/plain")
    for name, mode in (
        ("app.sh", 0o640), ("file.txt", 0o600), ("tree/bin", 0o700), ("tree/bin/run", 0o700),
        ("tree/plain", 0o600),
    ):  # fmt: skip
        (grove.root / name).chmod(mode)
    copied(grove, lines)
    made = {name: mode for name, mode in grove.modes.items() if name not in ("app", "data")}
    assert made == modes


@pytest.mark.parametrize(
    ("chown", "owner"), [("1", (1, 1)), ("10:11", (10, 11)), ("0:7", (0, 7)), ("", (0, 0))]
)
def test_chown_by_numbers_needs_no_files(grove: Grove, chown: str, owner: tuple[int, int]) -> None:
    grove.put("files1")
    flag = f"--chown={chown}" if chown else ""
    plan = lower(parse(f"FROM scratch\nCOPY {flag} files* /somedir/\n"), Wishes(), {})
    assert isinstance(plan.root.op, Copy)
    assert {(e.uid, e.gid) for e in grove.entries(plan.root.op)} == {owner}


@pytest.mark.parametrize("chown", ["bin", "55:mygroup", "myuser:mygroup", ":mygroup"])
def test_chown_by_names_fails_without_files(grove: Grove, chown: str) -> None:
    with pytest.raises(Invalid, match="cannot look up"):
        copied(grove, f"COPY --chown={chown} files* /somedir/", "files1")


def test_what_is_not_there_fails(grove: Grove) -> None:
    with pytest.raises(NotFound, match="missing is not in the build context"):
        copied(grove, "COPY missing /x")


def test_heredocs_make_files(grove: Grove) -> None:
    text = (
        "ARG FOO=bar\n"
        "COPY --chmod=u=rwX,go=r <<-EOT /script.sh\n\techo \"hello ${FOO}\"\nEOT\n"
        "COPY --chmod=+x <<robots.txt <<'humans.txt' plain /usr/share/\n"
        "(robots $FOO)\nrobots.txt\n(humans $FOO)\nhumans.txt"
    )  # fmt: skip
    assert copied(grove, text, "plain") == [
        "script.sh",
        "usr/share/robots.txt",
        "usr/share/humans.txt",
        "usr/share/plain",
    ]
    assert b"(robots bar)\n" in grove.content
    assert b"(humans $FOO)\n" in grove.content
    assert {grove.modes[f"usr/share/{name}"] for name in ("robots.txt", "plain")} == {0o755}
    copied(grove, text.partition("\nCOPY --chmod=+x")[0])
    assert b'echo "hello bar"\n' in grove.content
    assert grove.modes["script.sh"] == 0o644


def test_a_link_is_followed_where_it_is_named_and_kept_in_a_tree(grove: Grove) -> None:
    grove.put("real/file")
    (grove.root / "link").symlink_to("real")
    (grove.root / "real/inner").symlink_to("file")
    assert copied(grove, "COPY link /x/") == ["x/file", "x/inner"]
    assert copied(grove, "COPY link/inner /x/") == ["x/inner"]
    kinds = {os.fsdecode(e.name): e.kind for e in grove.entries(Copy(("/",), "/x/"))}
    assert (kinds["x/link"], kinds["x/real/inner"]) == ("symlink", "symlink")
    kinds = {os.fsdecode(e.name): e.kind for e in grove.entries(Copy(("/real/inner",), "/x/"))}
    assert kinds["x/inner"] == "file"
