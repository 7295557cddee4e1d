"""The two documents of an OCI image layout beside its blobs: ``oci-layout`` and ``index.json``.

Spec: OCI image, image-layout.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from corten.errors import Invalid, NotFound, Unsupported
from corten.oci.codec import decode_object
from corten.oci.descriptor import Descriptor
from corten.oci.manifest import MANIFEST_LIMIT, Index, index_bytes, parse_document
from corten.system.durable import write_durably

REF_NAME = "org.opencontainers.image.ref.name"
FULL_NAME = "io.containerd.image.name"
"""Where Docker and containerd put the whole name; their ref.name is the tag alone."""
MARKER = b'{"imageLayoutVersion":"1.0.0"}'


def write_marker(path: Path) -> None:
    """Write ``oci-layout`` if it is not there; by one writer at a time."""
    file = path / "oci-layout"
    if not file.exists():
        for draft in path.glob(f".{file.name}.*.tmp"):
            draft.unlink(missing_ok=True)  # of one that was killed
        write_durably(file, MARKER)


def check_marker(raw: bytes, what: str) -> None:
    """Raises: Invalid: no ``oci-layout`` document; Unsupported: a version that is not known."""
    version = decode_object(raw, f"oci-layout of {what}", 64 * 1024).get("imageLayoutVersion")
    if not isinstance(version, str):
        raise Invalid(f"{what} is no OCI image layout: its oci-layout has no version")
    if not version.startswith("1."):
        raise Unsupported(f"{what} is an OCI image layout of version {version[:40]!r}, not 1.0.0")


def parse_index(raw: bytes, what: str) -> Index:
    """An ``index.json``.  Raises: Invalid."""
    document = parse_document(raw)
    if not isinstance(document, Index):
        raise Invalid(f"index.json of {what} is not an index")
    return document


def read_index(path: Path) -> Index:
    """The index of the layout in the directory `path`.  Raises: NotFound, Invalid, Unsupported."""
    try:
        check_marker((path / "oci-layout").read_bytes()[: 64 * 1024], str(path))
        with (path / "index.json").open("rb") as file:
            raw = file.read(MANIFEST_LIMIT + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"there is no OCI image layout in {path}") from None
    except IsADirectoryError:
        raise Invalid(f"{path} is no OCI image layout") from None
    return parse_index(raw, str(path))


def write_index(path: Path, manifests: Sequence[Descriptor]) -> None:
    """Replace ``index.json`` in one step, if it says something else; by one writer at a time."""
    file, raw = path / "index.json", index_bytes(manifests)
    for draft in path.glob(f".{file.name}.*.tmp"):
        draft.unlink(missing_ok=True)  # of one that was killed
    try:
        if file.read_bytes() == raw:
            return
    except FileNotFoundError:
        pass
    write_durably(file, raw)


def name_of(descriptor: Descriptor) -> str:
    """The name that a layout's index gives `descriptor`, else empty."""
    return descriptor.annotations.get(REF_NAME, "")


def describe_name(descriptor: Descriptor, name: str) -> Descriptor:
    """`descriptor` as an index lists it under `name` (empty: without one)."""
    others = {k: v for k, v in descriptor.annotations.items() if k not in (REF_NAME, FULL_NAME)}
    if name:
        others[REF_NAME] = name
    return msgspec.structs.replace(descriptor, annotations=others)
