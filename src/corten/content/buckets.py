"""`Bucket`: an OCI image layout in an object store (S3, Azure, GCS), as a source and sink.

Objects are named as a layout's files, so that copying them all gives a layout in a
directory.  A blob appears when it is whole and verified: large ones go up in parts, which
the store puts together at the end.  ``index.json`` is replaced only if nobody else did so
meanwhile.  Spec: OCI image, image-layout.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from corten.content.index_file import MARKER, check_marker, describe_name, name_of, parse_index
from corten.content.protocols import PIECE, Buffer
from corten.errors import Conflict, Corrupt, CortenError, Denied, Invalid, NotFound, Unavailable
from corten.oci import media
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest, new_hasher
from corten.oci.manifest import MANIFEST_LIMIT, Index, detect_media_type, index_bytes

if TYPE_CHECKING:
    from obstore import WritableFile
    from obstore.store import ObjectStore

SCHEMES = ("s3", "gs", "az")
_PART = 8 * PIECE
_PARTS_AT_ONCE = 4
_TRIES = 20
_RETRIES = 4
_INDEX, _LAYOUT = "index.json", "oci-layout"


def open_bucket(url: str, settings: Mapping[str, str] | None = None) -> Bucket:
    """The bucket (or what lies below a prefix in it) at ``s3://``, ``gs://`` or ``az://``.

    Keys, region and end-point come from `settings` or the environment, by the names that the
    services' own tools use (``AWS_ACCESS_KEY_ID`` and so on).  Raises: Invalid: no such URL
    or setting; Unavailable: obstore is not installed.
    """
    scheme = url.partition("://")[0]
    if scheme not in SCHEMES:
        raise Invalid(f"{url} names no bucket", hint="s3://BUCKET/PREFIX, gs://… or az://…")
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError:
        raise Unavailable(
            "buckets need the package obstore", hint="pip install 'corten[buckets]'"
        ) from None
    given = dict(settings or {})
    endpoint = given.get("endpoint") or next(
        (os.environ[name] for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT") if name in os.environ),
        "",
    )
    if scheme == "s3" and endpoint:
        given["endpoint"] = endpoint
    try:
        store = from_url(
            url,
            config=cast("Any", given),
            client_options={"allow_http": endpoint.startswith("http://")},
            retry_config={"max_retries": _RETRIES},
        )
    except (BaseError, ValueError, TypeError) as error:
        raise Invalid(f"cannot open {url}: {_first_line(error)}") from None
    return Bucket(store, url)


class Bucket:
    """A layout in `store`; `label` is what messages call it.  Source, Sink, ListsTags.  Thread-safe."""

    def __init__(self, store: ObjectStore, label: str) -> None:
        self._store = store
        self.label = label

    def resolve(self, name: str) -> Descriptor:
        """What ``index.json`` or a digest says.  Raises: NotFound; Invalid: malformed."""
        index, _ = self._index()
        for descriptor in index.manifests:
            if name and name in (name_of(descriptor), descriptor.digest):
                return describe_name(descriptor, "")
        with suppress(Invalid, NotFound):
            return self._typed(Digest(name))
        raise NotFound(f"there is no '{name}' in {self.label}")

    def open(self, descriptor: Descriptor, offset: int = 0) -> BucketReader:
        """A reader from `offset` on.  Raises: NotFound; Invalid: an offset behind the end."""
        size = self._size(descriptor.digest)
        if size is None:
            raise NotFound(f"there is no {descriptor.digest} in {self.label}")
        if not 0 <= offset <= size:
            raise Invalid(f"offset {offset} lies outside of {descriptor.digest}")
        if offset == size:
            return BucketReader(iter(()), self.label)
        with self.asking(f"read {descriptor.digest}"):
            found = self._store.get(
                _object(descriptor.digest), options={"range": {"offset": offset}}
            )
            return BucketReader(iter(found.stream(min_chunk_size=PIECE)), self.label)

    def tags(self) -> Iterator[str]:
        """All names, in order."""
        index, _ = self._index()
        yield from sorted({name for d in index.manifests if (name := name_of(d))})

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the blob is there, with this size."""
        return self._size(descriptor.digest) == descriptor.size

    def ingest(self, descriptor: Descriptor | None = None, name: str = "") -> BucketIngest:
        """Begin to take a blob.  Raises: Invalid: its digest cannot be computed."""
        return BucketIngest(self, self._store, descriptor)

    def tag(self, name: str, descriptor: Descriptor) -> None:
        """List `descriptor` in ``index.json``, under `name` unless that is empty.

        Raises: NotFound: the blob is not there; Conflict: others change the index all the time.
        """
        if not self.has(descriptor):
            raise NotFound(f"there is no {descriptor.digest} in {self.label}")
        with self.asking("write its oci-layout"):
            self._store.put(_LAYOUT, MARKER)
        for _ in range(_TRIES):
            index, version = self._index(missing_ok=True)
            listed = [d for d in index.manifests if not name or name_of(d) != name]
            if not name and any(d.digest == descriptor.digest for d in listed):
                return
            listed.append(describe_name(descriptor, name))
            if self._replace(index_bytes(listed), version):
                return
        raise Conflict(f"the index of {self.label} was changed by others all the time")

    def _replace(self, raw: bytes, version: Any) -> bool:
        """Replace the index that had `version` (None: there was none).  False: there is another now."""
        from obstore.exceptions import AlreadyExistsError, NotSupportedError, PreconditionError

        with self.asking("write its index"):
            try:
                # A store that gives no versions cannot compare them either.
                mode: Any = "create" if version is None else version or "overwrite"
                self._store.put(_INDEX, raw, mode=mode)
            except (AlreadyExistsError, PreconditionError):
                return False
            except (NotSupportedError, NotImplementedError):
                self._store.put(_INDEX, raw)  # such a store is one writer's at a time
        return True

    def _index(self, *, missing_ok: bool = False) -> tuple[Index, Any]:
        """The index, and the version to replace."""
        with self.asking("read its index"):
            try:
                found = self._store.get(_INDEX)
                if found.meta["size"] > MANIFEST_LIMIT:
                    raise Invalid(
                        f"the index of {self.label} is larger than {MANIFEST_LIMIT} bytes"
                    )
                raw = bytes(found.bytes())
            except FileNotFoundError:
                if missing_ok:
                    return Index(schema_version=2), None
                raise NotFound(f"there is no OCI image layout in {self.label}") from None
            check_marker(bytes(self._store.get(_LAYOUT).bytes()), self.label)
        meta = found.meta
        version = {key: meta[key] for key in ("e_tag", "version") if meta.get(key)}
        return parse_index(raw, self.label), version

    def _typed(self, digest: Digest) -> Descriptor:
        """A document's descriptor by its digest alone.  Raises: NotFound; Invalid: it is none."""
        size = self._size(digest)
        if size is None:
            raise NotFound(f"there is no {digest} in {self.label}")
        media_type = media.OCTET_STREAM
        if size <= MANIFEST_LIMIT:
            with self.asking(f"read {digest}"), suppress(Invalid):
                media_type = detect_media_type(bytes(self._store.get(_object(digest)).bytes()))
        return Descriptor(media_type=media_type, digest=digest, size=size)

    def _size(self, digest: Digest) -> int | None:
        with self.asking(f"look for {digest}"):
            try:
                return int(self._store.head(_object(digest))["size"])
            except FileNotFoundError:
                return None

    @contextmanager
    def asking(self, what: str) -> Iterator[None]:
        """What the object store raises within, as errors of ours."""
        from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

        try:
            yield
        except CortenError:
            raise
        except FileNotFoundError:
            raise NotFound(f"{self.label}: cannot {what}: it is not there") from None
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise Denied(
                f"{self.label}: cannot {what}: {_first_line(error)}",
                hint="see that the keys are right and may do that",
            ) from None
        except (BaseError, OSError) as error:
            raise Unavailable(f"{self.label}: cannot {what}: {_first_line(error)}") from None


class BucketReader:
    """Bytes of one blob as they arrive."""

    def __init__(self, stream: Iterator[Any], label: str) -> None:
        self._stream = stream
        self._label = label
        self._held = memoryview(b"")

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; ``b""`` only at the end.  Raises: Unavailable: cut off."""
        if size < 0:
            return b"".join(iter(lambda: self.read(PIECE), b""))
        if size and not self._held:
            self._held = self._next()
        data, self._held = bytes(self._held[:size]), self._held[size:]
        return data

    def _next(self) -> memoryview:
        from obstore.exceptions import BaseError

        try:
            return memoryview(next(self._stream, b""))
        except (BaseError, OSError) as error:
            raise Unavailable(f"{self._label}: cut off: {_first_line(error)}") from None

    def close(self) -> None:
        """Take no more."""
        self._stream = iter(())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class BucketIngest:
    """One blob on its way into a bucket."""

    def __init__(self, bucket: Bucket, store: ObjectStore, descriptor: Descriptor | None) -> None:
        self.offset = 0
        self._bucket = bucket
        self._store = store
        self._wanted = descriptor
        self._algorithm = descriptor.digest.algorithm if descriptor is not None else "sha256"
        self._hasher = new_hasher(self._algorithm)
        self._held = bytearray()
        self._writer: WritableFile | None = None
        self._place = _object(descriptor.digest) if descriptor is not None else ""

    def write(self, data: Buffer, /) -> int:
        """Append `data`.  Raises: Corrupt: more than the descriptor's size; Unavailable; Denied."""
        length = data.nbytes if isinstance(data, memoryview) else len(data)
        wanted = self._wanted
        if wanted is not None and self.offset + length > wanted.size:
            raise Corrupt(f"{wanted.digest} is longer than its {wanted.size} bytes")
        self._hasher.update(data)
        self.offset += length
        if self._writer is None and len(self._held) + length <= _PART:
            self._held += data
            return length
        with self._bucket.asking("write a blob"):
            if self._writer is None:
                self._writer = self._open()
                self._writer.write(bytes(self._held))
                self._held.clear()
            self._writer.write(bytes(data))
        return length

    def _open(self) -> WritableFile:
        import obstore

        if not self._place:  # it gets its name when it has its digest
            self._place = f"uploads/{os.urandom(12).hex()}"
        writer = obstore.open_writer(
            self._store, self._place, buffer_size=_PART, max_concurrency=_PARTS_AT_ONCE
        )
        return writer.__enter__()

    def commit(self, expected: Digest | None = None) -> Descriptor:
        """Verify, and let it appear.

        Raises: Corrupt: not the descriptor's size or digest, or not `expected`.
        """
        found = self._verified(expected)
        with self._bucket.asking("write a blob"):
            if self._writer is None:
                self._store.put(_object(found.digest), bytes(self._held))
                return found
            writer, self._writer = self._writer, None
            writer.close()
            if self._place != _object(found.digest):
                self._store.rename(self._place, _object(found.digest))
        return found

    def _verified(self, expected: Digest | None) -> Descriptor:
        digest = Digest.from_hasher(self._hasher, self._algorithm)
        wanted = self._wanted
        if wanted is not None and (self.offset, digest) != (wanted.size, wanted.digest):
            raise Corrupt(
                f"the content of {wanted.digest} ({wanted.size} bytes) is {digest} ({self.offset})"
            )
        if expected is not None and digest != expected:
            raise Corrupt(f"the content is {digest}, not {expected}")
        if wanted is not None:
            return wanted
        return Descriptor(media_type=media.OCTET_STREAM, digest=digest, size=self.offset)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Without commit: the parts that went up are given up."""
        self._held.clear()
        if self._writer is not None:
            writer, self._writer = self._writer, None
            reason = error or Conflict("not committed")
            with suppress(Exception):
                writer.__exit__(type(reason), reason, None)


def _object(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.encoded}"


def _first_line(error: BaseException) -> str:
    """What is wrong in a line, without the request that stands in its middle."""
    said, _, request = str(error).strip().partition("\n")[0].partition(": Error performing")
    reason = request.rpartition(" - ")[2]
    return f"{said}: {reason}" if reason and "<?xml" not in reason else said
