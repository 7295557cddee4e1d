"""What cases fetch from: files and a Git repository on a loopback address."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec

from corpus import listing
from corpus.archives import tar

MODIFIED = 1_234_567_890
"""When the served files were modified."""

_FILES = "file = served\ndir/named = served too\nquery = asked"
_REPOSITORY = "README = read me\nrun 755 = #!/bin/sh\\n\ndocs/guide = first\ndocs/more/x = x"


class Served(msgspec.Struct, frozen=True):
    """The server's ``address`` (host and port) and the repository's last ``commit``."""

    address: str
    commit: str


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[Served]:
    """Serve for the time of the block; `folder` is made."""
    listing.make(folder / "www", listing.parse(_FILES))
    (folder / "www/archive.tar.gz").write_bytes(tar("in/tar = unpacked", "gz"))
    for path in (folder / "www").rglob("*"):
        os.utime(path, (MODIFIED, MODIFIED))
    commit = _repository(folder)
    handler = functools.partial(_Handler, directory=str(folder / "www"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Served(f"127.0.0.1:{server.server_address[1]}", commit)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _repository(folder: Path) -> str:
    """www/repo.git: the tag v1, then a commit more on the branch main; returns the last one's name."""
    work = folder / "work"
    listing.make(work, listing.parse(_REPOSITORY))
    _git(work, "init", "-q", "-b", "main")
    _git(work, "add", "-A")
    _git(work, "commit", "-q", "-m", "first")
    _git(work, "tag", "v1")
    (work / "docs/guide").write_text("second")
    _git(work, "commit", "-q", "-a", "-m", "second")
    bare = folder / "www/repo.git"
    _git(work, "clone", "-q", "--bare", str(work), str(bare))
    _git(bare, "update-server-info")
    return _git(bare, "rev-parse", "main").strip()


def _git(folder: Path, *args: str) -> str:
    person = {"NAME": "somebody", "EMAIL": "somebody@example.test", "DATE": "1000000000 +0000"}
    environ = {f"GIT_{who}_{k}": v for who in ("AUTHOR", "COMMITTER") for k, v in person.items()}
    done = subprocess.run(
        ["git", "-C", str(folder), *args],
        env={**os.environ, **environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
