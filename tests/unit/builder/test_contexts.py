"""Contexts that come as tars and URLs: what a build gets of them, honest and hostile."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from corten.builder.context import open_context
from corten.builder.contexts import Wanted, is_directory
from support.contexts import CONTEXT, GOOD, files, opened, refused, tar_of


@pytest.mark.parametrize(
    "pack",
    [bytes, gzip.compress, bz2.compress, lzma.compress, zstandard.ZstdCompressor().compress],
    ids=["plain", "gzip", "bzip2", "xz", "zstd"],
)
def test_a_tar_on_standard_input_is_the_context(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    with opened(tmp_path, Wanted("-"), pack(CONTEXT)) as found:
        assert files(found.directory) == [".dockerignore", "Dockerfile", "a.txt", "b.txt"]
        assert found.dockerfile == found.directory / "Dockerfile"
        assert open_context(found.directory, found.dockerfile).ignore.matches("b.txt")


def test_a_dockerfile_in_a_tar_has_its_own_ignore_file(tmp_path: Path) -> None:
    data = tar_of(("d/My", b"FROM x"), ("d/My.dockerignore", b"z"), (".dockerignore", b"*"))
    with opened(tmp_path, Wanted("-", "d/My"), data) as found:
        assert found.dockerfile == found.directory / "d/My"
        assert open_context(found.directory, found.dockerfile).ignore.patterns == ("z",)
    assert "standard input has no Dockerfile" in refused(tmp_path, Wanted("-"), data)
    assert "leads out" in refused(tmp_path, Wanted("-", "../d/My"), data)
    assert "cannot both come" in refused(tmp_path, Wanted("-", "-"), data)
    with opened(tmp_path, Wanted("-"), b"FROM scratch") as found:
        assert files(found.directory) == []
        assert found.dockerfile is not None
        assert found.dockerfile.read_text() == "FROM scratch"
    assert "and -f names another" in refused(tmp_path, Wanted("-", "x"), b"FROM scratch")


def test_standard_input_is_a_dockerfile_for_a_directory(tmp_path: Path) -> None:
    with opened(tmp_path, Wanted(tmp_path, "-")) as found:
        assert (found.directory, found.dockerfile) == (tmp_path, Path("/dev/stdin"))


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def special(name: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    return info


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tar_of(link("Dockerfile", "/etc/hostname")), "the Dockerfile Dockerfile leads out"),
        (tar_of(link("d", "/etc"), link("Dockerfile", "d/hostname")), "leads out"),
        (
            tar_of(GOOD, link(".dockerignore", "/etc/hostname")),
            "ignore file .dockerignore leads out",
        ),
        (tar_of(GOOD, link("Dockerfile.dockerignore", "/etc/hostname")), "leads out"),
        (tar_of(special("Dockerfile", tarfile.FIFOTYPE)), "is no regular file"),
        (
            tar_of(GOOD, special("Dockerfile.lock", tarfile.FIFOTYPE)),
            "lock file Dockerfile.lock is no",
        ),
        (tar_of(special("Dockerfile", tarfile.DIRTYPE)), "is no regular file"),
        (tar_of(GOOD, ("../victim", b"x")), "climbs out"),
        (tar_of(GOOD, link("hard", "/etc/hostname", tarfile.LNKTYPE)), "hard link to a file that"),
        (tar_of(GOOD, (".wh.x", b"")), "names begin with .wh."),
        (CONTEXT[:600], "ends"),
        (gzip.compress(CONTEXT)[:-20], "gzip"),
        (b"\x1f\x8b" + b"x" * 600, "gzip"),
    ],
)
def test_hostile_tars_are_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    message = refused(tmp_path, Wanted("-"), data)
    assert reason in message
    assert list(tmp_path.rglob("victim")) == []


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (link(".dockerignore", "/etc/hostname"), "ignore file .dockerignore leads out"),
        (special(".dockerignore", tarfile.FIFOTYPE), "ignore file .dockerignore is no regular"),
    ],
)
def test_a_strangers_ignore_file_is_looked_at_beside_ones_own_dockerfile(
    tmp_path: Path, member: tarfile.TarInfo, reason: str
) -> None:
    assert reason in refused(tmp_path, Wanted("-", "http://127.0.0.1:1/My"), tar_of(member))


def test_a_member_through_a_link_stays_inside(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    data = tar_of(GOOD, link("l", str(victim)), ("l/x", b"x"))
    with opened(tmp_path, Wanted("-"), data) as found:
        assert "Dockerfile" in files(found.directory)
    assert list(victim.iterdir()) == []


def test_what_expands_without_measure_is_refused(tmp_path: Path) -> None:
    bomb = gzip.compress(tar_of(GOOD, ("zeros", bytes(8 << 20))))
    message = refused(tmp_path, Wanted("-"), bomb, CORTEN_LAYER_LIMIT="1M")
    assert "expand to more than" in message


def test_a_name_is_a_directory_unless_it_is_an_address(tmp_path: Path) -> None:
    assert [text for text in ("x", "./x.git", str(tmp_path), "a:b") if not is_directory(text)] == []
    addresses = ("-", "https://h/x", "git@h:x", "github.com/u/r", "ftp://h/x", "git://h/x")
    assert [text for text in addresses if is_directory(text)] == []
    assert "not fetched by ftp" in refused(tmp_path, Wanted("ftp://127.0.0.1/x"))
    assert "not fetched by file" in refused(tmp_path, Wanted("file:///srv/x.git"))
