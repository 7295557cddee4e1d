"""``fsck.erofs`` of a newer Debian: the one in Debian 12 refuses blocks of 512 bytes.

The packages come by apt from where this machine gets its own, from the next stable
release, into a directory of the session: nothing is installed.  The program runs with
the dynamic linker and libraries that it was built for.
"""

from __future__ import annotations

import functools
import hashlib
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from corten.snapshot.stacks import walk_stacks

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
_STACK = 1 << 30
_READ = 1 << 28
"""Data up to so many bytes are read as well: not the holes of large sparse files."""

_accepted: set[bytes] = set()
_kept: list[tempfile.TemporaryDirectory[str]] = []


class Fsck:
    """The program, ready to be called."""

    def __init__(self, root: Path) -> None:
        libraries = root / "usr/lib/x86_64-linux-gnu"
        linker = libraries / "ld-linux-x86-64.so.2"
        program = root / "usr/bin/fsck.erofs"
        # It calls itself for every directory in a directory, with paths on the stack.
        self._command = ["prlimit", f"--stack={_STACK}"]
        self._command += [str(linker), "--library-path", str(libraries), str(program)]

    def check(self, index: Path, devices: Sequence[Path]) -> str:
        """What is wrong with an image; empty: nothing.  All data is read, too, if it is not huge."""
        reading = sum(device.stat().st_size for device in devices) <= _READ
        command = [*self._command, *(["--extract"] if reading else [])]
        command += [f"--device={device}" for device in devices]
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


def indexes(root: Path) -> Iterator[tuple[Path, list[Path]]]:
    """All indexes under a root, of layers and merged ones, with the data that they point into."""
    for path in root.glob("layers/erofs/[0-9a-f]*"):
        if (path / "layer.json").exists():
            yield path / "index", [path / "data"]
    for path, record in walk_stacks(root):
        if path.parent.name == "erofs":
            layers = [root / "layers/erofs" / each.partition(":")[2] for each in record.devices]
            yield path / "index", [layer / "data" for layer in layers]


def assert_accepted(root: Path) -> None:
    """The program accepts all indexes under a root, where it can be had; each is tried once."""
    fsck = _provide()
    if isinstance(fsck, Fsck):
        for index, devices in indexes(root):
            key = hashlib.sha256(index.read_bytes()).digest()
            if key not in _accepted:
                wrong = fsck.check(index, devices)
                assert not wrong, f"{index}: {wrong}"
                _accepted.add(key)


@contextmanager
def accepted(*roots: Path) -> Iterator[None]:
    """All indexes that lie under `roots` at the end of the block are accepted."""
    yield
    for root in roots:
        assert_accepted(root)


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
