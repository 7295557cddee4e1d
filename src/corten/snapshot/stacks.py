"""What belongs to an exact stack of layers, and is a cache: made here from layers, lost without harm.

ROOT/stacks/DRIVER/HEX        one stack, by the chain id of its layers; ``stack.json``
                              describes it, the rest is the driver's

Appears whole and goes whole, as layers do (:mod:`corten.snapshot.drafts`); it goes with
the first of its layers.
Spec: OCI image, config.md, "Layer ChainID".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from corten.oci.digest import Digest
from corten.snapshot.drafts import listed, own_draft, remove_whole, rename_draft
from corten.system.locks import locked


class RootMetadata(msgspec.Struct, frozen=True):
    """Metadata that a layer gives to the root directory.  Times in nanoseconds."""

    mode: int
    uid: int
    gid: int
    mtime_ns: int


class StackRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What ``stack.json`` says: the layers, lowest first.

    Of a merged index: ``checksum`` is its SHA-256, ``devices`` the layers whose data it
    points into, in order, ``sizes`` how large these are, in bytes, ``root`` what the
    topmost layer that speaks of it says of the root directory.
    """

    layers: tuple[str, ...]
    checksum: str = ""
    devices: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    root: RootMetadata | None = None


class StackHoldings:
    """The stacks of one driver under one root.  Threads and processes may share them."""

    def __init__(self, root: Path, driver: str) -> None:
        self.path = root / "stacks" / driver

    def stack(self, chain: Digest) -> Path:
        """Where the stack with this chain id is or would be."""
        return self.path / chain.encoded

    def record(self, chain: Digest) -> StackRecord | None:
        """What is known of a stack; None if there is nothing, or nothing that makes sense."""
        return _read(self.stack(chain))

    @contextmanager
    def making(self) -> Iterator[None]:
        """Let one thread of one process at a time make a stack, so that each is made once."""
        self._make()
        with locked(self.path / ".lock"):
            yield

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """A directory to make a stack in; gone at the end of the block unless published."""
        self._make()
        with own_draft(self.path) as path:
            path.chmod(0o755)
            yield path

    def publish(self, draft: Path, chain: Digest, record: StackRecord) -> None:
        """Turn a finished draft into the stack; what was there goes.  Call it while `making`.

        Nothing is flushed to disk: after a power loss the stack is made again.
        """
        (draft / "stack.json").write_bytes(msgspec.json.encode(record))
        path = self.stack(chain)
        while not rename_draft(draft, path):
            remove_whole(path)

    def prune(self, alive: Callable[[Digest], bool]) -> int:
        """Forget stacks with a layer that is not `alive`, or without a record; how many went."""
        count = 0
        for path in listed(self.path):
            record = _read(path)
            if record is None or not all(alive(Digest(layer)) for layer in record.layers):
                remove_whole(path)
                count += 1
        return count

    def _make(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.mkdir(mode=0o700, exist_ok=True)


def walk_stacks(root: Path) -> Iterator[tuple[Path, StackRecord]]:
    """The stacks of every driver under `root`, with what is known of them."""
    for path in (root / "stacks").glob("*/*"):
        record = _read(path)
        if record is not None:
            yield path, record


def _read(path: Path) -> StackRecord | None:
    try:
        return msgspec.json.decode((path / "stack.json").read_bytes(), type=StackRecord)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def chain_ids(diff_ids: Sequence[Digest]) -> list[Digest]:
    """The chain ids of the lowest layer alone, of the two lowest, and so on to all of them."""
    chain: list[Digest] = []
    for diff_id in diff_ids:
        text = f"{str.__str__(chain[-1])} {str.__str__(diff_id)}" if chain else ""
        chain.append(Digest.of(text.encode()) if text else diff_id)
    return chain
