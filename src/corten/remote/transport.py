"""The one place where a client's bytes meet the network: drives dialogues over urllib3.

Thread-safe: any number of transfers share one pool of connections.  Redirects
are followed here, so that no credential ever reaches another host and nothing
goes from https to http.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urlsplit

from corten import __version__
from corten.errors import CortenError, Denied, Invalid, Unavailable
from corten.oci.reference import DOCKER_HUB
from corten.remote.arriving import Arriving
from corten.remote.failures import explain
from corten.remote.proxies import pool_for, proxy_for
from corten.wire import client
from corten.wire.challenge import Scope
from corten.wire.dialogue import Credentials, Dialogue, Session
from corten.wire.hosts import is_loopback
from corten.wire.messages import DOCUMENT_LIMIT, Headers, Request, Response, resolve_target

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

T = TypeVar("T")

DOCKER_HUB_API = "registry-1.docker.io"
CONNECT_TIMEOUT = 15.0
READ_TIMEOUT = 60.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REDIRECT_LIMIT = 10
_COMPLAINT_LIMIT = 256 * 1024
_CONNECTIONS = 32
_SENSITIVE = frozenset({"authorization", "cookie", "proxy-authorization"})


class Transport:
    """All traffic with one registry.

    `host` is the registry's ``host[:port]`` as references write it.  `insecure`
    allows plain http and unverified certificates for it; a loopback host may
    always be spoken to in plain http.  `environ` gives proxies and, through
    OpenSSL, ``SSL_CERT_FILE``.
    """

    def __init__(
        self,
        host: str,
        credentials: Credentials | None = None,
        *,
        insecure: bool = False,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.host = host
        self.insecure = insecure
        self._environ = dict(environ or {})
        self._address = DOCKER_HUB_API if host == DOCKER_HUB else host
        self._loopback = is_loopback(self._address)
        self._session = Session(credentials, time.monotonic)
        self._pools: dict[str, PoolManager] = {}
        self._lock = threading.Lock()
        self._probing = threading.Lock()
        self._origin = "" if self._loopback or insecure else f"https://{self._address}"

    def run(self, dialogue: Dialogue[T], *scopes: Scope) -> T:
        """Drive `dialogue` to its end, authorized for `scopes`.

        Raises: what the dialogue raises; Unavailable: the host cannot be
        reached, does not answer in time or breaks off; Denied: its certificate
        is not trusted, or a redirect would give up https.
        """
        origin = self._origin or self._find_origin()
        return self._drive(self._session.authorized(dialogue, *scopes), origin)

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            pool.clear()

    def _drive(self, dialogue: Dialogue[T], origin: str) -> T:
        try:
            request = next(dialogue)
            while True:
                try:
                    response = self._exchange(request, origin)
                except CortenError as error:
                    request = dialogue.throw(error)
                else:
                    request = dialogue.send(response)
        except StopIteration as stop:
            result: T = stop.value
            return result
        finally:
            dialogue.close()

    def _find_origin(self) -> str:
        """Which scheme the registry speaks: loopback tries http first, others https."""
        with self._probing:
            if self._origin:
                return self._origin
            schemes = ("http", "https") if self._loopback else ("https", "http")
            failures: list[CortenError] = []
            for scheme in schemes:
                origin = f"{scheme}://{self._address}"
                try:
                    response = self._exchange(Request(method="GET", target="/v2/"), origin)
                except (Unavailable, Denied) as error:
                    failures.append(error)
                    if "refused" in str(error) and self._loopback:
                        break
                    continue
                if scheme == "http" and self._loopback and response.status == 400:
                    # What a server for TLS says to plain http.
                    failures.append(_failed_check(response))
                    continue
                self._origin = origin
                return origin
            # A certificate that is not trusted says more than what the other scheme met.
            raise next((error for error in failures if isinstance(error, Denied)), failures[0])

    def _exchange(self, request: Request, origin: str) -> Response:
        """One request and its answer, with redirects."""
        url = request.url(origin)
        method = request.method
        headers = {"User-Agent": f"corten/{__version__}", "Accept-Encoding": "identity"}
        headers.update(request.headers)
        body: Any = request.body or None
        if not isinstance(body, bytes) and body is not None:
            body = iter(body)
        for _ in range(_REDIRECT_LIMIT):
            answer = self._send(method, url, headers, body, request.patience)
            if answer.status not in _REDIRECTS or not answer.headers.get("Location"):
                return _response(answer, request, origin, url, self.host)
            text = answer.headers["Location"]
            answer.drain_conn() if method == "HEAD" else answer.close()
            target = _follow(url, text, self.host)
            if not request.repeatable and answer.status in (307, 308):
                raise Invalid(f"{self.host} redirects an upload after it was begun")
            if answer.status == 303 or (answer.status in (301, 302) and method == "POST"):
                method, body = ("HEAD" if method == "HEAD" else "GET"), None
                headers = {k: v for k, v in headers.items() if not k.lower().startswith("content-")}
            if _place(url) != _place(target):
                headers = {k: v for k, v in headers.items() if k.lower() not in _SENSITIVE}
            url = target
        raise Unavailable(f"{self.host} redirects in a circle (more than {_REDIRECT_LIMIT} times)")

    def _send(
        self, method: str, url: str, headers: dict[str, str], body: Any, patience: float
    ) -> BaseHTTPResponse:
        from urllib3 import Timeout
        from urllib3.exceptions import HTTPError

        limit = Timeout(connect=CONNECT_TIMEOUT, read=patience or READ_TIMEOUT)
        before = sys.exception()
        try:
            return self._pool(url).urlopen(
                method,
                url,
                body=body,
                headers=headers,
                redirect=False,
                retries=False,
                timeout=limit,
                preload_content=False,
                decode_content=False,
            )
        except (HTTPError, OSError, ValueError) as error:
            raise explain(error, urlsplit(url).netloc, self.insecure, before) from error

    def _pool(self, url: str) -> PoolManager:
        proxy = proxy_for(url, self._environ)
        with self._lock:
            pool = self._pools.get(proxy)
            if pool is None:
                pool = self._pools[proxy] = _make_pool(proxy, self.insecure)
            return pool


def _failed_check(response: Response) -> CortenError:
    """The error of a registry that does not answer the check of the protocol as it should."""
    dialogue = client.ping()
    next(dialogue)
    try:
        dialogue.send(response)
    except CortenError as error:
        return error
    except StopIteration:
        pass
    return Unavailable(f"{response.origin}: unexpected answer to the check of the protocol")


def _make_pool(proxy: str, insecure: bool) -> PoolManager:
    import urllib3

    if insecure:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    verify: Literal["CERT_NONE", "CERT_REQUIRED"] = "CERT_NONE" if insecure else "CERT_REQUIRED"
    options: dict[str, Any] = {"num_pools": 8, "maxsize": _CONNECTIONS, "cert_reqs": verify}
    return pool_for(proxy, **options)


def _response(
    answer: BaseHTTPResponse, request: Request, origin: str, url: str, host: str
) -> Response:
    headers = Headers(tuple(answer.headers.items()))
    if request.stream and 200 <= answer.status < 300:
        return Response(
            status=answer.status,
            headers=headers,
            stream=_Incoming(answer, host),
            origin=origin,
            url=url,
        )
    body = _read_whole(answer, request.method, host)
    return Response(status=answer.status, headers=headers, body=body, origin=origin, url=url)


def _read_whole(answer: BaseHTTPResponse, method: str, host: str) -> bytes:
    from urllib3.exceptions import HTTPError

    if method == "HEAD":
        answer.drain_conn()
        return b""
    pieces, total = [], 0
    before = sys.exception()
    try:
        while piece := answer.read(65536, decode_content=False):
            total += len(piece)
            pieces.append(piece)
            if answer.status >= 300 and total > _COMPLAINT_LIMIT:
                # Long enough to say what is wrong; it must not hide behind its own length.
                answer.close()
                return b"".join(pieces)
            if total > DOCUMENT_LIMIT:
                answer.close()
                raise Invalid(f"{host} answered with a document of more than {DOCUMENT_LIMIT} B")
    except (HTTPError, OSError) as error:
        answer.close()
        raise explain(error, host, False, before) from error
    answer.release_conn()
    return b"".join(pieces)


class _Incoming:
    """A body that is read while it arrives."""

    def __init__(self, answer: BaseHTTPResponse, host: str) -> None:
        self._answer = answer
        self._arriving = Arriving(answer)
        self._host = host
        self._ended = False

    def read(self, size: int = -1, /) -> bytes:
        from urllib3.exceptions import HTTPError

        before = sys.exception()
        try:
            data = self._arriving.read(size) if size > 0 else self._rest(size)
        except (HTTPError, OSError, ValueError) as error:
            self._answer.close()
            raise explain(error, self._host, False, before) from error
        self._ended = not data
        return data

    def _rest(self, size: int) -> bytes:
        return self._answer.read(None if size < 0 else size, decode_content=False)

    def close(self) -> None:
        """Give the connection back if all was read, else drop it."""
        if self._ended:
            self._answer.release_conn()
        else:
            self._answer.close()


def _follow(url: str, text: str, host: str) -> str:
    """Where a redirect leads.  Raises: Denied: from https to http; Invalid: nowhere."""
    target = resolve_target(url, "", text)
    if url.startswith("https:") and not target.startswith("https:"):
        raise Denied(
            f"{host} redirects from https to http ({urlsplit(target).netloc})",
            hint="ask whoever runs the registry: following it would give up all protection",
        )
    return target


def _place(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return parts.scheme, (parts.hostname or "").lower(), port
