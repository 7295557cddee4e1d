"""``python -m support.measured FILE ARGUMENTS``: corten, which notes the most memory it took.

FILE gets the peak of resident memory in KiB.  What wait(2) tells would count the
memory of the process that started this one, too.
"""

from __future__ import annotations

import sys
from pathlib import Path


def peak_kib() -> int:
    """The most resident memory that this process ever had, in KiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise AssertionError("no VmHWM")


def main() -> None:
    """Run the command, and write the figure however it ends."""
    from corten.cli.entry import main as corten

    note = Path(sys.argv[1])
    sys.argv = ["corten", *sys.argv[2:]]
    try:
        sys.exit(corten())
    finally:
        note.write_text(str(peak_kib()))


if __name__ == "__main__":
    main()
