"""What is left behind when making a base image is stopped."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from corten.config.settings import Settings
from corten.engine.bootstrap import BootstrapOptions, bootstrap
from corten.engine.host import Host
from corten.errors import Cancelled, Unavailable
from corten.events.job import Job
from corten.events.model import Event, Output

pytestmark = pytest.mark.root

# As mmdebstrap does, it mounts in the tree and has children; it is killed before it cleans up.
_HELPER = """#!/bin/sh
for tree; do :; done
mkdir -p "$tree/proc"
mount -t tmpfs none "$tree/proc"
touch "$tree/proc/mounted"
sleep 3598 &
echo "$!" >&2
wait
"""


def _helper(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    folder.mkdir()
    program = folder / "mmdebstrap"
    program.write_text(text)
    program.chmod(0o755)
    monkeypatch.setenv("CORTEN_HELPERS", str(folder))


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ("Z", "X")


def test_a_cancelled_bootstrap_leaves_no_mount_process_or_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _helper(tmp_path / "helpers", monkeypatch, _HELPER)
    children: list[int] = []

    def emit(event: Event) -> None:
        if isinstance(event, Output):
            children.append(int(event.data))
            assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
            raise Cancelled("cancelled")

    root = tmp_path / "root"
    with Host(Settings(root, "overlay")) as host, pytest.raises(Cancelled):
        bootstrap(host, BootstrapOptions(name="debian:bookworm"), Job(emit))
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    assert [path.name for path in root.iterdir() if path.name.startswith("bootstrap-")] == []
    (child,) = children
    deadline = time.monotonic() + 5
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _runs(child)


def test_a_failing_bootstrap_says_why_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _helper(
        tmp_path / "helpers", monkeypatch, "#!/bin/sh\necho 'E: the mirror is away' >&2\nexit 1\n"
    )
    root = tmp_path / "root"
    with (
        Host(Settings(root, "overlay")) as host,
        pytest.raises(Unavailable, match="the mirror is away"),
    ):
        bootstrap(host, BootstrapOptions(name="debian:bookworm"), Job())
    assert host.store.names() == ()
    host.close()
    assert [path.name for path in root.iterdir() if path.name.startswith("bootstrap-")] == []
