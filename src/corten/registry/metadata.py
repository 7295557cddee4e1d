"""What the registry knows: manifests, tags, blobs of repositories, uploads under way.

All methods block for the time of a few statements.  What a write says it has
done is on disk when it returns.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import delete, func, insert, select, update

from corten.errors import NotFound
from corten.oci.digest import Digest
from corten.registry.database import Database
from corten.registry.schema import blobs, children, manifests, repositories, tags, uploads
from corten.wire.codes import refusal
from corten.wire.paging import Ask

if TYPE_CHECKING:
    from sqlalchemy import Connection

_MISSING_SHOWN = 20


class StoredManifest(NamedTuple):
    """A manifest as it was pushed."""

    digest: Digest
    media_type: str
    size: int
    raw: bytes


class NewManifest(NamedTuple):
    """A manifest that is to be stored: ``needs`` maps what must be there to its size."""

    digest: Digest
    media_type: str
    raw: bytes
    subject: Digest | None
    artifact_type: str
    needs: dict[Digest, int]


class Upload(NamedTuple):
    """An upload under way."""

    id: str
    repository: str
    algorithm: str


class Metadata:
    """The registry's metadata over a :class:`Database`.  Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.local = database.local
        joined = manifests.join(repositories, manifests.c.repository == repositories.c.id)
        columns = (manifests.c.digest, manifests.c.media_type, manifests.c.size, manifests.c.raw)
        self._by_digest = (
            select(*columns)
            .select_from(joined)
            .where(repositories.c.name == _bound("repository"))
            .where(manifests.c.digest == _bound("reference"))
        )
        self._by_tag = (
            select(*columns)
            .select_from(
                joined.join(
                    tags,
                    (tags.c.repository == manifests.c.repository)
                    & (tags.c.digest == manifests.c.digest),
                )
            )
            .where(repositories.c.name == _bound("repository"))
            .where(tags.c.name == _bound("reference"))
        )
        self._blob = (
            select(blobs.c.size)
            .select_from(blobs.join(repositories, blobs.c.repository == repositories.c.id))
            .where(repositories.c.name == _bound("repository"))
            .where(blobs.c.digest == _bound("digest"))
        )

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    # Manifests and tags

    def manifest(self, repository: str, reference: str) -> StoredManifest | None:
        """The manifest that a tag or digest names."""
        statement = self._by_digest if ":" in reference else self._by_tag
        with self._database.read() as connection:
            found = connection.execute(
                statement, {"repository": repository, "reference": reference}
            ).first()
        return None if found is None else StoredManifest(Digest(found[0]), *found[1:])

    def put_manifest(self, repository: str, manifest: NewManifest, names: Sequence[str]) -> None:
        """Store a manifest and let the tags `names` stand for it.

        Raises: NotFound (MANIFEST_BLOB_UNKNOWN): content it names is not in the
        repository; Invalid (MANIFEST_INVALID): it has another size there.
        """
        now = time.time()
        with self._database.write() as connection:
            owner = _repository(connection, repository, now)
            _check_children(connection, owner, manifest.needs)
            known = select(manifests.c.digest).where(
                manifests.c.repository == owner, manifests.c.digest == manifest.digest
            )
            if connection.execute(known).first() is None:
                row = {
                    "repository": owner,
                    "digest": str(manifest.digest),
                    "media_type": manifest.media_type,
                    "size": len(manifest.raw),
                    "raw": manifest.raw,
                    "subject": str(manifest.subject) if manifest.subject else None,
                    "artifact_type": manifest.artifact_type,
                    "created": now,
                }
                connection.execute(insert(manifests).values(row))
                rows = [
                    {"repository": owner, "manifest": str(manifest.digest), "child": str(child)}
                    for child in manifest.needs
                ]
                if rows:
                    connection.execute(insert(children), rows)
            for name in names:
                _set_tag(connection, owner, name, manifest.digest, now)

    def delete_tag(self, repository: str, name: str) -> bool:
        """Delete a tag; False: it was not there."""
        with self._database.write() as connection:
            owner = _find(connection, repository)
            done = connection.execute(
                delete(tags).where(tags.c.repository == owner, tags.c.name == name)
            )
            return done.rowcount > 0

    def delete_manifest(self, repository: str, digest: Digest) -> bool:
        """Delete a manifest and all tags that stand for it; False: it was not there."""
        with self._database.write() as connection:
            owner = _find(connection, repository)
            connection.execute(
                delete(tags).where(tags.c.repository == owner, tags.c.digest == digest)
            )
            connection.execute(
                delete(children).where(
                    children.c.repository == owner, children.c.manifest == digest
                )
            )
            done = connection.execute(
                delete(manifests).where(
                    manifests.c.repository == owner, manifests.c.digest == digest
                )
            )
            return done.rowcount > 0

    # Lists

    def tags(self, repository: str, ask: Ask) -> list[str]:
        """Tags after ``ask.last``, sorted.  Raises: NotFound: no such repository."""
        query = select(tags.c.name).where(tags.c.name > ask.last)
        with self._database.read() as connection:
            owner = _find(connection, repository)
            query = query.where(tags.c.repository == owner).order_by(tags.c.name).limit(ask.n)
            return list(connection.execute(query).scalars())

    def repositories(self, ask: Ask) -> list[str]:
        """Repositories after ``ask.last``, sorted."""
        query = select(repositories.c.name).where(repositories.c.name > ask.last)
        with self._database.read() as connection:
            query = query.order_by(repositories.c.name).limit(ask.n)
            return list(connection.execute(query).scalars())

    def referrers(
        self, repository: str, subject: Digest, artifact_type: str, after: str
    ) -> Generator[tuple[StoredManifest, str], None, None]:
        """Manifests with that subject and their artifact types, by digest, those after `after`.

        Rows are fetched while they are taken: close the iterator to end early.
        """
        query = (
            select(
                manifests.c.digest,
                manifests.c.media_type,
                manifests.c.size,
                manifests.c.raw,
                manifests.c.artifact_type,
            )
            .select_from(manifests.join(repositories, manifests.c.repository == repositories.c.id))
            .where(repositories.c.name == repository)
            .where(manifests.c.subject == str(subject))
            .where(manifests.c.digest > after)
            .order_by(manifests.c.digest)
        )
        if artifact_type:
            query = query.where(manifests.c.artifact_type == artifact_type)
        with self._database.read() as connection:
            rows = connection.execution_options(stream_results=True, max_row_buffer=8)
            for row in rows.execute(query):
                yield StoredManifest(Digest(row[0]), *row[1:4]), row[4]

    # Blobs

    def blob(self, repository: str, digest: Digest) -> int | None:
        """The size of a blob of the repository; None: it has none of that digest."""
        with self._database.read() as connection:
            size: int | None = connection.execute(
                self._blob, {"repository": repository, "digest": str(digest)}
            ).scalar_one_or_none()
            return size

    def link_blob(self, repository: str, digest: Digest, size: int) -> None:
        """Let the repository have a blob whose bytes are stored."""
        now = time.time()
        with self._database.write() as connection:
            owner = _repository(connection, repository, now)
            _link(connection, owner, digest, size, now)

    def mount_blob(self, repository: str, digest: Digest, origin: str) -> bool:
        """Let the repository have a blob that `origin` has; False: it has not."""
        now = time.time()
        with self._database.write() as connection:
            size = connection.execute(
                self._blob, {"repository": origin, "digest": str(digest)}
            ).scalar_one_or_none()
            if size is None:
                return False
            _link(connection, _repository(connection, repository, now), digest, size, now)
            return True

    def unlink_blob(self, repository: str, digest: Digest) -> bool:
        """Take a blob out of the repository; False: it was not there.

        Raises: Unsupported: a manifest of the repository names it.
        """
        with self._database.write() as connection:
            owner = _find(connection, repository)
            holders = select(func.count()).where(
                children.c.repository == owner, children.c.child == digest
            )
            if connection.execute(holders).scalar_one():
                raise refusal(
                    "UNSUPPORTED", f"blob {digest} belongs to a manifest: delete that first"
                )
            done = connection.execute(
                delete(blobs).where(blobs.c.repository == owner, blobs.c.digest == digest)
            )
            return done.rowcount > 0

    # Uploads

    def start_upload(self, upload: Upload) -> None:
        """Note that an upload has begun."""
        with self._database.write() as connection:
            row = {**upload._asdict(), "touched": time.time()}
            connection.execute(insert(uploads).values(row))

    def upload(self, repository: str, upload_id: str) -> Upload | None:
        """The upload of that name in the repository."""
        query = select(uploads.c.id, uploads.c.repository, uploads.c.algorithm).where(
            uploads.c.id == upload_id, uploads.c.repository == repository
        )
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else Upload(*row)

    def touch_upload(self, upload_id: str) -> None:
        """Note that the upload is alive."""
        with self._database.write() as connection:
            connection.execute(
                update(uploads).where(uploads.c.id == upload_id).values(touched=time.time())
            )

    def finish_upload(self, upload: Upload, digest: Digest, size: int) -> None:
        """Forget an upload and let its repository have the blob that came of it, in one step."""
        now = time.time()
        with self._database.write() as connection:
            owner = _repository(connection, upload.repository, now)
            _link(connection, owner, digest, size, now)
            connection.execute(delete(uploads).where(uploads.c.id == upload.id))

    def end_upload(self, upload_id: str) -> None:
        """Forget an upload."""
        with self._database.write() as connection:
            connection.execute(delete(uploads).where(uploads.c.id == upload_id))

    def stale_uploads(self, before: float) -> list[Upload]:
        """Uploads that nobody has touched since `before`, in seconds of the epoch."""
        query = select(uploads.c.id, uploads.c.repository, uploads.c.algorithm).where(
            uploads.c.touched < before
        )
        with self._database.read() as connection:
            return [Upload(*row) for row in connection.execute(query)]


def _bound(name: str) -> Any:
    from sqlalchemy import bindparam

    return bindparam(name)


def _find(connection: Connection, name: str) -> int:
    query = select(repositories.c.id).where(repositories.c.name == name)
    found: int | None = connection.execute(query).scalar_one_or_none()
    if found is None:
        raise refusal("NAME_UNKNOWN", f"no repository {name}", detail={"name": name})
    return found


def _repository(connection: Connection, name: str, now: float) -> int:
    """The id of a repository, which comes into being by its first content."""
    try:
        return _find(connection, name)
    except NotFound:
        done = connection.execute(insert(repositories).values(name=name, created=now))
        key = done.inserted_primary_key
        assert key is not None
        return int(key[0])


def _link(connection: Connection, owner: int, digest: Digest, size: int, now: float) -> None:
    known = select(blobs.c.size).where(blobs.c.repository == owner, blobs.c.digest == digest)
    if connection.execute(known).first() is None:
        row = {"repository": owner, "digest": str(digest), "size": size, "linked": now}
        connection.execute(insert(blobs).values(row))


def _set_tag(connection: Connection, owner: int, name: str, digest: Digest, now: float) -> None:
    changed = connection.execute(
        update(tags)
        .where(tags.c.repository == owner, tags.c.name == name)
        .values(digest=str(digest), updated=now)
    )
    if changed.rowcount == 0:
        row = {"repository": owner, "name": name, "digest": str(digest), "updated": now}
        connection.execute(insert(tags).values(row))


def _check_children(connection: Connection, owner: int, needs: dict[Digest, int]) -> None:
    missing = []
    for digest, size in needs.items():
        for table in (blobs, manifests):
            query = select(table.c.size).where(
                table.c.repository == owner, table.c.digest == str(digest)
            )
            found = connection.execute(query).scalar_one_or_none()
            if found is not None:
                break
        if found is None:
            missing.append(str(digest))
        elif found != size:
            raise refusal(
                "MANIFEST_INVALID", f"{digest} has {found} bytes, the manifest says {size}"
            )
    if missing:
        shown = ", ".join(missing[:_MISSING_SHOWN])
        raise refusal(
            "MANIFEST_BLOB_UNKNOWN",
            f"the manifest names content that the repository lacks: {shown}",
            detail=[{"digest": digest} for digest in missing[:_MISSING_SHOWN]],
        )
