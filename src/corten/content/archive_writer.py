"""Writing image archives: what `docker load`, podman and skopeo read, and OCI archives.

The same images give the same bytes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Literal

import msgspec

from corten.archive.entry import Entry
from corten.archive.hashing import ThreadedHasher
from corten.archive.tar_writer import TarWriter
from corten.content.archived import ArchivedImage
from corten.content.graph import DEPTH_LIMIT, is_document, read_document
from corten.content.index_file import FULL_NAME, MARKER, REF_NAME, describe_name
from corten.content.ingest import FileIngest
from corten.content.layout import OCILayout
from corten.content.protocols import PIECE, Locates, Source
from corten.errors import Conflict, Corrupt, Invalid, NotFound, Unsupported
from corten.events.job import Job
from corten.oci import media
from corten.oci.codec import canonical_json
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest, new_hasher
from corten.oci.image_config import CONFIG_LIMIT, parse_config
from corten.oci.manifest import Index, Manifest, build_index, build_manifest, parse_document
from corten.oci.reference import Reference
from corten.system.heap import keep_freed_memory

Write = Callable[[bytes], object]
Form = Literal["docker", "oci"]


def write_archive(
    form: Form, source: Source, images: Sequence[ArchivedImage], write: Write, job: Job
) -> None:
    """Write `images` of `source` as one tar through `write`.

    ``docker`` is manifest.json with configurations and layers, uncompressed where
    `source` has their tars, and an OCI layout of the same in the same tar; every
    root must be an image manifest.  ``oci`` is an OCI layout of the graphs as they
    are; of an index those children that `source` has.

    Raises: NotFound: a blob is not there; Corrupt: one is another than its digest says (the
    archive is wrong then); Invalid, Unsupported: a root that the form cannot hold; what
    `write` raises.
    """
    if form == "docker":
        _DockerWriter(source, write, job).run(images)
    else:
        _Writer(source, write, job).run(images)


class _Writer:
    """Writes an OCI layout."""

    def __init__(self, source: Source, write: Write, job: Job) -> None:
        self.source = source
        self._tar = TarWriter(write)
        self._job = job
        self._pending: dict[Digest, Descriptor] = {}
        self.held: dict[Digest, bytes] = {}

    def run(self, images: Sequence[ArchivedImage]) -> None:
        listed: list[Descriptor] = []
        for image in images:
            self.gather(image.descriptor)
            listed += _listed(image, whole=True)
        self._documents({"index.json": build_index(listed)[1]})

    def _documents(self, documents: dict[str, bytes]) -> None:
        self._file("oci-layout", MARKER)
        for name, data in documents.items():
            self._file(name, data)
        self._blobs()

    def gather(self, descriptor: Descriptor, depth: int = 0) -> None:
        """Note the blob and all below it for writing.  Raises: NotFound: a document is not there."""
        if descriptor.digest in self._pending:
            return
        if depth > DEPTH_LIMIT:
            raise Invalid(f"{descriptor.digest} is nested deeper than {DEPTH_LIMIT} levels")
        if is_document(descriptor):
            raw = read_document(self.source, descriptor)
            self.held[descriptor.digest] = raw
            self._pending[descriptor.digest] = descriptor
            document = parse_document(raw, descriptor.media_type)
            for child in document.children:
                if isinstance(document, Index):
                    with suppress(NotFound):
                        self.gather(child, depth + 1)
                elif not media.is_foreign(child.media_type):
                    self.gather(child, depth + 1)
        self._pending[descriptor.digest] = descriptor

    def add(self, descriptor: Descriptor, raw: bytes | None = None) -> str:
        """Note one blob; returns its path in the archive."""
        self._pending[descriptor.digest] = descriptor
        if raw is not None:
            self.held[descriptor.digest] = raw
        return _path(descriptor.digest)

    def _blobs(self) -> None:
        self._directory("blobs")
        for algorithm in sorted({digest.algorithm for digest in self._pending}):
            self._directory(f"blobs/{algorithm}")
        for digest in sorted(self._pending):
            descriptor = self._pending[digest]
            with self._job.step("save", str(digest), descriptor.size) as step:
                if digest in self.held:
                    self._file(_path(digest), self.held[digest])
                else:
                    self._blob(descriptor, step)
        self._tar.finish()

    def _blob(self, descriptor: Descriptor, step: Job) -> None:
        keep_freed_memory(descriptor.size)
        entry = Entry(_path(descriptor.digest).encode(), size=descriptor.size)
        with self.source.open(descriptor) as reader:
            if isinstance(reader, FileIO):
                self._proven(entry, descriptor, reader)
            else:
                # A tar needs the size before the bytes: they are proven to be the blob's first.
                with tempfile.TemporaryFile() as spool:
                    hasher = new_hasher(descriptor.digest.algorithm)
                    while piece := reader.read(PIECE):
                        step.check()
                        hasher.update(piece)
                        spool.write(piece)
                        if spool.tell() > descriptor.size:
                            raise Corrupt(f"{descriptor.digest} is too long")
                    spool.flush()
                    found = Digest.from_hasher(hasher, descriptor.digest.algorithm)
                    if spool.tell() != descriptor.size or found != descriptor.digest:
                        raise Corrupt(f"the content of {descriptor.digest} is {found}")
                    spool.seek(0)
                    self._tar.add(entry, spool.fileno())
        step.advance(descriptor.size)

    def _proven(self, entry: Entry, descriptor: Descriptor, file: FileIO) -> None:
        """Write a blob's file, and compare it with its digest on the way: who fails leaves no archive."""
        wanted = descriptor.digest
        if not wanted.computable:
            self._tar.add(entry, file.fileno())
            return
        with ThreadedHasher(wanted.algorithm) as hasher:
            self._tar.add(entry, file.fileno(), hasher.update)
            found = hasher.digest()
        if found != wanted:
            raise Corrupt(
                f"the content of {wanted} is {found}",
                hint="corten system check --repair mends it, or says what brings it back",
            )

    def _file(self, name: str, data: bytes) -> None:
        self._job.check()
        self._tar.add(Entry(name.encode(), size=len(data)), data)

    def _directory(self, name: str) -> None:
        self._tar.add(Entry(name.encode(), "directory", 0o755))


class _DockerWriter(_Writer):
    """Writes Docker's documents beside an OCI layout of the same images."""

    def run(self, images: Sequence[ArchivedImage]) -> None:
        items: list[dict[str, object]] = []
        listed: list[Descriptor] = []
        repositories: dict[str, dict[str, str]] = {}
        for image in images:
            descriptor, item, top = self._image(image)
            references = [Reference.parse(name) for name in image.names]
            references = [r for r in references if r.tag]
            for reference in references:
                repositories.setdefault(reference.familiar_name(), {})[reference.tag] = top
            item["RepoTags"] = [_tagged(reference) for reference in references]
            items.append(item)
            listed += _listed(ArchivedImage(descriptor, image.names), whole=False)
        self._documents({
            "index.json": build_index(listed)[1],
            "manifest.json": canonical_json(items),
            "repositories": canonical_json(repositories),
        })  # fmt: skip

    def _image(self, image: ArchivedImage) -> tuple[Descriptor, dict[str, object], str]:
        """The manifest, the item of manifest.json and the top layer's hex name."""
        document = parse_document(
            read_document(self.source, image.descriptor), image.descriptor.media_type
        )
        if not isinstance(document, Manifest) or document.config.media_type not in media.CONFIGS:
            raise Unsupported(
                f"a docker archive cannot hold {image.descriptor.digest}: it is no single image",
                hint="save it with --format oci",
            )
        raw = read_document(self.source, document.config, CONFIG_LIMIT)
        diff_ids = parse_config(raw).diff_ids
        if len(diff_ids) != len(document.layers):
            raise Invalid(f"{image.descriptor.digest} and its configuration differ in layers")
        layers = [
            self._plain(diff_id) or layer
            for diff_id, layer in zip(diff_ids, document.layers, strict=True)
        ]
        descriptor, manifest = build_manifest(
            msgspec.structs.replace(document.config, media_type=media.OCI_CONFIG), layers
        )
        self.add(descriptor, manifest)
        item: dict[str, object] = {
            "Config": self.add(document.config, raw),
            "Layers": [self.add(layer) for layer in layers],
        }
        return descriptor, item, layers[-1].digest.encoded if layers else ""

    def _plain(self, diff_id: Digest) -> Descriptor | None:
        """The layer's tar, if the source has it."""
        if not isinstance(self.source, Locates):
            return None
        layer = Descriptor(media_type=media.OCI_LAYER, digest=diff_id, size=0)
        with suppress(NotFound):
            size = self.source.locate(layer).stat().st_size
            return msgspec.structs.replace(layer, size=size)
        return None


def _listed(image: ArchivedImage, *, whole: bool) -> list[Descriptor]:
    """The entries of index.json.  `whole` names stand in ref.name, else (as Docker does) the tag."""
    listed = []
    for name in image.names:
        tag = Reference.parse(name).tag
        annotations = {**image.descriptor.annotations, FULL_NAME: name}
        if whole or tag:
            annotations[REF_NAME] = name if whole else tag
        listed.append(msgspec.structs.replace(image.descriptor, annotations=annotations))
    return listed or [describe_name(image.descriptor, "")]


def _tagged(reference: Reference) -> str:
    return f"{reference.familiar_name()}:{reference.tag}"


def _path(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.encoded}"


class ArchiveSink:
    """An archive to copy into: Sink.  Blobs wait in `spool` until `finish` writes the tar.

    `spool` is an empty directory that the caller removes afterwards.  A local store is
    saved without that detour by :func:`write_archive`.
    """

    def __init__(self, spool: Path, form: Form) -> None:
        self.form: Form = form
        self._layout = OCILayout(spool)
        self._names: dict[str, Descriptor] = {}

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the blob was put in."""
        return self._layout.has(descriptor)

    def ingest(self, descriptor: Descriptor | None = None, name: str = "") -> FileIngest:
        """Begin to take a blob.  Raises: Invalid, Unavailable."""
        return self._layout.ingest(descriptor)

    def tag(self, name: str, descriptor: Descriptor) -> None:
        """Give the archive an image under a canonical name (empty: under none).

        Raises: NotFound: it was not put in; Conflict: the name stands for another one.
        """
        if not self._layout.has(descriptor):
            raise NotFound(f"there is no {descriptor.digest} in the archive")
        if self._names.setdefault(name or str(descriptor.digest), descriptor) != descriptor:
            raise Conflict(f"the archive has another image named {name}")

    def finish(self, write: Write, job: Job) -> None:
        """Write the tar of everything that was tagged."""
        images: dict[Digest, ArchivedImage] = {}
        for name, descriptor in self._names.items():
            known = images.get(descriptor.digest, ArchivedImage(descriptor, ()))
            names = known.names if name == descriptor.digest else (*known.names, name)
            images[descriptor.digest] = ArchivedImage(descriptor, names)
        write_archive(self.form, self._layout, list(images.values()), write, job)
