"""Contexts, Dockerfiles and archives that try to reach what they should not."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.errors import CortenError, Invalid, NotFound
from support.building import BUSYBOX, Workshop, needs_busybox

pytestmark = [pytest.mark.root]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    needs_busybox()
    (tmp_path / "secret").write_text("secret")
    made = Workshop(tmp_path)
    try:
        yield made
        assert made.leftovers() == []
        assert (tmp_path / "secret").read_text() == "secret"
        assert not list(tmp_path.glob("evil*"))
    finally:
        made.close()


def base(shop: Workshop) -> None:
    shop.write({"busybox": BUSYBOX.read_bytes()})
    shop.build(
        'FROM scratch\nCOPY --chmod=755 busybox /bin/\nRUN ["/bin/busybox", "--install", "-s", "/bin"]\n',
        tags=("bb",),
    )
    (shop.context / "busybox").unlink()


@pytest.mark.parametrize(
    "source",
    [
        "../secret",
        "/../secret",
        "sub/../../secret",
        "out",
        "outdir/secret",
        "absolute",
        "sub/out",
        "*/../../secret",
    ],
)
def test_nothing_outside_the_context_is_copied(shop: Workshop, source: str, tmp_path: Path) -> None:
    shop.write({"sub/x": ""})
    (shop.context / "out").symlink_to("../secret")
    (shop.context / "sub/out").symlink_to("../../secret")
    (shop.context / "outdir").symlink_to("..")
    (shop.context / "absolute").symlink_to(tmp_path / "secret")
    with pytest.raises(NotFound):
        shop.build(f"FROM scratch\nCOPY {source} /x\n")


def test_links_out_of_the_context_are_copied_as_links(shop: Workshop) -> None:
    shop.write({"d/x": ""})
    (shop.context / "d/out").symlink_to("../../../secret")
    with shop.tree(shop.build("FROM scratch\nCOPY d /d\n")) as tree:
        assert (tree / "d/out").readlink() == Path("../../../secret")


def test_a_link_planted_below_cannot_lead_a_copy_out(shop: Workshop, tmp_path: Path) -> None:
    base(shop)
    shop.write({"f": "payload"})
    built = shop.build(
        f"FROM bb\nRUN ln -s {tmp_path} /abs && ln -s ../../../../../.. /up && ln -s /abs /chain\n"
        "COPY f /abs/evil1\nCOPY f /up/evil2\nCOPY f /chain/evil3\nWORKDIR /abs/evil4\n"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["context", "root", "secret"]
    with shop.tree(built) as tree:
        inside = tree / str(tmp_path).lstrip("/")
        assert (tree / "evil2").read_text() == "payload"
        assert (inside / "evil1").read_text() == "payload"
        assert (inside / "evil3").exists()


def test_a_stage_s_links_are_followed_inside_it(shop: Workshop) -> None:
    base(shop)
    with pytest.raises(NotFound):
        shop.build(
            "FROM bb AS a\nRUN ln -s /etc/shadow /s && ln -s ../../../../proc/1/environ /p\nFROM scratch\nCOPY --from=a /s /x\n"
        )
    with pytest.raises(NotFound):
        shop.build(
            "FROM bb AS a\nRUN ln -s ../../../../etc/hostname /p\nFROM scratch\nCOPY --from=a /p /x\n"
        )


def test_circles_of_links_are_refused(shop: Workshop) -> None:
    (shop.context / "l").symlink_to("l")
    with pytest.raises(Invalid, match="in a circle"):
        shop.build("FROM scratch\nCOPY l /x\n")


def test_what_is_left_out_cannot_be_had_by_another_name(shop: Workshop) -> None:
    shop.write({".dockerignore": "secret\ndir\n", "secret": "x", "dir/f": "y"})
    (shop.context / "alias").symlink_to("secret")
    (shop.context / "other").symlink_to("dir")
    for source in (
        "secret",
        "./secret",
        "x/../secret",
        "alias",
        "dir/f",
        "dir/*",
        "other/f",
        "other/*",
        "dir/../secret",
        "--parents dir/f",
        "--parents other/./f",
    ):
        with pytest.raises(NotFound):
            shop.build(f"FROM scratch\nCOPY {source} /x/\n")
    for source in (
        "secre[t]",
        "s*",
        "*/f",
        "--parents **/f",
        "--parents **",
        "--exclude=!secret ?",
    ):
        with shop.tree(shop.build(f"FROM scratch\nCOPY {source} /x/\n")) as tree:
            found = {path.name for path in tree.glob("x/**/*") if not path.is_symlink()}
            assert found <= {"Dockerfile", ".dockerignore"}
    shop.write({"ok": ""})
    with shop.tree(shop.build("FROM scratch\nCOPY . /x\n")) as tree:
        assert sorted(p.name for p in (tree / "x").iterdir()) == [
            ".dockerignore",
            "Dockerfile",
            "alias",
            "ok",
            "other",
        ]


@pytest.mark.parametrize("text", ["[", "!\n", "a\n[b", "\\"])
def test_a_malformed_ignore_file_is_refused(shop: Workshop, text: str) -> None:
    shop.write({".dockerignore": text})
    with pytest.raises(Invalid, match="line"):
        shop.build("FROM scratch\n")


def _tar(*members: tarfile.TarInfo, data: bytes = b"") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for member in members:
            content = data if member.isreg() else b""
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    "members",
    [
        [_member("../../evil")],
        [_member("a/b/../../../evil")],
        [_member("l", tarfile.SYMTYPE, "/"), _member("l/evil")],
        [_member("l", tarfile.SYMTYPE, "../.."), _member("l/evil", tarfile.DIRTYPE)],
        [_member("h", tarfile.LNKTYPE, "/etc/passwd")],
        [_member("h", tarfile.LNKTYPE, "../../secret")],
        [_member(".wh..wh..opq")],
        [_member("x/.wh.bin")],
    ],
)  # fmt: skip
def test_an_archive_that_leads_out_is_refused(
    shop: Workshop, members: list[tarfile.TarInfo]
) -> None:
    shop.write({"a.tgz": _tar(*members)})
    with pytest.raises(Invalid):
        shop.build("FROM scratch\nADD a.tgz /deep/down/\n")


def test_an_archive_that_grows_a_thousandfold_takes_no_memory(shop: Workshop) -> None:
    shop.write({"a.tgz": _tar(_member("zeros"), data=bytes(64 * 1024 * 1024))})
    assert (shop.context / "a.tgz").stat().st_size < 128 * 1024
    with shop.tree(shop.build("FROM scratch\nADD a.tgz /x/\n")) as tree:
        assert (tree / "x/zeros").stat().st_size == 64 * 1024 * 1024


def test_a_context_with_odd_names_is_copied_as_it_is(shop: Workshop) -> None:
    names = [b"a b", b"\xff\xfe", b"-rf", "ü".encode(), b"new\nline", b"x" * 255, b"*", b"[a"]
    folder = shop.context / "d"
    folder.mkdir()
    for name in names:
        (folder / os.fsdecode(name)).write_bytes(name)
    with shop.tree(shop.build("FROM scratch\nCOPY d /d\n")) as tree:
        found = {os.fsencode(path.name): path.read_bytes() for path in (tree / "d").iterdir()}
    assert found == {name: name for name in names}


def test_a_file_that_is_no_file_does_not_hang_the_build(shop: Workshop) -> None:
    os.mkfifo(shop.context / "Dockerfile.pipe")
    os.mkfifo(shop.context / "pipe")
    with shop.tree(shop.build("FROM scratch\nADD pipe /p\n")) as tree:
        assert (tree / "p").is_fifo()


@pytest.mark.parametrize(
    "text",
    [
        "FROM scratch\nENV A=${A:-${A:-" + "${A:-" * 200 + "}" * 202 + "\n",
        "FROM scratch\n"
        + "ENV A=$A$A$A$A$A$A$A$A$A$A\n" * 3
        + "ENV A="
        + "x" * 100000
        + "\n"
        + "ENV A=$A$A$A$A$A$A$A$A$A$A$A$A\n",
        "FROM scratch\nEXPOSE 1-99999\n",
        "FROM scratch\nRUN [" + "[" * 100000 + "\nCOPY nothing /\n",
        "FROM scratch\nCOPY <<" + "A" * 5000 + " /x\nB\n",
    ],
    ids=["nesting", "doubling", "ports", "brackets", "heredoc"],
)
def test_texts_made_to_exhaust_are_refused(shop: Workshop, text: str) -> None:
    with pytest.raises(CortenError):
        shop.build(text)
