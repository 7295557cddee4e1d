"""Making the attestations that a build was asked for, and the images that carry them."""

from __future__ import annotations

import msgspec

from corten.builder.attest import Attest, Circumstances
from corten.builder.attestations import Attestation
from corten.builder.cache import BuildCache
from corten.builder.git_url import is_git, public
from corten.builder.graph import Copy, is_remote, order
from corten.builder.imaging import BuiltImage
from corten.builder.packages import inventory
from corten.builder.plan import Plan
from corten.builder.provenance import provenance
from corten.builder.sbom import sbom
from corten.builder.stacks import Stacks


def attested(
    image: BuiltImage,
    plan: Plan,
    wanted: Attest,
    made_of: Circumstances,
    stacks: Stacks,
    cache: BuildCache,
) -> BuiltImage:
    """The image with its attestations; `cache` knows what was downloaded.

    Raises: what looking into its layers raises.
    """
    made: list[Attestation] = []
    if wanted.sbom:
        with stacks.view(image.config.diff_ids, "the image") as tree:
            found = inventory(tree)
        made.append(sbom(found, image.id, image.config.created, wanted.tool))
    if wanted.provenance is not None:
        known = msgspec.structs.replace(made_of, downloads=_downloads(plan, cache))
        made.append(provenance(plan, image.config, known, wanted.provenance))
    return msgspec.structs.replace(image, attestations=tuple(made))


def _downloads(plan: Plan, cache: BuildCache) -> dict[str, str]:
    """The digests of what ADD fetched from URLs, as far as they were kept."""
    found = {}
    for step in order((plan.root,)):
        if isinstance(step.op, Copy) and step.op.add:
            for source in step.op.sources:
                known = cache.download(public(source)) if is_remote(source) else None
                if known is not None:
                    algorithm = "" if is_git(source) else "sha256:"
                    found[public(source)] = f"{algorithm}{known.digest}"
    return found
