"""Copies of a small context onto nothing, without a store: what they take, and what they note."""

from __future__ import annotations

import io
import os
from pathlib import Path

from corten.archive.entry import Entry
from corten.archive.tar_reader import read_members
from corten.builder.copying import Sources, content_digest, write_layer
from corten.builder.graph import Copy
from corten.builder.tree import open_tree
from corten.dockerfile.ignore import Ignore
from corten.events.job import Job


class Grove:
    """A context; what a copy of it onto nothing takes.  ``content`` is the last layer."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ignore = Ignore()
        self.modes: dict[str, int] = {}
        self.content = b""

    def put(self, *names: str) -> None:
        for name in names:
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.fsencode(name))

    def digest(self, op: Copy) -> str:
        with open_tree(self.root, self.ignore, "the build context") as tree:
            return content_digest(op, Sources(tree, False, None, None), Job())

    def copy(self, *sources: str, to: str = "/x/", **fields: object) -> list[str]:
        """The files and links in the layer; ``modes`` has all that is there."""
        entries = self.entries(Copy(sources, to, **fields))  # type: ignore[arg-type]
        names = [os.fsdecode(entry.name) for entry in entries if entry.kind != "directory"]
        return [name.removeprefix(to.lstrip("/")) for name in names]

    def entries(self, op: Copy) -> list[Entry]:
        """All that a copy puts into the layer."""
        out = io.BytesIO()
        with open_tree(self.root, self.ignore, "the build context") as tree:
            copied = write_layer(op, Sources(tree, False, None, None), out.write, None, Job())
        assert copied.digest == self.digest(op)
        memory = os.memfd_create("tar")
        try:
            os.write(memory, out.getvalue())
            entries = [entry for entry, _, _ in read_members(memory)]
        finally:
            os.close(memory)
        self.content = out.getvalue()
        self.modes = {os.fsdecode(entry.name).rstrip("/"): entry.mode for entry in entries}
        return entries

    def parents(self, *sources: str, **fields: object) -> list[str]:
        return self.copy(*sources, parents=True, **fields)  # type: ignore[arg-type]
