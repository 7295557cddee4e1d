"""Types of arguments that the shell can complete from the store."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from corten.config.root import default_root

FILE_TRANSPORTS = ("oci", "oci-archive", "docker-archive")


def completion_root(context: click.Context) -> Path:
    """The root that an unfinished command line means."""
    from corten.cli.frame import Globals

    known = context.find_object(Globals)
    return Path(known.root) if known and known.root else default_root(os.environ)


class ImageName(click.ParamType[str]):
    """An image by name or ID, completed from the store."""

    name = "image"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Names of the store's images that begin with what is there."""
        from corten.cli.image_list import known_names

        try:
            names = known_names(completion_root(ctx))
        except Exception:  # nobody wants a traceback between two keystrokes
            return []
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


class PlaceName(ImageName):
    """A place that images are copied from or to: a local name, or ``TRANSPORT:…``."""

    name = "place"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Local names and transports; files behind a transport that has them."""
        transport, colon, _ = incomplete.partition(":")
        if colon and transport in FILE_TRANSPORTS:
            return [CompletionItem(incomplete, type="file")]
        offered = ("docker://", *(f"{known}:" for known in FILE_TRANSPORTS))
        return [
            *super().shell_complete(ctx, param, incomplete),
            *(CompletionItem(start) for start in offered if start.startswith(incomplete)),
        ]


class Folder(click.Path):
    """A path of which the shell offers directories; whether it is one is found out later."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The shell knows its directories."""
        return [CompletionItem(incomplete, type="dir")]


class ContextFolder(Folder):
    """What a build may take files from: a directory, ``-``, or an address."""

    missing_hint = "name the context; for this directory that is a dot: corten build ."


class ContainerName(click.ParamType[str]):
    """A container by name or ID, completed from the root."""

    name = "container"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Names of containers that begin with what is there."""
        from corten.runtime.containers import ContainerStore

        try:
            names = sorted(record.name for record in ContainerStore(completion_root(ctx)).walk())
        except Exception:
            return []
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|us|ns)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


class Duration(click.ParamType[float]):
    """Seconds as a number, or with units as Go writes them: ``1h30m``, ``500ms``."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds."""
        text = str(value)
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return float(text)
        parts = _DURATION.findall(text)
        if not parts or "".join(f"{number}{unit}" for number, unit in parts) != text:
            self.fail(f"{text!r} is no duration; write 10, 90s or 1h30m", param, ctx)
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)


_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?", re.IGNORECASE)


class ByteSize(click.ParamType[int]):
    """A number of bytes: ``64m``, ``1.5g``, ``1024``.  Units are binary, as with Docker."""

    name = "bytes"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Bytes."""
        match = _BYTES.fullmatch(str(value).strip())
        if match is None:
            self.fail(f"{value!r} is no size; write 512m or 2g", param, ctx)
        factor = 1024 ** "bkmgt".index(match[2].lower() or "b")
        return int(float(match[1]) * factor)


def pairs(values: tuple[str, ...], option: str, separator: str = "=") -> Iterator[tuple[str, str]]:
    """``KEY=VALUE`` of a repeated option, split.  Raises: click.BadParameter: an empty key."""
    for value in values:
        key, _, rest = value.partition(separator)
        if not key:
            raise click.BadParameter(
                f"{value!r} has no name before {separator!r}", param_hint=option
            )
        yield key, rest
