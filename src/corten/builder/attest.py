"""Which attestations a build is asked for.  Values only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec

from corten.builder.plan import BaseImage, Wishes
from corten.dockerfile.errors import did_you_mean
from corten.errors import Invalid

_OPTIONS = ("mode", "builder-id", "reproducible", "version")


class ProvenanceOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What ``--provenance`` says.  ``max`` has the Dockerfile, build arguments and steps, too."""

    mode: Literal["min", "max"] = "min"
    builder_id: str = ""
    reproducible: bool = False


def parse_provenance(text: str) -> ProvenanceOptions | None:
    """``mode=max,builder-id=URI,…``, ``true`` or ``false``; None: there is to be none.

    Raises: Invalid.
    """
    if text in ("", "false"):
        return None
    given: dict[str, str] = {}
    for part in text.split(",") if text != "true" else ():
        name, equals, value = part.partition("=")
        if not equals or name not in _OPTIONS:
            raise Invalid(f"--provenance has no option {part!r}", hint=did_you_mean(name, _OPTIONS))
        given[name] = value
    mode = given.get("mode", "min")
    if mode not in ("min", "max"):
        raise Invalid(f"--provenance mode is min or max, not {mode!r}")
    if given.get("version", "v1") != "v1":
        raise Invalid(f"--provenance is made in version v1, not {given['version']!r}")
    return ProvenanceOptions(
        mode=mode,  # type: ignore[arg-type]
        builder_id=given.get("builder-id", ""),
        reproducible=given.get("reproducible") == "true",
    )


class Attest(msgspec.Struct, frozen=True, kw_only=True):
    """Which attestations an image gets; ``tool`` is who signs as their maker."""

    provenance: ProvenanceOptions | None = None
    sbom: bool = False
    tool: str = "corten"

    @property
    def any(self) -> bool:
        """Whether there is to be one at all."""
        return self.sbom or self.provenance is not None


class ContextSource(NamedTuple):
    """Where a context was fetched from (without a password), and the commit or digest it had.

    Both are empty of a directory of this machine.  ``has_dockerfile``: what is built lies there.
    """

    uri: str = ""
    digest: str = ""
    has_dockerfile: bool = True


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """What a build was made of beside its plan.

    ``bases`` by name as written and platform; ``downloads``: digests of URLs, where known;
    ``network`` is what RUN has by default.  ``sources``: where contexts came from, by their
    names; that of the build context is empty.
    """

    file: str
    text: str
    wishes: Wishes
    bases: Mapping[tuple[str, str], BaseImage]
    downloads: Mapping[str, str] = {}
    network: str = "host"
    sources: Mapping[str, ContextSource] = {}

    def source(self, name: str = "") -> ContextSource:
        """Where a context came from, by default the build's."""
        return self.sources.get(name, ContextSource())
