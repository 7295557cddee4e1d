"""Findings about containers' records and their file systems."""

from __future__ import annotations

import time
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import msgspec

from corten.engine.checking.finding import LEFTOVER, Finding
from corten.engine.checking.layers import apply
from corten.engine.checking.scope import (
    DAMAGED,
    REPAIR,
    Scope,
    comes_back,
    found,
    leftover,
    mended,
)
from corten.engine.host import Host
from corten.errors import Conflict, CortenError
from corten.oci import media
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.runtime.containers import ContainerRecord
from corten.runtime.state import is_alive, read_started
from corten.snapshot.drafts import is_old, remove_whole
from corten.snapshot.remains import HeldSnapshot, held_snapshots, write_snapshot_record

_AGE = 60.0
"""Seconds after which a container has no owner that is only just making its record."""
_NO_RECORD = "it has no record"


def readable_records(host: Host) -> tuple[tuple[ContainerRecord, ...], dict[Path, str]]:
    """The containers' records, and the directories of those that cannot be read, with why."""
    store = host.runtime.containers
    records: list[ContainerRecord] = []
    damaged: dict[Path, str] = {}
    for path in sorted(store.path.glob("[0-9a-f]*")):
        try:
            raw = (path / "record.json").read_bytes()
            records.append(msgspec.json.decode(raw, type=ContainerRecord))
        except (FileNotFoundError, NotADirectoryError):
            # Being made or removed; what stays so is nobody's.
            if is_old(path, _AGE):
                damaged[path] = _NO_RECORD
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            damaged[path] = f"its record is damaged: {error}"
    return tuple(records), damaged


def check_containers(scope: Scope, damaged: dict[Path, str]) -> Iterator[Finding]:
    """Containers whose record is unreadable, or whose name or image is gone."""
    for path, problem in damaged.items():
        yield _unreadable(scope, path, problem)
    store = scope.host.runtime.containers
    for record in scope.records:
        name = store.path / ".names" / record.name
        if not name.is_symlink() and store.directory(record.id).is_dir():
            if scope.repair:
                name.parent.mkdir(exist_ok=True)
                name.symlink_to(record.id)
                yield mended("container", record.name, "its name was lost", "named again")
            else:
                yield found(
                    "container", record.name, "its name was lost", f"{REPAIR} names it again"
                )
    yield from _names_of_nobody(scope)


def _names_of_nobody(scope: Scope) -> Iterator[Finding]:
    path = scope.host.runtime.containers.path
    for name in sorted((path / ".names").glob("*")):
        if name.is_symlink() and not (path / name.readlink()).is_dir():
            problem = "a name of a container that is gone"
            if scope.repair:
                name.unlink(missing_ok=True)
                yield mended(LEFTOVER, f"container {name.name}", problem, "removed")
            else:
                yield leftover(f"container {name.name}", problem)


def _unreadable(scope: Scope, path: Path, problem: str) -> Finding:
    subject = path.name[:12]
    started = read_started(path)
    if started is not None and is_alive(started):
        return found("container", subject, problem, f"end it (kill {started.pid}), then {REPAIR}")
    if not scope.repair and problem == _NO_RECORD:
        return leftover(f"container {subject}", problem)
    if not scope.repair:
        return found("container", subject, problem, f"{REPAIR} moves it out of the way")
    # Its logs and changes may be of value to somebody: nothing is deleted.
    aside = scope.root / DAMAGED / f"container-{path.name}-{int(time.time())}"
    aside.mkdir(mode=0o700, parents=True)
    path.rename(aside / "container")
    snapshot = scope.root / "snapshots" / path.name
    if snapshot.is_dir():
        snapshot.rename(aside / "snapshot")
    for name in path.parent.joinpath(".names").glob("*"):
        if name.is_symlink() and str(name.readlink()) == path.name:
            name.unlink(missing_ok=True)
    return mended("container", subject, problem, f"moved to {aside}")


def check_snapshots(scope: Scope) -> Iterator[Finding]:
    """Snapshots that are not whole, that nobody owns, and those that containers lack."""
    owners = {record.snapshot: record for record in scope.records}
    seen = set()
    for held in held_snapshots(scope.root):
        seen.add(held.key)
        owner = owners.get(held.key)
        if owner is None:
            yield from _orphan(scope, held)
        elif held.problem:
            yield _damaged_record(scope, held, owner)
        else:
            yield from _incomplete(scope, held, owner)
    for key, record in owners.items():
        if key not in seen and scope.host.runtime.directory(record).is_dir():
            yield _lost(scope, record)


def _orphan(scope: Scope, held: HeldSnapshot) -> Iterator[Finding]:
    """One that no container has: a living build's, or what a killed command left."""
    # Looked at only now: who makes one has a lease before, and until there is a container.
    if scope.busy or not held.path.exists():
        return
    if (scope.root / "containers" / held.key).exists():
        return  # its record is a finding of its own
    subject, problem = f"snapshots/{held.key}", "no container and no build uses it"
    if scope.repair:
        remove_whole(held.path)
        yield mended(LEFTOVER, subject, problem, "removed")
    else:
        yield leftover(subject, problem)


def _damaged_record(scope: Scope, held: HeldSnapshot, owner: ContainerRecord) -> Finding:
    subject = f"of container {owner.name}"
    layers = layers_of(scope, owner)
    if layers is None:
        return found("snapshot", subject, held.problem, _gone(owner))
    if not scope.repair:
        return found("snapshot", subject, held.problem, f"{REPAIR} writes its record again")
    write_snapshot_record(held.path, owner.driver, layers)
    return mended("snapshot", subject, held.problem, "its record was written again")


def _incomplete(scope: Scope, held: HeldSnapshot, owner: ContainerRecord) -> Iterator[Finding]:
    subject = f"of container {owner.name}"
    for layer in held.layers:
        if not (scope.root / "layers" / held.driver / layer.encoded).is_dir():
            yield _unapplied(scope, held, layer, subject)
    if held.readonly:
        return
    for name, mode, loss in (("upper", 0o755, "what it changed is lost"), ("work", 0o700, "")):
        if (held.path / name).is_dir() or not held.path.exists():
            continue
        problem = f"it lacks its {name} directory"
        if scope.repair:
            (held.path / name).mkdir(mode=mode)
            done = f"made again{', but ' + loss if loss else ''}"
            yield mended("snapshot", subject, problem, done)
        else:
            remedy = f"{REPAIR} makes it again{'; ' + loss if loss else ''}"
            yield found("snapshot", subject, problem, remedy)


def _unapplied(scope: Scope, held: HeldSnapshot, layer: Digest, subject: str) -> Finding:
    problem = f"its layer {layer.short} is not applied"
    if scope.repair:
        try:
            if apply(scope, held.driver, layer):
                return mended("snapshot", subject, problem, "applied again from its tar")
        except CortenError as error:
            problem = f"{problem}: {error.message}"
    elif scope.whole_tar(layer) is not None:
        return found("snapshot", subject, problem, f"{REPAIR} applies it again")
    need = scope.needs.get(layer)
    back = comes_back(need, scope.known) if need is not None else _gone(held)
    return found("snapshot", subject, problem, back)


def _gone(owner: ContainerRecord | HeldSnapshot) -> str:
    name = owner.name if isinstance(owner, ContainerRecord) else owner.key[:12]
    return f"corten rm {name}, or bring its image back"


def _lost(scope: Scope, record: ContainerRecord) -> Finding:
    """A container without its snapshot: what it changed is lost in any case."""
    subject = f"of container {record.name}"
    problem = "it is missing"
    layers = layers_of(scope, record)
    if layers is None or not record.driver:
        return found("snapshot", subject, problem, f"corten rm {record.name}")
    if not scope.repair:
        return found(
            "snapshot", subject, problem, f"{REPAIR} makes it anew; what it changed is lost"
        )
    from corten.snapshot.probing import choose

    try:
        for layer in layers:
            apply(scope, record.driver, layer)
        choose(scope.root, record.driver).prepare(record.snapshot, layers)
    except Conflict:
        pass  # somebody made it meanwhile
    except CortenError as error:
        return found("snapshot", subject, f"it is missing: {error.message}", _gone(record))
    return mended("snapshot", subject, problem, "made anew: what the container changed is lost")


def layers_of(scope: Scope, record: ContainerRecord) -> tuple[Digest, ...] | None:
    """The layers that a container's image has, None: the image is not here."""
    from corten.image.view import load_image

    if not record.manifest:
        return None
    digest = Digest(record.manifest)
    size = scope.blobs.size_or_none(digest)
    if size is None or digest in scope.damaged:
        return None
    typed = scope.blobs.typed(digest)
    try:
        assert typed is not None
        return load_image(_Blobs(scope), typed, scope.host.platform).diff_ids
    except CortenError:
        return None


class _Blobs:
    """The blobs as a source, without a catalog that would be opened."""

    def __init__(self, scope: Scope) -> None:
        self._blobs = scope.blobs

    def resolve(self, name: str) -> Descriptor:
        """The blob of a digest.  Raises: NotFound."""
        digest = Digest(name)
        size = self._blobs.size(digest)
        return Descriptor(media_type=media.OCTET_STREAM, digest=digest, size=size)

    def open(self, descriptor: Descriptor, offset: int = 0) -> FileIO:
        """The blob's file.  Raises: NotFound."""
        return self._blobs.open(descriptor.digest, offset)
