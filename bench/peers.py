"""corten and its peers, each with a store of its own, behind the same few commands."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.measure import run


class Peer:
    """A program that builds, pushes, pulls and runs.  ``command`` is its prefix."""

    def __init__(self, name: str, command: list[str], daemons: tuple[int, ...] = ()) -> None:
        self.name = name
        self.command = command
        self.daemons = daemons
        self.env: dict[str, str] = {}
        self.build_flags: list[str] = []
        self.run_flags: list[str] = []
        self.push_flags: list[str] = []

    def __call__(self, *args: str) -> str:
        """Run one of its commands."""
        return run([*self.command, *args], self.env)

    def build(self, context: Path, tag: str, *flags: str) -> str:
        """Build `context`."""
        return self("build", *self.build_flags, *flags, "-t", tag, str(context))

    def run(self, *args: str) -> str:
        """Run a container to its end."""
        return self("run", "--rm", *self.run_flags, *args)


def corten(root: Path) -> Peer:
    """This program, as installed beside the interpreter that runs the benchmark."""
    return Peer("corten", [str(Path(sys.executable).with_name("corten")), "--root", str(root)])


def podman(folder: Path) -> Peer | None:
    """Debian's podman; the limits are those that machines without CAP_SYS_RESOURCE need."""
    if shutil.which("podman") is None:
        return None
    folder.mkdir()
    configuration = folder / "containers.conf"
    configuration.write_text(
        '[containers]\ndefault_ulimits = ["nofile=20000:20000","nproc=32768:32768"]\n'
        '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "runc"\n'
    )
    policy = folder / "policy.json"
    policy.write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
    peer = Peer(
        "podman",
        [
            "podman",
            "--root",
            str(folder / "root"),
            "--runroot",
            str(folder / "run"),
            "--log-level=error",
        ],
    )
    peer.env = {"CONTAINERS_CONF": str(configuration)}
    peer.build_flags = ["-q", "--network=host", "--layers", f"--signature-policy={policy}"]
    peer.push_flags = ["--tls-verify=false", f"--signature-policy={policy}"]
    return peer


def buildah(folder: Path) -> Peer | None:
    """Debian's buildah, which builds and pushes and does not run."""
    if shutil.which("buildah") is None:
        return None
    likeness = podman(folder)
    if likeness is None:
        return None
    command = ["buildah", *(arg for arg in likeness.command[1:] if not arg.startswith("--log"))]
    peer = Peer("buildah", command)
    peer.env = likeness.env
    peer.build_flags = [flag for flag in likeness.build_flags if flag != "-q"] + ["-q"]
    peer.push_flags = likeness.push_flags
    return peer


@contextlib.contextmanager
def docker(folder: Path) -> Iterator[Peer | None]:
    """Debian's dockerd for the time of the block, or None where it is not installed."""
    client = Path("/usr/bin/docker")
    if shutil.which("dockerd") is None or not client.exists():
        yield None
        return
    folder.mkdir()
    socket, pidfile = f"unix://{folder}/d.sock", folder / "pid"
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            ["dockerd", "--data-root", str(folder / "data"), "--exec-root", str(folder / "exec"),
             "-p", str(pidfile), "-H", socket, "--bridge=none", "--iptables=false",
             "--insecure-registry", "127.0.0.0/8"],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        command = [str(client), "-H", socket]
        deadline = time.monotonic() + 60
        while subprocess.run([*command, "version"], capture_output=True, check=False).returncode:
            if time.monotonic() > deadline or server.poll() is not None:
                raise SystemExit(f"dockerd does not start:\n{(folder / 'log').read_text()[-2000:]}")
            time.sleep(0.2)
        peer = Peer("docker", command, daemons=_family(server.pid))
        peer.build_flags = ["-q", "--network=host"]
        yield peer
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=60)


def _family(pid: int) -> tuple[int, ...]:
    """A process and its children (dockerd and its containerd)."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    found = [pid]
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(path.parent.name))
    return tuple(dict.fromkeys([*found, *map(int, children)]))


@contextlib.contextmanager
def registry(folder: Path, port: int, *, counting: bool = False) -> Iterator[str]:
    """Debian's docker-registry for the time of the block: the same server for every client.

    If `counting`, ``folder/log`` gets a line for each request.
    """
    folder.mkdir()
    quiet = str(not counting).lower()
    configuration = folder / "config.yml"
    configuration.write_text(
        f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: {quiet}}}}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}\n"
        f"http: {{addr: 127.0.0.1:{port}}}\n"
    )
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            ["docker-registry", "serve", str(configuration)], stdout=log, stderr=log
        )
    try:
        time.sleep(1)
        if server.poll() is not None:
            raise SystemExit(f"docker-registry does not start:\n{(folder / 'log').read_text()}")
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=30)
