"""What only ADD does: content of URLs, Git repositories, and archives that are unpacked.

Spec: Dockerfile reference, "ADD".
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from corten.archive.entry import Entry
from corten.builder import downloads
from corten.builder.archives import Room, is_archive, unpack
from corten.builder.cache import Download
from corten.builder.contexts import FETCHED
from corten.builder.downloads import Means
from corten.builder.git_url import Repository, parse_git, public
from corten.builder.graph import Copy
from corten.builder.hashes import hash_file
from corten.builder.items import ItemCopier, Manner
from corten.builder.layers import LayerWriter
from corten.builder.modes import parse_mode
from corten.builder.notes import Notes
from corten.builder.selecting import choose
from corten.builder.tree import open_tree
from corten.builder.walk import Item, walk
from corten.config.limits import layer_limit
from corten.errors import Conflict, Invalid
from corten.events.job import Job
from corten.snapshot.drafts import own_draft, sweep

if TYPE_CHECKING:
    from corten.builder.copying import Aim

_SECOND = 1_000_000_000


def _wanted(found: Repository, op: Copy) -> Repository:
    """A repository with what the flags say."""
    checksum = op.checksum or found.checksum
    if found.checksum not in ("", checksum):
        raise Invalid(f"{found.shown}: --checksum {checksum} and {found.checksum} differ")
    return msgspec.structs.replace(
        found, checksum=checksum, keep_git_dir=op.keep_git_dir or found.keep_git_dir
    )


class Adder:
    """Carries out one ADD; everything goes to the notes, and to a layer if there is one."""

    def __init__(self, op: Copy, means: Means | None, notes: Notes, job: Job) -> None:
        self._op = op
        self._given = means
        self._notes = notes
        self._job = job

    @property
    def _means(self) -> Means:
        if self._given is None:
            # It was made for directories alone, and one of them is a file by now.
            raise Conflict(
                "a directory that ADD names changed while it was read", hint="build again"
            )
        return self._given

    def url(self, layer: LayerWriter | None, url: str, aim: Aim) -> None:
        """The content of a URL.  Raises: as `downloads.fetch`, `put`, `unpack`."""
        asked = downloads.Asked(url, self._op.checksum)
        if layer is None:
            fetched = downloads.look(asked, self._means, self._job)
        else:
            fetched = downloads.fetch(asked, self._means, self._job)
        self._notes.add("url", url, fetched.digest)
        if fetched.file is None:
            return
        with fetched.file as file:
            if layer is None:
                return
            if self._op.unpack and is_archive(file.fileno()):
                self._unpack(layer, file.fileno(), url, aim.base)
                layer.newest = max(layer.newest, fetched.modified)
            else:
                self._file(layer, url, aim, (file, fetched.modified))

    def _file(self, layer: LayerWriter, url: str, aim: Aim, content: tuple[BinaryIO, int]) -> None:
        file, modified = content
        place = aim.place(downloads.url_name(url)) if aim.into else aim.base
        chmod = self._op.chmod
        mode = parse_mode(chmod)(0o600, False) if chmod else 0o600
        size = os.fstat(file.fileno()).st_size
        entry = Entry(os.fsencode(place), "file", mode, *layer.owner, size, modified * _SECOND)
        layer.put(entry, file.fileno() if size else b"")

    def git(self, layer: LayerWriter | None, address: str, aim: Aim) -> None:
        """The files of a commit.  Raises: as `corten.builder.git.fetch`, `ItemCopier.item`."""
        from corten.builder.git import fetch, look
        from corten.builder.git_program import GitTools

        means, op = self._means, self._op
        repository = _wanted(parse_git(address), op)
        tools = GitTools(means.folder / "git", means.environ, means.agent())
        if layer is None:
            self._note(repository, address, look(repository, tools, self._job))
            return
        folder = means.folder / FETCHED
        folder.mkdir(0o700, parents=True, exist_ok=True)
        sweep(folder)
        with own_draft(folder) as draft:
            target = draft / "repository"
            target.mkdir(0o755)
            checkout = fetch(repository, target, tools, self._job)
            self._note(repository, address, checkout.commit)
            # What is in a commit follows from its name: its files need no notes.
            items = ItemCopier(Manner(op, False, None), Notes(), self._job)
            with open_tree(checkout.path, None, repository.shown) as tree:
                for each in choose(op, tree, "/"):
                    items.tree(layer, walk(tree, "", each.leaves_out), aim.base)

    def _note(self, repository: Repository, address: str, commit: str) -> None:
        self._means.cache.downloaded(public(address), Download("", "", commit))  # for provenance
        self._notes.add("git", repository.remote, repository.subdirectory, commit)

    def archive(self, layer: LayerWriter, item: Item, aim: Aim) -> bool:
        """Unpack a file if it is an archive; returns whether it is.  Raises: as `unpack`."""
        if not stat.S_ISREG(item.state.st_mode):
            return False
        fd = item.open()
        try:
            if not is_archive(fd):
                return False
            self._notes.add("file", item.path, item.state.st_mode & 0o7777, hash_file(fd))
            self._unpack(layer, fd, item.source, aim.base)
            layer.newest = max(layer.newest, int(item.state.st_mtime))
            return True
        finally:
            os.close(fd)

    def _unpack(self, layer: LayerWriter, fd: int, source: str, base: str) -> None:
        # As docker does, --chmod leaves what is in archives alone.
        if layer.below(base) == "other":
            raise Invalid(f"cannot unpack {source}: {self._op.destination} is a file")
        layer.directory(base)
        owner = layer.owner if self._op.chown else None
        room = Room(self._means.new_file, layer_limit(self._means.environ))
        unpack(fd, base, layer, owner, room, self._job)
