"""ADD of what is elsewhere: URLs and Git repositories, and archives among them."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from corten.builder.attest import Attest, ProvenanceOptions
from corten.builder.cache import BuildCache
from corten.builder.given import Given, Secret
from corten.errors import Corrupt, CortenError, Invalid, Unavailable
from support.building import Built, Workshop, needs_root
from support.git_servers import Origin, daemon, git
from support.scripted_server import Seen, reply, scripted

pytestmark = [pytest.mark.root, pytest.mark.e2e]

T = 1_700_000_000
LAST = "Tue, 14 Nov 2023 22:13:20 GMT"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    needs_root()
    made = Workshop(tmp_path)
    try:
        yield made
        assert made.leftovers() == []
        assert list((made.root / "cache/contexts").glob("*")) == []
    finally:
        made.close()


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def archive(mode: Literal["w", "w:gz", "w:bz2", "w:xz"]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:
        folder = tarfile.TarInfo("d")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
        info = tarfile.TarInfo("d/f")
        info.size, info.mode, info.mtime, info.uid = 3, 0o751, T, 7
        tar.addfile(info, io.BytesIO(b"abc"))
    return out.getvalue()


def names(shop: Workshop, built: Built) -> list[str]:
    with shop.tree(built) as tree:
        return sorted(
            str(Path(folder, name).relative_to(tree))
            for folder, _, files in os.walk(tree)
            for name in files
        )


# URLs


def test_a_url_gives_a_private_file_of_the_server_s_time(shop: Workshop) -> None:
    with scripted(lambda seen: reply(200, b"abc", Last_Modified=LAST)) as server:
        built = shop.build(
            f"FROM scratch\nADD http://{server.host}/dir/a%20b?q=1 /x/\n"
            f"ADD --chmod=u=rwX,go=rX --chown=5:6 http://{server.host}/c /y\n"
            f"ADD --chmod=+x http://{server.host}/c http://{server.host}/e /z/\n"
        )
        with shop.tree(built) as tree:
            state = (tree / "x/a b").stat()
            assert (stat.S_IMODE(state.st_mode), state.st_mtime) == (0o600, T)
            state = (tree / "y").stat()
            assert (stat.S_IMODE(state.st_mode), state.st_uid, state.st_gid) == (0o644, 5, 6)
            assert stat.S_IMODE((tree / "z/e").stat().st_mode) == 0o711
        assert names(shop, built) == ["x/a b", "y", "z/c", "z/e"]


def test_with_its_checksum_a_url_is_asked_for_once(shop: Workshop) -> None:
    with scripted(lambda seen: reply(200, b"abc")) as server:
        url = f"http://{server.host}/f"
        text = f"FROM scratch\nADD --checksum={sha256(b'abc')} {url} /f\n"
        shop.build(text)
        assert shop.build(text).log.statuses() == ["cached"]
        assert len(server.seen) == 1
    # Nobody is there any more, and nobody is asked.
    built = shop.build(f"FROM scratch\nARG C={sha256(b'abc')}\nADD --checksum=$C {url} /f\n")
    assert built.log.statuses() == ["cached"]


def test_another_checksum_is_an_error_with_both_and_nothing_stays(shop: Workshop) -> None:
    with scripted(lambda seen: reply(200, b"abc", ETag='"1"')) as server:
        url = f"http://{server.host}/f"
        text = f"FROM scratch\nADD --checksum={sha256(b'other')} {url} /f\n"
        for _ in range(2):
            with pytest.raises(Corrupt) as caught:
                shop.build(text)
            assert caught.value.message == (
                f"Dockerfile:2: {url} has the checksum {sha256(b'abc')}, not {sha256(b'other')}"
            )
        with BuildCache(shop.root / "cache") as cache:
            assert cache.download(url) is None
        assert len(server.seen) == 2


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_archives_from_elsewhere_are_unpacked_where_that_is_wished(
    shop: Workshop, mode: Literal["w", "w:gz", "w:bz2", "w:xz"]
) -> None:
    data = archive(mode)
    with scripted(lambda seen: reply(200, data if seen.path == "/a" else b"text")) as server:
        url = f"http://{server.host}"
        built = shop.build(
            f"FROM scratch\nADD {url}/a /as-it-is\nADD --unpack=true {url}/a /x\n"
            f"ADD --unpack {url}/t /t\nADD --unpack=false {url}/a /y/\n"
        )
    assert names(shop, built) == ["as-it-is", "t", "x/d/f", "y/a"]
    with shop.tree(built) as tree:
        assert (tree / "as-it-is").read_bytes() == data
        assert ((tree / "x/d/f").stat().st_uid, (tree / "x/d/f").read_bytes()) == (7, b"abc")


def test_local_archives_stay_files_where_that_is_wished(shop: Workshop) -> None:
    data = archive("w:gz")
    shop.write({"a.tgz": data})
    built = shop.build("FROM scratch\nADD a.tgz /x/\nADD --unpack=false a.tgz /y/\n")
    assert names(shop, built) == ["x/d/f", "y/a.tgz"]


def test_redirects_are_followed_to_an_end(shop: Workshop) -> None:
    def answer(seen: Seen) -> bytes:
        if seen.path == "/f":
            return reply(302, Location="/there")
        return reply(302, Location="/for-ever") if seen.path == "/for-ever" else reply(200, b"abc")

    with scripted(answer) as server:
        url = f"http://{server.host}"
        assert names(shop, shop.build(f"FROM scratch\nADD {url}/f /x/\n")) == ["x/f"]
        with pytest.raises(Unavailable, match="too many redirects"):
            shop.build(f"FROM scratch\nADD {url}/for-ever /x/\n")
        with pytest.raises(CortenError, match="cannot fetch"):
            shop.build(f"FROM scratch\nADD http://{server.host[:-1]}/f /x/\n")


def test_no_more_is_fetched_than_a_layer_may_have(shop: Workshop) -> None:
    def endless() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
        while True:
            yield bytes(65536)

    def answer(seen: Seen) -> bytes | Iterator[bytes]:
        return endless() if seen.path == "/endless" else reply(200, b"", Content_Length="9" * 15)

    with scripted(answer) as server:
        for path in ("/endless", "/promised"):
            with pytest.raises(CortenError, match=f"{path} has more than 1048576 bytes"):
                shop.build(
                    f"FROM scratch\nADD http://{server.host}{path} /x\n",
                    environ={"CORTEN_LAYER_LIMIT": "1M"},
                )


def given(tmp_path: Path, name: str, value: str) -> Given:
    (tmp_path / "secret").write_text(value)
    return Given(secrets={name: Secret(path=str(tmp_path / "secret"))})


@pytest.mark.parametrize(
    ("name", "sent"),
    [("HTTP_AUTH_TOKEN_", "Bearer hunter2"), ("HTTP_AUTH_HEADER_", "hunter2")],
)
def test_a_secret_opens_its_host_and_no_other(
    shop: Workshop, tmp_path: Path, name: str, sent: str
) -> None:
    with (
        scripted(lambda seen: reply(200, b"abc")) as other,
        scripted(lambda seen: reply(302, Location=f"http://{other.host}/f")) as server,
    ):
        lent = given(tmp_path, f"{name}{server.host}", "hunter2\n")
        shop.build(f"FROM scratch\nADD http://{server.host}/f /x\n", given=lent)
        assert [seen.headers.get("authorization") for seen in server.seen] == [sent]
        assert [seen.headers.get("authorization") for seen in other.seen] == [None]
        kept = [path for path in shop.root.glob("**/*") if path.is_file()]
        assert not any(b"hunter2" in path.read_bytes() for path in kept)
        lent = given(tmp_path, f"{name}{server.host}", "two\r\nX-Lines: 1")
        with pytest.raises(Invalid, match="cannot stand in a header") as caught:
            shop.build(f"FROM scratch\nADD http://{server.host}/g /x\n", given=lent)
        assert "Lines" not in str(caught.value)


def test_a_password_in_a_url_opens_it_and_is_shown_nowhere(shop: Workshop) -> None:
    ways: list[bytes] = [reply(200, b"abc", ETag='"1"'), reply(404)]
    with scripted(lambda seen: ways[len(seen.path) > 2]) as server:
        text = f"FROM scratch\nADD http://me:hunter%32@{server.host}/{{}} /x\n"
        attest = Attest(provenance=ProvenanceOptions(mode="min"))
        built = shop.build(text.format("f"))
        shop.run(attest=attest)
        assert server.seen[0].headers["authorization"] == "Basic bWU6aHVudGVyMg=="
        assert f"ADD http://{server.host}/f /x" in [
            each.created_by for each in built.config.history
        ]
        with pytest.raises(CortenError, match=f"fetch http://{server.host}/gone: ") as caught:
            shop.build(text.format("gone"))
        assert "hunter" not in str(caught.value)
    kept = [path for path in shop.root.glob("**/*") if path.is_file()]
    assert not any(b"hunter" in path.read_bytes() for path in kept)


# Git repositories


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    if shutil.which("git") is None:
        pytest.skip("needs git")
    made = Origin(tmp_path, "repo")
    made.commit({"docs/a.md": "one", "docs/sub/b.txt": "two", "run.sh": "#!/bin/sh\n"})
    (made.work / "run.sh").chmod(0o755)
    (made.work / "link").symlink_to("../../etc/passwd")
    made.commit({})
    made.tag("v1")
    return made


@pytest.fixture
def address(tmp_path: Path, origin: Origin) -> Iterator[str]:
    with daemon(tmp_path / "served") as url:
        yield f"{url}/repo.git"


def test_a_repository_s_files_are_added_without_its_directory(shop: Workshop, address: str) -> None:
    built = shop.build(
        f"FROM scratch\nADD {address} /all\nADD {address}#v1:docs /docs/\n"
        f"ADD --chown=5:6 --chmod=g=u --exclude=**/*.txt --exclude=link {address}#main /some\n"
        f"ADD --keep-git-dir=true --link {address}#v1 /kept\n"
    )
    found = names(shop, built)
    assert [name for name in found if name.startswith("all/")] == [
        "all/docs/a.md", "all/docs/sub/b.txt", "all/link", "all/run.sh",
    ]  # fmt: skip
    assert [name for name in found if name.startswith("docs/")] == ["docs/a.md", "docs/sub/b.txt"]
    assert [name for name in found if name.startswith("some/")] == ["some/docs/a.md", "some/run.sh"]
    with shop.tree(built) as tree:
        modes = {
            n: stat.S_IMODE((tree / n).stat().st_mode) for n in ("all/run.sh", "all/docs/a.md")
        }
        assert modes == {"all/run.sh": 0o755, "all/docs/a.md": 0o644}
        assert (tree / "all/link").readlink() == Path("../../etc/passwd")
        state = (tree / "some/docs/a.md").stat()
        assert (stat.S_IMODE(state.st_mode), state.st_uid, state.st_mtime) == (0o664, 5, T)
        assert (tree / "kept/.git/HEAD").is_file()


def test_a_branch_is_asked_for_and_its_commit_decides(
    shop: Workshop, address: str, origin: Origin
) -> None:
    text = f"FROM scratch\nADD {address}#main /x\nADD {address}#v1 /y\n"
    built = shop.build(text)
    again = shop.build(text)
    assert again.log.statuses() == ["cached", "cached"]
    assert again.result.descriptor.digest == built.result.descriptor.digest
    origin.commit({"new": "n"})
    assert "x/new" in names(shop, shop.build(text))
    assert shop.log.statuses().count("done") >= 1


def test_a_commit_s_checksum_is_its_beginning(shop: Workshop, address: str, origin: Origin) -> None:
    commit = git(origin.work, "rev-parse", "HEAD")
    shop.build(f"FROM scratch\nADD --checksum={commit[:7]} {address}#v1 /x\n")
    shop.build(f"FROM scratch\nADD --checksum={commit} {address}#v1 /x\n")
    wrong = "0" * 7 if commit[0] != "0" else "1" * 7
    with pytest.raises(Corrupt, match=f"(?s){commit[:7]}.*{wrong}|{wrong}.*{commit[:7]}"):
        shop.build(f"FROM scratch\nADD --checksum={wrong} {address}#v1 /x\n")
    with pytest.raises(CortenError, match="differ"):
        shop.build(f"FROM scratch\nADD --checksum={wrong} {address}?checksum={commit} /x\n")


def test_a_repository_on_a_file_is_refused(shop: Workshop, address: str) -> None:
    shop.write({"f": ""})
    with pytest.raises(Invalid, match="not a directory"):
        shop.build(f"FROM scratch\nCOPY f /x\nADD {address} /x\n")
    with pytest.raises(CortenError, match="several"):
        shop.build(f"FROM scratch\nADD {address} f /x\n")


# What --link does


def layer_of(shop: Workshop, text: str, number: int) -> tuple[str, list[str]]:
    built = shop.build(text)
    return str(built.config.diff_ids[number]), built.log.statuses()


@pytest.mark.parametrize(
    "copy",
    [
        "COPY --link f /d/f",
        "COPY --link --from=other f /d/",
        "COPY --link --parents d/f /x/",
        "ADD --link --exclude=g d /x/",
        "COPY --link --chmod=+x <<E /d/e\ntext\nE",
    ],
)
def test_linked_layers_outlive_changes_below(shop: Workshop, copy: str) -> None:
    shop.write({"f": "f", "d/f": "f", "below": "1"})
    text = f"FROM scratch AS other\nCOPY f /f\nFROM scratch\nCOPY below /d/below\n{copy}\n"
    first, _ = layer_of(shop, text, -1)
    shop.write({"below": "2"})
    again, statuses = layer_of(shop, text, -1)
    assert again == first
    assert statuses.count("done") == 1  # what is below


def test_a_linked_destination_is_made_of_directories(shop: Workshop) -> None:
    shop.write({"f": "f", "real/x": "x"})
    (shop.context / "link").symlink_to("real")
    base = "FROM scratch\nCOPY --parents link real /\n"
    with shop.tree(shop.build(f"{base}COPY f /link/f\n")) as tree:
        assert (tree / "link").is_symlink()
        assert (tree / "real/f").is_file()
    with shop.tree(shop.build(f"{base}COPY --link f /link/f\n")) as tree:
        assert not (tree / "link").is_symlink()
        assert [path.name for path in (tree / "link").iterdir()] == ["f"]
    with pytest.raises(Invalid, match="with --link nothing of the image below is read") as caught:
        shop.build(f"{base}COPY --link --chown=bin f /link/f\n")
    assert caught.value.hint == "give numbers, or leave --link out"


def test_an_unpacked_archive_replaces_as_tar_does(shop: Workshop) -> None:
    shop.write({"a.tar": archive("w"), "d": "a file", "f/empty/x": ""})
    built = shop.build("FROM scratch\nCOPY d /d\nADD a.tar /\n")
    assert names(shop, built) == ["d/f"]


def test_parents_from_a_stage_keep_owner_and_mode(shop: Workshop) -> None:
    shop.write({"p/q/f": "f", "p/q/g": "g"})
    built = shop.build(
        "FROM scratch AS a\nCOPY --chown=7:8 --chmod=u=rwX,g=rX,o= --parents p/q /\n"
        "FROM scratch\nCOPY --from=a --parents --exclude=**/g /p/./q/ /x/\n"
    )
    assert names(shop, built) == ["x/q/f"]
    with shop.tree(built) as tree:
        found = {name: (tree / name).stat() for name in ("x", "x/q", "x/q/f")}
    shown = {name: (oct(s.st_mode & 0o7777), s.st_uid, s.st_gid) for name, s in found.items()}
    assert shown == {
        "x": ("0o755", 0, 0),
        "x/q": ("0o750", 7, 8),
        "x/q/f": ("0o640", 7, 8),
    }
