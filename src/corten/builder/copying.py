"""COPY and ADD: from sources to the entries of a layer, and to the digest of what was read.

Spec: Dockerfile reference, "COPY" and "ADD", sections "Source" and "Destination".
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from corten.archive.entry import Entry
from corten.builder.git_url import is_git
from corten.builder.graph import Copy, Inline, is_remote
from corten.builder.hashes import Hashes
from corten.builder.items import ItemCopier, Manner
from corten.builder.layers import LayerWriter, Owner, find_owner
from corten.builder.modes import parse_mode
from corten.builder.notes import Notes
from corten.builder.selecting import Chosen, choose
from corten.builder.tree import Tree
from corten.builder.walk import single, walk
from corten.errors import Invalid
from corten.events.job import Job

if TYPE_CHECKING:
    from corten.builder.adding import Adder
    from corten.builder.downloads import Means

_SECOND = 1_000_000_000


class Aim(NamedTuple):
    """Where a copy goes: into the directory ``base``, or to that very path.  No links lead there."""

    base: str
    into: bool

    def place(self, name: str) -> str:
        """Where something called `name` comes to."""
        return f"{self.base}/{name}".lstrip("/") if self.into else self.base


class Sources(NamedTuple):
    """Where a copy's files come from.

    ``keep_owner``: owners and attributes are part of what is copied (a stage or
    image; the context's are not).  ``hashes`` remembers digests, for the context.
    Without ``means`` there are no URLs and archives.
    """

    tree: Tree
    keep_owner: bool
    hashes: Hashes | None
    means: Means | None


class Copied(NamedTuple):
    """What became of a copy: the digest of what it took, and the layer's newest time and entries."""

    digest: str
    newest: int
    entries: int


def content_digest(op: Copy, sources: Sources, job: Job) -> str:
    """The digest of all that the copy would take: names, kinds, modes, content; not times.

    Raises: as :func:`write_layer`.
    """
    copying = _Copying(op, sources, job)
    copying.sources(None)
    return copying.digest()


def write_layer(
    op: Copy, sources: Sources, write: Callable[[bytes], object], below: Tree | None, job: Job
) -> Copied:
    """Write what the copy takes as a layer's tar, which is to lie on `below`.

    Raises: NotFound: a source is not there; Invalid: it cannot be copied to where it
    should; Conflict: a file changed while it was read; Denied: it may not be read.
    """
    layer = LayerWriter(write, below, _owner(op, below), op.time)
    copying = _Copying(op, sources, job)
    copying.sources(layer)
    layer.finish()
    return Copied(copying.digest(), layer.newest, layer.count)


def _owner(op: Copy, below: Tree | None) -> Owner:
    try:
        return find_owner(op.chown, below)
    except Invalid as error:
        if op.link and below is None:
            raise Invalid(
                f"cannot look up {op.chown!r}: with --link nothing of the image below is read",
                hint="give numbers, or leave --link out",
            ) from None
        raise error


class _Copying:
    """One pass over the sources: always to the hasher, and to a layer if there is one."""

    def __init__(self, op: Copy, sources: Sources, job: Job) -> None:
        self.op = op
        self.given = sources
        self.job = job
        self.notes = Notes()
        self.items = ItemCopier(Manner(op, sources.keep_owner, sources.hashes), self.notes, job)
        self.adding: Adder | None = None
        self.aim = Aim("", False)

    def digest(self) -> str:
        self.items.settle()
        return self.notes.hexdigest()

    def sources(self, layer: LayerWriter | None) -> None:
        op, tree = self.op, self.given.tree
        chosen = [(s, [] if is_remote(s) else choose(op, tree, s)) for s in op.sources]
        files = [each for _, matches in chosen for each in matches]
        remote = sum(is_remote(source) for source in op.sources)
        number = len(files) + len(op.inline) + remote
        if layer is not None and number:
            self.aim = self.aimed(layer, files, number > 1)
        elif layer is not None:
            self.job.warn(f"nothing is copied to {op.destination}: no file matches")
        for inline in op.inline:
            self.inline(layer, inline)
        for place, (source, matches) in enumerate(chosen):
            self.notes.add("source", place)
            if is_git(source):
                self.adder().git(layer, source, self.aim)
            elif is_remote(source):
                self.adder().url(layer, source, self.aim)
            for each in matches:
                self.chosen(layer, each)
        if layer is not None and number and op.destination.endswith("/"):
            layer.directory(self.aim.base)

    def aimed(self, layer: LayerWriter, files: list[Chosen], several: bool) -> Aim:
        """Decide whether the destination is a directory to copy into, and where it really is."""
        wanted = self.op.destination
        base = layer.resolve(wanted)
        there = layer.below(base)
        directories = any(each.is_directory for each in files)
        directories = directories or any(is_git(source) for source in self.op.sources)
        into = wanted.endswith("/") or directories or there == "directory"
        if several and not into:
            raise Invalid(
                f"several files cannot be copied to {wanted}, which is not a directory",
                hint=f"write the destination as {wanted}/",
            )
        if into and there == "other":
            raise Invalid(f"the destination {wanted} is not a directory in the image")
        return Aim(base, into)

    def inline(self, layer: LayerWriter | None, inline: Inline) -> None:
        # The content is part of the definition; there is nothing to note.
        if layer is None:
            return
        content = inline.content.encode()
        mode = parse_mode(self.op.chmod)(0o644, False) if self.op.chmod else 0o644
        name = os.fsencode(self.aim.place(inline.name))
        entry = Entry(name, "file", mode, *layer.owner, len(content), layer.time * _SECOND)
        layer.put(entry, content)

    def adder(self) -> Adder:
        if self.adding is None:
            from corten.builder.adding import Adder

            self.adding = Adder(self.op, self.given.means, self.notes, self.job)
        return self.adding

    def chosen(self, layer: LayerWriter | None, chosen: Chosen) -> None:
        tree, found = self.given.tree, chosen.found
        if chosen.is_directory:
            self.notes.add("directory")
            self.items.tree(layer, walk(tree, found.path, chosen.leaves_out), self.aim.base)
            return
        for item in single(tree, found):
            # Without a layer: whether it is an archive follows from its content, which is
            # noted like any file's.
            if (
                layer is not None
                and self.op.unpacks
                and self.adder().archive(layer, item, self.aim)
            ):
                continue
            self.items.item(layer, item, self.aim.place(found.name))
