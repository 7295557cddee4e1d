"""What is crashed: command lines, each with the stock that it needs and what it promises.

They run in this process, through the same function as the console script: after a fork
nothing has to be imported again.  Each may be given again after a crash.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

from corten.builder.copy_apart import MANY
from corten.cli.entry import main
from corten.content.layout import OCILayout
from corten.engine import containers
from corten.engine.host import Host
from corten.errors import NotFound
from corten.oci.digest import Digest
from support.crash_store import BASE, VICTIM, Place, saved


def command(place: Place, *arguments: str) -> str:
    """What ``corten ARGUMENTS`` says; it must end well."""
    os.environ["CORTEN_ROOT"] = str(place.root)
    said = io.StringIO()
    before, sys.argv = sys.argv, ["corten", *arguments]
    try:
        # Not to a file: what is said is no change, so no point to be killed at.
        with redirect_stdout(said), redirect_stderr(said):
            status = main()
    finally:
        sys.argv = before
    assert status == 0, f"corten {' '.join(arguments)} ended with {status}: {said.getvalue()}"
    return said.getvalue()


def pull(place: Place) -> None:
    """Bring the newer image of a name that is there."""
    command(place, "pull", place.thing)


def build_copy(place: Place) -> None:
    """A build of COPY and WORKDIR."""
    command(place, "build", "-t", "copy:1", str(place.folder / "copy"))


def build_run(place: Place) -> None:
    """A build with RUN between others."""
    command(place, "build", "-t", "run:1", str(place.folder / "run"))


def build_many(place: Place) -> None:
    """A build whose COPY is large enough to be made in two processes."""
    command(place, "build", "-t", "many:1", str(place.folder / "many"))


def load(place: Place) -> None:
    """Load an archive."""
    command(place, "load", "-i", str(place.folder / "archive.tar"))


def rmi(place: Place) -> None:
    """Remove an image, which collects; nothing to do but that if it is gone."""
    with Host.open(place.root) as host:
        there = VICTIM in host.store.names()
    if there:
        command(place, "rmi", "victim:1")
    else:
        gc(place)


def gc(place: Place) -> None:
    """Collect all that nothing holds."""
    command(place, "gc", "--grace", "0")


def run(place: Place) -> None:
    """Run a container to its end and remove it."""
    command(place, "run", "--rm", "--network", "none", "box:1", "sh", "-c", "echo hello")


def push(place: Place) -> None:
    """Compress layers and send them."""
    command(place, "push", place.pushed)


def copy(place: Place) -> None:
    """Compress layers and put them into a layout that has others, and an older one of the name."""
    command(place, "copy", place.pushed, f"oci:{place.layout}:app")


def save(place: Place) -> None:
    """Write an archive in the place of an older one."""
    command(place, "save", "-o", str(place.archive), place.pushed)


def prune(place: Place) -> None:
    """Remove a stopped container, an image without a name, and what nothing needs."""
    command(place, "system", "prune", "--force")


def repair(place: Place) -> None:
    """Mend what is damaged."""
    command(place, "system", "check", "--repair")


def rebuild(place: Place) -> None:
    """Mend a store whose catalog cannot be read."""
    command(place, "system", "check", "--repair")


def remove_containers(place: Place) -> None:
    """Remove every container that `ps` shows."""
    with Host.open(place.root) as host:
        for row in containers.containers(host, everything=True):
            containers.remove(host, row.record.id, force=True, volumes=True)


# What the stock needs besides.


def _outgoing(place: Place) -> None:
    """An image with layers that were never compressed; older ones in the layout and the archive."""
    command(place, "build", "-t", place.pushed, str(place.folder / "copy"))
    command(place, "copy", "victim:1", f"oci:{place.layout}:other")
    command(place, "copy", "base:1", f"oci:{place.layout}:app")
    command(place, "save", "-o", str(place.archive), "base:1")


def _many(place: Place) -> None:
    """A context with more files than one process copies."""
    context = place.folder / "many"
    for number in range(MANY + 500):
        file = context / "tree" / str(number // 500) / f"file{number}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{number}\n" * 20)
    (context / "Dockerfile").write_text("FROM base:1\nCOPY tree /tree\n")


def _unneeded(place: Place) -> None:
    command(place, "create", "--name", "stopped", "base:1", "true")
    with Host.open(place.root) as host:
        host.store.untag(VICTIM)


def _damaged(place: Place) -> None:
    """Every kind of damage that is mended from what is left, and things of dead commands."""
    with Host.open(place.root) as host:
        blobs = host.store.blobs
        shared, own = _layers(host, VICTIM)
        blobs.file(own).unlink()
        driver = place.root / "layers" / "erofs"
        _flip(driver / shared.encoded / "index")
        _flip(blobs.file(blobs.put(b"unneeded " * 100).digest))
        with host.store.catalog.change() as change:
            change.execute(
                "DELETE FROM images WHERE digest IN (SELECT digest FROM names WHERE name = ?)",
                (BASE,),
            )
            change.execute("INSERT INTO facts VALUES ('origin', ?, 'nowhere')", (Digest.of(b""),))
            change.execute("INSERT INTO leases VALUES ('dead', 1, 2)")
    (driver / ".new-dead").mkdir()
    (driver / ".new-dead" / "index").write_bytes(b"half")
    (place.root / "content" / "ingest" / "dead.new").write_bytes(b"half")
    (place.root / "content" / "index.json").unlink()


def _layers(host: Host, name: str) -> tuple[Digest, ...]:
    manifest = json.loads(host.store.blobs.read(host.store.resolve(name).digest, 1 << 20))
    config = json.loads(host.store.blobs.read(Digest(manifest["config"]["digest"]), 1 << 20))
    return tuple(map(Digest, config["rootfs"]["diff_ids"]))


def _flip(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(100)
        byte = file.read(1)[0]
        file.seek(100)
        file.write(bytes([byte ^ 0xFF]))


def _unreadable(place: Place) -> None:
    file = place.root / "catalog.db"
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with file.open("r+b") as raw:
        raw.write(bytes(4096))


# What must be once it has ended well.


def _is_pushed(place: Place) -> Iterator[str]:
    with Host.open(place.root) as host:
        known = host.store.repo_digests(_image_id(host, place.pushed))
    status, headers, _ = registry(place, "HEAD", "manifests/1")
    digest = headers.get("docker-content-digest")
    if known != (f"{place.registry}/{place.repository}@{digest}",):
        yield f"the registry has {digest} ({status}), the store knows of {known}"


def _image_id(host: Host, name: str) -> Digest:
    """The ID of a named image."""
    manifest = json.loads(host.store.blobs.read(host.store.resolve(name).digest, 1 << 20))
    return Digest(manifest["config"]["digest"])


def _is_copied(place: Place) -> Iterator[str]:
    with Host.open(place.root) as host:
        wanted = _image_id(host, place.pushed)
    layout = OCILayout(place.layout)
    try:
        manifest = json.loads(layout.blobs.read(layout.resolve("app").digest, 1 << 20))
    except NotFound as error:
        yield f"not in the layout: {error}"
        return
    if manifest["config"]["digest"] != wanted:
        yield f"the layout has {manifest['config']['digest']}, not {wanted}"


def _is_saved(place: Place) -> Iterator[str]:
    with Host.open(place.root) as host:
        if saved(host, place.pushed) != place.archive.read_bytes():
            yield "the archive is the older one"


def _is_whole(place: Place) -> Iterator[str]:
    try:
        command(place, "system", "check")
    except AssertionError as error:
        yield str(error)


def registry(place: Place, method: str, what: str) -> tuple[int, dict[str, str], bytes]:
    """Status, header fields and body of an answer about the repository that is pushed to."""
    connection = http.client.HTTPConnection(place.registry, timeout=60)
    with closing(connection):
        connection.request(method, f"/v2/{place.repository}/{what}")
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, headers, answer.read()


def _unpush(place: Place) -> None:
    """Let the registry know nothing of the pushed image any more."""
    status, headers, raw = registry(place, "GET", "manifests/1")
    if status == 404:
        return
    manifest = json.loads(raw)
    gone = [f"manifests/{headers['docker-content-digest']}"]
    gone += [f"blobs/{child['digest']}" for child in (manifest["config"], *manifest["layers"])]
    for what in gone:
        status, _, raw = registry(place, "DELETE", what)
        assert status == 202, raw


class Operation(NamedTuple):
    """A command line.

    ``prepare`` adds to the stock, ``reset`` undoes before each run what is neither in the root
    nor beside it, ``done`` says what is wrong once it has ended well.
    """

    run: Callable[[Place], object]
    prepare: Callable[[Place], None] | None = None
    reset: Callable[[Place], None] = lambda place: None
    done: Callable[[Place], Iterator[str]] = lambda place: iter(())


OPERATIONS = {
    "pull": Operation(pull),
    "build_copy": Operation(build_copy),
    "build_run": Operation(build_run),
    "build_many": Operation(build_many, _many),
    "load": Operation(load),
    "rmi": Operation(rmi),
    "gc": Operation(gc),
    "run": Operation(run),
    "push": Operation(push, _outgoing, _unpush, _is_pushed),
    "copy": Operation(copy, _outgoing, done=_is_copied),
    "save": Operation(save, _outgoing, done=_is_saved),
    "prune": Operation(prune, _unneeded),
    "repair": Operation(repair, _damaged, done=_is_whole),
    "rebuild": Operation(rebuild, _unreadable, done=_is_whole),
}
