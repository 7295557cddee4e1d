"""A build as values: steps that name what they do and what they start from.

A frontend makes the graph, a solver evaluates it; neither knows the other.  A
step's digest is that of its definition: what it does, and the definitions of
its inputs.  Pure: no I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from corten.dockerfile.mounts import Mount
from corten.oci.codec import canonical_json
from corten.oci.digest import Digest


class SourceImage(msgspec.Struct, frozen=True, tag="image"):
    """The file system of an image that exists: its layers' diff ids, lowest first."""

    name: str
    layers: tuple[Digest, ...]


class Scratch(msgspec.Struct, frozen=True, tag="scratch"):
    """The empty file system."""


class Run(msgspec.Struct, frozen=True, tag="run"):
    """A process on the first input's file system; the result is what it changed.

    ``env`` entries are ``NAME=value``; ``network`` is ``default``, ``none`` or ``host``.
    ``mounts`` have as ``origin`` the number of the input that they show, or nothing.
    ``script`` is the content of the program that ``args`` names, where that stands in the
    Dockerfile.  ``security`` is ``sandbox`` or ``insecure``; ``hosts`` are ``NAME=ADDRESS``.
    """

    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: str = ""
    network: str = "default"
    mounts: tuple[Mount, ...] = ()
    script: str = ""
    security: str = "sandbox"
    hosts: tuple[str, ...] = ()


PIVOT = "/./"
"""Stands in a source of ``--parents`` between where it begins and what is taken from there."""


class Inline(msgspec.Struct, frozen=True):
    """A file whose content stands in the Dockerfile."""

    name: str
    content: str


class Copy(msgspec.Struct, frozen=True, tag="copy"):
    """Files put on the first input's file system.

    They come from the build context (with ``context`` from the named one), or from the
    second input where ``from_input`` is true.  ``destination`` is absolute; a trailing slash counts.
    ``chmod`` is octal, symbolic or empty.  ``add`` fetches URLs and Git repositories,
    and unpacks archives of the context, or as ``unpack`` says if it is not None.
    ``checksum`` is that of the only source, a URL's (``sha256:…``) or a commit's.
    ``link`` does not look at the first input.  Sources of ``parents`` have ``/./`` between
    where they begin and what is taken from there.  ``excludes`` are patterns as
    an ignore file's.  ``time`` (Unix seconds) is for what is made on the way and
    has no time of its own.
    """

    sources: tuple[str, ...]
    destination: str
    from_input: bool = False
    chown: str = ""
    chmod: str = ""
    add: bool = False
    link: bool = False
    inline: tuple[Inline, ...] = ()
    time: int = 0
    parents: bool = False
    excludes: tuple[str, ...] = ()
    unpack: bool | None = None
    checksum: str = ""
    keep_git_dir: bool = False
    context: str = ""

    @property
    def unpacks(self) -> bool:
        """Whether archives among the files that it takes are unpacked."""
        return self.add and not self.from_input and self.unpack is not False


def is_remote(source: str) -> bool:
    """Whether a source of a copy is a URL or a Git repository, not a path."""
    return not source.startswith("/")


class MakeDirectory(msgspec.Struct, frozen=True, tag="directory"):
    """A directory that is there afterwards, with its parents.  ``time``: Unix seconds."""

    path: str
    owner: str = ""
    time: int = 0


Operation = SourceImage | Scratch | Run | Copy | MakeDirectory


class Step:
    """An operation, the steps it starts from, and the platform it is for.  Immutable.

    ``digest`` is that of the definition.  Two steps are equal when their digests are.
    """

    __slots__ = ("digest", "inputs", "op", "platform")

    digest: Digest
    op: Operation
    inputs: tuple[Step, ...]
    platform: str

    def __init__(self, op: Operation, inputs: Sequence[Step] = (), platform: str = "") -> None:
        put = object.__setattr__
        put(self, "op", op)
        put(self, "inputs", tuple(inputs))
        put(self, "platform", platform)
        definition = {
            "op": op,
            "inputs": [step.digest for step in self.inputs],
            "platform": platform,
        }
        put(self, "digest", Digest.of(canonical_json(definition)))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a step does not change: {name}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Step) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Step({self.op!r}, {self.digest.short})"


def whole_context(step: Step) -> str:
    """The named context whose files, all of them, are what `step` makes; empty: it makes others."""
    op = step.op
    if not isinstance(op, Copy) or not op.context or not isinstance(step.inputs[0].op, Scratch):
        return ""
    return op.context if op == Copy(("/",), "/", context=op.context, time=op.time) else ""


def order(targets: Sequence[Step]) -> list[Step]:
    """Every step that `targets` need, each once, inputs before what needs them."""
    found: dict[Step, None] = {}
    stack: list[tuple[Step, bool]] = [(step, False) for step in reversed(targets)]
    while stack:
        step, ready = stack.pop()
        if step in found:
            continue
        if ready:
            found[step] = None
            continue
        stack.append((step, True))
        stack.extend((item, False) for item in reversed(step.inputs))
    return list(found)


class Origin(msgspec.Struct, frozen=True):
    """Where a step comes from: for progress and messages.

    ``taken_from`` is what COPY --from copies from: ``stage NAME`` or ``image NAME``;
    ``last`` is the last line of the instruction.
    """

    title: str
    line: int = 0
    source: str = ""
    taken_from: str = ""
    last: int = 0


class Graph(msgspec.Struct, frozen=True):
    """Targets, and where their steps come from.  Origins are no part of any digest."""

    targets: tuple[Step, ...]
    origins: Mapping[Digest, Origin] = {}

    def __iter__(self) -> Iterator[Step]:
        return iter(order(self.targets))
