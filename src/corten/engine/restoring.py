"""A layer's tar made again out of a compressed form of it that is here."""

from __future__ import annotations

from collections.abc import Iterator

from corten.archive.compression import MAGIC, detect, inflater
from corten.content.local import LocalStore
from corten.content.protocols import PIECE
from corten.engine.checking.survey import DIFF_ID, GZIP, gzip_form
from corten.errors import Cancelled, CortenError, Unavailable
from corten.events.job import Job
from corten.oci.digest import Digest


def restore_tar(store: LocalStore, diff_id: Digest) -> bool:
    """Make the blob of a layer's tar again from what the catalog knows to inflate to it.

    A damaged one is replaced at once.  False: nothing here does.  Raises: Unavailable: the disk is full.
    """
    return any(inflate_again(store, packed, diff_id, Job()) for packed in _packed(store, diff_id))


def inflate_again(store: LocalStore, packed: Digest, diff_id: Digest, job: Job) -> bool:
    """Whether the blob `packed` inflates to the tar; then that is in the store afterwards.

    Raises: Unavailable: the disk is full; Cancelled.
    """
    try:
        with store.blobs.open(packed) as file, store.blobs.ingest() as ingest:
            head = file.read(MAGIC)
            stream = inflater(detect(head), ingest.write)
            stream.feed(head)
            while piece := file.read(PIECE):
                job.check()
                stream.feed(piece)
            stream.finish()
            ingest.commit(diff_id)
    except (Unavailable, Cancelled):
        raise
    except CortenError:  # gone, damaged compression, another digest
        return False
    return True


def _packed(store: LocalStore, diff_id: Digest) -> Iterator[Digest]:
    """The compressed forms of a tar that are here."""
    fact = store.recall(GZIP, diff_id)
    form = gzip_form(fact) if fact is not None else None
    known = {form.digest} if form is not None else set()
    rows = store.catalog.rows(
        "SELECT digest FROM facts WHERE kind = ? AND value = ?", DIFF_ID, diff_id
    )
    known.update(Digest(digest) for (digest,) in rows)
    for digest in sorted(known - {diff_id}):
        if store.blobs.size_or_none(digest) is not None:
            yield digest
