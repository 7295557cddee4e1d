"""The main job, end to end: base image, build, run, push, pull.

Run by ``make demo`` (as root, on Linux).  Every command is printed before its
output; all that is made lies under one scratch root, which goes away at the
end, together with everything that was started.  The exit status is 0 only if
every answer was the expected one and nothing was left behind.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
CORTEN = Path(sys.executable).with_name("corten")
IMAGE = "example/node-hello:latest"
REMOTE = "127.0.0.1:5000/example/node-hello:latest"


class Failed(Exception):
    """An expectation of the demo was not met."""


def heading(text: str) -> None:
    """Begin a chapter."""
    print(f"\n\033[1m== {text}\033[0m" if sys.stdout.isatty() else f"\n== {text}", flush=True)


def corten(*args: str, quiet: bool = False, status: int = 0, **variables: str) -> str:
    """Run one corten command before the user's eyes; returns its standard output."""
    if not quiet:
        print(f"\n$ corten {shlex.join(args)}", flush=True)
    process = subprocess.Popen(
        [str(CORTEN), *args],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
        cwd=PROJECT,
    )
    lines = []
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            lines.append(line)
            if not quiet:
                print(line, end="", flush=True)
    if process.wait() != status:
        raise Failed(f"corten {shlex.join(args)} ended with {process.returncode}, not {status}")
    return "".join(lines).strip()


def expect(what: str, condition: bool) -> None:
    """State a fact, or stop the demo."""
    if not condition:
        raise Failed(f"not so: {what}")
    print(f"   ok: {what}", flush=True)


def answer(url: str, seconds: float = 30) -> str:
    """What the server says, as soon as it is up."""
    print(f"\n$ curl {url}", flush=True)
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                text: str = response.read().decode()
                print(text, end="", flush=True)
                return text.strip()
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def base_images(root: Path) -> None:
    """Chapter 1: base images from nothing."""
    heading("1. Base images, made from Debian's packages and from one static binary")
    corten("bootstrap", "debian:bookworm")
    first = corten("inspect", "--format", "{{.Id}}", "debian:bookworm", quiet=True)
    corten("bootstrap", "--quiet", "debian:bookworm-again")
    second = corten("inspect", "--format", "{{.Id}}", "debian:bookworm-again", quiet=True)
    expect(f"the same packages give the same image ({first[:19]}…)", first == second)
    corten("rmi", "debian:bookworm-again")
    context = root / "busybox-context"
    shutil.copytree(HERE / "busybox", context)
    shutil.copy(shutil.which("busybox") or "/bin/busybox", context / "busybox")
    corten("build", "-t", "busybox", str(context))
    said = corten("run", "--rm", "busybox", "echo", "hello from scratch")
    expect("a container runs on it", said == "hello from scratch")


def build() -> None:
    """Chapter 2: an application from a Dockerfile."""
    heading("2. Build an application")
    corten("build", "-t", IMAGE, "examples/node-hello")


def look() -> None:
    """Chapter 3: what is there."""
    heading("3. Look at images")
    corten("images")
    corten("inspect", "--format", "{{json .Config.Labels}}", IMAGE)
    corten("inspect", "--format", "{{json .Config.Env}}", IMAGE)
    layers = corten("inspect", "--format", "{{json .RootFS.Layers}}", IMAGE)
    expect(
        "base, three RUN, two ADD, WORKDIR and npm's layer are there", layers.count("sha256:") >= 7
    )
    corten("history", IMAGE)
    corten("tag", IMAGE, "example/node-hello:v1")
    corten("images", "example/node-hello")
    corten("rmi", "example/node-hello:v1")


def run() -> None:
    """Chapter 4: containers."""
    heading("4. Run it")
    corten("run", "-d", "--name", "hello", "-p", "8080:8080", IMAGE)
    expect("it answers", answer("http://127.0.0.1:8080/") == "Hello World. Wish you were here.")
    corten("ps")
    corten("logs", "hello")
    corten("stop", "hello")
    corten("rm", "hello")
    corten("run", "-d", "--name", "hello", "-p", "8080:8080", "-e", "WHO=Sean and Karl", IMAGE)
    expect(
        "it greets whom it is told to",
        answer("http://127.0.0.1:8080/") == "Hello Sean and Karl. Wish you were here.",
    )
    corten("exec", "hello", "node", "--version")
    corten("rm", "-f", "hello")


@contextlib.contextmanager
def registry(data: Path) -> Iterator[None]:
    """A registry server for the time of the block."""
    args = ["registry", "serve", "--quiet", "--addr", "127.0.0.1:5000", "--data", str(data)]
    print(f"\n$ corten {shlex.join(args)} &", flush=True)
    server = subprocess.Popen([str(CORTEN), *args], cwd=PROJECT)
    try:
        answer("http://127.0.0.1:5000/v2/")
        print()
        yield
    finally:
        server.terminate()
        server.wait(timeout=30)


def deliver(root: Path) -> None:
    """Chapter 5: registry, push, pull."""
    heading("5. Push it to a registry of our own, forget it, pull it back")
    with registry(root / "registry"):
        corten("tag", IMAGE, REMOTE)
        pushed = corten("push", REMOTE)
        before = corten("inspect", "--format", "{{.Id}}", REMOTE, quiet=True)
        corten("rmi", REMOTE, IMAGE)
        pulled = corten("pull", REMOTE)
        after = corten("inspect", "--format", "{{.Id}}", REMOTE, quiet=True)
        expect("the same image came back", before == after)
        expect("under the same digest", digest_in(pushed) == digest_in(pulled))
        corten("run", "-d", "--name", "again", "-p", "8080:8080", REMOTE)
        expect("and runs", answer("http://127.0.0.1:8080/") == "Hello World. Wish you were here.")
        corten("stop", "again")
        corten("rm", "again")
        heading("   … and once more into an empty store, as on another machine")
        elsewhere = str(root / "elsewhere")
        begin = time.monotonic()
        fetched = corten("pull", REMOTE, CORTEN_ROOT=elsewhere)
        expect("under the same digest", digest_in(fetched) == digest_in(pushed))
        said = corten("run", "--rm", REMOTE, "node", "--print", "6 * 7", CORTEN_ROOT=elsewhere)
        expect(f"pulled and run in {time.monotonic() - begin:.1f} s", said == "42")


def digest_in(text: str) -> str:
    """The manifest digest that push and pull print."""
    words = text.replace("\n", " ").split()
    return next(word for word in words if word.startswith("sha256:") and len(word) == 71)


def again() -> None:
    """Chapter 6: the cache."""
    heading("6. Build again: every step is cached; with --no-cache every step runs")
    begin = time.monotonic()
    corten("build", "-t", IMAGE, "examples/node-hello")
    seconds = time.monotonic() - begin
    expect(f"well under a second ({seconds:.2f} s)", seconds < 1)
    corten("build", "--no-cache", "-t", IMAGE, "examples/node-hello")


def traces(scratch: Path) -> dict[str, set[str]]:
    """What a container engine could leave behind on a machine, processes of `scratch` among it."""

    def output(*args: str) -> set[str]:
        try:
            done = subprocess.run(args, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return set()
        return set(done.stdout.splitlines())

    def processes() -> set[str]:
        # Ours name the scratch root in their arguments, or have it in their mounts.
        found = set()
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                places = (process / "cmdline").read_bytes() + (process / "mountinfo").read_bytes()
                if os.fsencode(scratch) in places and int(process.name) != os.getpid():
                    found.add(f"{process.name} {(process / 'comm').read_text().strip()}")
        return found

    mounted = Path("/proc/self/mountinfo").read_text().splitlines()
    return {
        # Others may mount meanwhile; all of ours has the scratch root as its place, source or layer.
        "mounts": {line.split()[4] for line in mounted if str(scratch) in line},
        "network interfaces": output("ip", "-br", "link"),
        "network namespaces": output("ip", "netns"),
        "packet filter rules": {
            re.sub(r"counter packets \d+ bytes \d+ ", "", line).strip()
            for line in output("nft", "list", "ruleset")
        },
        "processes": processes(),
    }


def main() -> int:
    """Run all chapters; returns the exit status."""
    if os.geteuid() != 0:
        print("the demo mounts file systems and makes networks: run it as root", file=sys.stderr)
        return 2
    scratch = PROJECT / "build"
    scratch.mkdir(exist_ok=True)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="demo-", dir=scratch) as folder:
        root = Path(folder)
        before = traces(root)
        os.environ["CORTEN_ROOT"] = str(root / "corten")
        chapters: list[Callable[[], None]] = [
            lambda: base_images(root), build, look, run, lambda: deliver(root), again,
        ]  # fmt: skip
        try:
            try:
                for chapter in chapters:
                    chapter()
            finally:
                left = corten("ps", "-aq", quiet=True).split()
                if left:
                    corten("rm", "-f", *left)
            heading("Nothing is left behind")
            for what, things in traces(root).items():
                expect(f"no new {what}", not things - before[what])
        except (Failed, OSError) as error:
            print(f"\nthe demo failed: {error}", file=sys.stderr)
            return 1
    print(f"\ndone in {time.monotonic() - begin:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
