"""Images and build caches in a real object store."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.content.buckets import Bucket, open_bucket
from corten.content.copy import copy
from corten.content.memory import MemoryStore
from corten.content.protocols import PIECE
from corten.errors import Corrupt, Denied, Invalid, NotFound, Unavailable
from corten.events.job import Job
from corten.oci import media
from corten.oci.descriptor import describe
from corten.oci.digest import Digest
from support.building import BUSYBOX, needs_busybox
from support.commands import corten, environment
from support.contents import plain_image, put, read_all
from support.registry_server import free_port
from support.s3_server import KEY, SECRET, S3Server, s3_server

pytestmark = [pytest.mark.e2e]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def bucket(server: S3Server, request: pytest.FixtureRequest) -> Bucket:
    return open_at(server, f"s3://tests/{request.node.name[:40]}")


def open_at(server: S3Server, url: str, secret: str = SECRET) -> Bucket:
    settings = {
        "endpoint": server.url,
        "access_key_id": KEY,
        "secret_access_key": secret,
        "region": "us-east-1",
    }
    return open_bucket(url, settings)


def test_an_image_of_large_blobs_comes_out_as_it_went_in(bucket: Bucket) -> None:
    origin = MemoryStore()
    image = plain_image(origin, os.urandom(21 * PIECE + 5), b"small")
    copy(origin, bucket, image.root, Job(), name="one")
    target = MemoryStore()
    copy(bucket, target, bucket.resolve("one"), Job(), name="one")
    assert target.resolve("one").digest == image.root.digest
    layer = image.layers[0]
    with bucket.open(layer, layer.size - 5) as reader:
        assert reader.read() == read_all(origin, layer)[-5:]


def test_what_is_not_what_its_digest_says_never_appears(bucket: Bucket) -> None:
    data = os.urandom(20 * PIECE)
    wanted = describe(data, media.OCTET_STREAM)
    with pytest.raises(Corrupt), bucket.ingest(wanted) as ingest:
        ingest.write(data[:-1] + b"x")
        ingest.commit(wanted.digest)
    assert not bucket.has(wanted)
    with bucket.ingest() as ingest:  # one whose digest is found while it goes up
        for at in range(0, len(data), PIECE):
            ingest.write(data[at : at + PIECE])
        assert ingest.commit().digest == Digest.of(data)
    assert bucket.has(wanted)


def test_names_that_many_write_at_once_are_all_kept(server: S3Server) -> None:
    url = "s3://tests/names"
    first = open_at(server, url)
    image = plain_image(first, b"x")
    first.tag("name-0", image.root)
    failures: list[BaseException] = []

    def tag(number: int) -> None:
        try:
            open_at(server, url).tag(f"name-{number}", image.root)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=tag, args=(number,)) for number in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert list(first.tags()) == [f"name-{number}" for number in range(6)]


def test_what_is_wrong_is_said_in_words(server: S3Server, bucket: Bucket) -> None:
    with pytest.raises(NotFound, match="no OCI image layout in s3://tests/"):
        bucket.resolve("nothing")
    with pytest.raises(Denied, match="cannot write a blob: The operation lacked"):
        put(open_at(server, "s3://tests/wrong", "no secret"), b"x")
    with pytest.raises(Invalid, match="names no bucket"):
        open_bucket("ftp://tests/x")


def test_a_server_that_is_not_there_is_unavailable() -> None:
    nowhere = S3Server(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Unavailable, match="s3://tests/x: cannot "):
        open_at(nowhere, "s3://tests/x").resolve("y")


@pytest.mark.root
def test_a_build_cache_lies_in_a_bucket(server: S3Server, tmp_path: Path) -> None:
    needs_busybox()
    context = tmp_path / "context"
    context.mkdir()
    (context / "busybox").write_bytes(BUSYBOX.read_bytes())
    (context / "Dockerfile").write_text(
        "FROM scratch\nCOPY --chmod=755 busybox /bin/busybox\n"
        'RUN ["/bin/busybox", "sh", "-c", "/bin/busybox cat /proc/sys/kernel/random/uuid > /lot"]\n'
    )
    place = "type=s3,bucket=caches,prefix=of/ours,name=main"
    made = []
    for number, flag in enumerate((f"--cache-to={place},mode=max", f"--cache-from={place}")):
        env = environment(tmp_path / f"root-{number}", **server.environment)
        done = corten("build", "-q", flag, str(context), env=env)
        assert done.returncode == 0, done.stderr
        made.append(done.stdout)
    assert made[0] == made[1]
