"""What the runtime is told and what it can do: values and the `Executor` protocol."""

from __future__ import annotations

from collections.abc import Callable
from socket import socket
from typing import Protocol

import msgspec

from corten.events.job import Job
from corten.snapshot.protocols import Mount


class Bind(msgspec.Struct, frozen=True):
    """Something mounted into a container.

    ``type`` is ``bind`` (source: a host path) or ``tmpfs`` (source empty).
    ``options`` are mount options beyond ``ro``.
    """

    target: str
    source: str = ""
    readonly: bool = False
    type: str = "bind"
    options: tuple[str, ...] = ()


Serve = Callable[[socket], None]
"""Answers one connection until it ends; the connection is closed afterwards."""


class PrivateFile(msgspec.Struct, frozen=True):
    """A file that only one run has, in memory: with `content`, or a socket that `serve` answers."""

    target: str
    content: bytes = b""
    mode: int = 0o400
    uid: int = 0
    gid: int = 0
    serve: Serve | None = None


class View(msgspec.Struct, frozen=True):
    """What is at `source` of a tree of its own, bound into a container.

    ``mounts`` make the tree, as a snapshot's do; links of ``source`` stay inside it.
    What is written goes where the mounts say.  ``label`` names the tree in messages.
    """

    target: str
    mounts: tuple[Mount, ...]
    source: str = "/"
    readonly: bool = True
    label: str = "the tree"


class Process(msgspec.Struct, frozen=True):
    """A process inside a container.

    ``user`` as in an image configuration (``name``, ``uid``, ``user:group`` …),
    resolved in the container's own ``/etc/passwd`` and ``/etc/group``;
    ``env`` entries are ``NAME=value``; those of ``secret_env`` come after them and are
    written to no disk.
    """

    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: str = ""
    tty: bool = False
    secret_env: tuple[str, ...] = ()


class Sandbox(msgspec.Struct, frozen=True):
    """What surrounds the process: its file system, mounts and isolation.

    ``network`` is ``host``, ``none`` or the path of a network namespace.
    ``resolv_conf``, ``hosts`` are files to show as ``/etc/resolv.conf`` and ``/etc/hosts``
    (empty: what the image has).  ``files`` and ``views`` exist for this run alone.
    """

    rootfs: tuple[Mount, ...]
    binds: tuple[Bind, ...] = ()
    network: str = "host"
    hostname: str = ""
    resolv_conf: str = ""
    hosts: str = ""
    readonly: bool = False
    privileged: bool = False
    init: bool = False
    files: tuple[PrivateFile, ...] = ()
    views: tuple[View, ...] = ()


OnOutput = Callable[[int, bytes], object]
"""Called with 1 (stdout) or 2 (stderr) and what was written."""


class Executor(Protocol):
    """Runs one process to its end in a sandbox: what a build step needs."""

    def run(self, key: str, process: Process, sandbox: Sandbox, output: OnOutput, job: Job) -> int:
        """The exit status (128 + signal if it was killed).

        Every mount lives in a private mount namespace, so nothing can stay
        mounted.  Raises: Unavailable: a helper is missing (the message names the
        package); Cancelled: the job was, and the process is gone; Invalid: the
        user or command does not exist in the image.
        """

    def shell(self, key: str, process: Process, sandbox: Sandbox) -> int:
        """The same on the terminal that is our input and output.  Raises: as `run`."""
