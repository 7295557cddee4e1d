"""What an extracted layer lacks, made from the directories below it; needs no root."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from pathlib import Path

import pytest

from corten.errors import Invalid, Unsupported
from corten.snapshot.completion import complete, covered, find
from corten.snapshot.holdings import LayerRecord
from corten.snapshot.implied import Implied
from corten.snapshot.links import ForeignLink, Steps

NS = 1_234_567_890_123_456_789


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("low", "middle", "layer", "made"):
        (tmp_path / name).mkdir()
    return tmp_path


def below(place: Path) -> list[str]:
    return [str(place / "middle"), str(place / "low")]


def put(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def record(*links: tuple[bytes, bytes], implied: tuple[Implied, ...] = ()) -> LayerRecord:
    return LayerRecord(
        "overlay", links=tuple(ForeignLink(*link) for link in links), implied=implied
    )


def exhaust(source: Path, folder: Path) -> int:
    """Give a file links until two more can be made, or skip the test; returns 2."""
    folder.mkdir()
    count = 0
    try:
        while count < 66_000:
            os.link(source, folder / str(count), follow_symlinks=False)
            count += 1
    except OSError as error:
        assert error.errno == errno.EMLINK
    else:
        pytest.skip("the file system under the temporary directory takes 66,000 links")
    (folder / "0").unlink()
    (folder / "1").unlink()
    return 2


def is_delayed(path: Path) -> bool:
    """Whether a small file has no place on the disk yet, where the file system tells."""
    delayed, request = 0x4, 0xC020660B  # FIEMAP_EXTENT_DELALLOC, FS_IOC_FIEMAP
    answer = bytearray(struct.pack("=QQLLLL", 0, 2**64 - 1, 0, 0, 1, 0) + bytes(56))
    with path.open("rb") as file:
        try:
            fcntl.ioctl(file, request, answer)
        except OSError:
            return False
    flags = struct.unpack_from("=L", answer, 32 + 40)[0]
    return bool(flags & delayed)


def seen(path: Path) -> tuple[object, ...]:
    """All of a file but its names."""
    status = path.lstat()
    content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
    target = path.readlink() if path.is_symlink() else None
    attributes = {
        name: os.getxattr(path, name, follow_symlinks=False)
        for name in os.listxattr(path, follow_symlinks=False)
    }
    return (status.st_mode, status.st_uid, status.st_mtime_ns, content, target, attributes)


class TestFinding:
    def test_topmost_file_counts(self, place: Path) -> None:
        put(place / "low/d/f")
        assert find(below(place), b"d/f", Steps()) == os.fsencode(place / "low/d/f")
        put(place / "middle/d/f")
        assert find(below(place), b"d/f", Steps()) == os.fsencode(place / "middle/d/f")

    def test_file_over_a_directory_hides_it(self, place: Path) -> None:
        put(place / "low/d/f")
        put(place / "middle/d")
        assert find(below(place), b"d/f", Steps()) is None
        assert find(below(place), b"d", Steps()) == os.fsencode(place / "middle/d")

    def test_directories_are_no_files(self, place: Path) -> None:
        (place / "low/d").mkdir()
        assert find(below(place), b"d", Steps()) is None
        assert find(below(place), b"nothing", Steps()) is None

    def test_symlinks_are_followed_within_the_stack_the_last_is_not(self, place: Path) -> None:
        put(place / "low/d/f")
        (place / "middle/s").symlink_to("/d")
        (place / "middle/up").symlink_to("../../../d")
        (place / "middle/last").symlink_to("/etc/passwd")
        for path in (b"s/f", b"up/f", b"s/../d/./f"):
            assert find(below(place), path, Steps()) == os.fsencode(place / "low/d/f")
        assert find(below(place), b"last", Steps()) == os.fsencode(place / "middle/last")
        (place / "middle/out").symlink_to("/etc")
        assert find(below(place), b"out/passwd", Steps()) is None

    def test_endless_symlinks_end(self, place: Path) -> None:
        (place / "low/a").symlink_to("b")
        (place / "low/b").symlink_to("a")
        assert find(below(place), b"a/f", Steps()) is None


class TestLinks:
    def test_names_are_the_very_files(self, place: Path) -> None:
        source = put(place / "low/d/f", "content")
        (place / "layer/new/er").mkdir(parents=True)
        links = record((b"g", b"d/f"), (b"new/er/h", b"d/f"))
        complete(place / "layer", below(place), links, place / "made")
        for name in ("g", "new/er/h"):
            assert (place / "made" / name).samefile(source)
        assert source.stat().st_nlink == 3

    def test_a_link_that_leads_through_too_many_directories_is_refused(self, place: Path) -> None:
        put(place / "low/d/f")
        (place / "low/long").symlink_to("d/../" * 200 + ".")
        path = b"long/" * 39 + b"d/f"
        assert find(below(place), path, Steps()) is not None
        with pytest.raises(Unsupported, match="too many directories"):
            find(below(place), path, Steps(10_000))

    def test_symlinks_are_linked_not_what_they_name(self, place: Path) -> None:
        target = put(place / "outside")
        (place / "low/s").symlink_to(target)
        complete(place / "layer", below(place), record((b"g", b"s")), place / "made")
        assert (place / "made/g").is_symlink()
        assert target.stat().st_nlink == 1

    def test_directories_of_the_names_look_as_in_the_layer(self, place: Path) -> None:
        put(place / "low/f")
        (place / "layer/d/e").mkdir(parents=True)
        (place / "layer/d/e").chmod(0o2711)
        (place / "layer/d").chmod(0o1770)
        os.setxattr(place / "layer/d", "user.a", b"b")
        os.utime(place / "layer/d", ns=(NS, NS))
        os.utime(place / "layer", ns=(5, 5))
        complete(place / "layer", below(place), record((b"d/e/g", b"f")), place / "made")
        status = (place / "made/d").stat()
        assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o1770, NS)
        assert os.getxattr(place / "made/d", "user.a") == b"b"
        assert stat.S_IMODE((place / "made/d/e").stat().st_mode) == 0o2711
        assert (place / "made").stat().st_mtime_ns == 5

    @pytest.mark.parametrize("target", [b"nothing", b"d", b"d/f/x"])
    def test_what_is_not_below_is_refused(self, target: bytes, place: Path) -> None:
        put(place / "low/d/f")
        with pytest.raises(Invalid, match=f"g is a hard link to {target.decode()}, which is in no"):
            complete(place / "layer", below(place), record((b"g", target)), place / "made")

    @pytest.mark.parametrize("kind", ["file", "symlink", "fifo"])
    def test_a_file_with_as_many_links_as_can_be_is_copied(self, place: Path, kind: str) -> None:
        source = place / "low/f"
        match kind:
            case "file":
                put(source, "text").chmod(0o4711)
                os.setxattr(source, "user.a", b"b")
            case "symlink":
                source.symlink_to("somewhere")
            case _:
                os.mkfifo(source, 0o620)
        os.utime(source, ns=(NS, NS), follow_symlinks=False)
        left = exhaust(source, place / "many")
        (place / "layer/d").mkdir()
        names = [b"d/%d" % number for number in range(left + 3)]
        complete(
            place / "layer", below(place), record(*((name, b"f") for name in names)), place / "made"
        )
        made = [(place / "made" / os.fsdecode(name)).lstat() for name in names]
        assert [each.st_ino for each in made[:left]] == [source.lstat().st_ino] * left
        assert {each.st_ino for each in made[left:]} == {made[-1].st_ino} != {source.lstat().st_ino}
        assert made[-1].st_nlink == 3
        copy = place / "made/d" / str(left)
        assert seen(copy) == seen(source)
        assert kind != "file" or not is_delayed(copy)  # a power cut must not leave it empty


class TestImpliedDirectories:
    DEEP = (Implied(-1, b"a"), Implied(0, b"b"), Implied(1, b"c"))

    def test_only_those_over_a_directory_that_looks_otherwise(self, place: Path) -> None:
        (place / "low/a/b").mkdir(parents=True)
        (place / "low/a/b").chmod(0o700)
        (place / "low/a").chmod(0o755)
        os.utime(place / "low/a", ns=(0, 0))
        found = dict(covered(below(place), self.DEEP))
        plain = os.geteuid() == 0  # others cannot make a directory of root's
        assert set(found) == ({b"a/b"} if plain else {b"a", b"a/b"})
        assert found[b"a/b"] == os.fsencode(place / "low/a/b")

    def test_topmost_directory_below_counts(self, place: Path) -> None:
        for layer, mode in (("low", 0o700), ("middle", 0o711)):
            (place / layer / "a").mkdir()
            (place / layer / "a").chmod(mode)
        assert dict(covered(below(place), self.DEEP)) == {b"a": os.fsencode(place / "middle/a")}

    def test_file_between_ends_the_look(self, place: Path) -> None:
        (place / "low/a").mkdir(mode=0o700)
        put(place / "middle/a")
        assert dict(covered(below(place), self.DEEP)) == {}

    def test_they_look_as_below_what_they_lie_in_as_in_the_layer(self, place: Path) -> None:
        (place / "low/d/a").mkdir(parents=True)
        (place / "low/d/a").chmod(0o1777)
        os.setxattr(place / "low/d/a", "user.a", b"b")
        os.utime(place / "low/d/a", ns=(NS, NS))
        (place / "layer/d/a/b").mkdir(parents=True)
        (place / "layer/d").chmod(0o750)
        implied = (Implied(-1, b"d/a"), Implied(0, b"b"))
        complete(place / "layer", below(place), record(implied=implied), place / "made")
        found = {path.relative_to(place / "made") for path in (place / "made").rglob("*")}
        assert found == {Path("d"), Path("d/a")}
        status = (place / "made/d/a").stat()
        assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o1777, NS)
        assert os.getxattr(place / "made/d/a", "user.a") == b"b"
        assert stat.S_IMODE((place / "made/d").stat().st_mode) == 0o750

    def test_paths_too_long_for_the_system_are_refused(self, place: Path) -> None:
        part = "p" * 200
        here = os.open(place / "low", os.O_RDONLY)
        for _ in range(25):
            os.mkdir(part, 0o700, dir_fd=here)
            inner = os.open(part, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = inner
        os.close(here)
        implied = tuple(Implied(number - 1, part.encode()) for number in range(25))
        with pytest.raises(Unsupported, match=r"cannot look at p+.*: File name too long"):
            complete(place / "layer", below(place), record(implied=implied), place / "made")
