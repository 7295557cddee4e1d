"""From a plan and its steps' results to an image in the store."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from corten.builder.attestations import Attestation, store_attestations
from corten.builder.graph import Step
from corten.builder.plan import Plan
from corten.builder.stacks import Stacks
from corten.builder.worker import Result
from corten.errors import NotFound
from corten.image.assemble import assemble, put
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.oci.image_config import History, ImageConfig, RootFS, encode_config
from corten.oci.manifest import build_index

_COMMENT = "corten"


class BuiltImage(msgspec.Struct, frozen=True):
    """The image of one platform: its manifest, configuration, and what attests how it was made.

    ``epoch`` is SOURCE_DATE_EPOCH in Unix seconds, or None.
    """

    descriptor: Descriptor
    config: ImageConfig
    attestations: tuple[Attestation, ...] = ()
    epoch: int | None = None

    @property
    def id(self) -> Digest:
        """The image ID: the digest of the configuration."""
        return Digest.of(encode_config(self.config))


class BuildResult(msgspec.Struct, frozen=True):
    """What was built: an image, or an index of ``images`` (several, or one with attestations).

    ``image_id`` is the configuration's digest; that of the index where there are several.
    """

    descriptor: Descriptor
    image_id: Digest
    layers: tuple[Digest, ...] = ()
    warnings: tuple[str, ...] = ()
    images: tuple[BuiltImage, ...] = ()


def image_config(plan: Plan, results: Mapping[Step, Result]) -> ImageConfig:
    """The configuration of the image.

    Times follow from the steps, so the same inputs give the same bytes: an entry
    is never older than the one before it, and SOURCE_DATE_EPOCH stands for all of
    the build's own.
    """
    base = plan.base.config if plan.base else None
    layers = base.diff_ids if base else ()
    now = _seconds(base.created) if base else 0
    history = list(base.history) if base else []
    for entry in plan.entries:
        grown = False
        if entry.step is not None:
            result = results[entry.step]
            grown = len(result.layers) > len(layers)
            layers = result.layers
            now = max(now, result.created)
        history.append(
            History(
                created=_text(now if plan.epoch is None else plan.epoch),
                created_by=entry.created_by,
                author=entry.author,
                comment=_COMMENT,
                empty_layer=not grown,
            )
        )
    created = base.created if base and not plan.entries else _text(now)
    return ImageConfig(
        architecture=plan.platform.architecture,
        os=plan.platform.os,
        variant=plan.platform.variant,
        os_version=base.os_version if base else "",
        os_features=base.os_features if base else (),
        created=created if plan.epoch is None else _text(plan.epoch),
        author=plan.author,
        config=plan.config,
        rootfs=RootFS(diff_ids=layers),
        history=tuple(history),
    )


def store_image(
    config: ImageConfig, stacks: Stacks, annotations: Mapping[str, str] | None = None
) -> BuiltImage:
    """Put configuration and manifest (with `annotations`) into the store, without a name yet.

    What is there already is not written again.
    """
    for layer in config.diff_ids:
        stacks.path(layer)  # fetched from a shared cache, if it is only there
    return BuiltImage(assemble(stacks.store, config, annotations=annotations), config)


def store_result(images: Sequence[BuiltImage], stacks: Stacks) -> BuildResult:
    """Put an index of `images` and their attestations into the store, if there is need of one."""
    first = images[0]
    if len(images) == 1 and not first.attestations:
        return BuildResult(first.descriptor, first.id, first.config.diff_ids, (), tuple(images))
    listed = [
        msgspec.structs.replace(image.descriptor, platform=image.config.platform)
        for image in images
    ]
    listed += [
        store_attestations(stacks.store, image.descriptor, image.attestations)
        for image in images
        if image.attestations
    ]
    descriptor, raw = build_index(listed)
    put(stacks.store, descriptor, raw)
    single = len(images) == 1
    layers = first.config.diff_ids if single else ()
    image_id = first.id if single else descriptor.digest
    return BuildResult(descriptor, image_id, layers, (), tuple(images))


def name_result(result: BuildResult, stacks: Stacks, tags: Sequence[str]) -> None:
    """Let `tags` (full names) stand for what was built; without any it is there, dangling."""
    for tag in tags or ("",):
        if not _named(stacks, tag, result.descriptor):
            stacks.store.tag(tag, result.descriptor)


def _named(stacks: Stacks, tag: str, descriptor: Descriptor) -> bool:
    try:
        return bool(tag) and stacks.store.resolve(tag).digest == descriptor.digest
    except NotFound:
        return False


def _text(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _seconds(text: str) -> int:
    try:
        return max(0, int(datetime.fromisoformat(text).timestamp()))
    except ValueError:
        return 0
