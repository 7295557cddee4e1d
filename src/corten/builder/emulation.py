"""Whether this machine runs programs of another platform: by itself, or through binfmt_misc.

Spec: Linux, Documentation/admin-guide/binfmt-misc.rst; ELF gABI, "ELF Header".
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from corten.errors import Unsupported
from corten.oci.platform import Platform

BINFMT = Path("/proc/sys/fs/binfmt_misc")
_MACHINE = 18
"""Where an ELF header says which processor it is for: two bytes."""


class _Elf(NamedTuple):
    bits: int
    little: bool
    machine: int


_ELF = {
    "386": _Elf(32, True, 3),
    "amd64": _Elf(64, True, 62),
    "arm": _Elf(32, True, 40),
    "arm64": _Elf(64, True, 183),
    "loong64": _Elf(64, True, 258),
    "mips64le": _Elf(64, True, 8),
    "mipsle": _Elf(32, True, 8),
    "ppc64le": _Elf(64, True, 21),
    "riscv64": _Elf(64, True, 243),
    "s390x": _Elf(64, False, 22),
}
_NATIVE = {("amd64", "386"), ("arm64", "arm")}
"""Pairs of a processor and another whose programs it usually runs as well."""


def check_runs(wanted: Platform, host: Platform, registry: Path = BINFMT) -> None:
    """See that a RUN for `wanted` can run on `host`.

    `registry` is the directory of binfmt_misc.  Raises: Unsupported: another operating system,
    or no emulator is registered for the processor, or one that a container cannot see.
    """
    pair = (host.architecture, wanted.architecture)
    if wanted.os == host.os and (pair[0] == pair[1] or pair in _NATIVE):
        return
    found = _emulator(wanted, registry) if wanted.os == host.os == "linux" else None
    if found is None:
        raise Unsupported(
            f"a RUN for {wanted} cannot run on this machine, which is {host}",
            hint="install qemu-user-static (and see that binfmt_misc is mounted);"
            " builds that only copy need no emulator",
        )
    if "F" not in found:
        raise Unsupported(
            f"the emulator for {wanted} is registered without the flag F,"
            " so that containers do not find it",
            hint="register it again: qemu-user-static of Debian does it with F",
        )


def _emulator(wanted: Platform, registry: Path) -> str | None:
    """The flags of what is registered for the platform's programs; None: nothing."""
    elf = _ELF.get(wanted.architecture)
    try:
        enabled = (registry / "status").read_text().strip() == "enabled"
        entries = sorted(path for path in registry.iterdir() if path.name not in _CONTROL)
    except OSError:
        return None
    if elf is None or not enabled:
        return None
    header = _header(elf)
    for path in entries:
        try:
            fields = _fields(path.read_text(errors="replace"))
        except OSError:
            continue  # it was taken away meanwhile
        if _takes(fields, header):
            return fields.get("flags:", "")
    return None


_CONTROL = ("register", "status")


def _header(elf: _Elf) -> bytes:
    """The beginning of a program of that kind."""
    order: Literal["little", "big"] = "little" if elf.little else "big"
    start = b"\x7fELF" + bytes([elf.bits // 32, 1 if elf.little else 2, 1])
    return start.ljust(16, b"\0") + (2).to_bytes(2, order) + elf.machine.to_bytes(2, order)


def _fields(text: str) -> dict[str, str]:
    """An entry's lines: ``enabled`` or ``disabled``, then names and values."""
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    return {line[0]: line[1] if len(line) > 1 else "" for line in lines}


def _takes(fields: dict[str, str], header: bytes) -> bool:
    """Whether the entry is for programs that begin with `header`."""
    try:
        offset = int(fields.get("offset", "0"))
        magic = bytes.fromhex(fields.get("magic", ""))
        mask = bytes.fromhex(fields.get("mask", "")) or b"\xff" * len(magic)
    except ValueError:
        return False
    part = header[offset : offset + len(magic)]
    if "enabled" not in fields or offset or len(magic) < _MACHINE + 2 or len(part) < len(magic):
        return False
    return all(a & m == b & m for a, b, m in zip(part, magic, mask, strict=False))
