"""What lowering is given and what it makes.  Values only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from corten.builder.graph import Graph, Step
from corten.builder.named_contexts import NamedContext
from corten.oci.digest import Digest
from corten.oci.image_config import ContainerConfig, ImageConfig
from corten.oci.platform import Platform


class BaseRequest(NamedTuple):
    """An image that a build needs: its name as written, for a platform; `line` asks for it.

    `platform` is None where any will do: an image named in COPY --from.
    """

    name: str
    platform: Platform
    line: int = 0


class BaseImage(msgspec.Struct, frozen=True):
    """An image that was found: its canonical name, its configuration, and its digest if known."""

    name: str
    config: ImageConfig
    digest: Digest | None = None


class Wishes(msgspec.Struct, frozen=True):
    """What the user asks of a build, beside the Dockerfile."""

    target: str = ""
    build_args: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    platform: Platform = Platform(architecture="amd64", os="linux")
    build_platform: Platform = Platform(architecture="amd64", os="linux")
    hosts: tuple[str, ...] = ()
    """``NAME=ADDRESS`` that steps find in ``/etc/hosts``."""
    contexts: Mapping[str, NamedContext] = {}
    """What names of images and stages stand for, by `context_key`."""
    pins: Mapping[str, str] | None = None
    """What is known of URLs and Git repositories, as their ``--checksum``; others are refused then."""
    fresh: tuple[str, ...] = ()
    """Stages whose steps are run although they are cached."""


class Entry(msgspec.Struct, frozen=True):
    """A line of history to be: its text, and the step whose layer it stands for (None: no layer)."""

    created_by: str
    step: Step | None = None
    author: str = ""


class Plan(msgspec.Struct, frozen=True):
    """A lowered build: the steps to evaluate, and the image to make of their results.

    ``base`` is the image whose layers and history come first (None: scratch);
    ``epoch`` is SOURCE_DATE_EPOCH in Unix seconds, or None.  ``fresh``: steps that are run
    although they are cached.
    """

    graph: Graph
    root: Step
    config: ContainerConfig
    platform: Platform
    entries: tuple[Entry, ...] = ()
    base: BaseImage | None = None
    author: str = ""
    warnings: tuple[str, ...] = ()
    epoch: int | None = None
    fresh: frozenset[Digest] = frozenset()
