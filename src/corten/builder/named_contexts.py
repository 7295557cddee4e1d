"""Named contexts: ``--build-context NAME=…``, and which names of a Dockerfile they stand for.  Pure.

Spec: ``docker buildx build``, "--build-context".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

import msgspec

from corten.errors import Invalid, Usage
from corten.oci.reference import Reference

LAYOUT = "oci-layout://"
_IMAGE = "docker-image://"
_STAGE = "target:"
_KNOWN = (
    "a directory, docker-image://NAME, oci-layout://DIR[:TAG], target:STAGE, or the URL of a tar "
    "or of a Git repository"
)


class NamedContext(msgspec.Struct, frozen=True):
    """What a name stands for.

    ``image``: ``value`` is its name, or ``oci-layout://DIR[:TAG|@DIGEST]``; ``stage``: that of
    the Dockerfile; ``files``: a directory, or an address that gives one.
    """

    kind: Literal["image", "stage", "files"]
    value: str


def context_key(name: str) -> str:
    """A name as contexts are looked up: ``Alpine``, ``docker.io/library/alpine:latest``: alpine."""
    lower = name.lower()
    try:
        return Reference.parse(lower).familiar().removesuffix(":latest")
    except Invalid:
        return lower


def parse_contexts(texts: Iterable[str]) -> dict[str, NamedContext]:
    """``NAME=VALUE`` of each, by key; of two with the same name the last one holds.

    Raises: Usage: no name or no value; Invalid: an image's name or a layout that cannot be.
    """
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise Usage(f"--build-context {text!r} is not NAME=VALUE", hint=_KNOWN)
        if re.search(r"\s", name) or name.lower() == "scratch":
            raise Usage(f"--build-context: {name!r} cannot be a context's name")
        found[context_key(name)] = _parse(value)
    return found


def _parse(value: str) -> NamedContext:
    if value.startswith(_IMAGE):
        image = value.removeprefix(_IMAGE)
        Reference.parse(image)
        return NamedContext("image", image)
    if value.startswith(LAYOUT):
        split_layout(value)
        return NamedContext("image", value)
    if value.startswith(_STAGE):
        return NamedContext("stage", value.removeprefix(_STAGE))
    return NamedContext("files", value)


def split_layout(value: str) -> tuple[str, str]:
    """Directory, and tag or digest (empty: the only image), of ``oci-layout://DIR[:TAG|@DIGEST]``.

    Raises: Invalid: no directory.
    """
    text = value.removeprefix(LAYOUT)
    at = re.fullmatch(r"(.+)@(sha(?:256|512):[0-9a-f]+)", text, re.DOTALL)
    tag = re.fullmatch(r"(.+):([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})", text, re.DOTALL)
    found = at or tag
    directory, name = (found[1], found[2]) if found else (text, "")
    if not directory:
        raise Invalid(f"{value!r} names no directory", hint="oci-layout://DIR[:TAG]")
    return directory, name
