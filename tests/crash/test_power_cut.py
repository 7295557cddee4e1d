"""The power goes while commands run: what the disk has by then is all there is.

The store lies on ext4 on a loop device.  ``written``: the disk has what the kernel sent it
(what was still in memory is lost).  ``flushed``: it has only what was flushed, as behind a
cache of its own: the file of its loop device lies on another ext4, whose own disk sees
writes when they are flushed.  A cut is a reflink of the last disk's file: one moment.
``CORTEN_CRASH_CUTS`` and ``CORTEN_CRASH_SEED`` ask for more and others.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from corten.engine.host import Host
from corten.errors import CortenError
from corten.system import settling
from support.crash_faults import difference, faults, inventory, names
from support.crash_operations import (
    build_copy,
    command,
    copy,
    load,
    prune,
    pull,
    push,
    remove_containers,
    run,
    save,
)
from support.crash_store import BASE, VICTIM, Place, make_context, saved
from support.crasher import Crasher
from support.disks import MEMORY, disk, mounted

pytestmark = [pytest.mark.root, pytest.mark.e2e]

CUTS = int(os.environ.get("CORTEN_CRASH_CUTS", "16"))
SEED = int(os.environ.get("CORTEN_CRASH_SEED", "3"))
_TESTS = Path(__file__).parents[1]


class Writer:
    """Commands that run on the store, and what they have said."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._said = b""
        self.ended = 0
        """How many commands are over."""

    def stop(self) -> tuple[dict[str, str] | None, str]:
        """Stop it where it is: the names after its last command, and the one now being changed."""
        self._process.send_signal(signal.SIGSTOP)
        while self._state() not in "Tt":
            time.sleep(0.001)
        assert self._process.stdout is not None
        self._said += self._process.stdout.read() or b""
        lines = [json.loads(line) for line in self._said.splitlines()]
        known = [line["names"] for line in lines if "names" in line]
        self.ended = len(known)
        return known[-1] if known else None, lines[-1].get("begins", "") if lines else ""

    def _state(self) -> str:
        text = Path(f"/proc/{self._process.pid}/stat").read_text()
        assert self._process.poll() is None, "the writer failed"
        return text.rpartition(") ")[2][0]

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def writing(place: Place) -> Iterator[Writer]:
    process = subprocess.Popen(
        [sys.executable, "-m", "support.crash_writer", *map(str, place)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        bufsize=0,
        env={**os.environ, "PYTHONPATH": f"{_TESTS.parent / 'src'}:{_TESTS}"},
    )
    with process:
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        try:
            yield Writer(process)
        finally:
            process.kill()
    remove_containers(place)


def settled(place: Place) -> Counter[str]:
    """What there is after every command was done once more and nothing but their images is left."""
    command(place, "build", "-t", place.pushed, str(place.folder / "copy"))
    for operation in (pull, load, build_copy, push, copy, save, run):
        operation(place)
    command(place, "copy", "base:1", f"oci:{place.layout}:other")
    remove_containers(place)
    kept = {BASE, VICTIM, place.thing, place.pushed, "docker.io/library/box:1"}
    kept |= {"docker.io/library/loaded:1", "docker.io/library/copy:1"}
    with Host.open(place.root) as host:
        strange = set(host.store.names()) - kept
    if strange:
        command(place, "rmi", *sorted(strange))
    prune(place)
    command(place, "gc", "--cache", "--grace", "0")
    return inventory(place)


def start_again(root: Path) -> None:
    """Let the machine have been started since: it has another boot ID now.

    That cannot be changed here, but what files say of the boot in which they were written can.
    """
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink() and settling.is_marked(path):
            os.setxattr(path, settling.MARK, b"an earlier one")


def used(place: Place) -> Iterator[str]:
    """Save every image, build upon the pulled one, and say what cannot be done.

    Tars that came from a blob may not be on the disk: whoever needs one makes it again.
    """
    with Host.open(place.root) as host:
        for name in host.store.names():
            try:
                saved(host, name)
            except CortenError as error:
                yield f"{name}: {error}"
        pulled = place.thing in host.store.names()
    if pulled:
        command(place, "build", "-q", "-t", "upon:1", str(place.folder / "upon"))


def check(place: Place, known: dict[str, str] | None, changing: str, clean: Counter[str]) -> str:
    """What is wrong with a store after the power came back."""
    found = [f"at once: {fault}" for fault in faults(place, derived=False)]
    if known is not None:
        now = names(place)
        found += [
            f"{name}: it was {known.get(name)}, now it is {now.get(name)}"
            for name in sorted(now.keys() | known.keys())
            if name != changing and now.get(name) != known.get(name)
        ]
    found += [f"used: {fault}" for fault in used(place)]
    left = settled(place)
    for name in list(left):
        # Partial blobs are kept for a day, to be resumed; a layout's blobs are its owner's.
        if name.endswith(".part") or name.startswith("outside layout/blobs"):
            del left[name]
    if not any(name.startswith("outside layout/ingest/") for name in left):
        del left["outside layout/ingest"]
    clean = Counter({k: v for k, v in clean.items() if not k.startswith("outside layout/blobs")})
    found += difference(left, clean)
    found += [f"in the end: {fault}" for fault in faults(place, derived=False)]
    return "\n".join(found)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("variant", ["written", "flushed"])
def test_what_a_command_did_survives_a_power_cut_and_nothing_is_half_there(
    crashers: list[Crasher], registry: str, tmp_path: Path, variant: str
) -> None:
    chance = random.Random(f"{SEED} {variant}")
    make_context(tmp_path)
    shutil.copy(crashers[0].folder / "archive.tar", tmp_path)
    wrong = []
    with ExitStack() as stack:
        bottom = stack.enter_context(
            disk(MEMORY / f"corten-power-{os.getpid()}.img", tmp_path / "bottom", 2048, "xfs")
        )
        image = bottom / "disk.img"
        store = stack.enter_context(disk(image, tmp_path / "disk", 384))
        if variant == "flushed":
            store = stack.enter_context(disk(store / "disk.img", tmp_path / "inner", 256))
        place = Place(store / "root", tmp_path, registry, f"cut-{variant}")
        (tmp_path / "upon").mkdir()
        (tmp_path / "upon" / "Dockerfile").write_text(
            f"FROM {place.thing}\nCOPY Dockerfile /upon\n"
        )
        reference = place._replace(root=crashers[0].folder / "settled")
        crashers[0].ask("copy", "push", root=reference.root)
        clean = settled(reference)
        crashers[0].ask("copy", "push", root=place.root)
        os.sync()
        writer = stack.enter_context(writing(place))
        for number in range(CUTS):
            time.sleep(chance.uniform(0.05, 0.6))
            known, changing = writer.stop()
            subprocess.run(["cp", "--reflink=always", image, bottom / "cut.img"], check=True)
            writer.go_on()
            with ExitStack() as cut:
                there = cut.enter_context(mounted(bottom / "cut.img", tmp_path / "cut"))
                if variant == "flushed":
                    there = cut.enter_context(mounted(there / "disk.img", tmp_path / "cut-inner"))
                start_again(there / "root")
                fault = check(place._replace(root=there / "root"), known, changing, clean)
            (bottom / "cut.img").unlink()
            if fault:
                wrong.append(f"cut {number}, while {changing or 'nothing'} changed:\n{fault}")
        assert writer.ended > CUTS // 2
    assert not wrong, f"seed {SEED}, {len(wrong)} of {CUTS} cuts:\n" + "\n".join(wrong[:4])
