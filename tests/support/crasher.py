"""The test's side of :mod:`support.crash_server`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.crash_store import Place

_TESTS = Path(__file__).parents[1]


class Crasher:
    """A server that crashes operations, in a folder of its own.  One request at a time."""

    def __init__(self, folder: Path, process: subprocess.Popen[str]) -> None:
        self.folder = folder
        self._process = process

    def place(self, registry: str, name: str) -> Place:
        """Where copies of its stock may go."""
        return Place(self.folder / name, self.folder, registry, f"pushed-{self.folder.name}")

    def ask(self, do: str, *names: str, number: int = 0, root: Path | None = None) -> Any:
        """Its answer to a request; see :meth:`support.crash_server.Server.answer`."""
        request = {"do": do, "names": names, "number": number, "root": str(root or "")}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the crash server ended"
        answer = json.loads(line)
        assert "value" in answer, answer["failed"]
        return answer["value"]


@contextmanager
def crasher(folder: Path, registry: str) -> Iterator[Crasher]:
    """A server with its stock made."""
    folder.mkdir(parents=True)
    with subprocess.Popen(
        [sys.executable, "-m", "support.crash_server", str(folder), registry],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{_TESTS.parent / 'src'}:{_TESTS}"},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline(), "the crash server did not start"
        yield Crasher(folder, process)
        assert process.stdin is not None
        process.stdin.close()
