"""``python -m bench.registry``: our registry server beside Debian's docker-registry.

Server CPU and wall time of manifest GETs, and of GETs and PUTs of 100 MiB, with
one plain client over loopback.  Both servers run in the same minute on the same
disk; quote the ratios of one run, not the milliseconds.  docker-registry does
not sync what it stores, corten does.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from bench.measure import Cost, table

MIB = 1024 * 1024
SIZE = 100 * MIB
MANIFESTS = 2000
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG = b"{}"


class Server(NamedTuple):
    """A running registry."""

    name: str
    host: str
    process: subprocess.Popen[bytes]

    def cpu(self) -> float:
        """Seconds of CPU it has spent."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mib(self) -> int:
        """The most resident memory it ever had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def main() -> int:
    """Run all and print the table."""
    parser = argparse.ArgumentParser(prog="bench.registry", description=__doc__)
    parser.add_argument("--times", type=int, default=5, help="runs a figure (median)")
    options = parser.parse_args()
    rows: dict[str, dict[str, Cost]] = {}
    peaks = []
    with tempfile.TemporaryDirectory(prefix="corten-bench-") as folder:
        for server in servers(Path(folder)):
            for work, cost in measured(server, options.times):
                rows.setdefault(work, {})[server.name] = cost
            peaks.append(f"{server.name} {server.peak_mib()} MiB")
    print(table(rows))
    print("peak memory: " + ", ".join(peaks))
    return 0


def servers(folder: Path) -> Iterator[Server]:
    """Each server in turn, running."""
    commands: dict[str, Callable[[str], list[str]]] = {
        "corten": lambda host: [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from corten.registry.server import serve;"
            "serve(sys.argv[1], Path(sys.argv[2]))",
            host,
            str(folder / "corten"),
        ],
    }
    if shutil.which("docker-registry"):
        commands["docker-registry"] = lambda host: [
            "docker-registry",
            "serve",
            str(_configure(folder / "docker-registry", host)),
        ]
    for name, command in commands.items():
        host = f"127.0.0.1:{_free_port()}"
        process = subprocess.Popen(
            command(host), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            _await(host)
            yield Server(name, host, process)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


def measured(server: Server, times: int) -> Iterator[tuple[str, Cost]]:
    """What each kind of work costs: one manifest, one blob."""
    with contextlib.closing(http.client.HTTPConnection(server.host)) as connection:
        body = os.urandom(SIZE)
        digest = push(connection, "bench", body)
        push_manifest(connection, digest)
        cost = median(server, lambda: manifests(connection), times)
        yield (
            "manifest GET (a thousand)",
            Cost(cost.wall * 1000 / MANIFESTS, cost.cpu * 1000 / MANIFESTS),
        )
        yield "GET of 100 MiB", median(server, lambda: pull(connection, digest), times)
        bodies = iter([os.urandom(SIZE) for _ in range(times)])
        yield (
            "PUT of 100 MiB",
            median(server, lambda: push(connection, "bench", next(bodies)), times),
        )


def median(server: Server, work: Callable[[], object], times: int) -> Cost:
    """Medians of wall time and of the server's CPU."""
    walls, cpus = [], []
    for _ in range(times):
        cpu, begin = server.cpu(), time.perf_counter()
        work()
        walls.append(time.perf_counter() - begin)
        cpus.append(server.cpu() - cpu)
    return Cost(statistics.median(walls), statistics.median(cpus))


def manifests(connection: http.client.HTTPConnection) -> None:
    """GET the manifest many times over one connection."""
    headers = {"Accept": MANIFEST_TYPE}
    for _ in range(MANIFESTS):
        _ask(connection, "GET", "/v2/bench/manifests/v1", headers=headers)


def pull(connection: http.client.HTTPConnection, digest: str) -> None:
    """GET a blob and drop its bytes."""
    connection.request("GET", f"/v2/bench/blobs/{digest}")
    response = connection.getresponse()
    buffer = bytearray(MIB)
    total = 0
    while count := response.readinto(buffer):
        total += count
    assert total == SIZE


def push(connection: http.client.HTTPConnection, name: str, body: bytes) -> str:
    """Push a blob: POST, then PUT with the bytes; its digest."""
    location = _ask(connection, "POST", f"/v2/{name}/blobs/uploads/", b"")["location"]
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    path = location.partition(connection.host)[2].lstrip("0123456789:") or location
    query = f"{'&' if '?' in path else '?'}digest={digest}"
    _ask(connection, "PUT", path + query, body)
    return digest


def push_manifest(connection: http.client.HTTPConnection, layer: str) -> None:
    """Push a manifest over the blob."""
    config = push(connection, "bench", CONFIG)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": config,
            "size": len(CONFIG),
        },
        "layers": [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": layer,
                "size": SIZE,
            }
        ],
    }
    headers = {"Content-Type": MANIFEST_TYPE}
    raw = json.dumps(manifest).encode()
    _ask(connection, "PUT", "/v2/bench/manifests/v1", raw, headers)


def _ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> dict[str, str]:
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    said = response.read()
    if response.status >= 300:
        raise SystemExit(f"{method} {path}: {response.status} {said[:200]!r}")
    return {name.lower(): value for name, value in response.getheaders()}


def _configure(folder: Path, host: str) -> Path:
    folder.mkdir()
    file = folder / "config.yml"
    file.write_text(
        "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}}}\nhttp: {{addr: {host}}}\n"
    )
    return file


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(host: str) -> None:
    address, _, port = host.partition(":")
    for _ in range(500):
        with contextlib.suppress(OSError), socket.create_connection((address, int(port))):
            return
        time.sleep(0.02)
    raise SystemExit(f"{host} does not answer")


if __name__ == "__main__":
    sys.exit(main())
