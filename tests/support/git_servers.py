"""Git repositories on loopback: by ``git daemon``, and by a plain web server (dumb HTTP)."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

_DATE = "1700000000 +0000"
_ENVIRON = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_AUTHOR_DATE": _DATE,
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.com",
    "GIT_COMMITTER_DATE": _DATE,
}


def git(folder: Path, *args: str, text: str = "") -> str:
    """Run git in `folder` without any configuration; returns what it prints."""
    done = subprocess.run(
        ["git", "-c", "init.defaultBranch=main", *args],
        cwd=folder,
        env={**_ENVIRON, "HOME": str(folder)},
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Origin:
    """A bare repository under `folder` and a work tree to commit from."""

    def __init__(self, folder: Path, name: str) -> None:
        self.bare = folder / "served" / f"{name}.git"
        self.work = folder / "work" / name
        self.work.mkdir(parents=True)
        self.bare.mkdir(parents=True)
        git(self.bare, "init", "-q", "--bare")
        git(self.work, "init", "-q")

    def commit(self, files: dict[str, str], branch: str = "main") -> str:
        """Write files, commit and push them; returns the commit."""
        for name, content in files.items():
            path = self.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        git(self.work, "add", "-A")
        return self.push(branch)

    def push(self, branch: str = "main") -> str:
        """Commit what is in the index, and push it."""
        git(self.work, "commit", "-q", "--allow-empty", "-m", "change")
        git(self.work, "push", "-q", "--force", str(self.bare), f"HEAD:refs/heads/{branch}")
        git(self.bare, "update-server-info")
        return git(self.work, "rev-parse", "HEAD")

    def tag(self, name: str, *options: str) -> None:
        """Tag the last commit, and push the tag."""
        git(self.work, "tag", *options, name)
        git(self.work, "push", "-q", "--force", str(self.bare), f"refs/tags/{name}")
        git(self.bare, "update-server-info")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


class _Smart(http.server.BaseHTTPRequestHandler):
    """Passes requests on to ``git http-backend``.

    One answer of more than a KiB is broken off for each of `cuts`, after that share of it.
    """

    def __init__(self, *args: Any, directory: str, cuts: list[float]) -> None:
        self.directory = directory
        self.cuts = cuts
        super().__init__(*args)

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        size = int(self.headers.get("Content-Length") or 0)
        environ = {
            **_ENVIRON,
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROJECT_ROOT": self.directory,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(size),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(
            ["git", "http-backend"],
            input=self.rfile.read(size), env=environ, capture_output=True, check=False,
        )  # fmt: skip
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        if self.cuts and len(body) > 1024:
            body = body[: int(len(body) * self.cuts.pop())]
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def smart_web(folder: Path, *cuts: float) -> AbstractContextManager[str]:
    """The repositories of `folder` as hosting services serve them: smart HTTP; yields the URL.

    For each of `cuts` an answer is broken off, after that share of it.
    """
    return web(folder, functools.partial(_Smart, cuts=list(cuts)))


@contextmanager
def web(folder: Path, kind: Callable[..., Any] = _Quiet) -> Iterator[str]:
    """The files of `folder` by HTTP; yields the URL."""
    handler = functools.partial(kind, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def daemon(folder: Path) -> Iterator[str]:
    """The repositories of `folder` by git's own protocol; yields the URL."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["git", "daemon", "--export-all", "--reuseaddr", f"--base-path={folder}"]
    process = subprocess.Popen(
        [*command, "--listen=127.0.0.1", f"--port={port}", str(folder)],
        env=_ENVIRON,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.01)
        yield f"git://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 9)
        process.wait()
