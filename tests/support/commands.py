"""The real command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

COMMAND = (sys.executable, "-m", "corten")


def environment(root: Path | None = None, **more: str) -> dict[str, str]:
    """The environment of a corten that keeps everything below `root`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("CORTEN_")}
    kept |= {"PYTHONUTF8": "1", "TERM": "xterm-256color", **more}
    return kept | ({"CORTEN_ROOT": str(root)} if root else {})


def corten(
    *arguments: str,
    root: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Run ``corten ARGUMENTS``; its status, output and messages."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=dict(env) if env is not None else environment(root),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        check=False,
    )
