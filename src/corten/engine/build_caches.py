"""Where a build's cache comes from and goes to: ``--cache-from`` and ``--cache-to``.

``type=registry,ref=NAME``, ``type=local,src=DIR`` (``dest=DIR``), ``type=s3,bucket=NAME``,
``type=azblob,…``, ``type=gcs,…``, ``type=inline``; a bare name is a registry's.  A cache that is not there, or cannot be read, is a warning.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, cast

import msgspec

from corten.builder.cache_images import LayerFetch, receive_cache, send_cache
from corten.builder.shared_cache import Made, SharedCache, SharedCaches
from corten.builder.stacks import Stacks
from corten.content.buckets import open_bucket
from corten.content.layout import OCILayout
from corten.content.protocols import Sink, Source
from corten.dockerfile.errors import did_you_mean
from corten.dockerfile.given_options import split_options
from corten.engine.host import Host
from corten.errors import CortenError, Invalid, NotFound
from corten.events.job import Job
from corten.oci.reference import Reference
from corten.remote.registries import Registries

_TAG = "latest"
_BUCKETS = {
    "s3": {
        "region": "region",
        "endpoint_url": "endpoint",
        "access_key_id": "access_key_id",
        "secret_access_key": "secret_access_key",
        "session_token": "session_token",
    },
    "azblob": {
        "account_url": "endpoint",
        "account_name": "account_name",
        "secret_access_key": "account_key",
    },
    "gcs": {},
}
"""Types of buckets, and their options, as BuildKit calls them and as obstore does."""
_SCHEMES = {"s3": "s3", "azblob": "az", "gcs": "gs"}
_PLACE_IN_BUCKET = ("bucket", "container", "prefix", "name")
_IN_BUCKETS = {kind: (*_PLACE_IN_BUCKET, *known) for kind, known in _BUCKETS.items()}
_FROM = {
    "registry": ("ref", "registry.insecure"),
    "local": ("src", "tag", "digest"),
    **_IN_BUCKETS,
}
_TO = {
    "registry": ("ref", "mode", "registry.insecure", "ignore-error"),
    "local": ("dest", "tag", "mode", "ignore-error"),
    "inline": (),
    **{kind: (*known, "mode", "ignore-error") for kind, known in _IN_BUCKETS.items()},
}
_SILENT = ("oci-mediatypes", "image-manifest", "compression")
"""Options of BuildKit's whose usual value is what is done here anyway."""


class CachePlace(msgspec.Struct, frozen=True):
    """A place that a cache is read from or written to.

    ``where`` is an image's name, a directory, or a bucket's URL (which ``settings`` open);
    ``name`` is what it is called there.
    """

    type: Literal["registry", "local", "bucket", "inline"]
    where: str = ""
    name: str = _TAG
    everything: bool = False
    insecure: bool = False
    lenient: bool = False
    settings: Mapping[str, str] = {}


def parse_cache_from(text: str) -> CachePlace:
    """The place of a ``--cache-from``.  Raises: Invalid."""
    options = _options(text, "--cache-from", _FROM)
    return _place(text, options, "--cache-from", options.get("src", ""))


def parse_cache_to(text: str) -> CachePlace:
    """The place of a ``--cache-to``.  Raises: Invalid."""
    options = _options(text, "--cache-to", _TO)
    if options.get("mode", "min") not in ("min", "max"):
        raise Invalid(f"--cache-to mode is min or max, not {options['mode']!r}")
    return _place(text, options, "--cache-to", options.get("dest", ""))


_WANTED = {
    "registry": "ref=HOST/NAME:TAG",
    "local": "src=DIR",
    "azblob": "container=NAME",
}


def _place(text: str, options: Mapping[str, str], flag: str, folder: str) -> CachePlace:
    kind = options["type"]
    bucket = options.get("bucket") or options.get("container") or ""
    where = options.get("ref") or folder or bucket
    if not where and kind != "inline":
        wanted = _WANTED.get(kind, "bucket=NAME")
        hint = f"add {wanted if flag == '--cache-from' else wanted.replace('src', 'dest')}"
        raise Invalid(f"{flag} {text} names no place", hint=hint)
    name = options.get("digest") or options.get("tag") or options.get("name") or _TAG
    if kind == "registry":
        reference = Reference.parse(where)
        where, name = str(reference), reference.target
    elif kind in _BUCKETS:
        prefix = options.get("prefix", "").strip("/")
        where = f"{_SCHEMES[kind]}://{bucket}" + (f"/{prefix}" if prefix else "")
    return CachePlace(
        cast("Literal['registry', 'local', 'inline']", kind) if kind not in _BUCKETS else "bucket",
        where,
        name,
        everything=options.get("mode") == "max",
        insecure=options.get("registry.insecure") == "true",
        lenient=options.get("ignore-error") == "true",
        settings={
            ours: options[theirs]
            for theirs, ours in _BUCKETS.get(kind, {}).items()
            if theirs in options
        },
    )


def _options(text: str, flag: str, kinds: Mapping[str, Sequence[str]]) -> dict[str, str]:
    parts = split_options(text, flag)
    if len(parts) == 1 and "=" not in parts[0]:
        return {"type": "registry", "ref": parts[0]}
    options: dict[str, str] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals:
            raise Invalid(f"{flag}: {part!r} has no value", hint=f"{flag} type=registry,ref=NAME")
        options[name.strip().lower()] = value
    kind = options.setdefault("type", "registry")
    if kind not in kinds:
        raise Invalid(f"{flag} knows no type {kind!r}", hint=did_you_mean(kind, kinds))
    for name in options:
        if name not in ("type", *kinds[kind], *_SILENT):
            raise Invalid(
                f"{flag} type={kind} has no option {name!r}", hint=did_you_mean(name, kinds[kind])
            )
    return options


class BuildCaches:
    """The places of one build's caches.  A context manager: connections stay open meanwhile."""

    def __init__(
        self, host: Host, origins: Sequence[CachePlace], targets: Sequence[CachePlace]
    ) -> None:
        self._host = host
        self._origins = origins
        self._targets = targets
        self._stack = ExitStack()

    @property
    def inline(self) -> bool:
        """Whether the image shall have its own cache."""
        return any(place.type == "inline" for place in self._targets)

    def open(self, job: Job) -> SharedCaches:
        """What the build may take from; what cannot be read is left out, with a warning."""
        found: list[SharedCache] = []
        for place in self._origins:
            with job.step("cache", f"from {place.where}") as step:
                try:
                    found += self._receive(place)
                except CortenError as error:
                    step.warn(f"no cache from {place.where}: {error.message}")
        return SharedCaches(found)

    def send(
        self,
        made: Sequence[Made],
        image: Sequence[Made],
        stacks: Stacks,
        job: Job,
    ) -> None:
        """Write the caches: of all steps that were `made`, or of those whose layers are the image's.

        Raises: what writing raises, naming the place, unless that may fail.
        """
        for place in self._targets:
            if place.type == "inline":
                continue
            with job.step("cache", f"to {place.where}") as step:
                try:
                    sink = self._sink(place)
                    steps = made if place.everything else image
                    send_cache(steps, stacks, self._host.store, sink, place.name, step)
                except CortenError as error:
                    if not place.lenient:
                        known = error.message.removeprefix(f"{place.where}: ")
                        error.message = f"cache to {place.where}: {known}"
                        error.args = (error.message,)
                        raise
                    step.warn(f"no cache to {place.where}: {error.message}")

    def _receive(self, place: CachePlace) -> list[SharedCache]:
        source = self._source(place)
        host = self._host
        fetch = LayerFetch(source, host.store, host.snapshotter, host.settings.layer_limit)
        return receive_cache(source, source.resolve(place.name), fetch)

    def _source(self, place: CachePlace) -> Source:
        if place.type == "registry":
            reference = Reference.parse(place.where)
            return self._registries(place).open(reference)
        if place.type == "bucket":
            return open_bucket(place.where, place.settings)
        folder = Path(place.where)
        if not folder.is_dir():
            raise NotFound(f"there is no directory {folder}")
        return OCILayout(folder)

    def _sink(self, place: CachePlace) -> Sink:
        if place.type == "registry":
            reference = Reference.parse(place.where)
            return self._registries(place).open(reference, ("pull", "push"))
        if place.type == "bucket":
            return open_bucket(place.where, place.settings)
        folder = Path(place.where)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Invalid(f"cannot make {folder}: {error.strerror}") from None
        return OCILayout(folder)

    def _registries(self, place: CachePlace) -> Registries:
        host = Reference.parse(place.where).registry
        trusted = frozenset({host}) if place.insecure else frozenset[str]()
        return self._stack.enter_context(Registries(os.environ, trusted))

    def __enter__(self) -> BuildCaches:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()
