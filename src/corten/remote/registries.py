"""Registries by host, and repositories by reference: where a pull or push begins."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping

from corten.oci.reference import Reference
from corten.remote import credentials
from corten.remote.repository import RemoteRepository
from corten.remote.transport import Transport
from corten.wire import client
from corten.wire.challenge import CATALOG_SCOPE
from corten.wire.dialogue import Credentials


class Registry:
    """One registry.  Thread-safe; repositories of one `Registry` share its connections and tokens."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    @property
    def host(self) -> str:
        """``host[:port]`` as references write it."""
        return self.transport.host

    def repository(self, name: str, actions: tuple[str, ...] = ("pull",)) -> RemoteRepository:
        """A repository; `actions` is what is going to be done there (pull, push, delete)."""
        return RemoteRepository(self.transport, name, actions)

    def ping(self) -> None:
        """Raises: NotFound: no registry there; Unavailable; Denied."""
        self.transport.run(client.ping())

    def catalog(self) -> Iterator[str]:
        """The names of all repositories that the registry shows, page by page."""
        target = ""
        while True:
            page = self.transport.run(client.list_repositories(target), CATALOG_SCOPE)
            yield from page.names
            if not page.next or page.next == target:
                return
            target = page.next

    def tags(self, repository: str) -> Iterator[str]:
        """The tags of a repository."""
        return self.repository(repository).tags()

    def close(self) -> None:
        """Close idle connections."""
        self.transport.close()


class Registries:
    """All registries that a program talks to, each opened once.  A context manager.

    `insecure` names hosts that may be spoken to in plain http or with a
    certificate nobody vouches for.  `environ` says where credentials and
    proxies are.
    """

    def __init__(self, environ: Mapping[str, str], insecure: frozenset[str] = frozenset()) -> None:
        self._environ = environ
        self._insecure = insecure
        self._lock = threading.Lock()
        self._open: dict[tuple[str, Credentials | None], Registry] = {}

    def registry(self, host: str, repository: str = "") -> Registry:
        """The registry at `host`, with the credentials saved for it (or for `repository` there).

        Raises: Invalid, Unsupported, Unavailable: of the files and helpers that hold credentials.
        """
        known = credentials.find(host, repository, self._environ)
        with self._lock:
            registry = self._open.get((host, known))
            if registry is None:
                transport = Transport(
                    host, known, insecure=host in self._insecure, environ=self._environ
                )
                registry = self._open[host, known] = Registry(transport)
            return registry

    def open(self, reference: Reference, actions: tuple[str, ...] = ("pull",)) -> RemoteRepository:
        """The repository of `reference`; pull or push ``reference.target`` there."""
        registry = self.registry(reference.registry, reference.repository)
        return registry.repository(reference.repository, actions)

    def close(self) -> None:
        """Close all idle connections."""
        with self._lock:
            registries, self._open = list(self._open.values()), {}
        for registry in registries:
            registry.close()

    def __enter__(self) -> Registries:
        return self

    def __exit__(self, *exit_details: object) -> None:
        self.close()
