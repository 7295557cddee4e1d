"""``corten build --debug``: a shell in the step that failed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from support import busybox
from support.building import needs_busybox
from support.commands import corten
from support.terminal import Terminal

pytestmark = [pytest.mark.e2e, pytest.mark.root]


def test_a_shell_sees_what_the_failed_step_had_and_leaves_nothing(tmp_path: Path) -> None:
    needs_busybox()
    root = tmp_path / "root"
    busybox.build(root, tmp_path / "base")
    context = tmp_path / "context"
    context.mkdir()
    (context / "f").write_text("bound")
    (context / "Dockerfile").write_text(
        "FROM busybox\nENV A=env\n"
        "RUN --mount=target=/f,source=f --mount=type=secret,id=s,env=S echo half > /half; false\n"
    )
    command = [sys.executable, "-m", "corten", "--root", str(root), "build", "--debug"]
    env = {**os.environ, "V": "secret", "TERM": "dumb"}
    with Terminal([*command, "--secret", "id=s,env=V", str(context)], env) as terminal:
        terminal.read_until(lambda text: b"exit leaves it" in text and b"# " in text)
        terminal.type(b"echo got-$A-$(cat /half /f)-$S. ; exit 7\n")
        terminal.read_until(lambda text: b"got-env-half" in text)
        status = terminal.wait()
        shown = terminal.text.decode().replace("\r", "")
    assert "got-env-half bound-secret." in shown
    assert ">>> RUN --mount=target=/f" in shown
    assert status == 1
    assert [p.name for p in (root / "snapshots").iterdir() if p.name.startswith("build-")] == []
    assert list((root / "run/steps").iterdir()) == []
    assert str(root) not in Path("/proc/self/mounts").read_text()


def test_without_a_terminal_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    done = corten("build", "--debug", str(tmp_path), root=tmp_path / "root")
    assert done.returncode == 2
    assert "this is no terminal" in done.stderr
