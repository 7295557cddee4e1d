"""The containers of one root: a directory each, and a name each.

``ROOT/containers/<id>/record.json`` says what was asked for and never changes
but by :meth:`ContainerStore.update`.  Whether a container runs is not written down
anywhere: it is read from the process and the exit file each time
(:mod:`corten.runtime.state`), so that a crash or reboot cannot make it wrong.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from corten.errors import Conflict, Corrupt, NotFound
from corten.runtime.names import check_name, friendly_name
from corten.runtime.ports import PublishedPort
from corten.runtime.protocols import Bind, Process

_ID = re.compile(r"[0-9a-f]{64}")
_NAMES = ".names"
_DOOMED = ".old-"


class NameTaken(Conflict):
    """Another container has the name.  ``holder`` is its id."""

    def __init__(self, name: str, holder: str) -> None:
        super().__init__(
            f"the name {name!r} is in use by container {holder[:12]}",
            hint=f"remove that container (corten rm {holder[:12]}) or choose another name",
        )
        self.holder = holder


class ContainerRecord(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a container was asked to be.

    ``image`` is the name it was created from, ``image_id`` its config's digest;
    ``created`` seconds since the epoch; ``snapshot`` the key of its file system;
    ``ports`` as asked for (a host port 0 is chosen at each start); ``anonymous``
    names of volumes that go with the container.
    """

    id: str
    name: str
    process: Process
    image: str = ""
    image_id: str = ""
    manifest: str = ""
    created: float = 0.0
    snapshot: str = ""
    driver: str = ""
    binds: tuple[Bind, ...] = ()
    anonymous: tuple[str, ...] = ()
    network: str = "bridge"
    ports: tuple[PublishedPort, ...] = ()
    hostname: str = ""
    interactive: bool = False
    readonly: bool = False
    privileged: bool = False
    init: bool = False
    auto_remove: bool = False
    stop_signal: str = "SIGTERM"
    stop_timeout: int = 10
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    capabilities: tuple[str, ...] | None = None
    memory: int = 0
    cpus: float = 0.0
    pids: int = 0

    @property
    def short_id(self) -> str:
        """The first twelve digits of the id: what people see."""
        return self.id[:12]


class ContainerStore:
    """All containers of the root directory `root`.  Safe between threads and processes."""

    def __init__(self, root: Path) -> None:
        self.path = root / "containers"

    def directory(self, container: str) -> Path:
        """Where the container of this full id keeps its files."""
        return self.path / container

    def create(self, record: ContainerRecord) -> ContainerRecord:
        """Keep a new container; returns it with id, name and time filled in where empty.

        Raises: NameTaken (Conflict); Invalid: the name breaks the rules.
        """
        identity = record.id or os.urandom(32).hex()
        record = msgspec.structs.replace(
            record,
            id=identity,
            created=record.created or time.time(),
            snapshot=record.snapshot or identity,
        )
        directory = self.directory(identity)
        try:
            # Before the name is taken: a name whose directory is not there was left by a crash.
            directory.mkdir(mode=0o700, parents=True)
        except FileExistsError:
            raise Conflict(f"there is a container {identity[:12]} already") from None
        try:
            record = msgspec.structs.replace(record, name=self._take_name(record.name, identity))
            self._write(record)
        except BaseException:
            self._release_name(record.name, identity)
            _remove_tree(directory)
            raise
        return record

    def get(self, reference: str) -> ContainerRecord:
        """The container with this id, unique beginning of an id, or name.

        Raises: NotFound; Conflict: several ids begin so.
        """
        if _ID.fullmatch(reference) and (record := self._read(reference)):
            return record
        named = self._holder(reference)
        if named and (record := self._read(named)):
            return record
        matching = [i for i in self._ids() if i.startswith(reference)] if reference else []
        if len(matching) > 1:
            raise Conflict(
                f"{reference!r} is the beginning of {len(matching)} container ids",
                hint="give more digits",
            )
        if matching and (record := self._read(matching[0])):
            return record
        raise NotFound(f"no container {reference!r}", hint="corten ps -a lists all")

    def walk(
        self, unreadable: Callable[[Corrupt], object] | None = None
    ) -> Iterator[ContainerRecord]:
        """All containers, newest first.

        Raises: Corrupt: a record is damaged, unless `unreadable` takes what is wrong: then the
        others are all.  Who deletes what no container needs has to know every one.
        """
        records = []
        for identity in self._ids():
            try:
                record = self._read(identity)
            except Corrupt as error:
                if unreadable is None:
                    raise
                unreadable(error)
            else:
                records += [record] if record is not None else []
        yield from sorted(records, key=lambda record: record.created, reverse=True)

    def rename(self, record: ContainerRecord, name: str) -> ContainerRecord:
        """Give a container another name.  Raises: NameTaken, Invalid."""
        renamed = msgspec.structs.replace(record, name=self._take_name(name, record.id))
        self._write(renamed)
        self._release_name(record.name, record.id)
        return renamed

    def update(self, record: ContainerRecord) -> None:
        """Replace what is kept of an existing container."""
        self._write(record)

    def remove(self, record: ContainerRecord) -> None:
        """Forget a container and all its files; nothing to do if it is gone."""
        directory = self.directory(record.id)
        # Without its record it is no container any more, whatever stops us next.
        (directory / "record.json").unlink(missing_ok=True)
        self._release_name(record.name, record.id)
        # Under another name nobody puts a file into it meanwhile (flock(1) makes what it locks).
        doomed = directory.with_name(f"{_DOOMED}{record.id}")
        with contextlib.suppress(OSError):
            directory.rename(doomed)
        _remove_tree(doomed)
        _remove_tree(directory)

    def remains(self) -> list[Path]:
        """Directories of containers that are half made or half removed, now."""
        if not self.path.is_dir():
            return []
        made = (self.directory(i) for i in self._ids())
        return [*self.path.glob(f"{_DOOMED}*"), *(d for d in made if not _has_record(d))]

    def sweep(self, remains: Iterable[Path]) -> int:
        """Remove what killed commands left, and names without a container; returns how many.

        The `remains` were listed before it was known that nobody makes a container.
        """
        count = 0
        for directory in remains:
            if not _has_record(directory):
                _remove_tree(directory)
                count += 1
        for entry in (self.path / _NAMES).glob("*"):
            # A container takes its name when it has its directory.
            if not self.directory(self._holder(entry.name)).exists():
                entry.unlink(missing_ok=True)
        return count

    @contextlib.contextmanager
    def locked(self, container: str) -> Iterator[None]:
        """Alone with the container of this full id: starts, stops and removals take turns.

        Raises: NotFound: it is gone.
        """
        with _lock(self.directory(container)):
            yield

    def _take_name(self, name: str, identity: str) -> str:
        names = self.path / _NAMES
        names.mkdir(parents=True, exist_ok=True)
        if name:
            return self._claim(check_name(name), identity)
        for attempt in range(100):
            with contextlib.suppress(NameTaken):
                return self._claim(friendly_name(attempt), identity)
        raise Conflict("no free name found", hint="give one with --name")

    def _claim(self, name: str, identity: str) -> str:
        """Make the name's entry: a symbolic link to the id, which is made whole or not at all."""
        entry = self.path / _NAMES / name
        for _ in range(2):
            try:
                entry.symlink_to(identity)
            except FileExistsError:
                holder = self._holder(name)
                if holder and self.directory(holder).exists():
                    raise NameTaken(name, holder) from None
                # Left by a create that was killed before it made its directory.
                entry.unlink(missing_ok=True)
            else:
                return name
        raise NameTaken(name, self._holder(name))

    def _holder(self, name: str) -> str:
        if "/" in name or "\0" in name:
            return ""
        try:
            return str((self.path / _NAMES / name).readlink())
        except OSError:
            return ""

    def _release_name(self, name: str, identity: str) -> None:
        if self._holder(name) == identity:
            (self.path / _NAMES / name).unlink(missing_ok=True)

    def _ids(self) -> list[str]:
        try:
            with os.scandir(self.path) as entries:
                return [entry.name for entry in entries if _ID.fullmatch(entry.name)]
        except FileNotFoundError:
            return []

    def _read(self, identity: str) -> ContainerRecord | None:
        try:
            raw = (self.directory(identity) / "record.json").read_bytes()
        except FileNotFoundError:
            return None
        try:
            return msgspec.json.decode(raw, type=ContainerRecord)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Corrupt(
                f"the record of container {identity[:12]} is damaged: {error}",
                hint="corten system check --repair moves it out of the way",
            ) from None

    def _write(self, record: ContainerRecord) -> None:
        write_json(self.directory(record.id) / "record.json", record)


def _remove_tree(directory: Path) -> None:
    import shutil  # and the three compressions that it knows: not for commands that only look

    shutil.rmtree(directory, ignore_errors=True)


def _has_record(directory: Path) -> bool:
    return (directory / "record.json").exists()


def write_json(path: Path, value: Any) -> None:
    """Replace the file at `path` by `value` as JSON: whole or not at all, also after a crash."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(value), indent=1))
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


@contextlib.contextmanager
def _lock(directory: Path) -> Iterator[None]:
    """Hold the directory's lock.  Raises: NotFound: it is not, or no longer, there."""
    missing = NotFound(f"no container {directory.name[:12]!r}", hint="corten ps -a lists all")
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise missing from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink == 0:
            raise missing
        yield
    finally:
        os.close(fd)
