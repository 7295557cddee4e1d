"""Paths of the protocol: from a path to a :class:`Route` and back.

A repository's name may itself contain ``blobs``, ``manifests``, ``tags`` or
``uploads`` as components, so a path is read from its end.
Spec: OCI distribution, "Endpoints"; ``_catalog``: Docker's api.md.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from corten.errors import Invalid
from corten.oci.digest import Digest
from corten.oci.reference import REPOSITORY, TAG
from corten.wire.codes import refusal

Kind = Literal["base", "catalog", "tags", "manifest", "blob", "uploads", "upload", "referrers"]

NAME_LIMIT: Final = 255
_PATH_LIMIT = 4096
_SESSION_LIMIT = 128


class Route(msgspec.Struct, frozen=True):
    """An endpoint: its kind, the repository, and what it names there.

    ``reference`` is a tag or digest of a manifest, a digest of a blob or of a
    subject, the session of an upload; empty for the other kinds.
    """

    kind: Kind
    repository: str = ""
    reference: str = ""

    @property
    def path(self) -> str:
        """The path, beginning with ``/v2/``."""
        match self.kind:
            case "base":
                return "/v2/"
            case "catalog":
                return "/v2/_catalog"
            case "tags":
                return f"/v2/{self.repository}/tags/list"
            case "uploads":
                return f"/v2/{self.repository}/blobs/uploads/"
            case "upload":
                return f"/v2/{self.repository}/blobs/uploads/{self.reference}"
            case "referrers":
                return f"/v2/{self.repository}/referrers/{self.reference}"
            case "manifest":
                return f"/v2/{self.repository}/manifests/{self.reference}"
            case _:
                return f"/v2/{self.repository}/blobs/{self.reference}"

    @property
    def digest(self) -> Digest | None:
        """The reference as a digest; None where it is a tag or a session."""
        return Digest(self.reference) if ":" in self.reference else None


def manifest(repository: str, reference: str) -> Route:
    """The manifest that `reference`, a tag or digest, names.  Raises: Invalid."""
    return Route("manifest", _repository(repository), _reference(reference))


def blob(repository: str, digest: str) -> Route:
    """A blob.  Raises: Invalid."""
    return Route("blob", _repository(repository), _digest(digest))


def uploads(repository: str) -> Route:
    """Where an upload begins.  Raises: Invalid."""
    return Route("uploads", _repository(repository))


def tags(repository: str) -> Route:
    """The list of tags.  Raises: Invalid."""
    return Route("tags", _repository(repository))


def referrers(repository: str, digest: str) -> Route:
    """The list of what has `digest` as its subject.  Raises: Invalid."""
    return Route("referrers", _repository(repository), _digest(digest))


BASE: Final = Route("base")
CATALOG: Final = Route("catalog")


def parse(path: str) -> Route | None:
    """The endpoint that `path`, decoded and without its query, names; None: no such endpoint.

    Raises: Invalid (NAME_INVALID, DIGEST_INVALID, TAG_INVALID): an endpoint with a malformed part.
    """
    if path in ("/v2/", "/v2"):
        return BASE
    if path == "/v2/_catalog":
        return CATALOG
    if not path.startswith("/v2/") or len(path) > _PATH_LIMIT:
        return None
    parts = path[4:].split("/")
    if parts[-2:] == ["tags", "list"]:
        return tags("/".join(parts[:-2]))
    if parts[-2:] == ["blobs", "uploads"]:
        return uploads("/".join(parts[:-2]))
    if parts[-3:] == ["blobs", "uploads", ""]:
        return uploads("/".join(parts[:-3]))
    if parts[-3:-1] == ["blobs", "uploads"]:
        return Route("upload", _repository("/".join(parts[:-3])), _session(parts[-1]))
    head = "/".join(parts[:-2])
    match parts[-2:]:
        case ["manifests", reference]:
            return manifest(head, reference)
        case ["blobs", digest]:
            return blob(head, digest)
        case ["referrers", digest]:
            return referrers(head, digest)
    return None


def _repository(name: str) -> str:
    if len(name) > NAME_LIMIT or not REPOSITORY.fullmatch(name):
        raise refusal("NAME_INVALID", f"invalid repository name {name[:100]!r}")
    return name


def _digest(text: str) -> Digest:
    try:
        return Digest(text)
    except Invalid as error:
        raise refusal("DIGEST_INVALID", str(error)) from error


def _reference(text: str) -> str:
    if ":" in text:
        return _digest(text)
    if not TAG.fullmatch(text):
        raise refusal("TAG_INVALID", f"invalid tag {text[:140]!r}")
    return text


def _session(text: str) -> str:
    if not text.isascii() or not text.replace("-", "").isalnum() or len(text) > _SESSION_LIMIT:
        raise refusal("BLOB_UPLOAD_UNKNOWN", f"no upload {text[:60]!r}")
    return text
