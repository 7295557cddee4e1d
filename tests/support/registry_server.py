"""Registry servers for tests: ours and Debian's, as processes that can be killed."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_START_SECONDS = 20.0
_SERVE = (
    "import sys; from pathlib import Path; from corten.registry.server import serve;"
    "serve(sys.argv[1], Path(sys.argv[2]), sys.argv[3],"
    " ready=lambda url: print(url, flush=True),"
    " log=lambda line: print(line, file=sys.stderr, flush=True))"
)


class ServerProcess:
    """A registry in a process of its own, on loopback."""

    def __init__(self, command: list[str], host: str) -> None:
        self.command = command
        self.host = host
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``."""
        return f"http://{self.host}"

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}")
            with contextlib.suppress(OSError):
                self.request("GET", "/v2/")
                return
            time.sleep(0.02)
        raise AssertionError("the server does not answer")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it with a signal; its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def kill(self) -> None:
        """End it as a crash would."""
        self.stop(signal.SIGKILL)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> RawAnswer:
        """One request over a connection of its own, without any client's cleverness."""
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return RawAnswer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def memory_kib(self) -> int:
        """The most resident memory that the process ever had."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
        raise AssertionError("no VmHWM")

    def cpu_seconds(self) -> float:
        """CPU time, user and system, that the process has spent."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class RawAnswer:
    """Status, header (names in lower case) and body."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body


def free_port() -> int:
    """A port of loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def corten_registry(data: Path, anonymous: str = "") -> Iterator[ServerProcess]:
    """Our server over `data`."""
    host = f"127.0.0.1:{free_port()}"
    server = ServerProcess([sys.executable, "-c", _SERVE, host, str(data), anonymous], host)
    try:
        server.start()
        yield server
    finally:
        if server.process is not None:
            server.kill()


@contextmanager
def docker_registry(
    data: Path, certificate: tuple[Path, Path] | None = None
) -> Iterator[ServerProcess]:
    """Debian's ``docker-registry`` over `data`; skips where it is not installed.

    `certificate` is a file and its key's: then it speaks TLS.
    """
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed")
    host = f"127.0.0.1:{free_port()}"
    data.mkdir(parents=True, exist_ok=True)
    config = data / "config.yml"
    tls = ""
    if certificate is not None:
        tls = ", tls: {{certificate: '{}', key: '{}'}}".format(*certificate)
    config.write_text(
        "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: {data}/store}}, delete: {{enabled: true}}}}\n"
        f"http: {{addr: '{host}'{tls}}}\n"
    )
    server = ServerProcess([program, "serve", str(config)], host)
    try:
        server.start()
        yield server
    finally:
        if server.process is not None:
            server.kill()
