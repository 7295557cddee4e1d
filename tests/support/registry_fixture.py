"""The fixture that most tests of the registry use: one server a module, new repositories a test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from support.registry_server import ServerProcess, corten_registry

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Our registry on loopback."""
    with corten_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def name() -> str:
    """A repository that no other test uses."""
    return f"team/app{next(_numbers)}"
