"""What the caller of a build says about its steps: what they are lent, and how much they may use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from corten.builder.given import Given, parse_allowed, parse_secret
from corten.errors import Invalid

if TYPE_CHECKING:
    from corten.runtime.specification import Isolation

_RLIMITS = frozenset(
    [
        "AS",
        "CORE",
        "CPU",
        "DATA",
        "FSIZE",
        "LOCKS",
        "MEMLOCK",
        "MSGQUEUE",
        "NICE",
        "NOFILE",
        "NPROC",
        "RSS",
        "RTPRIO",
        "RTTIME",
        "SIGPENDING",
        "STACK",
    ]
)
_UNLIMITED = 2**64 - 1


class StepOptions(msgspec.Struct, frozen=True, kw_only=True):
    """As on the command line; sizes in bytes, 0 or empty: no limit but the host's."""

    secrets: tuple[str, ...] = ()
    ssh: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    add_hosts: tuple[str, ...] = ()
    ulimits: tuple[str, ...] = ()
    shm_size: int = 0
    memory: int = 0
    memory_swap: int = 0
    cpu_shares: int = 0
    cpu_quota: int = 0
    cpu_period: int = 0
    cpuset_cpus: str = ""
    debug: bool = False
    """Whether what a failed step had is kept for a shell."""

    def given(self, environ: Mapping[str, str]) -> Given:
        """Secrets, agents and rights.  Raises: Invalid; NotFound: a file, variable or agent."""
        given = Given(
            dict(parse_secret(text, environ) for text in self.secrets),
            {},
            parse_allowed(self.allow),
        )
        if not self.ssh:
            return given
        from corten.builder.agents import parse_ssh

        return given._replace(agents=dict(parse_ssh(text, environ) for text in self.ssh))

    def hosts(self) -> tuple[str, ...]:
        """``NAME=ADDRESS``.  Raises: Invalid."""
        if not self.add_hosts:
            return ()
        from corten.builder.hosts import parse_host

        return tuple(parse_host(text) for text in self.add_hosts)

    def isolation(self) -> Isolation:
        """The limits of each step.  Raises: Invalid."""
        from corten.runtime.specification import Isolation, Limits

        if 0 < self.memory_swap < self.memory:
            raise Invalid(
                "--memory-swap is less than --memory", hint="it is memory and swap together"
            )
        usual = Limits()
        return Isolation(
            limits=Limits(
                memory=self.memory,
                swap=self.memory_swap,
                shm=self.shm_size or usual.shm,
                cpu_shares=self.cpu_shares,
                cpu_quota=self.cpu_quota,
                cpu_period=self.cpu_period,
                cpuset=self.cpuset_cpus,
                rlimits=dict(_rlimit(text) for text in self.ulimits),
            )
        )


def _rlimit(text: str) -> tuple[str, tuple[int, int]]:
    """``nofile=1024[:4096]``, -1 for no limit.  Raises: Invalid."""
    name, _, value = text.partition("=")
    if name.upper() not in _RLIMITS:
        raise Invalid(
            f"--ulimit {text!r}: there is no limit {name!r}", hint="such as nofile=1024:4096"
        )
    soft, colon, hard = value.partition(":")
    numbers = []
    for part in (soft, hard if colon else soft):
        try:
            number = int(part)
        except ValueError:
            number = -2
        if not -1 <= number <= _UNLIMITED:
            raise Invalid(
                f"--ulimit {text!r}: {part!r} is no number", hint="such as nofile=1024:4096"
            )
        numbers.append(_UNLIMITED if number == -1 else number)
    if numbers[0] > numbers[1]:
        raise Invalid(f"--ulimit {text!r}: the soft limit is above the hard one")
    return name.upper(), (numbers[0], numbers[1])
