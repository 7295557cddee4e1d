"""ADD of a URL: the content, fetched anew only where the server says it changed.

Spec: Dockerfile reference, "Adding files from a URL".
"""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import BinaryIO, NamedTuple
from urllib.parse import unquote, urlsplit

from corten.archive.compression import PIECE
from corten.builder.archives import NewFile
from corten.builder.cache import BuildCache, Download
from corten.errors import CortenError, Denied, Invalid, NotFound, Unavailable
from corten.events.job import Job
from corten.remote.proxies import proxy_for

_TIMEOUT = 60.0
_REDIRECTS = 10


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


def look(
    url: str, cache: BuildCache, new_file: NewFile, environ: Mapping[str, str], job: Job
) -> Fetched:
    """The digest of what is at `url` now, without fetching it again where it did not change.

    Raises: NotFound, Denied, Unavailable, Invalid.
    """
    known = cache.download(url)
    asked: dict[str, str] = {}
    if known is not None and known.etag:
        asked["If-None-Match"] = known.etag
    elif known is not None and known.modified:
        asked["If-Modified-Since"] = known.modified
    if known is None or not asked:
        return fetch(url, cache, new_file, environ, job)
    with _Request(url, asked, environ) as answer:
        if answer.status == 304:
            return Fetched(known.digest, _seconds(known.modified), None)
    return fetch(url, cache, new_file, environ, job)


def fetch(
    url: str, cache: BuildCache, new_file: NewFile, environ: Mapping[str, str], job: Job
) -> Fetched:
    """What is at `url` now, in a temporary file that the caller closes.

    Raises: NotFound, Denied, Unavailable (also: it ended early), Invalid.
    """
    file = new_file()
    try:
        with _Request(url, {}, environ) as answer:
            total = answer.headers.get("Content-Length", "")
            hasher = hashlib.sha256(usedforsecurity=False)
            size = int(total) if total.isascii() and total.isdigit() else None
            with job.step("download", url, size) as child:
                while piece := answer.read(PIECE):
                    hasher.update(piece)
                    file.write(piece)
                    child.advance(len(piece))
            modified = answer.headers.get("Last-Modified", "")
            etag = answer.headers.get("ETag", "")
        file.flush()
        os.lseek(file.fileno(), 0, os.SEEK_SET)
    except BaseException:
        file.close()
        raise
    digest = hasher.hexdigest()
    cache.downloaded(url, Download(etag, modified, digest))
    return Fetched(digest, _seconds(modified), file)


class _Request:
    """A GET; closes what it opened.  Errors name the URL."""

    def __init__(self, url: str, headers: dict[str, str], environ: Mapping[str, str]) -> None:
        import urllib3

        self.url = url
        self.errors = urllib3.exceptions.HTTPError
        proxy = proxy_for(url, environ)
        bundle = environ.get("SSL_CERT_FILE") or None
        timeout = urllib3.Timeout(connect=_TIMEOUT, read=_TIMEOUT)
        retries = urllib3.Retry(2, redirect=_REDIRECTS, backoff_factor=0.2)
        self.pool: urllib3.PoolManager = (
            urllib3.ProxyManager(proxy, ca_certs=bundle)
            if proxy
            else urllib3.PoolManager(ca_certs=bundle)
        )
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
        except self.errors as error:
            self.pool.clear()
            raise Unavailable(f"cannot fetch {url}: {_reason(error)}") from None
        self.status = self.response.status
        self.headers = self.response.headers

    def read(self, size: int) -> bytes:
        try:
            return self.response.read(size)
        except self.errors as error:
            reason = _reason(error)
            raise Unavailable(f"cannot fetch {self.url}: it broke off: {reason}") from None

    def __enter__(self) -> _Request:
        problem = _problem(self.url, self.status)
        if problem is not None:
            self.__exit__()
            raise problem
        return self

    def __exit__(self, *details: object) -> None:
        self.response.release_conn()
        self.response.close()
        self.pool.clear()


def _reason(error: BaseException) -> str:
    """What went wrong, without the names of Python objects that urllib3 wraps around it."""
    inner = getattr(error, "reason", None) or error.__cause__
    if isinstance(inner, BaseException):
        return _reason(inner)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error).rpartition(">: ")[2]


def _problem(url: str, status: int) -> CortenError | None:
    if status in (200, 304):
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
