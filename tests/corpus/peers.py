"""The corpus through another builder, and where what it makes differs.  Run by hand:

    PYTHONPATH=tests python -m corpus.peers --peer docker --peer buildah [--only WORD] [--write]

Each peer gets a store of its own with the same image ``base``; what it builds is saved,
loaded into a store of corten's and compared with what the case expects.  ``--write``
puts the table into docs/dockerfile.md.  A difference without a reason in
corpus.peer_reasons is shown, and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from bench import peers

import corten
from corpus.builder import Builder, Place, asked, expected, told
from corpus.case import Case
from corpus.cases import ALL
from corpus.peer_reasons import reason
from corpus.peer_table import table, write
from corpus.server import serve
from corten.engine.archives import output, save

_FLAGS = {"target": "--target", "labels": "--label", "secrets": "--secret"}
_AT_ONCE = 4
# What runtimes make to mount upon, and leave in the layer of a RUN.
_LEFT = ("dev", "proc", "sys", "run", "etc", "etc/hosts", "etc/hostname", "etc/resolv.conf")
_CONTEXTS = {"build_contexts": "--build-context"}


class Difference(NamedTuple):
    """What a peer does otherwise than the case says; ``detail`` is one or a few lines."""

    case: str
    detail: str


class Found(NamedTuple):
    """How a peer did."""

    version: str
    alike: int
    unasked: int
    differences: list[Difference]


class Yard:
    """A peer, and corten's store that its images are looked at in."""

    def __init__(self, peer: peers.Peer, builder: Builder) -> None:
        self.peer = peer
        self.builder = builder
        self.docker = peer.name == "docker"
        self.flags = _FLAGS if self.docker else {**_FLAGS, **_CONTEXTS}

    def give_base(self) -> None:
        """Load the image ``base``."""
        archive = self.builder.folder / "base.tar"
        with output(str(archive)) as into:
            save(self.builder.host, ["base"], into, corten.Job())
        if self.docker:
            self.peer("load", "-i", str(archive))
        else:
            self.peer("pull", *self.peer.push_flags[1:], f"docker-archive:{archive}")

    def difference(self, case: Case) -> str:
        """What is different; empty where nothing is."""
        place = self.builder.place(case)
        try:
            for name, text in case.bases.items():
                path = place.dockerfile.with_name(f"{name}.dockerfile")
                path.write_text(self.builder.filled(text.removeprefix("\n"), place))
                self.build(place._replace(dockerfile=path), f"{name}-{place.number}", [])
            tag = f"case-{place.number}"
            self.build(place, tag, self.asked_for(case, place))
        except subprocess.CalledProcessError as error:
            if case.error is not None:
                return ""
            return f"refused: {_last(error)}"
        if case.error is not None:
            return "built"
        archive = self.builder.folder / f"{tag}.tar"
        if self.docker:
            self.peer("save", "-o", str(archive), tag)
        else:
            self.peer("push", *self.peer.push_flags[1:], tag, f"docker-archive:{archive}:{tag}")
        try:
            with archive.open("rb") as file:
                loaded = corten.load(self.builder.host, file, corten.Job())[0]
            got = self.builder.outcome(self.builder.read(loaded.descriptor))
        except corten.CortenError as error:
            return f"made what corten does not read: {error}"
        finally:
            archive.unlink()
        for left in set(_LEFT) & set(got.tree) - set(expected(case)):
            del got.tree[left]
        is_told, is_asked = told(case, got), asked(case)
        for both in (is_told, is_asked):
            # An empty list and none mean the same.
            both["config"] = {name: value or None for name, value in both.get("config", {}).items()}
        return "; ".join(
            f"{what} {_shown(is_told[what], is_asked[what])}"
            for what in is_asked
            if is_told[what] != is_asked[what]
        )

    def build(self, place: Place, tag: str, flags: list[str]) -> None:
        """Build.  Raises: CalledProcessError."""
        command = "build" if self.docker else "bud"
        own = [flag for flag in self.peer.build_flags if flag != "-q"]
        own += [] if self.docker else ["--format=docker", "--force-rm", "--identity-label=false"]
        arguments = [*own, *flags, "-t", tag, "-f", str(place.dockerfile), str(place.context)]
        subprocess.run(
            [*self.peer.command, command, *arguments],
            env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": "/root",
                "TMPDIR": str(self.builder.folder),  # where buildah keeps cache mounts
                **self.peer.env,
            },
            capture_output=True,
            check=True,
            timeout=120,
        )

    def asked_for(self, case: Case, place: Place) -> list[str]:
        """The case's flags."""
        flags = [f"--build-arg={name}={value}" for name, value in case.args.items()]
        for option, value in {**case.options, **case.steps}.items():
            flag = self.flags[option]
            if isinstance(value, Mapping):
                flags += [f"{flag}={name}={item}" for name, item in value.items()]
            else:
                flags += [
                    f"{flag}={item}" for item in ([value] if isinstance(value, str) else value)
                ]
        return [self.builder.filled(flag, place) for flag in flags]


def _last(error: subprocess.CalledProcessError) -> str:
    """The line that tells most."""
    text: str = error.stderr.decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower() or "failed" in line.lower()]
    return (telling or lines or ["no message"])[-1][:300]


def _shown(got: object, wanted: object) -> str:
    if isinstance(got, list) and isinstance(wanted, list):
        more = [item for item in got if item not in wanted]
        less = [item for item in wanted if item not in got]
        return f"has {more} instead of {less}"
    return f"is {got} instead of {wanted}"


@contextlib.contextmanager
def _peer(name: str, folder: Path) -> Iterator[peers.Peer]:
    if name == "docker":
        with peers.docker(folder) as found:
            assert found is not None, "docker.io is not installed"
            found.env = {"DOCKER_BUILDKIT": "1"}
            yield found
        return
    peer = peers.buildah(folder)
    assert peer is not None, "buildah is not installed"
    try:
        yield peer
    finally:
        # What failed builds left, and its own mount.
        peer("rm", "--all")
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            if line.split()[1].startswith(str(folder)):
                subprocess.run(["umount", line.split()[1]], check=True)


def _version(peer: peers.Peer) -> str:
    if peer.name == "docker":
        version: str = peer("version", "--format", "{{.Server.Version}}").strip()
        return f"docker {version} (BuildKit)"
    return " ".join(peer("--version").split()[:3]).replace(" version", "")


def compare(name: str, only: str) -> Found:
    """All cases through one peer."""
    with tempfile.TemporaryDirectory(prefix="corpus-", dir="/var/tmp") as directory:
        folder = Path(directory)
        with serve(folder / "served") as served, _peer(name, folder / name) as peer:
            builder = Builder(folder / "corten", "overlay", served)
            with builder.host:
                builder.prepare()
                yard = Yard(peer, builder)
                yard.give_base()
                asked_of = {
                    case_name: case
                    for case_name, case in ALL.items()
                    if only in case_name and {*case.options, *case.steps} <= set(yard.flags)
                }
                found = []
                with ThreadPoolExecutor(_AT_ONCE) as pool:
                    details = pool.map(yard.difference, asked_of.values())
                    for case_name, detail in zip(asked_of, details, strict=True):
                        if detail:
                            found.append(Difference(case_name, detail))
                            print(f"{name}: {case_name}: {detail}", flush=True)
                unasked = sum(only in case_name for case_name in ALL) - len(asked_of)
                alike = len(asked_of) - len(found)
                return Found(_version(peer), alike, unasked, found)


def main() -> int:
    """Compare, show, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peer", action="append", choices=("docker", "buildah"), default=[])
    parser.add_argument("--only", default="", help="cases whose names hold this")
    parser.add_argument("--write", action="store_true", help="put the table into the document")
    options = parser.parse_args()
    results = {name: compare(name, options.only) for name in options.peer or ["docker", "buildah"]}
    unexplained = 0
    for name, found in results.items():
        print(f"{found.version}: {found.alike} alike, {len(found.differences)} not")
        for difference in found.differences:
            if not reason(name, difference.case):
                unexplained += 1
                print(f"  without a reason: {difference.case}: {difference.detail}")
    if options.write:
        write(
            table(
                {
                    name: (f.version, f.alike, f.unasked, [d.case for d in f.differences])
                    for name, f in results.items()
                }
            )
        )
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
