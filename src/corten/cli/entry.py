"""The console script.  Start-up is a feature: hot commands run without the command line frame.

Plain forms of ``corten images`` are recognised by a few lines of Python and answered with
nothing but SQLite, plain forms of ``run``, ``rmi``, ``push`` and ``pull`` by the modules ``quick_*``;
everything else, ``--help`` and errors too, goes to :mod:`corten.cli.main`.  Both ways end in the
same functions.  Measured: the frame (click, …) costs some 25 ms of CPU.
"""

from __future__ import annotations

import gc
import os
import sys

# No other import here: every module costs the fastest command something.

_OBJECTS = 100_000
"""New objects between two searches for cycles.  Python's own 700 cost a start-up some 15 ms."""


def main() -> int:
    """Run the command line of this process; the exit status."""
    gc.set_threshold(_OBJECTS)
    try:
        status = _run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        from corten.cli.failures import BROKEN_PIPE, silence_stdout

        silence_stdout()
        return BROKEN_PIPE
    finally:
        # The process ends: the interpreter need not search all modules for cycles (15 ms).
        gc.freeze()
    return status


def _run(arguments: list[str]) -> int:
    if "_CORTEN_COMPLETE" not in os.environ:
        request = parse_images(arguments)
        if request is not None:
            text = _fast_images(*request)
            if text is not None:
                sys.stdout.write(text)
                return 0
        _import_msgspec()
        if "run" in arguments:
            from corten.cli.quick_run import parse_run, run_quickly

            wanted = parse_run(arguments)
            if wanted is not None:
                return run_quickly(wanted)
        if "rmi" in arguments:
            from corten.cli.quick_rmi import parse_rmi, remove_quickly

            removal = parse_rmi(arguments)
            if removal is not None:
                return remove_quickly(removal)
        if "push" in arguments or "pull" in arguments:
            from corten.cli.quick_transfer import parse_transfer, transfer_quickly

            transfer = parse_transfer(arguments)
            if transfer is not None:
                return transfer_quickly(transfer)
    from corten.cli.main import main as complete_main

    return complete_main(arguments)


def _import_msgspec() -> None:
    """Import msgspec, which every command but the bare listing needs, without typing_extensions.

    msgspec takes two functions from there if it is installed (SQLAlchemy brings it), else the
    same ones from typing, as of Python 3.11.  Importing it, and inspect with it, takes 10 ms.
    """
    if "typing_extensions" in sys.modules:
        return
    modules: dict[str, object] = sys.modules  # type: ignore[assignment]
    # What stands for None there cannot be imported: The Python Language Reference, 5.3.1.
    modules["typing_extensions"] = None
    try:
        import msgspec  # noqa: F401
    finally:
        del modules["typing_extensions"]


_FLAGS = {
    "-q": "quiet",
    "--quiet": "quiet",
    "-a": "everything",
    "--all": "everything",
    "--no-trunc": "no_trunc",
    "--digests": "digests",
}


def parse_images(arguments: list[str]) -> tuple[str, str, set[str]] | None:
    """Root, repository (each may be empty) and flags of a plain ``images`` command.

    None: it is something else, or has an option that only the full command line knows.
    """
    root = repository = ""
    flags: set[str] = set()
    words = iter(arguments)
    command = ""
    for word in words:
        if word == "--root":
            root = next(words, "")
            if not root:
                return None
        elif word.startswith("--root="):
            root = word[7:]
        elif word.startswith("-"):
            flag = _FLAGS.get(word)
            if flag is None or not command:
                return None
            flags.add(flag)
        elif not command:
            command = word
            if command not in ("images", "image"):
                return None
        elif command == "image":
            if word not in ("ls", "list"):
                return None
            command = "images"
        elif repository:
            return None
        else:
            repository = word
    return (root, repository, flags) if command == "images" else None


def _fast_images(root: str, repository: str, flags: set[str]) -> str | None:
    """The listing.  None: something is wrong, the full command line shall find out and say."""
    try:
        from corten.cli.image_list import Wanted, listing
        from corten.config.root import root_directory

        where = root or root_directory(os.environ)
        wanted = Wanted(
            repository,
            quiet="quiet" in flags,
            everything="everything" in flags,
            no_trunc="no_trunc" in flags,
            digests="digests" in flags,
        )
        return listing(where, wanted)
    except Exception:
        return None
