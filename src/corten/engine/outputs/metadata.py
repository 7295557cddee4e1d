"""The document of ``--metadata-file``, with the names that buildx gives its parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from corten.builder.imaging import BuildResult
from corten.oci.codec import to_plain
from corten.oci.descriptor import Descriptor
from corten.oci.reference import Reference


def metadata(result: BuildResult, sent: Descriptor, names: Sequence[str]) -> dict[str, Any]:
    """What was built: `sent` is the root as it was pushed or written (else as the store has it).

    ``containerimage.config.digest`` is there of a single image; ``image.name`` are all
    `names`, with commas between.  Spec: docker buildx build, "--metadata-file".
    """
    document: dict[str, Any] = {}
    several = len(result.images) > 1
    for image in result.images:
        for each in image.attestations:
            if each.filename == "provenance.json":
                key = "buildx.build.provenance"
                key += f"/{image.config.platform}" if several else ""
                document[key] = each.predicate
    if not several:
        document["containerimage.config.digest"] = str(result.images[0].id)
    document["containerimage.descriptor"] = to_plain(sent)
    document["containerimage.digest"] = str(sent.digest)
    if names:
        document["image.name"] = ",".join(str(Reference.parse(name)) for name in names)
    return document
