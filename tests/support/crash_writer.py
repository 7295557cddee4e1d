"""Commands one after another, for ever, each written down when it is over.

``python -m support.crash_writer ROOT FOLDER REGISTRY``.  Every line says, as JSON, a command
that begins, or the names that there are once it has ended (as its exit status 0 would).
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from corten.engine import images
from corten.engine.build import BuildOptions, build
from corten.engine.host import Host
from corten.errors import NotFound
from corten.events.job import Job
from support.crash_store import Place, gc, load, pull, run


def main(root: str, folder: str, registry: str) -> None:
    """Work until somebody ends it."""
    place = Place(Path(root), Path(folder), registry)
    for name, work in _endless(place):
        _say(begins=name)
        work()
        with Host.open(place.root) as host:
            names = {known: str(host.store.resolve(known).digest) for known in host.store.names()}
        _say(names=names)


def _say(**what: object) -> None:
    print(json.dumps(what), flush=True)


def _endless(place: Place) -> Iterator[tuple[str, Callable[[], object]]]:
    """Commands, and the name that each gives or takes away."""
    for number in itertools.count():
        built = f"docker.io/library/built:{number % 3}"
        yield place.thing, lambda: pull(place)
        yield built, lambda built=built, number=number: _build(place, built, number)  # type: ignore[misc]
        yield "docker.io/library/loaded:1", lambda: load(place)
        yield "", lambda: run(place)
        yield place.thing, lambda: _remove(place, place.thing)
        yield built, lambda built=built: _remove(place, built)  # type: ignore[misc]
        yield "", lambda: gc(place)
        yield built, lambda built=built, number=number: _build(place, built, number)  # type: ignore[misc]


def _build(place: Place, name: str, number: int) -> None:
    (place.folder / "copy" / "one").write_text(f"{number}\n" * 3000)
    with Host.open(place.root) as host:
        build(host, BuildOptions(context=place.folder / "copy", tags=(name,)), Job())


def _remove(place: Place, name: str) -> None:
    with Host.open(place.root) as host:
        try:
            images.remove(host, name)
        except NotFound:
            raise AssertionError(f"{name} is gone though nobody removed it") from None


if __name__ == "__main__":
    main(*sys.argv[1:])
