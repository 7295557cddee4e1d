"""Plain requests of the distribution protocol, for tests that look at the answers themselves."""

from __future__ import annotations

import json
from typing import Any

from corten.oci import media
from corten.oci.digest import Digest
from support.registry_server import RawAnswer, ServerProcess

CONFIG = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'


def push_blob(server: ServerProcess, name: str, data: bytes) -> Digest:
    """Push a blob with a single request."""
    digest = Digest.of(data)
    answer = server.request("POST", f"/v2/{name}/blobs/uploads/?digest={digest}", data)
    assert answer.status == 201, answer.body
    return digest


def begin(server: ServerProcess, name: str) -> str:
    """Begin an upload; its location."""
    answer = server.request("POST", f"/v2/{name}/blobs/uploads/", b"")
    assert answer.status == 202, answer.body
    return answer.headers["location"]


def chunk(
    server: ServerProcess, location: str, data: bytes, start: int, method: str = "PATCH"
) -> RawAnswer:
    """Send a chunk that begins at `start`."""
    headers = {
        "Content-Range": f"{start}-{start + len(data) - 1}",
        "Content-Type": media.OCTET_STREAM,
    }
    return server.request(method, location, data, headers)


def manifest(
    config: bytes = CONFIG, layers: tuple[bytes, ...] = (), **further: Any
) -> tuple[bytes, Digest]:
    """A manifest over these blobs; further fields as they are named."""
    document = {
        "schemaVersion": 2,
        "mediaType": media.OCI_MANIFEST,
        "config": _describe(config, media.OCI_CONFIG),
        "layers": [_describe(layer, media.OCI_LAYER) for layer in layers],
        **further,
    }
    raw = json.dumps(document, indent=3).encode()
    return raw, Digest.of(raw)


def put_manifest(
    server: ServerProcess,
    name: str,
    reference: str,
    raw: bytes,
    media_type: str = media.OCI_MANIFEST,
) -> RawAnswer:
    """PUT a manifest."""
    path = f"/v2/{name}/manifests/{reference}"
    return server.request("PUT", path, raw, {"Content-Type": media_type})


def push_image(
    server: ServerProcess, name: str, tag: str, layers: tuple[bytes, ...] = (), **further: Any
) -> Digest:
    """Push a whole image under a tag; its manifest's digest."""
    push_blob(server, name, CONFIG)
    for layer in layers:
        push_blob(server, name, layer)
    raw, digest = manifest(layers=layers, **further)
    answer = put_manifest(server, name, tag, raw)
    assert answer.status == 201, answer.body
    return digest


def subject(digest: Digest, size: int) -> dict[str, Any]:
    """A descriptor of a manifest."""
    return {"mediaType": media.OCI_MANIFEST, "digest": str(digest), "size": size}


def codes(answer: RawAnswer) -> list[str]:
    """The error codes of an answer, whose body has to be as the specification says."""
    document = json.loads(answer.body)
    assert answer.headers["content-type"] == "application/json"
    assert set(document) == {"errors"}
    return [entry["code"] for entry in document["errors"]]


def _describe(data: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(Digest.of(data)), "size": len(data)}
