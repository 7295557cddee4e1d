"""``fsck.erofs`` of a newer Debian: the one in Debian 12 refuses blocks of 512 bytes.

The packages come by apt from where this machine gets its own, from the next stable
release, into a directory of the session: nothing is installed.  The program runs with
the dynamic linker and libraries that it was built for.
"""

from __future__ import annotations

import functools
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

_SUITE = "trixie"
_PACKAGES = (
    "erofs-utils",
    "libc6",
    "libdeflate0",
    "libgcc-s1",
    "liblz4-1",
    "liblzma5",
    "libpcre2-8-0",
    "libselinux1",
    "libuuid1",
    "libxxhash0",
    "libzstd1",
    "zlib1g",
)
_SECONDS = 120

_kept: list[tempfile.TemporaryDirectory[str]] = []


class Fsck:
    """The program, ready to be called."""

    def __init__(self, root: Path) -> None:
        libraries = root / "usr/lib/x86_64-linux-gnu"
        linker = libraries / "ld-linux-x86-64.so.2"
        program = root / "usr/bin/fsck.erofs"
        self._command = [str(linker), "--library-path", str(libraries), str(program)]

    def check(self, index: Path, devices: Sequence[Path]) -> str:
        """What is wrong with an image; empty: nothing.  All data is read, too."""
        command = [*self._command, "--extract", *(f"--device={device}" for device in devices)]
        done = subprocess.run(
            [*command, str(index)], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
        if done.returncode == 0 and not done.stderr.strip():
            return ""
        return f"status {done.returncode}: {done.stdout}{done.stderr}"


def fsck_erofs() -> Fsck:
    """The program; skips the test, with a reason, where it cannot be had."""
    found = _provide()
    if isinstance(found, str):
        pytest.skip(found)
    return found


@functools.cache
def _provide() -> Fsck | str:
    try:
        place = tempfile.TemporaryDirectory(prefix="corten-erofs-utils-")
        _kept.append(place)  # until the session ends
        return _fetch(Path(place.name))
    except (OSError, subprocess.SubprocessError, StopIteration) as error:
        return f"there is no newer fsck.erofs: {error}"


def _fetch(place: Path) -> Fsck:
    sites = _run("apt-get", "indextargets", "--format", "$(SITE) $(RELEASE) $(CREATED_BY)")
    own = [line.split() for line in sites.splitlines() if line.endswith(" Packages")]
    site = next(words[0] for words in own if words[1] == "bookworm")
    for name in ("state/lists/partial", "cache/archives/partial", "root", "packages"):
        (place / name).mkdir(parents=True)
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (place / "sources.list").write_text(f"deb [signed-by={keyring}] {site} {_SUITE} main\n")
    options = {
        "APT::Sandbox::User": "root",
        "Dir::State": f"{place}/state",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": f"{place}/cache",
        "Dir::Etc::sourcelist": f"{place}/sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
    }
    apt = ["apt-get", "-q", *(f"-o{key}={value}" for key, value in options.items())]
    _run(*apt, "update")
    _run(*apt, "download", *_PACKAGES, cwd=place / "packages")
    for package in (place / "packages").iterdir():
        _run("dpkg-deb", "-x", str(package), str(place / "root"))
    return Fsck(place / "root")


def _run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=_SECONDS, check=True
    )
    return done.stdout
