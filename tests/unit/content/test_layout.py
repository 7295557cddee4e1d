from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from corten.content.layout import OCILayout
from corten.errors import Invalid, NotFound, Unsupported
from corten.oci import media
from corten.oci.descriptor import describe
from support.contents import plain_image, put


def test_the_directory_is_a_layout_and_nothing_else(tmp_path: Path) -> None:
    layout = OCILayout(tmp_path / "l")
    image = plain_image(layout, b"x")
    layout.tag("latest", image.root)
    assert {p.name for p in layout.path.iterdir()} == {"oci-layout", "index.json", "blobs"}
    assert layout.resolve("latest") == image.root


def test_what_can_be_resumed_stays(tmp_path: Path) -> None:
    layout = OCILayout(tmp_path)
    image = plain_image(layout, b"x")
    wanted = describe(b"0123", media.OCTET_STREAM)
    with layout.ingest(wanted) as ingest:
        ingest.write(b"01")
    layout.tag("latest", image.root)
    with layout.ingest(wanted) as ingest:
        assert ingest.offset == 2


def test_what_killed_copies_left_goes_with_the_next_copy(tmp_path: Path) -> None:
    """Nothing else collects in a layout."""
    layout = OCILayout(tmp_path)
    given_up = describe(b"0123", media.OCTET_STREAM)
    with layout.ingest(given_up) as ingest:
        ingest.write(b"01")
    (partial,) = (tmp_path / "ingest").iterdir()
    os.utime(partial, (1, 1))
    (tmp_path / "ingest" / "0123456789ab.new").write_bytes(b"half")
    layout.tag("latest", plain_image(layout, b"x").root)
    assert not (tmp_path / "ingest").exists()


def test_entries_without_a_name_are_listed_once(tmp_path: Path) -> None:
    layout = OCILayout(tmp_path)
    image = plain_image(layout, b"x")
    layout.tag("", image.root)
    layout.tag("", image.root)
    assert [d.digest for d in layout.roots()] == [image.root.digest]
    assert list(layout.tags()) == []
    assert layout.resolve(image.root.digest) == image.root


def test_other_entries_of_the_index_are_kept(tmp_path: Path) -> None:
    layout = OCILayout(tmp_path)
    one, two = plain_image(layout, b"1"), plain_image(layout, b"2")
    layout.tag("one", one.root)
    index = json.loads((tmp_path / "index.json").read_bytes())
    index["manifests"][0]["annotations"]["vendor"] = "kept"
    (tmp_path / "index.json").write_text(json.dumps(index))
    layout.tag("two", two.root)
    listed = {d.digest: dict(d.annotations) for d in layout.roots()}
    assert listed[one.root.digest]["vendor"] == "kept"
    assert list(layout.tags()) == ["one", "two"]


def test_a_directory_without_a_layout_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no OCI image layout"):
        OCILayout(tmp_path).resolve("latest")
    with pytest.raises(NotFound):
        list(OCILayout(tmp_path / "nowhere").tags())


@pytest.mark.parametrize(
    ("marker", "index", "family"),
    [
        ('{"imageLayoutVersion": "2.0.0"}', "{}", Unsupported),
        ('{"imageLayoutVersion": 1}', "{}", Invalid),
        ("no json", "{}", Invalid),
        ('{"imageLayoutVersion": "1.0.0"}', "{}", Invalid),
        ('{"imageLayoutVersion": "1.0.0"}', '{"schemaVersion":2,"manifests":[5]}', Invalid),
    ],
)
def test_a_malformed_layout_is_refused(
    tmp_path: Path, marker: str, index: str, family: type[Exception]
) -> None:
    (tmp_path / "oci-layout").write_text(marker)
    (tmp_path / "index.json").write_text(index)
    with pytest.raises(family):
        OCILayout(tmp_path).resolve("latest")


def test_a_blob_can_be_resolved_by_digest_though_it_is_not_listed(tmp_path: Path) -> None:
    layout = OCILayout(tmp_path)
    image = plain_image(layout, b"x")
    layout.tag("latest", image.root)
    other = put(layout, b"not a document")
    assert layout.resolve(other.digest).media_type == media.OCTET_STREAM


def test_a_name_that_is_not_there_is_told_from_the_layouts_own(tmp_path: Path) -> None:
    layout = OCILayout(tmp_path / "layout")
    layout.tag("there", put(layout, b"{}"))
    with pytest.raises(NotFound) as caught:
        layout.resolve("nosuch")
    assert caught.value.message == f"there is no 'nosuch' in the layout '{layout.path}'"
