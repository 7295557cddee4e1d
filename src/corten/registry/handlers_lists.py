"""Lists: tags, repositories, referrers; in pages.

Spec: OCI distribution, "Listing Tags", "Listing Referrers"; Docker's api.md,
"Listing Repositories".
"""

from __future__ import annotations

from contextlib import closing
from typing import Any, Final

from starlette.requests import Request

from corten.errors import CortenError
from corten.oci import media
from corten.oci.codec import canonical_json
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.oci.manifest import parse_document
from corten.registry.exchange import Answer, json_answer
from corten.registry.state import State
from corten.wire import routes
from corten.wire.paging import Ask, format_next, parse_ask

_REFERRERS_BUDGET: Final = 1024 * 1024
"""Bytes of descriptors in one page of referrers: clients read documents of 4 MiB at most."""


async def tags(state: State, request: Request, route: routes.Route) -> Answer:
    """The tags of a repository, sorted by their bytes."""
    ask = parse_ask(request.query_params)
    names = await state.work(state.metadata.tags, route.repository, Ask(ask.n + 1, ask.last))
    shown, headers = _page(names, ask, route.path)
    return json_answer({"name": route.repository, "tags": shown}, headers)


async def catalog(state: State, request: Request, route: routes.Route) -> Answer:
    """The repositories of the registry."""
    ask = parse_ask(request.query_params)
    names = await state.work(state.metadata.repositories, Ask(ask.n + 1, ask.last))
    shown, headers = _page(names, ask, route.path)
    return json_answer({"repositories": shown}, headers)


async def referrers(state: State, request: Request, route: routes.Route) -> Answer:
    """An index of the manifests whose subject is the digest; empty where there are none."""
    wanted = request.query_params.get("artifactType", "")
    after = request.query_params.get("last", "")
    ask = (route.repository, Digest(route.reference), wanted, after)
    rows, last = await state.work(_collect, state, ask)
    headers = {"OCI-Filters-Applied": "artifactType"} if wanted else {}
    if last:
        further = {"artifactType": wanted} if wanted else {}
        headers["Link"] = format_next(route.path, len(rows), last, **further)
    index = {"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": rows}
    return Answer(200, {"Content-Type": media.OCI_INDEX, **headers}, canonical_json(index))


def _page(names: list[str], ask: Ask, path: str) -> tuple[list[str], dict[str, str]]:
    """`names` has one more than was asked for if there is a further page."""
    shown = names[: ask.n]
    if ask.n == 0 or len(names) <= ask.n:
        return shown, {}
    return shown, {"Link": format_next(path, ask.n, shown[-1])}


def _collect(state: State, ask: tuple[str, Digest, str, str]) -> tuple[list[Any], str]:
    """Descriptors for one page, and the digest after which the next begins (empty: the end)."""
    collected: list[Descriptor] = []
    spent = 0
    with closing(state.metadata.referrers(*ask)) as rows:
        for manifest, artifact_type in rows:
            if spent > _REFERRERS_BUDGET:
                return collected, str(collected[-1].digest)
            descriptor = Descriptor(
                media_type=manifest.media_type,
                digest=manifest.digest,
                size=manifest.size,
                artifact_type=artifact_type,
                annotations=_annotations(manifest.raw, manifest.media_type),
            )
            spent += len(canonical_json(descriptor))
            collected.append(descriptor)
    return collected, ""


def _annotations(raw: bytes, media_type: str) -> dict[str, str]:
    try:
        return dict(parse_document(raw, media_type).annotations)
    except CortenError:
        return {}
