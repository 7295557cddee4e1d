"""Places as they are typed."""

from __future__ import annotations

import pytest

from corten.engine.places import TRANSPORTS, Place, parse_place
from corten.errors import Invalid


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("hello", ("corten", "", "hello")),
        ("hello:v1", ("corten", "", "hello:v1")),
        ("example/docker:v1", ("corten", "", "example/docker:v1")),
        ("localhost:5000/hello", ("corten", "", "localhost:5000/hello")),
        ("127.0.0.1:5000/hello:v1", ("corten", "", "127.0.0.1:5000/hello:v1")),
        ("debian:bookworm", ("corten", "", "debian:bookworm")),
        ("node:20", ("corten", "", "node:20")),
        ("corten:dockerd:v1", ("corten", "", "dockerd:v1")),
        ("docker://host:5000/a:v1", ("docker", "", "host:5000/a:v1")),
        ("oci:./dir:name", ("oci", "./dir", "name")),
        ("oci-archive:/a.tar", ("oci-archive", "/a.tar", "")),
        ("docker-archive:x.tar:a/b", ("docker-archive", "x.tar", "a/b")),
    ],
)
def test_a_place_is_a_transport_or_a_local_name(text: str, place: tuple[str, str, str]) -> None:
    assert parse_place(text) == Place(*place)


@pytest.mark.parametrize(
    "text",
    [
        "docker-archve:x.tar",
        "dockerarchive:x.tar",
        "oci-archiv:x.tar",
        "ocl-archive:./x.tar",
        "Docker-archive:x.tar",
        "cortn:hello",
        "dir:./dd",
        "dir:x",
        "docker-daemon:hello",
        "dir:/tmp/dd",
        "http://127.0.0.1:5000/hello",
        "containers-storage://hello",
        "docker-daemon:/x",
    ],
)
def test_a_transport_that_there_is_not_is_no_image_s_name(text: str) -> None:
    with pytest.raises(Invalid, match=f"there is no transport '{text.partition(':')[0]}'") as error:
        parse_place(text)
    assert all(f"{known}:" in error.value.hint for known in TRANSPORTS if known != "corten")


@pytest.mark.parametrize("text", ["docker:hello", "oci://", "docker-archive://x", "oci-archive:"])
def test_a_transport_written_otherwise_names_no_place(text: str) -> None:
    with pytest.raises(Invalid, match="names no"):
        parse_place(text)


@pytest.mark.parametrize("text", ["hello.tar", "out/hello.tar.gz", "a.tgz"])
def test_a_file_without_a_transport_is_no_image_s_name(text: str) -> None:
    with pytest.raises(Invalid, match="is a file's name") as refused:
        parse_place(text)
    assert f"docker-archive:{text}" in refused.value.hint
    assert parse_place(f"corten:{text}") == ("corten", "", text)
