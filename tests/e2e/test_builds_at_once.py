"""Two builds of one Dockerfile at the same time share their work through the store."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from support.building import BUSYBOX, needs_busybox
from support.commands import COMMAND, corten, environment

pytestmark = [pytest.mark.root, pytest.mark.e2e]

DOCKERFILE = """FROM scratch
COPY --chmod=755 busybox /bin/busybox
RUN ["/bin/busybox", "sh", "-c", "/bin/busybox sleep SECONDS && /bin/busybox cat /proc/sys/kernel/random/uuid > /lot"]
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    needs_busybox()
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "busybox").write_bytes(BUSYBOX.read_bytes())
    return folder


def begin(root: Path, context: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "--progress=plain", "build", str(context)],
        env=environment(root),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until_it_runs(root: Path) -> None:
    end = time.monotonic() + 30
    while not list(root.glob("run/steps/*/pid")):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_second_waits_and_takes_what_the_first_made(tmp_path: Path, context: Path) -> None:
    (context / "Dockerfile").write_text(DOCKERFILE.replace("SECONDS", "2"))
    root = tmp_path / "root"
    first = begin(root, context)
    wait_until_it_runs(root)
    second = begin(root, context)
    outputs = [build.communicate(timeout=60) for build in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), outputs
    assert outputs[0][0] == outputs[1][0]  # the step draws lots
    assert "which runs this step" in outputs[1][1]
    assert not list((root / "content/ingest").iterdir())


def test_the_second_goes_on_where_the_first_was_killed(tmp_path: Path, context: Path) -> None:
    (context / "Dockerfile").write_text(DOCKERFILE.replace("SECONDS", "1"))
    root = tmp_path / "root"
    first = begin(root, context)
    wait_until_it_runs(root)
    second = begin(root, context)
    assert second.stderr is not None
    for line in second.stderr:
        if "which runs this step" in line:
            break
    first.kill()
    first.communicate(timeout=30)
    _, said = second.communicate(timeout=60)
    assert second.returncode == 0, said
    assert corten("gc", root=root).returncode == 0
