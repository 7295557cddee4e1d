"""The program that conmon starts when a container ends: ``python -m corten.runtime.cleanup ROOT ID``."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from corten.errors import CortenError, NotFound
from corten.runtime.host import Runtime
from corten.runtime.lifecycle import remove, settle
from corten.system.mount import unmount


def clean_up(root: Path, container: str) -> None:
    """Settle an ended container, and remove it if it was created so (``--rm``).

    Nothing to do if it is gone.
    """
    runtime = Runtime(root)
    try:
        record = runtime.containers.get(container)
        settle(runtime, record)
    except NotFound:
        return
    if record.auto_remove:
        from corten.snapshot.probing import choose

        remove(runtime, record, choose(root, record.driver))


def leave_mounts(root: Path) -> None:
    """Detach what is mounted below `root` in this mount namespace.

    As conmon's child we are in the container's, which nobody needs any more; directories
    that are mountpoints in it could not be removed.
    """
    below = tuple(f"{root.absolute()}/{name}/" for name in ("containers", "layers", "snapshots"))
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    for line in reversed(lines):
        # Spec: proc(5), mountinfo: the fifth field, with blanks in octal.
        target = line.split()[4].replace("\\040", " ")
        if target.startswith(below):
            with contextlib.suppress(CortenError):
                unmount(target, detach=True)


def main(arguments: list[str]) -> int:
    """Exit status 1 if it could not be done; the message goes to stderr, which conmon keeps."""
    root, container = arguments
    try:
        leave_mounts(Path(root))
        clean_up(Path(root), container)
    except CortenError as error:
        sys.stderr.write(f"corten: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
