"""What the catalog says, and which blob is needed by what: the map that findings are drawn on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from corten.content.blobs import BlobDirectory
from corten.content.graph import DEPTH_LIMIT
from corten.content.readonly import reading
from corten.errors import CortenError, Invalid
from corten.oci import media
from corten.oci.codec import convert, decode_object
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.oci.image_config import CONFIG_LIMIT, parse_config
from corten.oci.manifest import MANIFEST_LIMIT, Index, Manifest, parse_document
from corten.oci.platform import Platform
from corten.oci.reference import Reference

_FACT_LIMIT = 65536
GZIP, DIFF_ID = "compressed/gzip", "diff-id"


class Survey(NamedTuple):
    """The catalog at one moment."""

    names: Mapping[str, Descriptor]
    images: Mapping[Digest, tuple[Descriptor, str]]
    """Roots by digest, with their image IDs."""
    repo_digests: tuple[tuple[str, str, str], ...]
    """Repository, digest, image ID."""
    facts: tuple[tuple[str, str, str], ...]
    """Kind, digest, value."""
    leases: tuple[str, ...]


EMPTY = Survey({}, {}, (), (), ())


def survey(catalog: Path) -> Survey:
    """Read the catalog.  Raises: sqlite3.Error; Invalid: a digest in it is none."""
    with reading(catalog) as db:
        names = db.execute("SELECT name, media_type, digest, size FROM names").fetchall()
        images = db.execute("SELECT image_id, media_type, digest, size FROM images").fetchall()
        repos = db.execute("SELECT repository, digest, image_id FROM repo_digests").fetchall()
        facts = db.execute("SELECT kind, digest, value FROM facts").fetchall()
        leases = db.execute("SELECT id FROM leases").fetchall()
    return Survey(
        {name: _descriptor(*rest) for name, *rest in names},
        {(root := _descriptor(*rest)).digest: (root, image_id) for image_id, *rest in images},
        tuple(repos),
        tuple(facts),
        tuple(lease for (lease,) in leases),
    )


def _descriptor(media_type: str, digest: str, size: int) -> Descriptor:
    return Descriptor(media_type=media_type, digest=Digest(digest), size=size)


class Need(msgspec.Struct):
    """Why a blob has to be there.

    ``holders`` are images and containers by the names that people know.  ``layer`` is the
    descriptor that a manifest has of a layer (else None), ``tar`` that layer's diff id;
    ``packed`` are the compressed forms of a tar.  What only ``facts`` speak of can go.
    """

    role: str
    size: int | None = None
    holders: set[str] = msgspec.field(default_factory=set)
    layer: Descriptor | None = None
    tar: Digest | None = None
    packed: set[Digest] = msgspec.field(default_factory=set)
    optional: bool = False


Needs = dict[Digest, Need]


class Root(NamedTuple):
    """A manifest or index that somebody holds, under a name for people."""

    digest: Digest
    holder: str
    media_type: str = ""
    size: int | None = None


def roots_of(known: Survey, containers: Iterable[tuple[str, str]]) -> list[Root]:
    """What names, images and containers (name and manifest digest) hold."""
    roots = [Root(d.digest, familiar(n), d.media_type, d.size) for n, d in known.names.items()]
    named = {root.digest for root in roots}
    roots += [
        Root(digest, f"image {Digest(image_id).short}", root.media_type, root.size)
        for digest, (root, image_id) in known.images.items()
        if digest not in named
    ]
    roots += [Root(Digest(m), f"container {name}") for name, m in containers if m]
    return roots


def familiar(name: str) -> str:
    """A canonical name as people write it."""
    with suppress(Invalid):
        return Reference.parse(name).familiar()
    return name


def needs_of(
    blobs: BlobDirectory, roots: Iterable[Root], known: Survey, platform: Platform
) -> Needs:
    """Every blob that the roots need, directly or through others, as far as documents are whole."""
    walk = _Walk(blobs, platform)
    for root in roots:
        walk.document(root, 0)
    walk.facts(known)
    return walk.needs


class _Walk:
    def __init__(self, blobs: BlobDirectory, platform: Platform) -> None:
        self.needs: Needs = {}
        self._blobs = blobs
        self._platform = platform

    def _need(self, digest: Digest, role: str, holder: str, size: int | None) -> Need:
        need = self.needs.setdefault(digest, Need(role, size))
        need.size = size if need.size is None else need.size
        need.holders.add(holder)
        return need

    def document(self, root: Root, depth: int) -> None:
        """A manifest or index, and all below it."""
        self._need(root.digest, "manifest", root.holder, root.size)
        raw = self._read(root.digest, MANIFEST_LIMIT)
        if raw is None or depth > DEPTH_LIMIT:
            return
        try:
            document = parse_document(raw, root.media_type)
        except CortenError:
            return
        if isinstance(document, Index):
            for child in self._children(document):
                below = Root(child.digest, root.holder, child.media_type, child.size)
                self.document(below, depth + 1)
        else:
            self._manifest(document, root.holder)

    def _children(self, index: Index) -> list[Descriptor]:
        """Those that are here; of an index of which none is, the one for this host."""
        present = [d for d in index.manifests if self._blobs.size_or_none(d.digest) is not None]
        wanted = index.select(self._platform)
        return present or ([wanted] if wanted else list(index.manifests[:1]))

    def _manifest(self, manifest: Manifest, holder: str) -> None:
        config = manifest.config
        self._need(config.digest, "configuration", holder, config.size)
        diff_ids: list[Digest | None] = [None] * len(manifest.layers)
        raw = None
        if config.media_type in media.CONFIGS:
            raw = self._read(config.digest, CONFIG_LIMIT)
        if raw is not None:
            with suppress(CortenError):
                listed = parse_config(raw).diff_ids
                diff_ids = [*listed] if len(listed) == len(diff_ids) else diff_ids
        for layer, diff_id in zip(manifest.layers, diff_ids, strict=True):
            if media.is_foreign(layer.media_type):
                continue
            need = self._need(layer.digest, "layer", holder, layer.size)
            need.layer, need.tar = layer, diff_id
            if diff_id is not None and diff_id != layer.digest:
                self._need(diff_id, "tar", holder, None).packed.add(layer.digest)

    def facts(self, known: Survey) -> None:
        """Compressed forms that were made once and would be made again."""
        for kind, digest, value in known.facts:
            tar = self.needs.get(Digest(digest)) if kind == GZIP else None
            form = gzip_form(value) if tar is not None else None
            if tar is None or form is None:
                continue
            tar.packed.add(form.digest)
            if form.digest not in self.needs:
                self.needs[form.digest] = Need(
                    "layer", form.size, set(tar.holders), form, Digest(digest), optional=True
                )

    def _read(self, digest: Digest, limit: int) -> bytes | None:
        """A document, if it is there and whole."""
        try:
            raw = self._blobs.read(digest, limit)
        except CortenError:
            return None
        whole = not digest.computable or Digest.of(raw, digest.algorithm) == digest
        return raw if whole else None


def gzip_form(value: str) -> Descriptor | None:
    """The descriptor that a ``compressed/gzip`` fact keeps, if it is one."""
    try:
        return convert(decode_object(value.encode(), "fact", _FACT_LIMIT), Descriptor, "fact")
    except CortenError:
        return None
