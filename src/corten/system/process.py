"""Helper programs: finding them, and running them with bounded output."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from corten.errors import Unavailable

OUTPUT_LIMIT = 1024 * 1024
"""Bytes kept of each stream of a helper."""

_PACKAGES = {
    "cp": "coreutils",
    "flock": "util-linux",
    "ip": "iproute2",
    "nft": "nftables",
    "ssh-agent": "openssh-client",
    "tini-static": "tini",
}
"""Debian packages of helpers that are not named as their package is."""

# Debian installs some helpers of podman outside of the PATH.
_PLACES = ("/usr/lib/podman", "/usr/libexec/podman", "/usr/sbin", "/sbin", "/usr/local/sbin")


class MissingHelper(Unavailable):
    """A program that corten needs is not installed.  ``program`` and ``package`` name it."""

    def __init__(self, program: str) -> None:
        package = _PACKAGES.get(program, program)
        super().__init__(
            f"{program} is not installed", hint=f"install it: apt-get install {package}"
        )
        self.program = program
        self.package = package


class HelperFailed(Unavailable):
    """A helper program ended with a failure.  ``status`` is its exit status."""

    def __init__(self, program: str, status: int, text: str) -> None:
        super().__init__(f"{program} failed (exit status {status}): {text or 'no message'}")
        self.program = program
        self.status = status
        self.text = text


class Completed(NamedTuple):
    """How a helper ended and the first MiB of what it wrote."""

    status: int
    stdout: bytes
    stderr: bytes


def find_program(program: str, environ: Mapping[str, str] | None = None) -> str:
    """The path of a helper program, from the PATH or where Debian hides it.

    ``CORTEN_HELPERS`` (directories, separated by colons) is searched first.
    Raises: MissingHelper, naming the Debian package.
    """
    environ = os.environ if environ is None else environ
    path = os.pathsep.join(
        p
        for p in (environ.get("CORTEN_HELPERS"), environ.get("PATH", os.defpath), *_PLACES)
        if p is not None
    )
    found = shutil.which(program, path=path)
    if found is None:
        raise MissingHelper(program)
    return found


def run_program(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    timeout: float | None = None,
    environ: Mapping[str, str] | None = None,
) -> Completed:
    """Run a helper to its end; of each stream the first :data:`OUTPUT_LIMIT` bytes come back.

    `timeout` in seconds.  The streams are files in memory, not pipes: a daemon
    that the helper leaves behind with open streams does not keep us waiting.
    Raises: MissingHelper: there is no such program; Unavailable: it did not end
    in time (it was killed).
    """
    with _memory("in") as source, _memory("out") as out, _memory("err") as err:
        source.write(stdin)
        source.seek(0)
        try:
            process = subprocess.Popen(
                argv, stdin=source, stdout=out, stderr=err, env=dict(environ) if environ else None
            )
        except FileNotFoundError as error:
            raise MissingHelper(argv[0]) from error
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"{argv[0]} did not end within {timeout:g} seconds") from error
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        return Completed(status, _beginning(out), _beginning(err))


def check_program(
    argv: Sequence[str], *, stdin: bytes = b"", timeout: float | None = None
) -> bytes:
    """Like :func:`run_program`, but a failure raises; returns stdout.

    Raises: HelperFailed, with the first line that the helper wrote.
    """
    done = run_program(argv, stdin=stdin, timeout=timeout)
    if done.status != 0:
        lines = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
        raise HelperFailed(argv[0].rpartition("/")[2], done.status, lines[0] if lines else "")
    return done.stdout


def _memory(name: str) -> IO[bytes]:
    return open(os.memfd_create(f"corten-{name}"), "w+b", buffering=0)


def _beginning(stream: IO[bytes]) -> bytes:
    stream.seek(0)
    return stream.read(OUTPUT_LIMIT)


def process_ticks(pid: int) -> int:
    """When the process started, in clock ticks since boot; 0: there is none, or a zombie.

    Spec: proc(5), stat, field 22.
    """
    fields = _stat(pid)
    return 0 if not fields or fields[0] in {b"Z", b"X"} else int(fields[19])


def process_state(pid: int) -> str:
    """What the process does, as a letter: R, S, T (stopped by a signal) …; empty: there is none.

    Spec: proc(5), stat, field 3.
    """
    fields = _stat(pid)
    return fields[0].decode() if fields else ""


def command_line(pid: int) -> list[str]:
    """What the process was called with, fit to be printed; empty: there is none, or it is a kernel's."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [word.decode("utf-8", "replace") for word in raw.split(b"\0") if word]


def _stat(pid: int) -> list[bytes]:
    """Fields of ``/proc/PID/stat`` from the third on; none: there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return []
    # The second field, the name, may hold spaces and parentheses.
    return text.rpartition(b")")[2].split()
