"""One of several processes that share a driver's layers: it uses them, or it prunes them.

``python -m support.layer_races use ROOT DRIVER TARS SEED WHOLE`` applies, completes, merges and
mounts until it had so many whole snapshots and its standard input has ended; ``… prune ROOT
DRIVER COUNT`` takes away what is not held until it took so many layers.
Prints what came of it as JSON: how often, by outcome.
"""

from __future__ import annotations

import json
import random
import select
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

from corten.errors import NotFound
from corten.oci.digest import Digest
from corten.snapshot.mounting import mounted
from corten.snapshot.probing import choose
from corten.snapshot.protocols import Completes, Merges, Snapshotter
from support.tars import directory, file, link, pack

LAYERS = (
    pack(directory(b"d", 0o1777), file(b"t", b"good"), *(file(b"d/f%d" % i) for i in range(50))),
    pack(link(b"l", b"t"), link(b"d/m", b"d/f3")),
    pack(file(b"top", b"1"), file(b"d/.wh.f1")),
    pack(link(b"z", b"l")),
)
"""Two of them link to lower ones, all but the first depend on these for the look of ``d``."""


def _round(snapshotter: Snapshotter, tars: list[Path], key: str, chance: random.Random) -> str:
    layers = [Digest(f"sha256:{tar.name.partition('-')[2]}") for tar in tars]
    try:
        for layer, tar in zip(layers, tars, strict=True):
            snapshotter.apply(layer, tar)
        asked = chance.random()
        if asked < 0.3 and isinstance(snapshotter, Completes):
            snapshotter.complete(layers)
        if asked > 0.6 and isinstance(snapshotter, Merges):
            snapshotter.merge(layers)
        mounts = snapshotter.prepare(key, layers, readonly=chance.random() < 0.5)
    except NotFound:
        return "gone"  # before the snapshot held it
    try:
        with mounted(mounts) as tree:
            assert (tree / "l").read_bytes() == b"good"
            assert (tree / "d/m").stat().st_nlink > 1
            assert (tree / "d").stat().st_mode & 0o7777 == 0o1777
            assert len(list((tree / "d").iterdir())) == (51 if len(tars) < 3 else 50)
    finally:
        snapshotter.remove(key)
    return "whole"


def _use(root: Path, driver: str, folder: Path, seed: int, whole: int) -> Counter[str]:
    chance = random.Random(seed)
    found: Counter[str] = Counter()
    tars = sorted(folder.iterdir())
    snapshotter = choose(root, driver)
    while found["whole"] < whole or not select.select([sys.stdin], [], [], 0)[0]:
        chosen = tars[: chance.randint(2, len(tars))]
        try:
            found[_round(snapshotter, chosen, f"key-{seed}-{found.total()}", chance)] += 1
        except BaseException:
            found[traceback.format_exc()] += 1
            break
        if chance.random() < 0.3:
            snapshotter = choose(root, driver)  # one that remembers nothing
    return found


def _prune(root: Path, driver: str, count: int) -> Counter[str]:
    snapshotter = choose(root, driver)
    found: Counter[str] = Counter()
    while found["pruned"] < count:
        time.sleep(random.random() * 0.03)
        try:
            found["pruned"] += snapshotter.prune([])
        except BaseException:
            found[traceback.format_exc()] += 1
            break
    return found


if __name__ == "__main__":
    what, root, driver, *more = sys.argv[1:]
    if what == "use":
        result = _use(Path(root), driver, Path(more[0]), int(more[1]), int(more[2]))
    else:
        result = _prune(Path(root), driver, int(more[0]))
    print(json.dumps(result))
