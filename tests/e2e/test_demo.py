"""`make demo`: the main job, as a user sees it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[2] / "examples" / "demo.py"


@pytest.mark.root
@pytest.mark.network
@pytest.mark.e2e
@pytest.mark.timeout(1200)
def test_the_demo_shows_all_it_promises_and_leaves_nothing() -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CORTEN_")}
    done = subprocess.run(
        [sys.executable, str(DEMO)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=1100,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    for said in (
        "ok: the same packages give the same image",
        "Hello World. Wish you were here.",
        "Hello Sean and Karl. Wish you were here.",
        "ok: the same image came back",
        "ok: under the same digest",
        "ok: no new mounts",
        "ok: no new processes",
    ):
        assert said in done.stdout
