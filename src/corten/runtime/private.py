"""What one run alone has, in memory: files with contents, sockets, and trees to show parts of.

All of it lies on a tmpfs in the run's mount namespace: no other process sees it, nothing of
it reaches a disk, and it is gone when the last process of the run is.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec

from corten.errors import Invalid, NotFound
from corten.runtime.mountpoints import assemble_with, is_apart
from corten.runtime.protocols import Bind, PrivateFile, Process, Sandbox, Serve, View
from corten.runtime.users import open_in_root
from corten.snapshot.mounting import mount_all
from corten.system.mount import MS_NODEV, MS_NOSUID, mount

_BACKLOG = 16
_CONNECTIONS = 64
"""Connections to one socket that are answered at the same time; more wait."""


PRIVATE = "private"
"""The directory in a run's bundle over which the file system in memory lies."""

Sockets = tuple[tuple[socket.socket, Serve], ...]
"""Sockets that wait for somebody to answer."""


def is_private(process: Process, sandbox: Sandbox) -> bool:
    """Whether a run has anything that needs this: mounts, but for those in /dev, or secrets."""
    return bool(
        sandbox.files
        or sandbox.views
        or process.secret_env
        or not all(is_apart(bind.target) for bind in sandbox.binds)
    )


def furnish(
    process: Process, sandbox: Sandbox, root: Path, folder: Path
) -> tuple[Process, Sandbox, Sockets]:
    """Make the tree at `root` with all that is private; what there is to start now.

    `folder` is on the private file system.  Raises: as `assemble_with`, `provide`.
    """
    binds, sockets = provide(sandbox.files, sandbox.views, folder)
    try:
        stubs = folder / "stubs"
        stubs.mkdir(mode=0o755)
        binds = assemble_with(sandbox.rootfs, root, (*sandbox.binds, *binds), stubs)
    except BaseException:
        for listener, _ in sockets:
            listener.close()
        raise
    process = msgspec.structs.replace(
        process, env=(*process.env, *process.secret_env), secret_env=()
    )
    sandbox = msgspec.structs.replace(sandbox, binds=binds, files=(), views=())
    return process, sandbox, sockets


def private_folder(folder: Path) -> None:
    """Lay a file system in memory over the existing `folder`, in this mount namespace."""
    mount("tmpfs", str(folder), "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700")


def provide(
    files: Sequence[PrivateFile], views: Sequence[View], folder: Path
) -> tuple[tuple[Bind, ...], Sockets]:
    """Make files, sockets and trees in the private `folder`.

    Raises: as `mount_all`; NotFound: a view's source is not in its tree; OSError.
    """
    binds: list[Bind] = []
    sockets: list[tuple[socket.socket, Serve]] = []
    try:
        for number, file in enumerate(files):
            path = folder / f"file-{number}"
            if file.serve is not None:
                sockets.append((_listen(path), file.serve))
            else:
                path.write_bytes(file.content)
            os.chown(path, file.uid, file.gid)
            path.chmod(file.mode)
            binds.append(Bind(file.target, str(path), readonly=file.serve is None))
        for number, view in enumerate(views):
            root = folder / f"view-{number}"
            root.mkdir()
            mount_all(view.mounts, root)
            binds.append(Bind(view.target, _inside(root, view), readonly=view.readonly))
    except BaseException:
        for waiting, _ in sockets:
            waiting.close()
        raise
    return tuple(binds), tuple(sockets)


def _inside(root: Path, view: View) -> str:
    """The path of a view's source, whose links lead to nothing outside its tree."""
    tree = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = open_in_root(tree, view.source.strip("/") or ".", os.O_PATH)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise NotFound(f"{view.source} is not in {view.label}") from None
        raise Invalid(f"{view.source} in {view.label}: {error.strerror}") from None
    finally:
        os.close(tree)
    try:
        return str(Path(f"/proc/thread-self/fd/{found}").readlink())
    finally:
        os.close(found)


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Paths of sockets are short: by way of the descriptor any is.
        listener.bind(f"/proc/thread-self/fd/{folder}/{path.name}")
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(folder)
    return listener


@contextmanager
def answering(sockets: Iterable[tuple[socket.socket, Serve]]) -> Iterator[None]:
    """Answer connections to `sockets` in threads, within the block."""
    with ExitStack() as stack:
        for listener, serve in sockets:
            door = _Door(listener, serve)
            stack.callback(door.close)
            door.start()
        yield


class _Door(threading.Thread):
    """Takes connections to one socket and has each answered in a thread of its own."""

    def __init__(self, listener: socket.socket, serve: Serve) -> None:
        super().__init__(name="corten-socket", daemon=True)
        self._listener = listener
        self._serve = serve
        self._room = threading.BoundedSemaphore(_CONNECTIONS)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = False

    def run(self) -> None:
        while True:
            self._room.acquire()
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed
                return
            with self._lock:
                if self._closed:
                    connection.close()
                    return
                self._open.add(connection)
            answer = threading.Thread(
                target=self._answer, args=(connection,), name="corten-answer", daemon=True
            )
            answer.start()

    def close(self) -> None:
        """No more connections; those that there are end."""
        with self._lock:
            self._closed = True
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _answer(self, connection: socket.socket) -> None:
        try:
            with suppress(OSError):
                self._serve(connection)
        finally:
            with self._lock:
                self._open.discard(connection)
                connection.close()
            self._room.release()
