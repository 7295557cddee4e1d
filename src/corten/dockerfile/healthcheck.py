"""HEALTHCHECK.

Spec: Dockerfile reference, "HEALTHCHECK".
"""

from __future__ import annotations

from corten.dockerfile.durations import parse_duration
from corten.dockerfile.flags import flags_of
from corten.dockerfile.instructions import Command, Healthcheck
from corten.dockerfile.syntax import Node
from corten.errors import Invalid


def parse_healthcheck(node: Node) -> Healthcheck:
    """The instruction that the node stands for.  Raises: DockerfileError."""
    times = ("interval", "timeout", "start-period", "start-interval")
    flags = flags_of(node, (*times, "retries"))
    kind = node.args[0].upper() if node.args else ""
    if kind == "NONE":
        if flags or len(node.args) > 1:
            raise node.error("HEALTHCHECK NONE stands alone")
        return Healthcheck(node=node, command=None)
    if kind != "CMD":
        raise node.error(
            "HEALTHCHECK takes CMD and a command, or NONE",
            node.args[0] if node.args else "",
            "HEALTHCHECK [FLAGS] CMD COMMAND",
        )
    if len(node.args) < 2:
        raise node.error("HEALTHCHECK CMD needs a command", hint="HEALTHCHECK CMD COMMAND")
    spans = {name: _duration(node, name, flags[name]) for name in times if name in flags}
    retries = flags.get("retries", "0")
    if not (retries.isascii() and retries.isdigit() and len(retries) < 10):
        raise node.error(f"HEALTHCHECK --retries is a number, not {retries!r}", retries)
    return Healthcheck(
        node=node,
        command=Command(node.args[1:], not node.json),
        interval=spans.get("interval", 0),
        timeout=spans.get("timeout", 0),
        start_period=spans.get("start-period", 0),
        start_interval=spans.get("start-interval", 0),
        retries=int(retries),
    )


def _duration(node: Node, name: str, text: str) -> int:
    try:
        span = parse_duration(text)
    except Invalid as error:
        raise node.error(f"HEALTHCHECK --{name}: {error.message}", text, error.hint) from None
    if 0 < span < 1_000_000:
        raise node.error(f"HEALTHCHECK --{name} is at least 1ms", text)
    return span
