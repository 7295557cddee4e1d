"""Files that are left to the kernel say so until somebody has looked, or waited for the disk."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.system.settling import is_marked, is_settled, leave_to_kernel, settle

MARK = "user.corten.unsettled"


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    with (tmp_path / "tar").open("wb") as file:
        file.write(b"bytes")
        file.flush()
        yield file.fileno()


def test_what_was_left_to_the_kernel_is_believed_while_the_machine_runs(fd: int) -> None:
    leave_to_kernel(fd)
    assert is_marked(fd)
    assert is_settled(fd)


def test_the_mark_of_an_earlier_boot_is_not_believed(fd: int) -> None:
    os.setxattr(fd, MARK, b"6f1f2d3c-0000-4000-8000-000000000000")
    assert not is_settled(fd)


def test_a_mark_without_a_boot_is_not_believed(fd: int) -> None:
    os.setxattr(fd, MARK, b"")
    assert not is_settled(fd)


def test_settling_takes_the_mark_off(fd: int) -> None:
    leave_to_kernel(fd)
    settle(fd)
    assert not is_marked(fd)
    settle(fd)
    assert is_settled(fd)


def test_the_mark_goes_with_every_name_of_the_file(tmp_path: Path, fd: int) -> None:
    leave_to_kernel(fd)
    (tmp_path / "data").hardlink_to(tmp_path / "tar")
    assert is_marked(tmp_path / "data")


def test_what_is_not_there_has_nothing_to_settle(tmp_path: Path) -> None:
    assert is_settled(tmp_path / "missing")
    assert not is_marked(tmp_path / "missing" / "below")


def test_where_no_mark_can_be_the_disk_is_waited_for(tmp_path: Path) -> None:
    # A pipe has no attributes, and cannot be synced either: the error shows that it was tried.
    read, write = os.pipe()
    try:
        with pytest.raises(OSError, match="Invalid argument"):
            leave_to_kernel(write)
    finally:
        os.close(read)
        os.close(write)


def test_another_process_of_the_same_boot_believes_the_mark(tmp_path: Path, fd: int) -> None:
    leave_to_kernel(fd)
    code = (
        "import sys; from corten.system.settling import is_settled; print(is_settled(sys.argv[1]))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "tar")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "True\n"
