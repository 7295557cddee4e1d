"""What builds on other machines remember: results by key, and the layers that they name.

A cache travels as an OCI image: its configuration is a `CacheDocument`, its layers are
those of the steps.  Keys follow from definitions and content alone (see
:mod:`corten.builder.worker`), so they mean the same everywhere.  A layer is fetched when
something needs its files, not when its step is found.

Whoever can write a cache decides what the builds that read it contain: as with base images.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from corten.builder.cache import Saved
from corten.errors import Invalid, NotFound
from corten.events.job import Job
from corten.oci.codec import canonical_json, convert, decode_object
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest

if TYPE_CHECKING:
    from corten.builder.stacks import Stacks

MEDIA_TYPE = "application/vnd.corten.build-cache.v1+json"
"""Of the document, as a cache image's configuration."""
ANNOTATION = "org.corten.build-cache"
"""Where the manifest of an image has its own cache: the document, whose layers are the image's."""
DOCUMENT_LIMIT = 16 * 1024 * 1024
_VERSION = 1
_LATEST = 1 << 33
"""Unix seconds, in the year 2242."""


class Made(NamedTuple):
    """What a step of a build came to: the keys it is known under, their family, and the result."""

    keys: tuple[str, ...]
    family: str
    saved: Saved


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """A `Made` as it travels: ``layer`` counts the document's layers, -1 if nothing changed."""

    keys: tuple[str, ...]
    family: str = ""
    layer: int = -1
    created: int = 0


class CacheDocument(msgspec.Struct, frozen=True):
    """All records, and the layers that they name, by diff id, in the order of the manifest."""

    version: int
    layers: tuple[Digest, ...]
    records: tuple[Record, ...]


def write_document(made: Iterable[Made], layers: Sequence[Digest]) -> bytes:
    """The document of those steps whose layer is one of `layers`.

    The same steps give the same bytes.
    """
    places = {layer: number for number, layer in enumerate(layers)}
    records = {
        Record(
            one.keys,
            one.family,
            places[one.saved.layer] if one.saved.layer is not None else -1,
            one.saved.created,
        )
        for one in made
        if one.keys and (one.saved.layer is None or one.saved.layer in places)
    }
    ordered = sorted(records, key=lambda record: record.keys)
    return canonical_json(CacheDocument(_VERSION, tuple(layers), tuple(ordered)))


def inline_cache(made: Iterable[Made], layers: Sequence[Digest]) -> Mapping[str, str]:
    """The annotations that let an image be its own cache: of the steps that made its layers."""
    return {ANNOTATION: write_document(made, layers).decode()}


def read_document(raw: bytes) -> CacheDocument:
    """The document in `raw`.  Raises: Invalid: it is none, or of a version that is not known."""
    document = convert(
        decode_object(raw, "build cache", DOCUMENT_LIMIT), CacheDocument, "build cache"
    )
    if document.version != _VERSION:
        raise Invalid(
            f"a build cache of version {document.version}, this corten reads {_VERSION}",
            hint="have it written anew by this version",
        )
    if any(record.layer >= len(document.layers) for record in document.records):
        raise Invalid("malformed build cache: a record names a layer that it does not have")
    if any(not 0 <= record.created <= _LATEST for record in document.records):
        raise Invalid("malformed build cache: a record has a time that no date has")
    return document


class LostLayer(NotFound):
    """A cache names a layer that its place does not have any more."""


class Fetch(Protocol):
    """Brings a layer's blob into the store, applied, and checks that it is that layer."""

    def __call__(self, blob: Descriptor, layer: Digest, job: Job, /) -> None:
        """Raises: Corrupt: it unpacks to something else; LostLayer; Unavailable; Denied."""


class SharedCache:
    """One cache that a build may take from.

    `blobs` has each layer as its place has it.
    """

    def __init__(
        self, document: CacheDocument, blobs: Mapping[Digest, Descriptor], fetch: Fetch
    ) -> None:
        self._saved: dict[str, Saved] = {}
        self._families: set[str] = set()
        for record in document.records:
            layer = document.layers[record.layer] if record.layer >= 0 else None
            if layer is not None and layer not in blobs:
                continue
            self._saved |= dict.fromkeys(record.keys, Saved(layer, record.created))
            self._families.add(record.family)
        self.blobs = blobs
        self._fetch = fetch

    def load(self, key: str) -> Saved | None:
        """What is known under `key`."""
        return self._saved.get(key)

    def known(self, family: str) -> bool:
        """Whether there is a result of this family."""
        return family in self._families

    def fetch(self, layer: Digest, job: Job) -> bool:
        """Bring a layer into the store.  False: it is not here.  Raises: as `Fetch`."""
        blob = self.blobs.get(layer)
        if blob is None:
            return False
        self._fetch(blob, layer, job)
        return True


class SharedCaches:
    """All caches that a build may take from, the first first."""

    def __init__(self, caches: Sequence[SharedCache] = ()) -> None:
        self._caches = caches

    def load(self, key: str) -> Saved | None:
        """What the first cache that knows it has under `key`."""
        found = (cache.load(key) for cache in self._caches)
        return next((saved for saved in found if saved is not None), None)

    def known(self, family: str) -> bool:
        """Whether one has a result of this family."""
        return any(cache.known(family) for cache in self._caches)

    def blob(self, layer: Digest) -> Descriptor | None:
        """The layer as a cache has it."""
        found = (cache.blobs.get(layer) for cache in self._caches)
        return next((blob for blob in found if blob is not None), None)

    def fetch(self, layer: Digest, job: Job) -> bool:
        """Bring a layer into the store.  False: none has it.  Raises: as `Fetch`."""
        return any(cache.fetch(layer, job) for cache in self._caches)


NO_CACHES = SharedCaches()
"""For a build that takes from none."""


class CachePlaces(Protocol):
    """Where a build's caches are read from and written to."""

    @property
    def inline(self) -> bool:
        """Whether the image shall have its own cache."""

    def open(self, job: Job) -> SharedCaches:
        """What the build may take from."""

    def send(self, made: Sequence[Made], image: Sequence[Made], stacks: Stacks, job: Job) -> None:
        """Write what all steps came to, or those whose layers the image has.  Raises: CortenError."""


class NoPlaces:
    """For a build whose cache stays here; a `CachePlaces`."""

    inline = False

    def open(self, job: Job) -> SharedCaches:
        """None."""
        return NO_CACHES

    def send(self, made: Sequence[Made], image: Sequence[Made], stacks: Stacks, job: Job) -> None:
        """Nothing is written."""


NO_PLACES = NoPlaces()
