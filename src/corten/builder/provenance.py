"""``--provenance``: how an image was made, as a SLSA v1 provenance predicate.  Pure.

The shape is that of BuildKit (docs/attestations/slsa-definitions.md), with a build type of our
own, since its steps are another graph.  It says nothing of secrets but their ids, and
nothing of proxies; all times are the image's, so that the same inputs give the same document.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from corten.builder.attest import Circumstances, ContextSource, ProvenanceOptions
from corten.builder.attestations import Attestation
from corten.builder.git_url import public
from corten.builder.graph import Copy, Run, SourceImage, Step, is_remote, order
from corten.builder.named_contexts import LAYOUT, split_layout
from corten.builder.plan import Plan, Wishes
from corten.builder.scope import PROXIES
from corten.dockerfile.mounts import SecretMount, SshMount
from corten.oci.codec import to_plain
from corten.oci.image_config import ImageConfig
from corten.oci.reference import Reference

PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:corten:build:dockerfile:v1"
FILENAME = "provenance.json"
_SHA1, _SHA256 = 40, 64


def provenance(
    plan: Plan, config: ImageConfig, made_of: Circumstances, options: ProvenanceOptions
) -> Attestation:
    """The attestation of how the image of `plan`, which got `config`, was made."""
    steps = order((plan.root,))
    everything = options.mode == "max"
    dependencies, complete = _dependencies(steps, made_of)
    internal: dict[str, Any] = {"builderPlatform": str(made_of.wishes.build_platform)}
    metadata: dict[str, Any] = {
        "startedOn": config.created,
        "finishedOn": config.created,
        "buildkit_reproducible": options.reproducible,
        "buildkit_hermetic": _hermetic(steps, made_of.network),
        "buildkit_completeness": {"request": everything, "resolvedDependencies": complete},
        "buildkit_metadata": {},
    }
    if everything:
        internal["buildConfig"] = {"steps": _steps(steps)}
        metadata["buildkit_metadata"] = {"source": _source(plan, steps, made_of)}
    return Attestation(
        PREDICATE,
        {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "configSource": _source_of(made_of),
                    "request": {
                        "frontend": "dockerfile.v0",
                        "args": _arguments(made_of.wishes, everything=everything),
                        "locals": _locals(made_of.source()),
                        **(_lent(steps) if everything else {}),
                    },
                },
                "internalParameters": internal,
                "resolvedDependencies": dependencies,
            },
            "runDetails": {"builder": {"id": options.builder_id}, "metadata": metadata},
        },
        FILENAME,
    )


def _source_of(made_of: Circumstances) -> dict[str, Any]:
    """Where the Dockerfile comes from, and its path there."""
    source = made_of.source()
    if not (source.uri and source.has_dockerfile):
        return {"path": made_of.file}
    return {"uri": source.uri, "digest": _digest_set(source.digest), "path": made_of.file}


def _locals(source: ContextSource) -> list[dict[str, str]]:
    """What came from this machine."""
    context = [] if source.uri else [{"name": "context"}]
    return context + ([] if source.uri and source.has_dockerfile else [{"name": "dockerfile"}])


def _arguments(wishes: Wishes, *, everything: bool) -> dict[str, str]:
    found = {"target": wishes.target} if wishes.target else {}
    if everything:
        given = {n: v for n, v in wishes.build_args.items() if n not in PROXIES}
        found.update({f"build-arg:{name}": value for name, value in given.items()})
        found.update({f"label:{name}": value for name, value in wishes.labels.items()})
    return found


def _lent(steps: Sequence[Step]) -> dict[str, list[dict[str, Any]]]:
    """The ids of secrets and SSH agents that steps asked for; never what they are."""
    kinds = {"secrets": SecretMount, "ssh": SshMount}
    found: dict[str, dict[str, bool]] = {name: {} for name in kinds}
    mounts = [mount for step in steps if isinstance(step.op, Run) for mount in step.op.mounts]
    for name, kind in kinds.items():
        for mount in mounts:
            if isinstance(mount, SecretMount | SshMount) and isinstance(mount, kind):
                optional = not mount.required
                found[name][mount.id] = found[name].get(mount.id, True) and optional
    return {
        name: [{"id": id, "optional": optional} for id, optional in sorted(ids.items())]
        for name, ids in found.items()
    }


def _dependencies(
    steps: Sequence[Step], made_of: Circumstances
) -> tuple[list[dict[str, Any]], bool]:
    """Images and URLs, each once; whether that is all that the build took."""
    found: dict[str, dict[str, Any]] = {}
    complete = True
    used = {""}
    bases = {(base.name, where): base for (_, where), base in made_of.bases.items()}
    for step in steps:
        op = step.op
        if isinstance(op, SourceImage):
            base = bases.get((op.name, step.platform))
            uri = image_uri(op.name, step.platform)
            digest = base.digest if base is not None else None
            found[uri] = {"uri": uri, **({"digest": _digest_set(digest)} if digest else {})}
        elif isinstance(op, Copy):
            remote = [public(source) for source in op.sources if is_remote(source) and op.add]
            for uri in remote:
                text = _content(op.checksum, made_of.downloads.get(uri, ""))
                found[uri] = {"uri": uri, **({"digest": _digest_set(text)} if text else {})}
                complete = complete and bool(text)
            # Files of a directory of this machine have no digest that others could ask for.
            fetched = made_of.source(op.context)
            known = op.from_input or bool(fetched.uri) or len(remote) == len(op.sources)
            complete = complete and known
            used.add(op.context)
    for uri, text, _ in map(made_of.source, sorted(used)):
        if uri:
            found[uri] = {"uri": uri, "digest": _digest_set(text)}
    return [found[uri] for uri in sorted(found)], complete


def _content(checksum: str, known: str) -> str:
    """The digest or commit of what ADD took; empty: it is not known.

    Its checksum, since a cached step has that whatever the address gave since to others
    (`known`).  That of a commit may be its beginning only.
    """
    if ":" in checksum or len(checksum) in (_SHA1, _SHA256):
        return checksum
    return known if known.startswith(checksum) else ""


def _digest_set(text: str) -> dict[str, str]:
    """``sha256:HEX``, or a commit, by algorithm.  Spec: in-toto, DigestSet."""
    algorithm, colon, value = text.partition(":")
    if colon:
        return {algorithm: value}
    return {"sha1" if len(text) == _SHA1 else "sha256": text}


def image_uri(name: str, platform: str) -> str:
    """The package URL of an image: ``pkg:docker/alpine@3.17?platform=linux%2Famd64``."""
    if name.startswith(LAYOUT):  # a directory of this machine: its path is nobody's business
        directory, _ = split_layout(name)
        return f"pkg:oci/{quote(directory.rpartition('/')[2])}?platform={quote(platform, safe='')}"
    reference = Reference.parse(name)
    version = quote(reference.target, safe="")
    return f"pkg:docker/{reference.familiar_name()}@{version}?platform={quote(platform, safe='')}"


def _hermetic(steps: Sequence[Step], network: str) -> bool:
    """Whether no step could reach the network."""
    runs = [step.op.network for step in steps if isinstance(step.op, Run)]
    return all((network if each == "default" else each) == "none" for each in runs)


def _steps(steps: Sequence[Step]) -> list[dict[str, Any]]:
    names = {step: f"step{number}" for number, step in enumerate(steps)}
    return [
        {
            "id": names[step],
            "op": _told(step),
            "platform": step.platform,
            "inputs": [names[needed] for needed in step.inputs],
        }
        for step in steps
    ]


def _told(step: Step) -> dict[str, Any]:
    """The operation; names and passwords in addresses are nobody's business."""
    op: dict[str, Any] = to_plain(step.op)
    if isinstance(step.op, Copy):
        op["sources"] = [public(each) if is_remote(each) else each for each in step.op.sources]
    return op


def _source(plan: Plan, steps: Sequence[Step], made_of: Circumstances) -> dict[str, Any]:
    """The Dockerfile, and the line that each step stands for."""
    data = base64.b64encode(made_of.text.encode(errors="surrogateescape")).decode()
    lines = {
        f"step{number}": plan.graph.origins[step.digest].line
        for number, step in enumerate(steps)
        if step.digest in plan.graph.origins
    }
    return {
        "infos": [{"filename": made_of.file, "language": "Dockerfile", "data": data}],
        "lines": lines,
    }
