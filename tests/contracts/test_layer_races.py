"""Processes that apply, complete, merge and mount layers while others prune them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from corten.oci.digest import Digest
from corten.snapshot.probing import choose
from support.commands import environment
from support.disks import MEMORY, disk
from support.layer_races import LAYERS

pytestmark = pytest.mark.root

TESTS = Path(__file__).resolve().parents[1]
WHOLE, PRUNED = 40, 15


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "support.layer_races", *map(str, arguments)],
        env=environment(PYTHONPATH=str(TESTS)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def outcome(process: subprocess.Popen[str]) -> Counter[str]:
    said, _ = process.communicate(timeout=120)
    return Counter(json.loads(said))


@pytest.mark.parametrize("driver", ["erofs", "overlay"])
def test_a_snapshot_is_whole_or_its_layers_are_gone_while_others_prune(
    driver: str, tmp_path: Path
) -> None:
    with disk(MEMORY / f"corten-races-{os.getpid()}", tmp_path / "disk", 64) as place:
        root, tars = place / "root", place / "tars"
        tars.mkdir()
        for number, data in enumerate(LAYERS):
            (tars / f"{number}-{Digest.of(data).encoded}").write_bytes(data)
        pruners = [start("prune", root, driver, PRUNED) for _ in range(2)]
        users = [start("use", root, driver, tars, seed, WHOLE) for seed in range(3)]
        try:
            pruned = sum(map(outcome, pruners), Counter[str]())
            used = sum(map(outcome, users), Counter[str]())
        finally:
            for process in (*pruners, *users):
                process.kill()
                process.communicate()
        assert set(used) <= {"whole", "gone"}, used
        assert set(pruned) == {"pruned"}, pruned
        choose(root, driver).prune([])
        left = [*root.glob("layers/*/*"), *root.glob("stacks/*/*"), *root.glob("snapshots/*")]
        assert {path.name for path in left} <= {".lock", ".mending", "skeleton"}
