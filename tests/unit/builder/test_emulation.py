"""Which platforms' programs run here, by what binfmt_misc has."""

from __future__ import annotations

from pathlib import Path

import pytest

from corten.builder.emulation import check_runs
from corten.errors import Unsupported
from corten.oci.platform import Platform
from support.foreign import arm64_mkdir

AMD64 = Platform.parse("linux/amd64")
ARM64 = Platform.parse("linux/arm64")
QEMU = """enabled
interpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P
flags: {flags}
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
"""


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    (tmp_path / "status").write_text("enabled\n")
    (tmp_path / "register").write_text("")
    (tmp_path / "qemu-aarch64").write_text(QEMU.format(flags="POF"))
    (tmp_path / "python").write_text("enabled\ninterpreter /p\nflags:\noffset 0\nmagic a70d0d0a\n")
    (tmp_path / "jar").write_text("enabled\ninterpreter /j\nflags:\nextension .jar\n")
    (tmp_path / "odd").write_text("enabled\nmagic xyz\noffset many\n")
    return tmp_path


def test_what_an_emulator_is_registered_for_runs(registry: Path) -> None:
    check_runs(ARM64, AMD64, registry)
    # What the emulator takes are the programs of that platform.
    magic = bytes.fromhex("7f454c460201010000000000000000000200b700")
    mask = bytes.fromhex("ffffffffffffff00fffffffffffffffffeffffff")
    start = arm64_mkdir("/x")[: len(magic)]
    assert all(a & m == b & m for a, b, m in zip(start, magic, mask, strict=True))


@pytest.mark.parametrize("pair", [(AMD64, AMD64), (Platform.parse("386"), AMD64)])
def test_what_the_processor_runs_itself_needs_none(
    tmp_path: Path, pair: tuple[Platform, Platform]
) -> None:
    check_runs(*pair, tmp_path / "nothing")


@pytest.mark.parametrize("wanted", ["linux/riscv64", "linux/s390x", "windows/amd64", "linux/odd"])
def test_others_are_refused_with_what_is_missing(registry: Path, wanted: str) -> None:
    with pytest.raises(Unsupported, match=f"a RUN for {wanted} cannot run") as caught:
        check_runs(Platform.parse(wanted), AMD64, registry)
    assert "qemu-user-static" in caught.value.hint


@pytest.mark.parametrize("change", ["entry", "status", "gone"])
def test_what_is_switched_off_does_not_count(registry: Path, change: str) -> None:
    if change == "entry":
        text = QEMU.format(flags="F").replace("enabled", "disabled")
        (registry / "qemu-aarch64").write_text(text)
    elif change == "status":
        (registry / "status").write_text("disabled\n")
    else:
        (registry / "qemu-aarch64").unlink()
    with pytest.raises(Unsupported, match="cannot run on this machine"):
        check_runs(ARM64, AMD64, registry)


def test_an_emulator_that_containers_cannot_see_is_refused(registry: Path) -> None:
    (registry / "qemu-aarch64").write_text(QEMU.format(flags="PO"))
    with pytest.raises(Unsupported, match="without the flag F"):
        check_runs(ARM64, AMD64, registry)
