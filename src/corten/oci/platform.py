"""Platforms: ``os/architecture[/variant]``.  Spec: OCI image, image-index.md, "platform"."""

from __future__ import annotations

import re

import msgspec

from corten.errors import Invalid

_PART = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_ARCHITECTURES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "armhf": "arm",
    "armel": "arm",
    "i386": "386",
    "i486": "386",
    "i586": "386",
    "i686": "386",
}


class Platform(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an image runs on.  Architecture names are Go's (``amd64``, ``arm64``)."""

    architecture: str
    os: str
    os_version: str = msgspec.field(default="", name="os.version")
    os_features: tuple[str, ...] = msgspec.field(default=(), name="os.features")
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """``os/arch``, ``os/arch/variant`` or a lone architecture (Linux).

        Raises: Invalid.
        """
        parts = text.strip().lower().split("/")
        if not 1 <= len(parts) <= 3 or not all(_PART.fullmatch(part) for part in parts):
            raise Invalid(
                f"invalid platform {text!r}", hint="write it as linux/amd64 or linux/arm64/v8"
            )
        if len(parts) == 1:
            parts = ["linux", parts[0]]
        return normalized(parts[0], parts[1], parts[2] if len(parts) == 3 else "")

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def matches(self, wanted: Platform) -> bool:
        """Whether an image for this platform is what `wanted` asks for.

        A variant that one side leaves open fits any.
        """
        mine = normalized(self.os, self.architecture, self.variant)
        other = normalized(wanted.os, wanted.architecture, wanted.variant)
        if (mine.os, mine.architecture) != (other.os, other.architecture):
            return False
        return not mine.variant or not other.variant or mine.variant == other.variant


def normalized(os: str, architecture: str, variant: str = "") -> Platform:
    """The platform with the names that the kernel and Debian use mapped to Go's."""
    arch = _ARCHITECTURES.get(architecture.lower(), architecture.lower())
    if architecture.lower() == "armhf" and not variant:
        variant = "v7"
    if architecture.lower() == "armel" and not variant:
        variant = "v6"
    if arch == "arm64" and variant in ("8", "v8"):
        variant = ""
    if arch == "amd64" and variant == "v1":
        variant = ""
    return Platform(architecture=arch, os=os.lower(), variant=variant)
