"""What must hold after a crash, and what a store is made of."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import tarfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from corten.builder.stacks import Stacks
from corten.content.blobs import BlobDirectory
from corten.content.index_file import name_of, read_index
from corten.engine.host import Host
from corten.engine.lookup import find_image
from corten.errors import CortenError, NotFound
from corten.image.view import Image
from corten.oci.digest import Digest
from corten.oci.image_config import parse_config
from corten.oci.manifest import Index, parse_document
from corten.runtime.crun import root_scope
from support.crash_operations import registry
from support.crash_store import Place

_HEX = re.compile(r"[0-9a-f]{12,}")
_BUSY = 10.0

Files = tuple[tuple[Digest, ...], tuple[tuple[int, int, int], ...]]
"""Layers, and their files by inode, size in bytes and time of the last change (blobs: 0)."""


def faults(
    place: Place, mounted: set[Files] | None = None, *, derived: bool = True
) -> Iterator[str]:
    """What is wrong with all that is visible: nothing may be half there.

    Every image is mounted and compared with its tars, but those whose files are among
    `mounted`, where they are noted.  Without `derived` a tar need not be there if the blob is
    that it was inflated from.
    """
    with Host.open(place.root) as host:
        try:
            yield from _of_the_store(host, derived)
        except CortenError as error:
            yield f"the store: {error}"
        else:
            yield from _wrong_trees(host, set() if mounted is None else mounted)
            if place.pushed in host.store.names():
                yield from _of_the_registry(place)
    yield from _of_the_layout(place)
    if place.archive.exists():
        yield from _of_the_archive(place.archive)


def _of_the_store(host: Host, derived: bool) -> Iterator[str]:
    yield from _damaged_blobs(host.store.blobs)
    roots = {record.descriptor.digest: "an image" for record in host.store.images()}
    if (host.store.path / "index.json").exists():
        roots |= {m.digest: "index.json" for m in read_index(host.store.path).manifests}
    roots |= {host.store.resolve(name).digest: name for name in host.store.names()}
    for digest, owner in roots.items():
        yield from _missing_parts(host, digest, owner, derived)


def _of_the_registry(place: Place) -> Iterator[str]:
    """What the registry says it has of the pushed image."""
    status, _, raw = registry(place, "GET", "manifests/1")
    if status == 404:
        return
    manifest = json.loads(raw)
    for child in (manifest["config"], *manifest["layers"]):
        status, headers, _ = registry(place, "HEAD", f"blobs/{child['digest']}")
        if status != 200 or int(headers["content-length"]) != child["size"]:
            yield f"the registry has no {child['digest']} ({status})"


def _of_the_layout(place: Place) -> Iterator[str]:
    if not (place.layout / "index.json").exists():
        return
    blobs = BlobDirectory(place.layout)
    yield from _damaged_blobs(blobs)
    for listed in read_index(place.layout).manifests:
        if not blobs.has(listed):
            yield f"the layout has no {listed.digest} ({name_of(listed)})"
            continue
        for child in parse_document(blobs.read(listed.digest, 1 << 20)).children:
            if not blobs.has(child):
                yield f"the layout has no {child.digest} of {name_of(listed)}"


def _of_the_archive(file: Path) -> Iterator[str]:
    try:
        with tarfile.open(file, "r:") as archive:
            names = set(archive.getnames())
            listed = archive.extractfile("manifest.json")
            assert listed is not None
            for image in json.load(listed):
                for name in {image["Config"], *image["Layers"]} - names:
                    yield f"the archive has no {name}"
    except (tarfile.TarError, KeyError) as error:
        yield f"the archive is no archive: {error}"


def _damaged_blobs(blobs: BlobDirectory) -> Iterator[str]:
    for descriptor in blobs.walk():
        try:
            found = Digest.of(blobs.locate(descriptor.digest).read_bytes())
        except NotFound:
            continue  # it was left to the kernel, and a power cut was faster
        if found != descriptor.digest:
            yield f"the blob {descriptor.digest} has the content of {found}"


def _missing_parts(host: Host, digest: Digest, owner: str, derived: bool) -> Iterator[str]:
    """Everything below a manifest of an image, tars and applied layers with it."""
    blobs = host.store.blobs
    if blobs.size_or_none(digest) is None:
        yield f"{owner}: no manifest {digest}"
        return
    document = parse_document(blobs.read(digest, 1 << 20))
    if isinstance(document, Index):
        for child in document.manifests:
            yield from _missing_parts(host, child.digest, owner, derived)
        return
    for child in document.children:
        if blobs.size_or_none(child.digest) != child.size:
            yield f"{owner}: {child.digest} is not whole"
    if blobs.size_or_none(document.config.digest) is not None:
        config = parse_config(blobs.read(document.config.digest, 1 << 20))
        for layer, diff_id in zip(document.layers, config.diff_ids, strict=True):
            if blobs.size_or_none(diff_id) is None and (derived or layer.digest == diff_id):
                yield f"{owner}: no tar {diff_id}"


def _wrong_trees(host: Host, mounted: set[Files]) -> Iterator[str]:
    """Mount every named image and compare its files with its tars."""
    stacks = Stacks(host.store, lambda: host.snapshotter, host.root / "cache")
    seen = set()
    for record in host.store.images():
        image = find_image(host, str(record.image_id))
        if not record.names or image.config.diff_ids in seen:
            continue
        seen.add(image.config.diff_ids)
        files = _applied(host, image.config.diff_ids)
        if files in mounted:
            continue
        mounted.add(files)
        try:
            yield from _wrong_files(host, stacks, image, record.names)
        except (CortenError, OSError) as error:
            yield f"{record.names} cannot be mounted: {error}"


def _applied(host: Host, layers: tuple[Digest, ...]) -> Files:
    """The files that a mount of the layers is made of, as far as they are there."""
    paths = [
        path
        for layer in layers
        for path in sorted((host.root / "layers").glob(f"*/{layer.encoded}/*"))
    ]
    found = [path.stat() for path in paths if path.is_file()]
    # What is a blob too is hashed as that, and touched by whoever uses it.
    return layers, tuple((s.st_ino, s.st_size, s.st_mtime_ns * (s.st_nlink == 1)) for s in found)


def _wrong_files(host: Host, stacks: Stacks, image: Image, names: tuple[str, ...]) -> Iterator[str]:
    wanted = _files(host, image)
    with stacks.view(image.config.diff_ids, "it") as tree:
        for path, content in wanted.items():
            with os.fdopen(tree.open(path), "rb") as found:
                if found.read() != content:
                    yield f"{names}: /{path} is not what its layer says"


def _files(host: Host, image: Image) -> dict[str, bytes]:
    files = {}
    blobs = host.store.blobs
    for layer, diff_id in zip(image.manifest.layers, image.config.diff_ids, strict=True):
        plain = blobs.size_or_none(diff_id) is not None
        file = blobs.locate(diff_id if plain else layer.digest)
        with tarfile.open(file, "r:" if plain else "r:gz") as archive:
            for member in archive:
                if member.isreg():
                    content = archive.extractfile(member)
                    assert content is not None
                    files[member.name] = content.read()
    return files


def names(place: Place) -> dict[str, str]:
    """What every name stands for: those of the store, of the layout, and the archive's image."""
    with Host.open(place.root) as host:
        found = {name: str(host.store.resolve(name).digest) for name in host.store.names()}
    for listed in read_index(place.layout).manifests:
        found[f"layout {name_of(listed)}"] = str(listed.digest)
    with tarfile.open(place.archive, "r:") as archive:
        listing = archive.extractfile("manifest.json")
        assert listing is not None
        found["archive"] = str(Digest.of(listing.read()))
    return found


def inventory(place: Place) -> Counter[str]:
    """Every file and directory below the root and beside it, and the rows of the catalog.

    Names made of random or hash digits are alike, so that two stores can be compared
    that hold as many of each.  What a repair set aside is its owner's.
    """
    found: Counter[str] = Counter()
    for top, called in ((place.root, ""), (place.outside, "outside ")):
        for path in top.rglob("*"):
            name = str(path.relative_to(top))
            # The last is a lock that stays, of whoever reads what is damaged.
            if not name.endswith(("-wal", "-shm", "/.mending")) and not name.startswith("damaged"):
                found[called + _HEX.sub("…", name)] += 1
    with sqlite3.connect(place.root / "catalog.db") as catalog:
        for (name,) in catalog.execute("SELECT name FROM names"):
            found[f"name {name}"] += 1
        for (table,) in catalog.execute("SELECT name FROM sqlite_schema WHERE type = 'table'"):
            found[f"rows of {table}"] = catalog.execute(f"SELECT count(*) FROM {table}").fetchone()[
                0
            ]
    catalog.close()
    return +found


def leftovers(place: Place) -> Iterator[str]:
    """Mounts in this namespace and processes that belong to the root."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if line.split()[4].startswith(f"{place.root}/"):
            yield f"mounted: {line}"
    end = time.monotonic() + _BUSY
    while groups := list(_groups(place.root)):
        if time.monotonic() > end:
            yield f"control groups: {groups}"
            return
        time.sleep(0.02)


def _groups(root: Path) -> Iterator[str]:
    scope = root_scope(root)
    for pattern in ("corten-*", "*/corten-*"):
        for path in Path("/sys/fs/cgroup").glob(pattern):
            if scope in path.name:
                yield str(path)


def difference(found: Counter[str], wanted: Counter[str]) -> list[str]:
    """What is there too often, and what too rarely."""
    more = [f"{count} more: {what}" for what, count in sorted((found - wanted).items())]
    fewer = [f"{count} fewer: {what}" for what, count in sorted((wanted - found).items())]
    # Facts are hints, found out again when they are needed.
    return more + [line for line in fewer if not line.endswith("rows of facts")]
