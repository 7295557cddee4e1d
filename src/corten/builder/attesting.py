"""Making the attestations that a build was asked for, and the images that carry them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from corten.builder.attestations import Attestation
from corten.builder.cache import BuildCache
from corten.builder.graph import Copy, is_remote, order
from corten.builder.imaging import BuiltImage
from corten.builder.packages import inventory
from corten.builder.plan import BaseImage, Plan
from corten.builder.provenance import Circumstances, ProvenanceOptions, provenance
from corten.builder.sbom import sbom
from corten.builder.stacks import Stacks
from corten.events.job import Job
from corten.oci.descriptor import Descriptor

Compress = Callable[[Descriptor, Job], Descriptor]
"""Gives the same image with the layers that a registry gets: a statement names its manifest."""


class Attest(msgspec.Struct, frozen=True, kw_only=True):
    """Which attestations an image gets; ``tool`` is who signs as their maker."""

    provenance: ProvenanceOptions | None = None
    sbom: bool = False
    tool: str = "corten"

    @property
    def any(self) -> bool:
        """Whether there is to be one at all."""
        return self.sbom or self.provenance is not None


def attested(
    image: BuiltImage,
    plan: Plan,
    wanted: Attest,
    made_of: Circumstances,
    stacks: Stacks,
) -> BuiltImage:
    """The image with its attestations.  Raises: what looking into its layers raises."""
    made: list[Attestation] = []
    if wanted.sbom:
        with stacks.view(image.config.diff_ids, "the image") as tree:
            found = inventory(tree)
        made.append(sbom(found, image.id, image.config.created, wanted.tool))
    if wanted.provenance is not None:
        made.append(provenance(plan, image.config, made_of, wanted.provenance))
    return msgspec.structs.replace(image, attestations=tuple(made))


def canonical(known: Mapping[tuple[str, str], BaseImage]) -> dict[tuple[str, str], BaseImage]:
    """Images by their canonical names instead of those that were written."""
    return {(base.name, platform): base for (_, platform), base in known.items()}


def downloads(plans: Sequence[Plan], cache: BuildCache) -> dict[str, str]:
    """The digests of what ADD fetched from URLs, as far as they were kept."""
    found = {}
    for step in order([plan.root for plan in plans]):
        if isinstance(step.op, Copy) and step.op.add:
            for source in step.op.sources:
                known = cache.download(source) if is_remote(source) else None
                if known is not None:
                    found[source] = f"sha256:{known.digest}"
    return found
