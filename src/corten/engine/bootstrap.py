"""Base images from nothing: a Debian system made of its packages, by mmdebstrap.

The same packages give the same digest: names are sorted, what the installation
itself writes gets the time of the newest package's newest file, and what differs
from run to run (logs, caches, this machine's name) is left out.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from corten.builder.stacks import Stacks
from corten.engine.host import Host
from corten.errors import CortenError, Denied, Invalid, Unavailable
from corten.events.job import Job
from corten.image.assemble import assemble
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.oci.image_config import ContainerConfig, History, ImageConfig, RootFS
from corten.oci.reference import Reference
from corten.snapshot.diff import write_diff
from corten.system.namespaces import in_private_mounts
from corten.system.process import find_program

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Any fixed date does: packages that write "today" somewhere (shadow's last change) write this.
_FIXED_EPOCH = 946684800
_HOOKS = (
    # What mmdebstrap copied from this machine for the time of the installation.
    '--customize-hook=rm -f "$1/etc/resolv.conf" "$1/etc/hostname"',
    '--customize-hook=rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/var/log/*',
    '--customize-hook=rm -rf "$1"/var/cache/ldconfig/* "$1"/var/cache/debconf/*-old',
    '--customize-hook=rm -f "$1"/var/lib/dpkg/*-old "$1"/etc/machine-id',
)


class BootstrapOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``name`` is the image's name, whose tag is the suite unless `suite` is given.

    ``variant`` is mmdebstrap's (``minbase``, ``apt``, ``essential`` …); ``include`` adds
    packages; ``mirrors`` are URLs or ``deb …`` lines instead of Debian's own.
    """

    name: str
    suite: str = ""
    variant: str = "minbase"
    include: tuple[str, ...] = ()
    mirrors: tuple[str, ...] = ()


def bootstrap(host: Host, options: BootstrapOptions, job: Job) -> Descriptor:
    """Make a base image, and name it.

    Raises: Denied: not root; Unavailable: mmdebstrap is missing, or a mirror does not
    answer; Invalid: no such suite or package.
    """
    reference = Reference.parse(options.name)
    suite = options.suite or _suite(reference)
    if os.geteuid() != 0:
        raise Denied("making a base image needs root", hint="run it as root, or pull one")
    host.root.mkdir(parents=True, exist_ok=True)
    begin = time.time_ns()
    with (
        job.step("bootstrap", f"{suite} → {reference.familiar()}") as step,
        host.store.lease(),
        tempfile.TemporaryDirectory(prefix="bootstrap-", dir=host.root) as folder,
    ):
        tree = Path(folder) / "tree"
        _install(tree, suite, options, step)
        newest = _clamp_times(tree, begin)
        with Stacks(host.store, lambda: host.snapshotter, Path(folder)).new_layer() as layer:
            write_diff(tree, layer.write)
            diff_id = layer.commit()
        descriptor = _assemble(host, diff_id, newest, f"corten bootstrap {suite}")
        host.store.tag(str(reference), descriptor)
        step.result("done", str(descriptor.digest))
    return descriptor


def _suite(reference: Reference) -> str:
    """The suite that an image's tag names: ``bookworm``, ``bookworm-slim`` → ``bookworm``."""
    suite = reference.tag.partition("-")[0]
    if suite in ("", "latest"):
        raise Invalid(
            f"{reference.familiar()} does not say which suite to install",
            hint="tag it with one (debian:bookworm) or give --suite",
        )
    return suite


def _install(tree: Path, suite: str, options: BootstrapOptions, job: Job) -> None:
    args = [
        find_program("mmdebstrap"),
        f"--variant={options.variant}",
        "--mode=root",
        "--format=directory",
        *_HOOKS,
        *([f"--include={','.join(options.include)}"] if options.include else []),
        suite,
        str(tree),
        *options.mirrors,
    ]
    env = {**os.environ, "SOURCE_DATE_EPOCH": str(_FIXED_EPOCH), "PATH": _with_sbin()}
    # It mounts /proc and more in the tree: in a namespace of its own nothing can stay mounted,
    # whatever is killed.  A process group of its own: ^C reaches it through the job, once.
    process = in_private_mounts(
        lambda: subprocess.Popen(
            args, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env=env, process_group=0,
        )
    )  # fmt: skip
    last: list[bytes] = []
    try:
        assert process.stderr is not None
        with process.stderr:
            for line in process.stderr:
                job.check()
                job.output(2, line)
                last = [*last[-20:], line]
        status = process.wait()
    except BaseException:
        _end(process)
        raise
    if status:
        raise _failure(suite, last)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=30)
    # Nobody may go on writing into a tree that is being removed.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _failure(suite: str, lines: Sequence[bytes]) -> CortenError:
    text = [line.decode("utf-8", "replace").strip() for line in lines]
    errors = [line for line in text if line.startswith("E:")]
    reason = (errors or text or ["it did not say why"])[0].removeprefix("E: ")
    said = "\n".join(text)
    if "Unable to locate package" in said or "404" in said or "no Release file" in said:
        return Invalid(
            f"cannot install {suite}: {reason}", hint="is the name of the suite or package right?"
        )
    return Unavailable(
        f"cannot install {suite}: {reason}",
        hint="is the mirror reachable? --progress=plain shows all that mmdebstrap said",
    )


def _with_sbin() -> str:
    """The caller's PATH with the directories that dpkg insists on."""
    path = os.environ.get("PATH", "").split(":")
    return ":".join(dict.fromkeys([*path, *_PATH.split(":")]))


def _clamp_times(tree: Path, begin: int) -> int:
    """Give what was written since `begin` (ns) the newest older time, which is returned (ns)."""
    recent: list[bytes] = []
    newest = 0
    for path in _walk(os.fsencode(tree)):
        mtime = os.lstat(path).st_mtime_ns
        # File systems keep coarse times that may lie a tick before the clock's.
        if mtime >= begin - 10**9:
            recent.append(path)
        else:
            newest = max(newest, mtime)
    # Directories last: they come before their contents in the walk.
    for path in reversed(recent):
        os.utime(path, ns=(newest, newest), follow_symlinks=False)
    return newest


def _walk(path: bytes) -> Iterator[bytes]:
    """A directory and all below it, each before its contents; links are not followed."""
    yield path
    with os.scandir(path) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path)
            else:
                yield entry.path


def _assemble(host: Host, diff_id: Digest, newest: int, created_by: str) -> Descriptor:
    created = datetime.fromtimestamp(newest // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    platform = host.platform
    config = ImageConfig(
        architecture=platform.architecture,
        os=platform.os,
        variant=platform.variant,
        created=created,
        rootfs=RootFS((diff_id,)),
        config=ContainerConfig(env=(f"PATH={_PATH}",), cmd=("bash",)),
        history=(History(created=created, created_by=created_by),),
    )
    return assemble(host.store, config)
