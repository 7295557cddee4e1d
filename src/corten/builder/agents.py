"""SSH agents for build steps: the caller's, or one of our own with the caller's key files.

A step may ask for keys and signatures.  Everything else (adding and removing keys, locking)
is refused: an agent is lent, not given away.
Spec: draft-ietf-sshm-ssh-agent, "Protocol Messages".
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from corten.errors import Invalid, NotFound
from corten.runtime.protocols import Serve
from corten.system.process import find_program

DEFAULT = "default"
_FAILURE = struct.pack(">IB", 1, 5)
_IDENTITIES, _SIGN = 11, 13
_MESSAGE = 256 * 1024
"""Bytes of a message, as OpenSSH's agent has it."""


class AgentSource(NamedTuple):
    """The socket of an agent, or the key files for one."""

    socket: str = ""
    keys: tuple[str, ...] = ()


def parse_ssh(text: str, environ: Mapping[str, str]) -> tuple[str, AgentSource]:
    """``ID[=SOCKET|=KEYFILE[,KEYFILE]]``; the id alone is the agent of ``SSH_AUTH_SOCK``.

    Raises: Invalid; NotFound: there is no agent, or no such file.
    """
    identity, _, rest = text.partition("=")
    if not identity:
        raise Invalid(f"--ssh {text!r} has no id", hint="--ssh default")
    paths = [path for path in rest.split(",") if path]
    if not paths:
        agent = environ.get("SSH_AUTH_SOCK", "")
        if not agent:
            raise NotFound(
                f"--ssh {identity}: no agent runs here (SSH_AUTH_SOCK is not set)",
                hint=f"start one, or name a key: --ssh {identity}=FILE",
            )
        paths = [agent]
    sockets, keys = [], []
    for path in paths:
        try:
            found = Path(path).stat()
        except OSError as error:
            raise NotFound(f"--ssh {identity}: {path}: {error.strerror}") from None
        whole = str(Path(path).absolute())
        if stat.S_ISSOCK(found.st_mode):
            sockets.append(whole)
        elif stat.S_ISREG(found.st_mode):
            keys.append(whole)
        else:
            raise Invalid(f"--ssh {identity}: {path} is neither a socket nor a key file")
    if len(sockets) > 1 or (sockets and keys):
        raise Invalid(f"--ssh {identity}: one socket, or key files", hint="give others an id")
    return identity, AgentSource(sockets[0] if sockets else "", tuple(keys))


class Agents:
    """The agents of one build; those of key files are started when they are first needed.

    A context manager that ends them.  May be used from several threads.
    """

    def __init__(self, sources: Mapping[str, AgentSource]) -> None:
        self._sources = sources
        self._own: dict[str, _KeyAgent] = {}
        self._lock = threading.Lock()

    def serve(self, identity: str) -> Serve | None:
        """What answers connections in that agent's place; None: it is not given.

        Raises: as :meth:`socket`.
        """
        path = self.socket(identity)
        return (lambda connection: lend(connection, path)) if path else None

    def socket(self, identity: str) -> str:
        """Where that agent listens; empty: it is not given.

        Raises: Unavailable: ssh-agent is missing; Invalid: a key cannot be used.
        """
        source = self._sources.get(identity)
        if source is None or source.socket:
            return source.socket if source is not None else ""
        with self._lock:
            if identity not in self._own:
                self._own[identity] = _KeyAgent(identity, source.keys)
            return self._own[identity].socket

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for agent in self._own.values():
            agent.close()


class _KeyAgent:
    """An ssh-agent with some keys.  It ends with us, however we end: then its input does."""

    def __init__(self, identity: str, keys: tuple[str, ...]) -> None:
        script = 'ssh-add -q -- "$@" </dev/null >&2 && printf "%s\\n" "$SSH_AUTH_SOCK" && read -r _'
        environ = {n: v for n, v in os.environ.items() if n not in ("SSH_ASKPASS", "DISPLAY")}
        self._process = subprocess.Popen(
            [find_program("ssh-agent"), "sh", "-c", script, "ssh-agent", *keys],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environ,
            # Without a terminal nobody is asked for a passphrase.
            start_new_session=True,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.socket = os.fsdecode(self._process.stdout.readline()).strip()
        if not self.socket:
            said = self._process.stderr.read(2000).decode(errors="replace").strip()
            self.close()
            raise Invalid(
                f"--ssh {identity}: the key cannot be used: {said or 'ssh-agent ended'}",
                hint="keys with a passphrase need an agent that has them already",
            )

    def close(self) -> None:
        """End it."""
        process = self._process
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def lend(connection: socket.socket, path: str) -> None:
    """Answer a step's requests from the agent at `path`, as far as they are harmless.

    Raises: OSError; Unavailable: the agent does not answer.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as agent:
        agent.connect(path)
        while (request := _message(connection)) is not None:
            if request[4:5] and request[4] in (_IDENTITIES, _SIGN):
                agent.sendall(request)
                answer = _message(agent)
                if answer is None:
                    return
                connection.sendall(answer)
            else:
                connection.sendall(_FAILURE)


def _message(stream: socket.socket) -> bytes | None:
    """A message with its length; None at the end."""
    head = _exactly(stream, 4)
    if head is None:
        return None
    (length,) = struct.unpack(">I", head)
    if not 0 < length <= _MESSAGE:
        return None
    body = _exactly(stream, length)
    return None if body is None else head + body


def _exactly(stream: socket.socket, count: int) -> bytes | None:
    parts = []
    while count:
        part = stream.recv(count)
        if not part:
            return None
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


__all__ = ["DEFAULT", "AgentSource", "Agents", "lend", "parse_ssh"]
