"""The implementations that the Source/Sink contract suite runs over.

To add one: a function that takes a scratch directory and is a context manager
yielding an :class:`End`, under a name in ``FACTORIES``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from obstore.store import MemoryStore as ObjectsInMemory

from corten.content.archive_writer import ArchiveSink, Form
from corten.content.buckets import Bucket
from corten.content.docker_archive import open_archive
from corten.content.layout import OCILayout
from corten.content.local import LocalStore
from corten.content.memory import MemoryStore
from corten.content.protocols import Sink, Source
from corten.content.tar_files import TarFiles
from corten.events.job import Job
from corten.oci.reference import Reference
from corten.remote.registries import Registries
from support.registry_server import ServerProcess, corten_registry, docker_registry


@dataclass
class End:
    """Something under test: what goes into ``sink`` comes out of what ``source()`` returns.

    ``name`` is a name that can be tagged in ``sink`` and resolved in the source.
    ``exact``: manifests come out as they went in.  ``resumes``: an ingest that was
    cut off goes on.  ``readable``: blobs can be read before a root was tagged.
    ``sparse``: an index may lack some of the manifests it lists.
    """

    sink: Sink
    source: Callable[[], Source]
    name: str = "docker.io/example/thing:1"
    exact: bool = True
    resumes: bool = False
    readable: bool = True
    sparse: bool = True


Factory = Callable[[Path], AbstractContextManager[End]]


@contextmanager
def _local(scratch: Path) -> Iterator[End]:
    with LocalStore(scratch / "root") as store:
        yield End(store, lambda: store, resumes=True)


@contextmanager
def _memory(scratch: Path) -> Iterator[End]:
    store = MemoryStore()
    yield End(store, lambda: store)


@contextmanager
def _layout(scratch: Path) -> Iterator[End]:
    layout = OCILayout(scratch / "layout")
    yield End(layout, lambda: layout, resumes=True)


@contextmanager
def _bucket(scratch: Path) -> Iterator[End]:
    bucket = Bucket(ObjectsInMemory(), "memory")
    yield End(bucket, lambda: bucket)


def _archive(form: Form) -> Factory:
    @contextmanager
    def make(scratch: Path) -> Iterator[End]:
        spool, file = scratch / "spool", scratch / "archive.tar"
        spool.mkdir()
        sink = ArchiveSink(spool, form)
        with ExitStack() as opened:

            def source() -> Source:
                with file.open("wb") as out:
                    sink.finish(out.write, Job())
                stream = opened.enter_context(file.open("rb"))
                return open_archive(TarFiles(stream.fileno(), file.name))

            yield End(sink, source, resumes=True, readable=False)

    return make


def _remote(serve: Callable[[Path], AbstractContextManager[ServerProcess]]) -> Factory:
    @contextmanager
    def make(scratch: Path) -> Iterator[End]:
        with serve(scratch / "registry") as server, Registries({}) as registries:
            reference = Reference.parse(f"{server.host}/example/thing:v1")
            actions = ("pull", "push")
            sink = registries.open(reference, actions)
            yield End(sink, lambda: registries.open(reference), name="v1", sparse=False)

    return make


FACTORIES: dict[str, Factory] = {
    "local": _local,
    "memory": _memory,
    "layout": _layout,
    "bucket": _bucket,
    "docker-archive": _archive("docker"),
    "oci-archive": _archive("oci"),
    "remote": _remote(corten_registry),
    "remote-docker-registry": _remote(docker_registry),
}
