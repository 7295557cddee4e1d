"""The root of a Debian, as a tar: its essential packages, by apt from where this machine gets its own."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

_SECONDS = 300
_kept: list[tempfile.TemporaryDirectory[str]] = []


def debian_root() -> Path:
    """The tar, made once a session; skips the test, with a reason, where it cannot be had."""
    found = _provide()
    if isinstance(found, str):
        pytest.skip(f"no Debian root: {found}")
    return found


@functools.cache
def _provide() -> Path | str:
    if not shutil.which("mmdebstrap"):
        return "mmdebstrap is not installed"
    if os.geteuid() != 0:
        return "needs root"
    place = tempfile.TemporaryDirectory(prefix="corten-debian-")
    _kept.append(place)  # until the session ends
    tar = Path(place.name, "debian.tar")
    command = ["mmdebstrap", "--mode=root", "--variant=extract", "--include=?essential"]
    command += ["--quiet", "bookworm", str(tar)]
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)
    except subprocess.CalledProcessError as error:
        return str(error.stderr)[-300:]
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return tar
