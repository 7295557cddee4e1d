"""Sending a layer while it is compressed, to a registry that takes blobs before their digests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from corten.content.protocols import Ingest, Streams
from corten.errors import Cancelled, CortenError, Denied
from corten.events.job import Job
from corten.oci.digest import Digest


class Outgoing:
    """A blob on its way to a registry while it is made.

    A registry that fails meanwhile does not stop the making: the blob is sent again when it
    is whole, by :func:`~corten.content.copy.copy`, which tries several times, goes on from
    what arrived, and says what is wrong.  Only Denied is raised at once.
    """

    def __init__(self, upload: Ingest) -> None:
        self._upload = upload
        self._failed = False

    def write(self, data: bytes) -> None:
        """The next bytes; waits while the registry is slower.  Raises: Denied."""
        if self._failed:
            return
        try:
            self._upload.write(data)
        except (Cancelled, Denied):
            raise
        except CortenError:
            self._failed = True

    def commit(self, digest: Digest) -> bool:
        """There is no more, and this is what it was.  Whether the registry has it; raises: Denied."""
        try:
            # Also after a failure: what may go on later learns whose upload it is.
            with self._upload:
                self._upload.commit(digest)
        except (Cancelled, Denied):
            raise
        except CortenError:
            return False
        return not self._failed


@contextmanager
def outgoing(sink: Streams, job: Job) -> Iterator[Outgoing]:
    """An upload for the block; leaving it without commit gives it up.

    Raises: what the registry says to its beginning; Unavailable only after several tries.
    """
    from corten.content.retry import retrying  # not needed where everything is there

    with retrying(sink.stream, job.check, lambda: 0) as upload:
        yield Outgoing(upload)
