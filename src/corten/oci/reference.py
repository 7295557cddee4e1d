"""References: how people name images.

``[registry/]repository[:tag][@digest]`` with Docker's short forms: no registry
means ``docker.io``, one path component there means ``library/``.
Spec: OCI distribution, spec.md, "Pulling manifests" (the grammar of names and
tags); the short forms are Docker's.
"""

from __future__ import annotations

import re

import msgspec

from corten.errors import Invalid
from corten.oci.digest import Digest

DOCKER_HUB = "docker.io"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*", re.ASCII)
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
_HOST = re.compile(
    r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*)(?::[0-9]{1,5})?",
    re.ASCII,
)
_ID = re.compile(r"[a-f0-9]{64}", re.ASCII)


class Reference(msgspec.Struct, frozen=True):
    """A parsed image name.  ``tag`` is empty and ``digest`` None where not given."""

    registry: str
    repository: str
    tag: str = ""
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str, default_tag: str = "latest") -> Reference:
        """Parse what a user typed; `default_tag` fills in where neither tag nor digest stands.

        Raises: Invalid: with the rule that the text breaks.
        """
        name, at, digest_text = text.partition("@")
        digest = Digest(digest_text) if at else None
        head, slash, rest = name.partition("/")
        if slash and _is_host(head):
            registry, path = head, rest
        else:
            registry, path = DOCKER_HUB, name
        if not _HOST.fullmatch(registry):
            raise Invalid(f"invalid image name {text!r}: {registry!r} is not a registry host")
        repository, _, tag = path.partition(":")
        if ":" in path and not TAG.fullmatch(tag):
            raise Invalid(f"invalid image name {text!r}: {tag!r} is not a tag")
        if registry in (DOCKER_HUB, "index.docker.io"):
            registry = DOCKER_HUB
            if repository and "/" not in repository:
                repository = f"library/{repository}"
        _check_repository(text, repository)
        if not tag and digest is None:
            tag = default_tag
        return cls(registry, repository, tag, digest)

    def __str__(self) -> str:
        """The canonical name, with registry and all that is known."""
        return f"{self.registry}/{self.repository}{self._suffix()}"

    def familiar(self) -> str:
        """The shortest name that parses to this reference, as listings show it."""
        return f"{self.familiar_name()}{self._suffix()}"

    def familiar_name(self) -> str:
        """The familiar form without tag and digest."""
        if self.registry != DOCKER_HUB:
            return self.name
        head, slash, rest = self.repository.partition("/")
        if head == "library" and "/" not in rest:
            return rest or self.name
        # Short only if it stays the same name: a first component may look like a host.
        return self.name if slash and _is_host(head) else self.repository

    @property
    def name(self) -> str:
        """``registry/repository``."""
        return f"{self.registry}/{self.repository}"

    @property
    def target(self) -> str:
        """What to ask a registry for: the digest if there is one, else the tag."""
        return str(self.digest) if self.digest is not None else self.tag

    def with_digest(self, digest: Digest) -> Reference:
        """The same repository by digest alone."""
        return Reference(self.registry, self.repository, "", digest)

    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{tag}@{self.digest}" if self.digest is not None else tag


def _is_host(head: str) -> bool:
    """Whether the part before the first slash names a registry, and not a part of a repository."""
    return "." in head or ":" in head or head == "localhost" or head.lower() != head


def _check_repository(text: str, repository: str) -> None:
    if not repository:
        raise Invalid(f"invalid image name {text!r}: the name is empty")
    if len(repository) > 255:
        raise Invalid(f"invalid image name {text[:60]!r}…: longer than 255 characters")
    if _ID.fullmatch(repository.removeprefix("library/")):
        raise Invalid(f"invalid image name {text!r}: 64 hex digits are an image ID, not a name")
    if repository != repository.lower():
        raise Invalid(
            f"invalid image name {text!r}: a repository is written in lower case",
            hint=f"try {text.lower()}",
        )
    if not REPOSITORY.fullmatch(repository):
        raise Invalid(
            f"invalid image name {text!r}: {repository!r} breaks the rules of repository names",
            hint="letters, digits and single separators (. _ - /) between them",
        )
