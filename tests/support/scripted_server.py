"""A server on loopback that answers what a test tells it to, however wrong."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_TLS_HANDSHAKE = 0x16
_BODY_LIMIT = 1024 * 1024
"""Longer bodies are not read before they are answered."""


class Seen:
    """One request as it came."""

    def __init__(self, head: bytes, body: bytes) -> None:
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.path, _ = lines[0].split(" ", 2)
        fields = (line.partition(":") for line in lines[1:] if ":" in line)
        self.headers = {name.strip().lower(): value.strip() for name, _, value in fields}
        self.body = body


Script = Callable[[Seen], bytes | Iterator[bytes]]


class ScriptedServer:
    """Answers each request with the bytes that its script gives, then closes the connection."""

    def __init__(self, script: Script, address: str = "127.0.0.1") -> None:
        self.seen: list[Seen] = []
        self._script = script
        self._listener = socket.create_server((address, 0))
        self.host = "{}:{}".format(*self._listener.getsockname()[:2])
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=10)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(20)
            seen = _read(connection)
            if seen is None:
                return
            self.seen.append(seen)
            answer = self._script(seen)
            for piece in (answer,) if isinstance(answer, bytes) else answer:
                connection.sendall(piece)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass


def _read(connection: socket.socket) -> Seen | None:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece or piece[0] == _TLS_HANDSHAKE:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(Seen(head, b"").headers.get("content-length", "0"))
    while len(body) < length <= _BODY_LIMIT:
        piece = connection.recv(65536)
        if not piece:
            break
        body += piece
    return Seen(head, body)


def reply(status: int, body: bytes = b"", **fields: str) -> bytes:
    """An answer; a field's underscores stand for hyphens.  Content-Length unless it is given."""
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    headers.setdefault("Content-Length", str(len(body)))
    headers.setdefault("Connection", "close")
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


@contextmanager
def scripted(script: Script, address: str = "127.0.0.1") -> Iterator[ScriptedServer]:
    """A scripted server for the block."""
    server = ScriptedServer(script, address)
    try:
        yield server
    finally:
        server.close()
