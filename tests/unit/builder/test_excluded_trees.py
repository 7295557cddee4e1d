"""What an ignore file leaves out is not even opened."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import os, sys
from pathlib import Path
from corten.builder.context import open_context
from corten.builder.walk import count_names, walk

seen = []
def hook(event, args):
    if event in ("os.listdir", "os.scandir") and isinstance(args[0], int):
        seen.append("/" + os.path.relpath(os.readlink(f"/proc/self/fd/{args[0]}"), root))
    elif event == "open" and isinstance(args[0], str):
        seen.append(args[0])

root = os.path.realpath(sys.argv[1])
context = open_context(Path(root))
sys.addaudithook(hook)
with context.tree() as tree:
    found = [item.path for item in walk(tree, "")]
    count_names(tree, "", 100)
    tree.find("/*/*")
print("\\n".join(sorted(found)))
print("--")
print("\\n".join(sorted({each for each in seen if not each.startswith("/proc")})))
"""


@pytest.mark.parametrize(
    ("patterns", "kept", "closed"),
    [
        ("out\n", {"keep", "keep/a", "s", "s/z"}, {"out", "deep"}),
        ("out/\n**/deep\ns/**\n", {"keep", "keep/a", "s"}, {"out", "deep"}),
        ("*\n!keep\n", {"keep", "keep/a"}, {"out", "deep", "s"}),
        ("*\n!keep/a\n", {"keep", "keep/a"}, {"out", "deep", "s"}),
        ("out\n!out/deep/x\n", {"keep", "keep/a", "s", "s/z", "out", "out/deep", "out/deep/x"}, {"other"}),
        ("\ufeff# all\r\nout\r\n", {"keep", "keep/a", "s", "s/z"}, {"out", "deep"}),
    ],
)  # fmt: skip
def test_excluded_trees_are_not_entered(
    tmp_path: Path, patterns: str, kept: set[str], closed: set[str]
) -> None:
    for name in ("keep/a", "s/z", "out/deep/x", "out/y", "out/other/z"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    os.mkfifo(tmp_path / "out" / "fifo")
    (tmp_path / ".dockerignore").write_text(patterns)
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(tmp_path)],
        capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    found, _, opened = done.stdout.partition("\n--\n")
    assert set(found.splitlines()) - {".dockerignore"} == kept
    names = {Path(line).name for line in opened.splitlines()}
    assert "keep" in names
    assert names & closed == set()
