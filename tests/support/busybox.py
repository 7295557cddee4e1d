"""An image of one static binary, built by the real command: the fastest real base image."""

from __future__ import annotations

import shutil
from pathlib import Path

from support.commands import corten

NAME = "busybox"


def context(folder: Path) -> Path:
    """A build context with Debian's static busybox."""
    folder.mkdir(parents=True, exist_ok=True)
    binary = shutil.which("busybox")
    assert binary is not None, "busybox-static is missing: make setup-test"
    shutil.copy(binary, folder / "busybox")
    (folder / "Dockerfile").write_text(
        "FROM scratch\n"
        "COPY busybox /bin/busybox\n"
        'RUN ["/bin/busybox", "--install", "-s", "/bin"]\n'
        'CMD ["sh"]\n'
    )
    return folder


def build(root: Path, scratch: Path) -> str:
    """Build the image in `root`; returns its name."""
    done = corten("build", "-q", "-t", NAME, str(context(scratch)), root=root)
    assert done.returncode == 0, done.stderr
    return NAME
