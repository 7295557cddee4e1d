"""From a plan and its steps' results to an image in the store."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from corten.builder.graph import Step
from corten.builder.plan import Plan
from corten.builder.stacks import Stacks
from corten.builder.worker import Result
from corten.errors import NotFound
from corten.image.assemble import assemble
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.oci.image_config import History, ImageConfig, RootFS, encode_config

_COMMENT = "corten"


class BuildResult(msgspec.Struct, frozen=True):
    """A built image: its manifest, and its id, which is the configuration's digest."""

    descriptor: Descriptor
    image_id: Digest
    layers: tuple[Digest, ...] = ()
    warnings: tuple[str, ...] = ()


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
    config: ImageConfig,
    stacks: Stacks,
    tags: Sequence[str],
    annotations: Mapping[str, str] | None = None,
) -> BuildResult:
    """Put configuration and manifest (with `annotations`) into the store, under `tags` (full names).

    Without tags the image is there all the same, dangling.  What is there already
    is not written again.
    """
    store = stacks.store
    for layer in config.diff_ids:
        stacks.path(layer)  # fetched from a shared cache, if it is only there
    descriptor = assemble(store, config, annotations=annotations)
    for tag in tags or ("",):
        if not _named(stacks, tag, descriptor):
            store.tag(tag, descriptor)
    image_id = Digest.of(encode_config(config))
    return BuildResult(descriptor, image_id, config.diff_ids)


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
