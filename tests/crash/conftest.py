"""A disk in memory, a registry, and two crash servers (one a core) for all tests of crashes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.crasher import Crasher, crasher
from support.crashing import SUPPORTED
from support.disks import MEMORY, disk
from support.registry_server import corten_registry

WORKERS = 2


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a registry that anybody may write to."""
    if os.geteuid() != 0 or not SUPPORTED:
        pytest.skip("needs root on x86-64")
    with corten_registry(tmp_path_factory.mktemp("registry"), "write") as server:
        yield server.host


@pytest.fixture(scope="session")
def crashers(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Crasher]]:
    """Crash servers on a fresh file system in memory."""
    folder = tmp_path_factory.mktemp("crash")
    image = MEMORY / f"corten-crash-{os.getpid()}.img"
    with ExitStack() as stack:
        place: Path = stack.enter_context(disk(image, folder / "disk", 1024))
        yield [stack.enter_context(crasher(place / str(i), registry)) for i in range(WORKERS)]
