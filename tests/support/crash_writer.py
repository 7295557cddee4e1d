"""Commands one after another, for ever, each written down when it is over.

``python -m support.crash_writer ROOT FOLDER REGISTRY REPOSITORY``.  Every line says, as JSON, a command
that begins, or the names that there are once it has ended (as its exit status 0 would).
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from support.crash_faults import names
from support.crash_operations import command, copy, gc, load, pull, push, run, save
from support.crash_store import Place


def main(root: str, *others: str) -> None:
    """Work until somebody ends it."""
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    folder, registry, repository = others
    place = Place(Path(root), Path(folder), registry, repository)
    shutil.copytree(place.folder / "copy", place.folder / "changing")
    for name, work in _endless(place):
        print(json.dumps({"begins": name}), flush=True, file=lines)
        work()
        print(json.dumps({"names": names(place)}), flush=True, file=lines)


def _endless(place: Place) -> Iterator[tuple[str, Callable[[], object]]]:
    """Commands, and the name that each gives or takes away."""
    for number in itertools.count():
        built = f"docker.io/library/built:{number % 3}"
        yield place.thing, lambda: pull(place)
        yield built, lambda built=built, number=number: _build(place, built, number)  # type: ignore[misc]
        yield place.pushed, lambda number=number: _build(place, place.pushed, -number)  # type: ignore[misc]
        yield "", lambda: push(place)
        yield "layout app", lambda: copy(place)
        yield "docker.io/library/loaded:1", lambda: load(place)
        yield "", lambda: run(place)
        yield "archive", lambda: save(place)
        yield place.thing, lambda: command(place, "rmi", place.thing)
        yield "layout other", lambda built=built: _copy(place, built)  # type: ignore[misc]
        yield built, lambda built=built: command(place, "rmi", built)  # type: ignore[misc]
        yield "", lambda: gc(place)
        yield "archive", lambda: command(place, "save", "-o", str(place.archive), "base:1")
        yield "layout app", lambda: _copy(place, "base:1", "app")
        yield built, lambda built=built, number=number: _build(place, built, number)  # type: ignore[misc]


def _build(place: Place, name: str, number: int) -> None:
    (place.folder / "changing" / "one").write_text(f"{number}\n" * 3000)
    command(place, "build", "-t", name, str(place.folder / "changing"))


def _copy(place: Place, source: str, name: str = "other") -> None:
    command(place, "copy", source, f"oci:{place.layout}:{name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
