"""What is mounted in this mount namespace.  Spec: proc_pid_mountinfo(5)."""

from __future__ import annotations

import re
from pathlib import Path

_ESCAPE = re.compile(r"\\([0-7]{3})")


def mount_points() -> set[str]:
    """The absolute paths of all mountpoints that this process sees."""
    text = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
    return {_plain(line.split(" ")[4]) for line in text.splitlines()}


def _plain(path: str) -> str:
    """A path without the escapes of spaces, tabs, newlines and backslashes."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), path)
