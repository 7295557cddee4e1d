"""Names of local images: what they show, and what removing one takes away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.config.settings import Settings
from corten.engine import images
from corten.engine.host import Host
from corten.errors import Conflict, NotFound
from corten.oci import media
from corten.oci.digest import Digest
from corten.oci.manifest import build_manifest
from support.contents import ARM64, PlainImage, index_of, plain_image, put

HERE, THERE = "registry.example/here", "registry.example/there"
PUSHED = Digest.of(b"as the registry knows it")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with Host(Settings(tmp_path, "overlay")) as made:
        yield made


def image(host: Host, *names: str) -> PlainImage:
    made = plain_image(host.store, b"content")
    for name in names:
        host.store.tag(name, made.root)
    return made


def names(host: Host) -> list[str]:
    return list(host.store.names())


def test_tags_and_digests_are_shown_apart(host: Host) -> None:
    made = image(host, f"{HERE}:1", f"{HERE}@{PUSHED}")
    host.store.add_repo_digest(HERE, PUSHED, made.config.digest)
    shown = images.inspect(host, f"{HERE}@{PUSHED}")
    assert shown["RepoTags"] == [f"{HERE}:1"]
    assert shown["RepoDigests"] == [f"{HERE}@{PUSHED}"]


def test_a_name_goes_alone_and_the_image_with_the_last(host: Host) -> None:
    made = image(host, f"{HERE}:1", f"{THERE}:1")
    assert images.remove(host, f"{HERE}:1") == ((f"{HERE}:1",), ())
    assert images.remove(host, f"{THERE}:1") == ((f"{THERE}:1",), (made.config.digest,))
    assert host.store.images() == []


def test_a_digest_takes_the_names_of_its_repository(host: Host) -> None:
    made = image(host, f"{HERE}:1", f"{HERE}:2", f"{THERE}:1")
    host.store.add_repo_digest(HERE, PUSHED, made.config.digest)
    assert images.remove(host, f"{HERE}@{PUSHED}").untagged == (f"{HERE}:1", f"{HERE}:2")
    assert names(host) == [f"{THERE}:1"]
    with pytest.raises(NotFound):
        images.remove(host, f"{HERE}@{made.root.digest}")
    assert names(host) == [f"{THERE}:1"]


def test_an_id_with_several_names_needs_force(host: Host) -> None:
    made = image(host, f"{HERE}:1", f"{HERE}:2")
    short = made.config.digest.short
    with pytest.raises(Conflict, match="several names"):
        images.remove(host, short)
    assert names(host) == [f"{HERE}:1", f"{HERE}:2"]
    assert images.remove(host, short, force=True).deleted == (made.config.digest,)
    assert names(host) == []


def test_a_tag_and_a_digest_of_one_repository_are_one_name(host: Host) -> None:
    made = image(host, f"{HERE}:1", f"{HERE}@{PUSHED}")
    removed = images.remove(host, made.config.digest.short)
    assert removed.deleted == (made.config.digest,)
    assert names(host) == []


def test_a_dangling_image_goes_by_its_id(host: Host) -> None:
    made = image(host, "")
    assert images.dangling(host) == [made.config.digest]
    assert images.remove(host, made.config.digest) == ((), (made.config.digest,))
    assert images.dangling(host) == []


def test_an_image_for_another_platform_is_shown_and_removed(host: Host) -> None:
    made = plain_image(host.store, b"content")
    host.store.tag(f"{HERE}:1", index_of(host.store, (made, ARM64)))
    assert images.inspect(host, f"{HERE}:1")["Id"] == made.config.digest
    assert len(images.history(host, f"{HERE}:1")) > 0
    assert images.remove(host, f"{HERE}:1").deleted == (made.config.digest,)
    assert names(host) == []


def test_what_is_no_container_image_can_be_removed(host: Host) -> None:
    config = put(host.store, b"{}", "application/vnd.example.chart.config.v1+json")
    root, raw = build_manifest(config, [put(host.store, b"chart", media.OCTET_STREAM)])
    put(host.store, raw, root.media_type)
    host.store.tag(f"{HERE}:1", root)
    assert images.remove(host, f"{HERE}:1").deleted == (config.digest,)
    assert names(host) == []
