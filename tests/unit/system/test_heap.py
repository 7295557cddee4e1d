"""What is freed is kept: in processes of their own, for it holds until the end."""

from __future__ import annotations

import subprocess
import sys

import pytest

from corten.system.heap import LARGE

_WORK = """
import resource, sys
from corten.system.heap import keep_freed_memory
keep_freed_memory(int(sys.argv[1]))
keep_freed_memory(int(sys.argv[1]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    one, another = bytearray(1 << 20), bytearray(1 << 20)
    del one, another
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, "ctypes" in sys.modules)
"""


def faults(size: int) -> tuple[int, bool]:
    """Pages that were brought in anew by work in pieces of a MiB, and whether that was prepared."""
    done = subprocess.run(
        [sys.executable, "-c", _WORK, str(size)], capture_output=True, text=True, check=True
    )
    count, prepared = done.stdout.split()
    return int(count), prepared == "True"


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_memory_is_brought_in_once() -> None:
    pages_of_two = 2 * (1 << 20) // 4096
    count, prepared = faults(LARGE)
    assert prepared
    assert count < 2 * pages_of_two
    assert faults(LARGE - 1)[0] > 5 * pages_of_two


def test_nothing_is_loaded_for_what_is_small() -> None:
    assert faults(LARGE - 1)[1] is False
