from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from corten.content.ingest import StorageFull, storage_error
from corten.errors import Unavailable

# A file size limit fails writes as a full disk does, without root.
_LIMITED = """
import pathlib, resource, sys
from corten.content.blobs import BlobDirectory
from corten.content.ingest import StorageFull
from corten.oci.descriptor import describe
blobs = BlobDirectory(pathlib.Path(sys.argv[1]))
data = b"x" * 3_000_000
blobs.prepare()
resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))
for descriptor in (describe(data, "x"), None):
    try:
        with blobs.ingest(descriptor) as ingest:
            for at in range(0, len(data), 1_000_000):
                ingest.write(data[at : at + 1_000_000])
        print("no error")
    except StorageFull as error:
        print(error.message, "|", error.hint)
print(sorted((p.name[-5:], p.stat().st_size) for p in (blobs.path / "ingest").iterdir()))
print(list(blobs.walk()))
"""


def test_a_full_disk_is_said_and_keeps_only_what_was_whole(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{_LIMITED}", tmp_path],
        capture_output=True,
        text=True,
        check=True,
    )
    first, second, files, blobs = done.stdout.splitlines()
    assert first == second
    assert first.startswith("cannot write a blob: File too large | free some space")
    assert files == "[('.part', 1000000)]"
    assert blobs == "[]"


def test_a_full_disk_is_told_from_other_trouble() -> None:
    assert isinstance(storage_error(OSError(28, "No space left"), "x"), StorageFull)
    other = storage_error(OSError(5, "Input/output error"), "write a blob")
    assert type(other) is Unavailable
    assert other.message == "cannot write a blob: Input/output error"


def test_a_store_in_an_impossible_place_is_unavailable(tmp_path: Path) -> None:
    from corten.content.blobs import BlobDirectory

    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable):
        BlobDirectory(tmp_path / "file" / "content").ingest()
