"""A process that crashes operations on demand: ``python -m support.crash_server FOLDER REGISTRY``.

It has imported everything, and forks for every point, so a crash and its check cost
tens of milliseconds.  Requests and answers are lines of JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.crash_store import (
    OPERATIONS,
    Place,
    copy_stock,
    difference,
    faults,
    gc,
    inventory,
    leftovers,
    make_stock,
    remove_containers,
)
from support.crashing import run_until

PATIENCE = 60
"""Seconds that a point may take."""


class Server:
    """Crashes operations on copies of one stock below `folder`."""

    def __init__(self, folder: Path, registry: str) -> None:
        self._template = folder / "template"
        self._root = folder / "root"
        self._folder = folder
        self._registry = registry
        self._place = Place(self._root, folder, registry)
        self._wanted: dict[tuple[str, ...], Counter[str]] = {}

    def prepare(self) -> None:
        """Make the stock."""
        # At the path that it will have, which the store may have written down.
        _succeed(lambda: make_stock(self._place))
        self._root.rename(self._template)

    def answer(self, do: str, names: list[str], number: int = 0, root: str = "") -> Any:
        """Do what a request asks."""
        if do == "count":
            copy_stock(self._template, self._root)
            ending = run_until(0, lambda: OPERATIONS[names[0]](self._place))
            # The last call was the report that it is over.
            return ending.error or ending.calls - 1
        if do == "copy":
            copy_stock(self._template, Path(root))
            return ""
        if do == "check":
            return self._checked(names, Place(Path(root), self._folder, self._registry), number)
        copy_stock(self._template, self._root)
        ending = run_until(number, lambda: OPERATIONS[names[0]](self._place))
        if ending.error:
            return ["", f"it failed by itself: {ending.error}"]
        return [ending.killed, self._checked(names, self._place, number)]

    def _checked(self, names: list[str], place: Place, number: int) -> str:
        """Errors after a crash in the operations `names`.

        By parity of `number` the next command is the same again, or gc.
        """
        wanted = self._reference(tuple(names))
        stock = self._reference(())
        return _forked(lambda: _check(place, names, wanted, stock if number % 2 == 0 else None))

    def _reference(self, names: tuple[str, ...]) -> Counter[str]:
        """What a store has after the operations and gc, without any crash."""
        if names not in self._wanted:
            place = self._place._replace(root=self._folder / "reference")
            copy_stock(self._template, place.root)

            def work() -> str:
                for name in names:
                    OPERATIONS[name](place)
                gc(place)
                if found := "\n".join(faults(place)):
                    raise AssertionError(found)
                return json.dumps(inventory(place))

            try:
                self._wanted[names] = Counter(json.loads(text := _forked(work)))
            except json.JSONDecodeError:
                raise AssertionError(text) from None
        return self._wanted[names]


def _check(place: Place, names: list[str], wanted: Counter[str], stock: Counter[str] | None) -> str:
    """All that must hold after a crash; a text of what does not.

    With what the `stock` has, which nothing was done to, gc comes before anything else.
    """
    found = [f"at once: {fault}" for fault in faults(place)]
    if stock is not None:
        remove_containers(place)
        gc(place)
        found += [f"after gc: {fault}" for fault in faults(place)]
        found += [
            f"gc left {what}"
            for what in (inventory(place) - (wanted | stock))
            # Kept for a day to be resumed; names and rows are before or after.
            if not what.endswith(".part") and "/" in what and "blobs" not in what
        ]
    for name in names:
        OPERATIONS[name](place)
    found += [f"after it was done again: {fault}" for fault in faults(place)]
    remove_containers(place)
    gc(place)
    found += [f"in the end: {fault}" for fault in faults(place)]
    found += difference(inventory(place), wanted)
    found += leftovers(place)
    return "\n".join(found)


def _forked(work: Callable[[], str]) -> str:
    """What `work` returns in a fork of this process, else its traceback."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(PATIENCE)
        try:
            text = work()
        except BaseException:
            text = traceback.format_exc()
        with open(writing, "w") as answer:
            answer.write(text)
        os._exit(0)
    os.close(writing)
    with open(reading) as said:
        text = said.read()
    status = os.waitpid(pid, 0)[1]
    return text if status == 0 else f"{text} ended with {os.waitstatus_to_exitcode(status)}"


def _succeed(work: Callable[[], object]) -> None:
    if text := _forked(lambda: str(work() or "")):
        raise AssertionError(text)


def main(folder: str, registry: str) -> None:
    """Answer requests until there are no more."""
    server = Server(Path(folder), registry)
    server.prepare()
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps(server.answer(**json.loads(line))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
