"""Run the registry: one process, one port."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import uvicorn
import uvloop

from corten.errors import Conflict, Denied, Invalid
from corten.registry.access import anonymous_access, default_level
from corten.registry.app import RegistryApp
from corten.registry.database import Database, sqlite_url
from corten.registry.metadata import Metadata
from corten.registry.protocol import RegistryProtocol
from corten.registry.state import State
from corten.registry.storage import BlobStorage
from corten.wire.hosts import split_address

DEFAULT_PORT: Final = 5000
_THREADS: Final = 32
_BACKLOG: Final = 512
_GRACE_SECONDS: Final = 15
_EXPIRE_SECONDS: Final = 3600.0
_KEEP_ALIVE_SECONDS: Final = 75

_ADDRESS_HINT: Final = "write HOST:PORT or :PORT, such as 127.0.0.1:5000; --help says more"

_log = logging.getLogger("corten.registry")


def serve(
    addr: str,
    data: Path,
    anonymous: str = "",
    *,
    log: Callable[[str], None] | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the registry in `data` at `addr` (``host:port``) until SIGTERM or SIGINT.

    `anonymous` is ``none``, ``read`` or ``write``; empty: everything on loopback,
    nothing elsewhere.  `log` takes one line a request, `ready` the URL once
    clients can connect.

    Raises: Conflict: the port is in use; Denied: it may not be bound, or `data`
    not be written; Invalid: `addr` names no address of this machine; Usage.
    """
    host, port = split_address(addr, DEFAULT_PORT)
    listener = listen(host, port)
    with contextlib.closing(listener):
        bound = listener.getsockname()
        # By what was bound: a name may resolve to any address.
        loopback = ipaddress.ip_address(bound[0].partition("%")[0]).is_loopback
        state = open_state(data, anonymous_access(default_level(loopback, anonymous)))
        try:
            if ready is not None:
                shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
                ready(f"http://{shown}:{bound[1]}")
            uvloop.run(_run(RegistryApp(state, log), state, listener))
        finally:
            state.close()


def open_state(data: Path, allows: Any) -> State:
    """The parts of the registry in the folder `data`, which is made if it is not there.

    Raises: Denied: it cannot be written; Unavailable, Unsupported: of its database.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Denied(f"{data}: cannot be made: {error.strerror}") from error
    storage = BlobStorage(data)
    return State(Metadata(Database(sqlite_url(data / "registry.db"))), storage, allows)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.  Raises: Conflict, Denied, Invalid."""
    if host:
        _resolve(host)
    family = socket.AF_INET6 if ":" in host or not host else socket.AF_INET
    dual = not host and socket.has_dualstack_ipv6()
    if not host and not dual:
        family, host = socket.AF_INET, "0.0.0.0"  # noqa: S104 - what was asked for
    shown = f"{host or '*'}:{port}"
    try:
        return socket.create_server(
            (host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=dual
        )
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Conflict(
                f"{shown} is in use by another program",
                hint=f"choose another port, or see who has it: ss -ltnp 'sport = :{port}'",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise Denied(f"{shown} may not be used: {error.strerror}") from error
        if error.errno == errno.EADDRNOTAVAIL:
            raise Invalid(f"{host} is no address of this machine", hint=_ADDRESS_HINT) from error
        raise Invalid(f"{shown} cannot be used: {os.strerror(error.errno or 0)}") from error


def _resolve(host: str) -> None:
    """Refuse a name that nothing knows, which the socket would only do in the resolver's words."""
    try:
        socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Invalid(f"there is no address {host!r}", hint=_ADDRESS_HINT) from error


class _Server(uvicorn.Server):
    """uvicorn, ending on a signal instead of dying of it a second time."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self.handle_exit)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


async def _run(app: RegistryApp, state: State, listener: socket.socket) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS, "registry"))
    config = uvicorn.Config(
        app,
        http=RegistryProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        backlog=_BACKLOG,
    )
    expiring = asyncio.create_task(_expire(state))
    try:
        await _Server(config).serve(sockets=[listener])
    finally:
        expiring.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await expiring


async def _expire(state: State) -> None:
    """Give up forgotten uploads, now and then."""
    while True:
        try:
            await state.sessions.expire()
        except Exception:
            _log.exception("forgotten uploads could not be given up")
        await asyncio.sleep(_EXPIRE_SECONDS)
