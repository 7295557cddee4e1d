"""The snapshot protocol: every storage driver is one of these.

A *layer* is one tar, named by its diff id and shared by all images.  A
*snapshot* is a stack of layers with, unless read-only, a writable directory on
top, named by a key that the caller chooses (a container's id, a build step).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Protocol, Self, runtime_checkable

from corten.oci.digest import Digest


class Mount(NamedTuple):
    """One call of mount(2): the only word that file systems and processes share.

    ``target`` is empty for the root of the tree that is being assembled, else an
    absolute path.  A tuple of mounts is made in order and undone in reverse.
    """

    type: str
    source: str
    target: str = ""
    options: tuple[str, ...] = ()


class Snapshot(NamedTuple):
    """What a driver knows of a snapshot it holds."""

    key: str
    layers: tuple[Digest, ...]
    readonly: bool


class Snapshotter(Protocol):
    """A file system driver.  All methods may be called from several threads and processes."""

    driver: str

    def has(self, diff_id: Digest) -> bool:
        """Whether the layer is applied: ready to be mounted."""

    def apply(self, diff_id: Digest, tar: Path) -> None:
        """Make the uncompressed layer in `tar` mountable; nothing to do if it is already.

        The driver may go on using `tar` where it lies.  The caller has verified
        that its digest is `diff_id`.  A hard link to what the layer does not have is
        taken here, since a layer below may have it; it is refused where a stack is made
        in which none has (`prepare`, `Completes`).  Raises: Invalid, Unsupported: by what
        the tar holds, entry named; nothing stays behind.
        """

    def prepare(
        self, key: str, layers: Sequence[Digest], *, readonly: bool = False
    ) -> tuple[Mount, ...]:
        """A new snapshot over `layers` (lowest first), and how to mount it.

        Raises: Conflict: the key is in use; NotFound: a layer is not applied; Invalid: one
        links to what is not below it; Unsupported: more layers than can be merged, where
        one depends on those below it.
        """

    def mounts(self, key: str) -> tuple[Mount, ...]:
        """How to mount an existing snapshot.  Raises: NotFound."""

    def diff(self, key: str, write: Callable[[bytes], object]) -> None:
        """Write what changed in the snapshot over its layers, as a layer tar.

        Deterministic bytes for the same tree.  The snapshot need not be mounted.
        Spec: OCI image, layer.md, "Change Types" (whiteouts).  Raises: NotFound.
        """

    def remove(self, key: str) -> None:
        """Forget a snapshot and its changes; nothing to do if there is none."""

    def walk(self) -> Iterator[Snapshot]:
        """All snapshots."""

    def prune(self, keep: Collection[Digest], before: float = math.inf) -> int:
        """Forget applied layers that are neither in `keep` nor under a snapshot; returns how many.

        Those that were applied `before` (seconds since 1970) or later stay.
        """


class LayerFeed(Protocol):
    """A layer being applied while its bytes come in.  A context manager; leaving early aborts."""

    def feed(self, data: bytes | memoryview, /) -> None:
        """The next bytes of the uncompressed tar.  Raises: Invalid, Unsupported."""

    def end(self) -> None:
        """There are no more bytes.  Raises: Invalid: the tar ends in the middle."""

    def finish(self, diff_id: Digest, tar: Path) -> None:
        """All bytes were fed and lie, verified, in `tar`: the layer is applied.

        Ends the feed if `end` was not called.
        """

    def abort(self) -> None:
        """Forget it."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...


@runtime_checkable
class Feeds(Protocol):
    """A driver that can apply a layer while it comes in (optional power)."""

    def feeding(self) -> LayerFeed:
        """A new feed."""


@runtime_checkable
class Completes(Protocol):
    """A driver whose layers may have hard links to files of the layers below (optional power)."""

    def complete(self, layers: Sequence[Digest]) -> None:
        """Make now what these very layers, lowest first, need beside themselves as a stack.

        Raises: Invalid: a link names what is not below; layer, link and target are named.
        """


@runtime_checkable
class Merges(Protocol):
    """A driver that can make one file system of a stack of layers (optional power)."""

    def merge(self, layers: Sequence[Digest]) -> None:
        """From now on mount these layers, lowest first, as one; also below further layers.

        Worth it for what is mounted often: an image, not a step of a build.  Nothing to
        do if it is done already or cannot be.  Raises: NotFound: a layer is not applied;
        Invalid: one links to what is not below it; Corrupt: its tar is damaged.
        """


class Checks(Protocol):
    """What can be said of the layers that a driver keeps, without changing any (optional power)."""

    driver: str

    def applied(self) -> Iterator[Digest]:
        """All layers that are there, whole or not."""

    def problem(self, layer: Digest, tar: Path | None) -> str:
        """What is wrong with the layer, in a few words; empty: nothing, or it is gone.

        `tar` is the layer's tar as the store has it, whose digest the caller verifies,
        None where it has none.
        """

    def difference(self, layer: Digest, tar: Path, *, deep: bool = False) -> str:
        """How the layer differs from `tar`, in a few words; empty: not at all, or it is gone.

        The caller has verified the digest of `tar`.  Without `deep` only what is kept about
        the layer is compared, with it all that the layer holds.
        """

    def copied(self, layer: Digest, tar: Path) -> int:
        """Bytes of a file of the layer's own that is a copy of `tar`, with which it was compared.

        A link to `tar` would do; 0: there is no such copy.
        """

    def link(self, layer: Digest, tar: Path) -> bool:
        """Replace that copy by a link to `tar`; False: the file system refuses, or `tar` is gone."""

    def discard(self, layer: Digest, aside: Path | None = None) -> None:
        """Forget the layer, also under snapshots: `Snapshotter.apply` then makes it anew.

        With `aside` what there is of it becomes that directory.
        """
