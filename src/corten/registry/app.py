"""The registry as an ASGI application: route, permission, handler, answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from starlette.requests import Request

from corten.errors import CortenError
from corten.registry import handlers_blobs, handlers_lists, handlers_manifests, handlers_uploads
from corten.registry.access import ANONYMOUS, Action, challenge, needed_level
from corten.registry.exchange import Answer, Send, error_answer, json_answer, respond
from corten.registry.state import State
from corten.wire import routes
from corten.wire.codes import refusal

Handler = Callable[[State, Request, routes.Route], Awaitable[Answer]]

_log = logging.getLogger("corten.registry")


class _Endpoint(NamedTuple):
    action: Action
    handler: Handler


async def _base(state: State, request: Request, route: routes.Route) -> Answer:
    return json_answer({})


_ENDPOINTS: Final[dict[routes.Kind, dict[str, _Endpoint]]] = {
    "base": {"GET": _Endpoint("pull", _base)},
    "catalog": {"GET": _Endpoint("list", handlers_lists.catalog)},
    "tags": {"GET": _Endpoint("pull", handlers_lists.tags)},
    "referrers": {"GET": _Endpoint("pull", handlers_lists.referrers)},
    "manifest": {
        "GET": _Endpoint("pull", handlers_manifests.get),
        "PUT": _Endpoint("push", handlers_manifests.put),
        "DELETE": _Endpoint("delete", handlers_manifests.delete),
    },
    "blob": {
        "GET": _Endpoint("pull", handlers_blobs.get),
        "DELETE": _Endpoint("delete", handlers_blobs.delete),
    },
    "uploads": {"POST": _Endpoint("push", handlers_uploads.start)},
    "upload": {
        "GET": _Endpoint("push", handlers_uploads.status),
        "PATCH": _Endpoint("push", handlers_uploads.patch),
        "PUT": _Endpoint("push", handlers_uploads.finish),
        "DELETE": _Endpoint("push", handlers_uploads.cancel),
    },
}


class RegistryApp:
    """The ASGI application over a :class:`~corten.registry.state.State`."""

    def __init__(self, state: State, log: Callable[[str], None] | None = None) -> None:
        """`log` takes one line for each request that was answered."""
        self._state = state
        self._log = log

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        """One request.  Other kinds of connection are refused."""
        if scope["type"] != "http":
            raise RuntimeError(f"not an HTTP request: {scope['type']}")
        request = Request(scope, receive)
        begun = time.perf_counter()
        try:
            answer = await self._answer(request)
        except CortenError as error:
            answer = error_answer(error, _closing(error))
        except Exception:
            _log.exception("%s %s failed", request.method, scope["path"])
            answer = error_answer(refusal("UNKNOWN", "the registry failed; its log says how"))
        try:
            await respond(scope, send, answer)
        finally:
            if self._log is not None:
                self._log(_line(request, answer, time.perf_counter() - begun))

    async def _answer(self, request: Request) -> Answer:
        path = request.scope["path"]
        if path == "/healthz":
            return Answer(200, {"Content-Type": "text/plain"}, b"ok\n")
        route = routes.parse(path)
        if route is None:
            raise refusal("NAME_UNKNOWN", f"nothing here at {path[:200]!r}")
        method = "GET" if request.method == "HEAD" else request.method
        endpoints = _ENDPOINTS[route.kind]
        endpoint = endpoints.get(method)
        if endpoint is None:
            error = refusal("UNSUPPORTED", f"{request.method[:20]} is not for {path[:200]!r}")
            return error_answer(error, {"Allow": ", ".join(endpoints)})
        if not self._state.allows(ANONYMOUS, endpoint.action, route.repository):
            return _denied(endpoint.action)
        if method != "GET" and request.headers.get("sec-fetch-site", "none") == "cross-site":
            # A page of some web site must not push to a registry on its reader's machine.
            raise refusal("DENIED", "requests from other web sites are not served")
        return await endpoint.handler(self._state, request, route)


def _denied(action: Action) -> Answer:
    reason = f"without --anonymous {needed_level(action)} nobody may {action} here"
    error = refusal("UNAUTHORIZED", reason)
    return error_answer(error, {"WWW-Authenticate": challenge()})


def _closing(error: CortenError) -> dict[str, str]:
    """After a body that was not read to its end, the connection is of no more use."""
    status = getattr(error, "status", 0)
    return {"Connection": "close"} if status in (408, 413) else {}


def _line(request: Request, answer: Answer, seconds: float) -> str:
    """A line for the access log: no byte of the request reaches it unquoted."""
    client = request.client.host if request.client is not None else "-"
    length = answer.file.span.length if answer.file is not None else len(answer.body)
    agent = request.headers.get("user-agent", "-")[:100]
    target = ascii(request.url.path[:1000])[1:-1]
    return (
        f"{client} {request.method} {target} {answer.status} {length}"
        f" {seconds * 1000:.1f} ms {agent!a}"
    )
