"""A root that cannot be written is still looked at, also after a power cut."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from corten.content.local import LocalStore
from corten.errors import NotFound
from corten.oci.descriptor import Descriptor
from corten.system.mount import mount_options
from corten.system.namespaces import in_private_mounts

pytestmark = pytest.mark.root

T = TypeVar("T")

MARK = "user.corten.unsettled"
TAR = b"a tar" * 1000


def read_only(root: Path, work: Callable[[], T]) -> T:
    """`work`, for which nothing under `root` can be written."""

    def mounted() -> T:
        mount_options("bind", str(root), str(root), ("ro",))
        return work()

    return in_private_mounts(mounted)


def unsettled(store: LocalStore, left: bytes) -> Descriptor:
    """A derived blob of which a power cut has left these bytes."""
    with store.derive() as ingest:
        ingest.write(TAR)
        blob = ingest.commit()
    file = store.locate(blob)
    file.write_bytes(left)
    os.setxattr(file, MARK, b"an earlier boot")
    return blob


def test_what_a_power_cut_left_whole_can_be_read(tmp_path: Path) -> None:
    with LocalStore(tmp_path) as store:
        blob = unsettled(store, TAR)
        assert read_only(tmp_path, lambda: store.blobs.read(blob.digest, len(TAR))) == TAR
        assert read_only(tmp_path, lambda: store.locate(blob)).name == blob.digest.encoded


def test_what_a_power_cut_spoilt_is_not_there_although_it_cannot_be_removed(
    tmp_path: Path,
) -> None:
    with LocalStore(tmp_path) as store:
        blob = unsettled(store, bytes(len(TAR)))
        with pytest.raises(NotFound):
            read_only(tmp_path, lambda: store.open(blob))
        assert read_only(tmp_path, lambda: store.blobs.size_or_none(blob.digest)) is None
