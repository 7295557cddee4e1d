"""A process that crashes operations on demand: ``python -m support.crash_server FOLDER REGISTRY``.

It has imported everything that they import, and forks for every point, so a crash and its
check cost tens of milliseconds.  Requests and answers are lines of JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from support.crash_faults import Files, difference, faults, inventory, leftovers
from support.crash_operations import OPERATIONS, Operation, gc, remove_containers
from support.crash_store import Place, copy_stock, make_old, make_stock, move_stock
from support.crashing import is_over, run_until

PATIENCE = 60
"""Seconds that a point may take."""
_ENDING = 10.0
"""Seconds after which nothing that a killed command started may be there any more."""


class Reference(NamedTuple):
    """What to expect where nothing is killed.

    ``known`` are the faults of the stock, ``after_gc`` what it has after gc alone (None: gc
    refuses it), ``wanted`` what there is after the operations and gc.
    """

    known: list[str]
    after_gc: dict[str, int] | None
    wanted: dict[str, int]


class Server:
    """Crashes operations on copies of one stock below `folder`."""

    def __init__(self, folder: Path, registry: str) -> None:
        self._root = folder / "root"
        self._folder = folder
        self._place = Place(self._root, folder, registry, f"pushed-{folder.name}")
        self._references: dict[tuple[str, ...], Reference] = {}
        self._templates: dict[Callable[[Place], None] | None, Path] = {}

    def prepare(self) -> None:
        """Make the stock."""
        # At the path that it will have, which the store may have written down.
        _forked(lambda: make_stock(self._place))
        self._templates[None] = self._folder / "template"
        move_stock(self._root, self._templates[None])

    def answer(self, do: str, names: list[str], number: int = 0, root: str = "") -> Any:
        """Do what a request asks."""
        operations = [OPERATIONS[name] for name in names]
        place = self._place._replace(root=Path(root)) if root else self._place
        if do == "count":
            self._reference(names)
            self._fresh(place, operations)
            ending = run_until(0, lambda: operations[0].run(place))
            # The last call was the report that it is over.
            return ending.error or ending.calls - 1
        if do == "copy":
            self._fresh(place, operations)
            return ""
        if do == "check":
            return self._checked(names, place, number)
        self._fresh(place, operations)
        ending = run_until(number, lambda: operations[0].run(place))
        if ending.error:
            return ["", f"it failed by itself: {ending.error}"]
        return [ending.killed, self._checked(names, place, number)]

    def _fresh(self, place: Place, operations: list[Operation]) -> None:
        """Put the stock that the operations need into the root."""
        prepare = next((o.prepare for o in operations if o.prepare is not None), None)
        if prepare not in self._templates:
            copy_stock(self._templates[None], self._root)
            assert prepare is not None
            _forked(lambda: prepare(self._place))
            make_old(self._place)
            self._templates[prepare] = self._folder / f"template{len(self._templates)}"
            move_stock(self._root, self._templates[prepare])
        copy_stock(self._templates[prepare], place.root)
        for operation in operations:
            operation.reset(place)

    def _checked(self, names: list[str], place: Place, number: int) -> str:
        """Errors after a crash in the operations `names`.

        By parity of `number` the next command is the same again, or gc.
        """
        reference = self._reference(names)
        try:
            found = _forked(lambda: _check(place, names, reference, gc_first=number % 2 == 0))
        except AssertionError as error:
            found = [str(error)]
        if not is_over(_ENDING):
            found.append("something that it started lives on")
        return "\n".join(found)

    def _reference(self, names: list[str]) -> Reference:
        """What a store has after the operations and gc, without any crash."""
        key = tuple(names)
        if key not in self._references:
            place = self._place._replace(root=self._folder / "reference")
            operations = [OPERATIONS[name] for name in names]
            self._fresh(place, operations)
            known, after_gc = _forked(lambda: _without(place))
            self._fresh(place, operations)
            wanted, modules = _forked(lambda: _with(place, operations))
            self._references[key] = Reference(known, after_gc, wanted)
            # What is imported here is imported in no fork again.
            for module in modules:
                with suppress(ImportError):
                    importlib.import_module(module)
        return self._references[key]


def _without(place: Place) -> tuple[list[str], Counter[str] | None]:
    """Faults of a stock as it is, and what it has after gc."""
    known = _anywhere(faults(place), place)
    try:
        gc(place)
    except AssertionError:
        return known, None
    return known, inventory(place)


def _with(place: Place, operations: list[Operation]) -> tuple[Counter[str], list[str]]:
    """What there is after the operations and gc, and which modules that took."""
    before = set(sys.modules)
    for operation in operations:
        operation.run(place)
    gc(place)
    found = [*faults(place), *(fault for each in operations for fault in each.done(place))]
    assert not found, "\n".join(found)
    return inventory(place), sorted(set(sys.modules) - before)


def _check(place: Place, names: list[str], reference: Reference, *, gc_first: bool) -> list[str]:
    """All that must hold after a crash; what does not."""
    operations = [OPERATIONS[name] for name in names]
    mounted: set[Files] = set()
    found = _new("at once", place, faults(place, mounted), reference)
    if gc_first:
        if "run" in names:  # a container goes on without the command that started it
            remove_containers(place)
        found += _collected(place, reference, mounted)
    for operation in operations:
        operation.run(place)
    found += _new("after it was done again", place, faults(place, mounted))
    if "run" in names:
        remove_containers(place)
    gc(place)
    found += _new("in the end", place, faults(place, mounted))
    found += difference(inventory(place), Counter(reference.wanted))
    found += leftovers(place)
    done = (fault for each in operations for fault in each.done(place))
    return found + _new("not done", place, done)


def _new(
    when: str, place: Place, found: Iterable[str], reference: Reference | None = None
) -> list[str]:
    """Faults that the stock did not have."""
    known = reference.known if reference is not None else []
    return [f"{when}: {fault}" for fault in _anywhere(found, place) if fault not in known]


def _anywhere(found: Iterable[str], place: Place) -> list[str]:
    """Faults in words that are the same for every root."""
    return [fault.replace(str(place.root), "ROOT") for fault in found]


def _collected(place: Place, reference: Reference, mounted: set[Files]) -> list[str]:
    """What is wrong once gc, the next command, is over."""
    try:
        gc(place)
    except AssertionError:
        if reference.after_gc is None:
            return []  # as before the crash
        raise
    found = _new("after gc", place, faults(place, mounted), reference)
    expected = Counter(reference.wanted) | Counter(reference.after_gc or {})
    return found + [
        f"gc left {what}"
        for what in inventory(place) - expected
        # Kept for a day to be resumed; names and rows are before or after; gc does not know
        # of what lies elsewhere.
        if not what.endswith(".part")
        and "/" in what
        and "blobs" not in what
        and not what.startswith("outside ")
    ]


def _forked(work: Callable[[], Any]) -> Any:
    """What `work` returns (as JSON) in a fork of this process.  Raises: AssertionError: it failed."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(PATIENCE)
        try:
            text = json.dumps({"value": work()})
        except BaseException:
            text = json.dumps({"failed": traceback.format_exc()})
        with open(writing, "w") as answer:
            answer.write(text)
        os._exit(0)
    os.close(writing)
    with open(reading) as said:
        text = said.read()
    status = os.waitpid(pid, 0)[1]
    if status != 0:
        raise AssertionError(f"it ended with {os.waitstatus_to_exitcode(status)}")
    answer = json.loads(text)
    if "failed" in answer:
        raise AssertionError(answer["failed"])
    return answer["value"]


def main(folder: str, registry: str) -> None:
    """Answer requests until there are no more."""
    requests, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1):
        os.dup2(nothing, fd)  # for the commands, and what they start
    server = Server(Path(folder), registry)
    server.prepare()
    print(json.dumps("ready"), flush=True, file=answers)
    for line in requests:
        try:
            answer = {"value": server.answer(**json.loads(line))}
        except Exception:
            answer = {"failed": traceback.format_exc()}
        print(json.dumps(answer), flush=True, file=answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
