"""A real S3 server (SeaweedFS) on loopback, with signatures checked."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from support.registry_server import free_port

KEY, SECRET = "the-key", "the-secret"
_PARTS = ("master", "volume", "filer", "s3")


class S3Server(NamedTuple):
    """A running server.  Buckets are made by the first object that is put into them."""

    url: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which clients find it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }


@contextlib.contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """A server whose data lies in `folder`, for the block."""
    folder.mkdir(parents=True, exist_ok=True)
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    configuration = folder / "s3.json"
    configuration.write_text(json.dumps({"identities": [identity]}))
    ports = _free_ports()
    flags = [flag for part in _PARTS for flag in _ports_of(part, ports)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [str(Path(sys.executable).with_name("weed")), f"-logdir={folder}", "server",
             f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", "-metricsPort=0",
             "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false",
             "-master.volumeSizeLimitMB=64", f"-s3.config={configuration}", *flags],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        _wait_for(ports["s3"], server, folder / "log")
        yield S3Server(f"http://127.0.0.1:{ports['s3']}")
    finally:
        server.kill()
        server.wait(timeout=30)


def _ports_of(part: str, ports: dict[str, int]) -> list[str]:
    return [f"-{part}.port={ports[part]}", f"-{part}.port.grpc={ports[part + '-grpc']}"]


def _free_ports() -> dict[str, int]:
    names = [name for part in _PARTS for name in (part, f"{part}-grpc")]
    return {name: free_port() for name in names}


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as link:
            link.sendall(b"GET /status HTTP/1.0\r\n\r\n")
            if link.recv(12).endswith(b"200"):
                return
        time.sleep(0.1)
    raise AssertionError(f"the S3 server does not start:\n{log.read_text()[-2000:]}")
