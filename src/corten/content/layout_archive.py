"""`LayoutArchive`: an OCI image layout in a tar (an OCI archive, what Docker >= 25 saves).

Spec: OCI image, image-layout.md.
"""

from __future__ import annotations

from contextlib import suppress

from corten.content.archived import Archive, ArchivedImage, canonical
from corten.content.index_file import FULL_NAME, REF_NAME, check_marker, parse_index
from corten.content.tar_files import Place, TarFiles
from corten.errors import Invalid, NotFound
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.oci.manifest import MANIFEST_LIMIT


class LayoutArchive(Archive):
    """The layout in `files`.  Raises: NotFound, Invalid, Unsupported: it is none."""

    def __init__(self, files: TarFiles) -> None:
        super().__init__(files)
        check_marker(files.read("oci-layout", 64 * 1024), files.what)
        index = parse_index(files.read("index.json", MANIFEST_LIMIT), files.what)
        names: dict[Digest, list[str]] = {}
        roots: dict[Digest, Descriptor] = {}
        for descriptor in index.manifests:
            roots.setdefault(descriptor.digest, descriptor)
            known = names.setdefault(descriptor.digest, [])
            if (name := _name(descriptor)) and name not in known:
                known.append(name)
        self.images = [ArchivedImage(roots[d], tuple(names[d])) for d in roots]

    def _place(self, digest: Digest) -> Place | None:
        with suppress(NotFound):
            return self.files.place(f"blobs/{digest.algorithm}/{digest.encoded}")
        return None


def _name(descriptor: Descriptor) -> str:
    """The canonical name, if the index gives a whole one.

    A ref.name without a repository (``latest``) says only which tag it was.
    """
    for key in (FULL_NAME, REF_NAME):
        text = descriptor.annotations.get(key, "")
        if key == FULL_NAME or "/" in text or ":" in text:
            with suppress(Invalid):
                if text:
                    return canonical(text)
    return ""
