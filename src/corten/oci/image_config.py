"""Image configurations.  Spec: OCI image, config.md; Healthcheck, Shell, OnBuild: Docker's.

Unknown fields survive an edit: a configuration is kept as the document it came
as, beside the typed view of the fields that corten knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from corten.oci.codec import canonical_json, convert, decode_object, to_plain
from corten.oci.digest import Digest
from corten.oci.platform import Platform

CONFIG_LIMIT = 16 * 1024 * 1024


class Healthcheck(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """How to tell that a container works.  Times in nanoseconds; 0 means the default."""

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class ContainerConfig(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """Execution parameters: the ``config`` object of an image configuration."""

    user: str = ""
    exposed_ports: Mapping[str, Any] = msgspec.field(default_factory=dict)
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    volumes: Mapping[str, Any] = msgspec.field(default_factory=dict)
    working_dir: str = ""
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    stop_signal: str = ""
    healthcheck: Healthcheck | None = None
    shell: tuple[str, ...] | None = None
    on_build: tuple[str, ...] = ()

    def environment(self) -> dict[str, str]:
        """``env`` as a mapping, in order."""
        return dict(entry.partition("=")[::2] for entry in self.env)


class History(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of an image's history.  ``created`` is RFC 3339."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class RootFS(msgspec.Struct, frozen=True):
    """The layers, lowest first, by the digests of their uncompressed tars."""

    diff_ids: tuple[Digest, ...]
    type: str = "layers"


class ImageConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """An image configuration.  ``created`` is RFC 3339 or empty."""

    architecture: str
    os: str
    rootfs: RootFS
    created: str = ""
    author: str = ""
    variant: str = ""
    os_version: str = msgspec.field(default="", name="os.version")
    os_features: tuple[str, ...] = msgspec.field(default=(), name="os.features")
    config: ContainerConfig = msgspec.field(default_factory=ContainerConfig)
    history: tuple[History, ...] = ()

    @property
    def platform(self) -> Platform:
        """What the image runs on."""
        return Platform(
            architecture=self.architecture,
            os=self.os,
            os_version=self.os_version,
            os_features=self.os_features,
            variant=self.variant,
        )

    @property
    def diff_ids(self) -> tuple[Digest, ...]:
        """The layers, lowest first."""
        return self.rootfs.diff_ids


def parse_config(raw: bytes) -> ImageConfig:
    """Parse an image configuration.

    Raises: Invalid: not JSON or a wrong shape.
    """
    return convert(config_document(raw), ImageConfig, "image configuration")


def config_document(raw: bytes) -> dict[str, Any]:
    """The configuration as a plain document, every field kept.  Raises: Invalid."""
    return decode_object(raw, "image configuration", CONFIG_LIMIT)


def encode_config(config: ImageConfig, original: Mapping[str, Any] | None = None) -> bytes:
    """Canonical bytes of `config`; fields of `original` that corten does not know are kept."""
    document = _merge(dict(original or {}), config)
    inner = document.get("config")
    kept = (original or {}).get("config")
    merged = _merge(dict(kept) if isinstance(kept, dict) else {}, config.config)
    if merged or inner:
        document["config"] = merged
    # Required even when empty: config.md, "rootfs".
    document["rootfs"] = to_plain(config.rootfs)
    return canonical_json(document)


def _merge(document: dict[str, Any], value: msgspec.Struct) -> dict[str, Any]:
    for field in value.__struct_encode_fields__:
        document.pop(field, None)
    document.update(to_plain(value))
    return document
