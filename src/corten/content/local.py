"""`LocalStore`: the images of one host, under one root directory.

ROOT/content is a valid OCI image layout (blobs, and an ``index.json`` derived
from the catalog); ROOT/catalog.db holds names and what is known of the blobs.
Names are canonical (``docker.io/library/debian:12``).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from corten.content.blobs import BlobDirectory
from corten.content.catalog import Catalog
from corten.content.index_file import describe_name, write_index, write_marker
from corten.content.ingest import FileIngest
from corten.content.leases import Leases
from corten.content.listing import CATALOG
from corten.content.summary import repository_of, rows_of, settle_content
from corten.errors import Conflict, Invalid, NotFound
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.oci.platform import Platform, normalized
from corten.system.locks import directory_locked

_LOST = "corten system check says what needs it and what brings it back"
_HEX = frozenset("0123456789abcdef")


class ImageRecord(NamedTuple):
    """What the catalog knows of an image; without names it is dangling."""

    descriptor: Descriptor
    image_id: Digest
    created: str
    size: int
    added: float
    names: tuple[str, ...]


class LocalStore:
    """The store under `root`: Store, Claims, Locates, ListsTags, Remembers.  Thread-safe.

    Several processes may use one root.  `platform` is what this host runs: it
    decides which image of an index gives the name its image ID.  Close it, or
    use it as a context manager.
    """

    def __init__(self, root: Path, platform: Platform | None = None) -> None:
        self.root = root
        self.path = root / "content"
        self.platform = platform or normalized("linux", os.uname().machine)
        self.blobs = BlobDirectory(self.path, _LOST, derives=True)
        self.catalog = Catalog(root / CATALOG)
        self.leases = Leases(self.path / "ingest", self.catalog)

    # Source

    def resolve(self, name: str) -> Descriptor:
        """The root that `name` stands for: a canonical name, ``NAME@DIGEST`` or a digest.

        Raises: NotFound.
        """
        row = self.catalog.row("SELECT media_type, digest, size FROM names WHERE name = ?", name)
        if row is not None:
            return _descriptor(row)
        before, at, after = name.partition("@")
        text = after if at else name
        if ":" not in text or (not at and "/" in text):
            raise NotFound(f"there is no image {name}")
        try:
            digest = Digest(text)
        except Invalid:
            raise NotFound(f"there is no image {name}") from None
        found = self._by_digest(digest, repository_of(before) if at else "")
        if found is None:
            raise NotFound(f"there is no image {name}")
        return found

    def open(self, descriptor: Descriptor, offset: int = 0) -> FileIO:
        """The blob's file, from `offset` on.  Raises: NotFound."""
        if self.leases.held:
            self.blobs.touch(descriptor.digest)
        return self.blobs.open(descriptor.digest, offset)

    def locate(self, descriptor: Descriptor) -> Path:
        """The blob's file.  Raises: NotFound."""
        if self.leases.held:
            self.blobs.touch(descriptor.digest)
        return self.blobs.locate(descriptor.digest)

    def tags(self) -> Iterator[str]:
        """All names, in order."""
        yield from self.names()

    # Sink

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the blob is there; if so it counts as used now, so that gc spares it."""
        return self.blobs.has(descriptor) and self.blobs.touch(descriptor.digest)

    def ingest(self, descriptor: Descriptor | None = None, name: str = "") -> FileIngest:
        """Begin to take a blob.  Raises: Invalid, Unavailable."""
        self._begin()
        return self.blobs.ingest(descriptor)

    def derive(self) -> FileIngest:
        """As `ingest`, for what can be made again from a blob that is here.

        A power cut may take it, until an image names it.
        """
        self._begin()
        return self.blobs.ingest(derived=True)

    def _begin(self) -> None:
        if not (self.path / "oci-layout").exists():
            self.blobs.prepare()
            with self._publishing():
                write_marker(self.path)

    def claim(self, descriptor: Descriptor) -> AbstractContextManager[object]:
        """The right to bring the blob here; see `Claims`.  Raises: Claimed, Unavailable."""
        return self.blobs.claim(descriptor.digest)

    def tag(self, name: str, descriptor: Descriptor) -> None:
        """Let `name` stand for `descriptor`; an empty name keeps it as a dangling image.

        What the name stood for before stays, dangling if it has no other name.
        Raises: NotFound: its content, or that of a child, is not there; Invalid.
        """
        rows = rows_of(self.blobs, descriptor, name, self.platform)
        settle_content(self.blobs, descriptor)
        with self.catalog.change() as change:
            change.execute(
                "INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (digest) DO UPDATE SET"
                " image_id = excluded.image_id, created = excluded.created,"
                " layers_size = excluded.layers_size",
                rows.image,
            )
            if name:
                change.execute("INSERT OR REPLACE INTO names VALUES (?, ?, ?, ?, ?, ?)", rows.name)
            # One image may have several manifests (compressed or not): none dangles beside a name.
            change.execute(
                "DELETE FROM images WHERE image_id = ? AND digest != ?"
                " AND digest NOT IN (SELECT digest FROM names)",
                (rows.image[3], descriptor.digest),
            )
        self.publish_names()

    # Store

    def walk(self) -> Iterator[Descriptor]:
        """All blobs."""
        return self.blobs.walk()

    def lease(self) -> AbstractContextManager[str]:
        """What is ingested or read in the block stays until its end; see :mod:`.leases`."""
        return self.leases.hold()

    def delete(self, descriptor: Descriptor) -> None:
        """Remove the blob.  Raises: NotFound; Conflict: a name or image needs it."""
        from corten.content.gc import live

        if not self.blobs.has(descriptor):
            raise NotFound(f"there is no blob {descriptor.digest}")
        if descriptor.digest in live(self):
            raise Conflict(f"{descriptor.digest} is in use", hint="remove the image that uses it")
        self.blobs.delete(descriptor.digest)

    # Names and images

    def untag(self, name: str, *, forget: bool = False) -> Descriptor:
        """Remove the name; the image stays, dangling if this was its last.  Raises: NotFound.

        With `forget` an image whose last name it was goes in the same transaction.
        """
        with self.catalog.change() as change:
            row = change.execute(
                "DELETE FROM names WHERE name = ? RETURNING media_type, digest, size", (name,)
            ).fetchone()
            if row is not None and forget:
                _forget_nameless(change, row[1])
        if row is None:
            raise NotFound(f"there is no image {name}")
        self.publish_names()
        return _descriptor(row)

    def forget_image(self, image_id: Digest) -> None:
        """Remove an image that has no names: gc may then take its blobs.

        Raises: NotFound; Conflict: it has names.
        """
        with self.catalog.change() as change:
            roots = [d for (d,) in change.execute(
                "SELECT digest FROM images WHERE image_id = ?", (image_id,)
            )]  # fmt: skip
            if not roots:
                raise NotFound(f"there is no image {image_id}")
            for root in roots:
                named = change.execute(
                    "SELECT name FROM names WHERE digest = ?", (root,)
                ).fetchone()
                if named is not None:
                    raise Conflict(f"the image {image_id.short} has the name {named[0]}")
            change.execute("DELETE FROM images WHERE image_id = ?", (image_id,))
            change.execute("DELETE FROM repo_digests WHERE image_id = ?", (image_id,))

    def names(self) -> tuple[str, ...]:
        """All names, in order."""
        return tuple(name for (name,) in self.catalog.rows("SELECT name FROM names ORDER BY name"))

    def images(self) -> list[ImageRecord]:
        """All images, named or dangling, the latest first."""
        return self._images()

    def find(self, text: str) -> list[ImageRecord]:
        """The images whose ID, or manifest's digest, is `text` or begins with it.

        `text` has ``sha256:`` or at least 2 hex digits.
        """
        bare = text.removeprefix("sha256:")
        if len(bare) < 2 or len(bare) > 64 or not _HEX.issuperset(bare):
            return []
        prefix = f"sha256:{bare}"
        return self._images(prefix, prefix + "g")

    def add_repo_digest(self, repository: str, digest: Digest, image_id: Digest) -> None:
        """Note that `repository` (``registry/path``) knows the image under `digest`."""
        known = self.catalog.row(
            "SELECT 1 FROM repo_digests WHERE repository = ? AND digest = ? AND image_id = ?",
            repository, digest, image_id,
        )  # fmt: skip
        if known is not None:
            return  # what nothing is written for need not be waited for
        with self.catalog.change() as change:
            change.execute(
                "INSERT OR REPLACE INTO repo_digests VALUES (?, ?, ?)",
                (repository, digest, image_id),
            )

    def repo_digests(self, image_id: Digest) -> tuple[str, ...]:
        """``registry/path@digest`` for all repositories that are known to have the image."""
        rows = self.catalog.rows(
            "SELECT repository || '@' || digest FROM repo_digests WHERE image_id = ? ORDER BY 1",
            image_id,
        )
        return tuple(text for (text,) in rows)

    # Facts

    def remember(self, kind: str, digest: Digest, value: str) -> None:
        """Note a fact.  A power loss may forget it."""
        with self.catalog.change(durable=False) as change:
            change.execute("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", (kind, digest, value))

    def recall(self, kind: str, digest: Digest) -> str | None:
        """The fact, if it is known."""
        row = self.catalog.row(
            "SELECT value FROM facts WHERE kind = ? AND digest = ?", kind, digest
        )
        return None if row is None else str(row[0])

    def forget(self, kind: str, digest: Digest) -> None:
        """Drop a fact; nothing to do if there is none."""
        with self.catalog.change(durable=False) as change:
            change.execute("DELETE FROM facts WHERE kind = ? AND digest = ?", (kind, digest))

    def _publishing(self) -> AbstractContextManager[None]:
        return directory_locked(self.path)

    def publish_names(self) -> None:
        """Write ``index.json`` anew from the catalog, for other tools to read."""
        self.blobs.prepare()
        with self._publishing():
            write_marker(self.path)
            # Read under the lock, so that the last writer has the latest names.
            rows = self.catalog.rows(
                "SELECT media_type, digest, size, name FROM names ORDER BY name"
            )
            write_index(self.path, [describe_name(_descriptor(row), row[3]) for row in rows])

    def close(self) -> None:
        """Close the catalog."""
        self.catalog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _by_digest(self, digest: Digest, repository: str) -> Descriptor | None:
        row = self.catalog.row(
            "SELECT media_type, digest, size FROM images WHERE digest = ?", digest
        ) or self.catalog.row(
            # A digest of a registry may stand for an image whose manifest differs here.
            "SELECT i.media_type, i.digest, i.size FROM images i JOIN repo_digests r"
            " USING (image_id) WHERE r.digest = ? AND (r.repository = ? OR ? = '')"
            " ORDER BY i.added DESC",
            digest, repository, repository,
        )  # fmt: skip
        if row is not None:
            return _descriptor(row)
        return self.blobs.typed(digest)

    def _images(self, low: str = "", high: str = "~") -> list[ImageRecord]:
        """The images whose IDs or manifests' digests lie from `low` to below `high`."""
        rows = self.catalog.rows(
            "SELECT media_type, digest, size, image_id, created, layers_size, added,"
            " (SELECT group_concat(name, ' ') FROM"
            "   (SELECT name FROM names n WHERE n.digest = images.digest ORDER BY name))"
            " FROM images WHERE image_id >= ? AND image_id < ? OR digest >= ? AND digest < ?"
            " ORDER BY added DESC, digest",
            low,
            high,
            low,
            high,
        )
        return [
            ImageRecord(
                _descriptor(row), Digest(row[3]), row[4], row[5], row[6],
                tuple((row[7] or "").split()),
            )
            for row in rows
        ]  # fmt: skip


def _forget_nameless(change: sqlite3.Connection, digest: str) -> None:
    """Remove the image that has this manifest, unless one of its manifests has a name."""
    for (image,) in change.execute(
        "SELECT image_id FROM images WHERE digest = ? AND image_id NOT IN"
        " (SELECT image_id FROM images JOIN names USING (digest))",
        (digest,),
    ).fetchall():
        change.execute("DELETE FROM images WHERE image_id = ?", (image,))
        change.execute("DELETE FROM repo_digests WHERE image_id = ?", (image,))


def _descriptor(row: tuple[object, ...]) -> Descriptor:
    media_type, digest, size = row[:3]
    return Descriptor(media_type=str(media_type), digest=Digest(str(digest)), size=int(str(size)))
