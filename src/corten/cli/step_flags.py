"""The options of ``build`` about its steps: what they are lent, and how much they may use."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from corten.cli.frame import Number, host
from corten.cli.params import ByteSize

if TYPE_CHECKING:
    from corten.engine.step_options import StepOptions


def _many(*names: str, metavar: str, help: str) -> Any:
    return click.option(*names, metavar=metavar, multiple=True, help=help)


def _number(*names: str, help: str) -> Any:
    return click.option(
        *names, cls=Number, type=click.IntRange(min=0), default=0, metavar="NUMBER", help=help
    )


_FLAGS = (
    _many(
        "--secret",
        "secrets",
        metavar="id=NAME,src=FILE|env=VAR",
        help="Lend steps a secret; the id alone is the variable of that name, or the file.",
    ),
    _many("--ssh", metavar="ID[=SOCKET|KEY]", help="Lend steps an SSH agent, or a key in one."),
    _many("--allow", metavar="RIGHT", help="Allow steps security.insecure or network.host."),
    _many("--add-host", "add_hosts", metavar="NAME:ADDRESS", help="Let steps know a host."),
    _many("--ulimit", "ulimits", metavar="NAME=SOFT[:HARD]", help="Limit what a process may use."),
    click.option(
        "--shm-size", type=ByteSize(), default="0", metavar="BYTES", help="The size of /dev/shm."
    ),
    click.option(
        "-m", "--memory", type=ByteSize(), default="0", metavar="BYTES", help="Memory of a step."
    ),
    click.option(
        "--memory-swap",
        type=ByteSize(),
        default="0",
        metavar="BYTES",
        help="Memory and swap together.",
    ),
    _number("--cpu-shares", help="A step's weight against others; 1024 is the usual one."),
    _number("--cpu-quota", help="Microseconds of processor time in each period."),
    _number("--cpu-period", help="Microseconds of a period."),
    click.option("--cpuset-cpus", default="", metavar="LIST", help="Which processors, e.g. 0-2,4."),
    click.option(
        "--debug",
        is_flag=True,
        help="When a step fails, open a shell in it, on this terminal.  (corten --debug build: tracebacks.)",
    ),
)
_NAMES = (
    *("secrets", "ssh", "allow", "add_hosts", "ulimits", "shm_size", "memory", "memory_swap"),
    *("cpu_shares", "cpu_quota", "cpu_period", "cpuset_cpus", "debug"),
)


@contextmanager
def debugging(wanted: bool) -> Iterator[None]:
    """If it is wanted: a shell in the RUN that fails in the block, before the error goes on.

    Raises: Usage: there is no terminal.
    """
    if not wanted:
        yield
        return
    from corten.builder.failing import RunFailed
    from corten.cli.failures import report
    from corten.errors import Usage

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Usage("--debug opens a shell when a step fails, and this is no terminal")
    with host().store.lease():
        try:
            yield
        except RunFailed as error:
            try:
                report(error, sys.stderr)
                if error.shell is not None:
                    sys.stderr.write("a shell in the failed step; exit leaves it\n")
                    sys.stderr.flush()
                    error.shell()
            finally:
                error.close()
            raise


def step_flags(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: all of them."""
    for flag in reversed(_FLAGS):
        function = flag(function)
    return function


def step_options(flags: dict[str, Any]) -> StepOptions:
    """The value that the engine takes; takes its flags out of `flags`."""
    from corten.engine.step_options import StepOptions

    return StepOptions(**{name: flags.pop(name) for name in _NAMES})
