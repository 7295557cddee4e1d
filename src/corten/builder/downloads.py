"""ADD of a URL: the content, fetched anew only where the server says it changed.

Spec: Dockerfile reference, "Adding files from a URL".
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple
from urllib.parse import unquote, urlsplit

from corten.archive.compression import PIECE
from corten.archive.expansion import TooLarge
from corten.builder.archives import NewFile
from corten.builder.cache import BuildCache, Download
from corten.builder.git_url import public
from corten.config.limits import layer_limit
from corten.content.ingest import storage_error
from corten.errors import Corrupt, CortenError, Denied, Invalid, NotFound, Unavailable
from corten.events.job import Job
from corten.remote.arriving import Arriving
from corten.remote.proxies import pool_for, proxy_for

_CHECKSUM = "sha256:"
_PRINTABLE = re.compile(r"[\x20-\x7e]+")
_TIMEOUT = 60.0
_REDIRECTS = 10
_CONDITIONS = frozenset({"If-None-Match", "If-Modified-Since"})


def _no_secret(name: str) -> None:
    return None


class Means(NamedTuple):
    """What ADD works with: what is known of URLs, temporary files, this process's environment.

    ``folder`` is ROOT/cache.  ``secret`` gives a secret's value by its name, ``agent`` the
    socket of the SSH agent that the build was given (empty: none).
    """

    cache: BuildCache
    new_file: NewFile
    environ: Mapping[str, str]
    folder: Path = Path()
    secret: Callable[[str], bytes | None] = _no_secret
    agent: Callable[[], str] = str


class Asked(NamedTuple):
    """A URL, and what its content must have as its checksum (``sha256:…``; empty: any will do)."""

    url: str
    checksum: str = ""


class Fetched(NamedTuple):
    """What a URL gave: SHA-256 (hex), modification time (Unix seconds; 0: unknown).

    ``file`` is the content, at its beginning; None where it is as it was and not asked for.
    """

    digest: str
    modified: int
    file: BinaryIO | None


def url_name(url: str) -> str:
    """The file name in a URL.  Raises: Invalid: it has none."""
    name = posixpath.basename(unquote(urlsplit(url).path))
    if name in ("", ".", "..") or "\0" in name:
        raise Invalid(f"{url} has no file name at its end", hint="name the file in the destination")
    return name


def look(asked: Asked, means: Means, job: Job) -> Fetched:
    """The digest of what is at a URL now, without fetching it again where it did not change.

    With a checksum nothing is asked: it is the digest.  Raises: as `fetch`.
    """
    if asked.checksum:
        return Fetched(asked.checksum.removeprefix(_CHECKSUM), 0, None)
    known = means.cache.download(public(asked.url))
    headers: dict[str, str] = {}
    if known is not None and known.etag:
        headers["If-None-Match"] = known.etag
    elif known is not None and known.modified:
        headers["If-Modified-Since"] = known.modified
    if known is None or not headers:
        return fetch(asked, means, job)
    with _Request(asked.url, headers | _authorization(asked.url, means), means.environ) as answer:
        if answer.status == 304:
            return Fetched(known.digest, _seconds(known.modified), None)
    return fetch(asked, means, job)


def fetch(asked: Asked, means: Means, job: Job) -> Fetched:
    """What is at a URL now, in a temporary file that the caller closes.

    Raises: NotFound, Denied, Unavailable (also: it ended early), Invalid; TooLarge;
    Corrupt: its checksum is another.
    """
    url = public(asked.url)
    file = means.new_file()
    try:
        with _Request(asked.url, _authorization(asked.url, means), means.environ) as answer:
            digest = _receive(answer, file, layer_limit(means.environ), job)
            modified = answer.headers.get("Last-Modified", "")
            etag = answer.headers.get("ETag", "")
        if asked.checksum not in ("", f"{_CHECKSUM}{digest}"):
            raise Corrupt(
                f"{url} has the checksum {_CHECKSUM}{digest}, not {asked.checksum}",
                hint="if the new content is the right one, change --checksum",
            )
        os.lseek(file.fileno(), 0, os.SEEK_SET)
    except BaseException:
        file.close()
        raise
    means.cache.downloaded(url, Download(etag, modified, digest))
    return Fetched(digest, _seconds(modified), file)


def _authorization(url: str, means: Means) -> dict[str, str]:
    """What opens the URL: a secret of the build, or the name and password in it.

    Redirects to other hosts do not get it.
    """
    _check(public(url))
    login, _, host = urlsplit(url).netloc.rpartition("@")
    for name, scheme in ((f"HTTP_AUTH_HEADER_{host}", ""), (f"HTTP_AUTH_TOKEN_{host}", "Bearer ")):
        value = means.secret(name)
        if value is None:
            continue
        text = value.strip().decode("latin-1")
        if not _PRINTABLE.fullmatch(text):
            raise Invalid(f"the secret {name} cannot stand in a header", hint="it must be one line")
        return {"Authorization": f"{scheme}{text}"}
    if login:
        return {"Authorization": f"Basic {b64encode(unquote(login).encode()).decode()}"}
    return {}


def _receive(answer: _Request, file: BinaryIO, limit: int, job: Job) -> str:
    """Write the content of an answer to a file; returns its SHA-256 (hex)."""
    total = answer.headers.get("Content-Length", "")
    size = int(total) if total.isascii() and total.isdigit() and len(total) < 20 else None
    hasher = hashlib.sha256(usedforsecurity=False)
    received = 0
    try:
        with job.step("download", answer.url, size) as child:
            while received <= limit >= (size or 0) and (piece := answer.read(PIECE)):
                hasher.update(piece)
                file.write(piece)
                received += len(piece)
                child.advance(len(piece))
            if max(received, size or 0) > limit:
                raise TooLarge(
                    f"{answer.url} has more than {limit} bytes",
                    hint="if it is trusted, set CORTEN_LAYER_LIMIT to more (64G, for example)",
                )
        file.flush()
    except OSError as error:
        raise storage_error(error, f"download {answer.url}") from error
    return hasher.hexdigest()


class _Request:
    """A GET; closes what it opened.  Errors name the URL."""

    def __init__(self, url: str, headers: dict[str, str], environ: Mapping[str, str]) -> None:
        import urllib3

        self.url = url = public(url)
        _check(url)
        self.conditional = not _CONDITIONS.isdisjoint(headers)
        self.errors = urllib3.exceptions.HTTPError
        proxy = proxy_for(url, environ)
        bundle = environ.get("SSL_CERT_FILE") or None
        timeout = urllib3.Timeout(connect=_TIMEOUT, read=_TIMEOUT)
        retries = urllib3.Retry(2, redirect=_REDIRECTS, backoff_factor=0.2)
        self.pool = pool_for(proxy, ca_certs=bundle)
        self.headers_sent = {"User-Agent": "corten", "Accept-Encoding": "identity", **headers}
        try:
            self.response = self.pool.request(
                "GET",
                url,
                headers=self.headers_sent,
                preload_content=False,
                timeout=timeout,
                retries=retries,
            )
        except ValueError as error:  # it, or what it redirects to, is no URL
            self.pool.clear()
            raise Invalid(f"cannot fetch {url}: {public(str(error))}") from None
        except self.errors as error:
            self.pool.clear()
            raise Unavailable(f"cannot fetch {url}: {_reason(error)}") from None
        self.body = Arriving(self.response)
        self.status = self.response.status
        self.headers = self.response.headers

    def read(self, size: int) -> bytes:
        try:
            return self.body.read(size)
        except self.errors as error:
            reason = _reason(error)
            raise Unavailable(f"cannot fetch {self.url}: it broke off: {reason}") from None

    def __enter__(self) -> _Request:
        problem = _problem(self.url, self.status, self.conditional)
        if problem is not None:
            self.__exit__()
            raise problem
        return self

    def __exit__(self, *details: object) -> None:
        self.response.release_conn()
        self.response.close()
        self.pool.clear()


def _check(url: str) -> None:
    """Raises: Invalid: the URL's host or port cannot be."""
    try:
        host, _ = urlsplit(url).hostname, urlsplit(url).port
    except ValueError:
        host = None
    if not host:
        raise Invalid(f"{url} is no URL: its host or port is malformed")


def _reason(error: BaseException) -> str:
    """What went wrong, without the names of Python objects that urllib3 wraps around it."""
    inner = getattr(error, "reason", None) or error.__cause__
    if isinstance(inner, BaseException):
        return _reason(inner)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error).rpartition(">: ")[2]


def _problem(url: str, status: int, conditional: bool) -> CortenError | None:
    if status == 200 or (status == 304 and conditional):
        return None
    if status in (404, 410):
        return NotFound(f"cannot fetch {url}: the server answers {status}, not there")
    if status in (401, 403):
        return Denied(f"cannot fetch {url}: the server answers {status}, not allowed")
    return Unavailable(f"cannot fetch {url}: the server answers {status}")


def _seconds(date: str) -> int:
    try:
        return max(0, int(parsedate_to_datetime(date).timestamp()))
    except (ValueError, TypeError, OverflowError):
        return 0
