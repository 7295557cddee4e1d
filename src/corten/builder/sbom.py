"""``--sbom``: which packages an image has, as an SPDX document.  Spec: SPDX 2.3, JSON.  Pure."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from corten.builder.attestations import Attestation
from corten.builder.packages import Inventory, Package
from corten.oci.digest import Digest

PREDICATE = "https://spdx.dev/Document"
FILENAME = "sbom.spdx.json"
_NOBODY_SAYS = "NOASSERTION"
_EXPRESSION = re.compile(r"\(?[A-Za-z0-9.+-]+\)?(?: (?:AND|OR|WITH) \(?[A-Za-z0-9.+-]+\)?)*", re.A)
_NO_TIME = "1970-01-01T00:00:00Z"


def sbom(found: Inventory, image_id: Digest, created: str, tool: str) -> Attestation:
    """The attestation that the image `image_id` has these packages.

    `created` (RFC 3339) is the image's time, not that of looking; `tool` is
    ``corten-VERSION``.
    """
    packages = [_package(package, found, number) for number, package in enumerate(found.packages)]
    root = {
        "SPDXID": "SPDXRef-Image",
        "name": str(image_id),
        "versionInfo": image_id.encoded,
        "primaryPackagePurpose": "CONTAINER",
        "downloadLocation": _NOBODY_SAYS,
        "filesAnalyzed": False,
        "licenseConcluded": _NOBODY_SAYS,
        "licenseDeclared": _NOBODY_SAYS,
        "copyrightText": _NOBODY_SAYS,
    }
    document: dict[str, Any] = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"image {image_id.short}",
        "documentNamespace": f"urn:corten:sbom:{image_id.encoded}",
        "creationInfo": {"created": _time(created), "creators": [f"Tool: {tool}"]},
        "packages": [root, *packages],
        "relationships": [
            _relation("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Image"),
            *(_relation("SPDXRef-Image", "CONTAINS", each["SPDXID"]) for each in packages),
        ],
    }
    if found.notes:
        document["comment"] = "; ".join(found.notes)
    return Attestation(PREDICATE, document, FILENAME)


def _relation(one: str, kind: str, other: str) -> dict[str, str]:
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}


def _package(package: Package, found: Inventory, number: int) -> dict[str, Any]:
    valid = _EXPRESSION.fullmatch(package.license) is not None
    document: dict[str, Any] = {
        "SPDXID": f"SPDXRef-Package-{number}",
        "name": package.name,
        "versionInfo": package.version,
        "downloadLocation": _NOBODY_SAYS,
        "filesAnalyzed": False,
        "licenseConcluded": _NOBODY_SAYS,
        "licenseDeclared": package.license if valid else _NOBODY_SAYS,
        "copyrightText": _NOBODY_SAYS,
        "sourceInfo": f"found in {package.found}",
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": purl(package, found.distribution),
            }
        ],
    }
    if package.license and not valid:
        document["licenseComments"] = f"the package says: {package.license}"
    return document


def purl(package: Package, distribution: tuple[str, str] = ("", "")) -> str:
    """The package URL, e.g. ``pkg:deb/debian/bash@5.2?arch=amd64&distro=debian-12``."""
    name = "/".join(quote(part, safe="") for part in package.name.split("/"))
    system, release = distribution
    qualifiers = []
    if package.kind in ("deb", "apk"):
        vendor = system or ("debian" if package.kind == "deb" else "alpine")
        name = f"{quote(vendor, safe='')}/{name}"
        if package.architecture:
            qualifiers.append(f"arch={quote(package.architecture, safe='')}")
        if system:
            text = f"{system}-{release}" if release else system
            qualifiers.append(f"distro={quote(text, safe='')}")
    tail = f"?{'&'.join(qualifiers)}" if qualifiers else ""
    return f"pkg:{package.kind}/{name}@{quote(package.version, safe='')}{tail}"


def _time(created: str) -> str:
    """In seconds, and in UTC, as SPDX wants it."""
    match = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)", created, re.A)
    return f"{match[1]}Z" if match else _NO_TIME
