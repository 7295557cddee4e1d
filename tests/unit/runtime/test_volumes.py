"""The notation of mounts, and the store of volumes."""

import os
from pathlib import Path

import pytest

from corten.errors import Conflict, Invalid, NotFound
from corten.runtime.protocols import Bind
from corten.runtime.volumes import (
    VolumeStore,
    Wanted,
    parse_mount,
    parse_tmpfs,
    parse_volume,
)

HERE = Path("/here")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/a:/b", Wanted(Bind("/b", "/a"))),
        ("/a:/b:ro", Wanted(Bind("/b", "/a", True))),
        ("/a:/b:ro,z", Wanted(Bind("/b", "/a", True))),
        ("/a:/b:rw,Z,nosuid", Wanted(Bind("/b", "/a", options=("nosuid",)))),
        ("./a:/b/", Wanted(Bind("/b", "/here/a"))),
        ("../a:/b", Wanted(Bind("/b", "/a"))),
        (".:/b", Wanted(Bind("/b", "/here"))),
        ("name:/b", Wanted(Bind("/b"), "name")),
        ("name:/b:ro", Wanted(Bind("/b", readonly=True), "name")),
        ("/b", Wanted(Bind("/b"), anonymous=True)),
    ],
)
def test_volumes_are_read(text: str, expected: Wanted) -> None:
    assert parse_volume(text, HERE) == expected


@pytest.mark.parametrize(
    "text", ["", ":/b", "/a:b", "/a:/", "/a:/b:xx", "/a:/b:ro:x", "a b:/c", "b", "/a:", "/a:/b/.."]
)
def test_senseless_volumes_are_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_volume(text, HERE)


def test_a_tmpfs_has_options() -> None:
    assert parse_tmpfs("/t") == Bind("/t", type="tmpfs", options=("mode=1777",))
    made = parse_tmpfs("/t:ro,size=64m,mode=700,noexec,uid=5")
    assert made.readonly
    assert made.options == ("size=64m", "mode=700", "noexec", "uid=5")


@pytest.mark.parametrize("text", ["t", "/", "/t:what", "/t:size"])
def test_a_senseless_tmpfs_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_tmpfs(text)


def test_mounts_are_read_by_words(tmp_path: Path) -> None:
    assert parse_mount(f"type=bind,src={tmp_path},dst=/b,ro", HERE) == Wanted(
        Bind("/b", str(tmp_path), True)
    )
    assert parse_mount("type=bind,source=.,target=/b", tmp_path) == Wanted(
        Bind("/b", str(tmp_path))
    )
    assert parse_mount("source=v,destination=/b,readonly=true", HERE) == Wanted(
        Bind("/b", readonly=True), "v"
    )
    assert parse_mount("type=volume,target=/b", HERE) == Wanted(Bind("/b"), anonymous=True)
    assert parse_mount("type=tmpfs,target=/b,tmpfs-size=1m", HERE).bind == Bind(
        "/b", type="tmpfs", options=("size=1m", "mode=1777")
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "type=bind,source=/",
        "type=bind,target=/b",
        "type=npipe,target=/b",
        "target=/b,colour=red",
    ],
)
def test_senseless_mounts_are_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_mount(text, HERE)


def test_a_mount_of_what_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"/gone, to be mounted on /b"):
        parse_mount(f"type=bind,source={tmp_path}/gone,target=/b", HERE)


def test_volumes_are_made_once(tmp_path: Path) -> None:
    store = VolumeStore(tmp_path)
    assert list(store.walk()) == []
    path, new = store.ensure("data")
    assert new
    (path / "x").write_text("kept")
    assert store.ensure("data") == (path, False)
    assert (store.directory("data") / "x").read_text() == "kept"
    assert list(store.walk()) == ["data"]


@pytest.mark.parametrize("name", ["gone", "..", "../x", ""])
def test_a_volume_that_is_not_there_is_not_found(tmp_path: Path, name: str) -> None:
    (tmp_path / "x" / "data").mkdir(parents=True)
    with pytest.raises(NotFound):
        VolumeStore(tmp_path).directory(name)
    with pytest.raises(NotFound):
        VolumeStore(tmp_path).remove(name)


def test_a_volume_in_use_is_not_removed(tmp_path: Path) -> None:
    store = VolumeStore(tmp_path)
    path, _ = store.ensure("data")
    with pytest.raises(Conflict, match="in use"):
        store.remove("data", [Bind("/x", str(path))])
    store.remove("data", [Bind("/x", "/elsewhere")])
    assert list(store.walk()) == []


def test_wanted_mounts_get_their_sources(tmp_path: Path) -> None:
    store = VolumeStore(tmp_path / "root")
    wanted = [
        parse_volume(f"{tmp_path}/new:/a", HERE),
        parse_volume("named:/b:ro", HERE),
        parse_volume("/c", HERE),
        Wanted(parse_tmpfs("/d")),
    ]
    binds, anonymous = store.resolve(wanted)
    assert [bind.target for bind in binds] == ["/a", "/b", "/c", "/d"]
    assert (tmp_path / "new").is_dir()
    assert binds[1].source == str(store.directory("named"))
    assert binds[1].readonly
    assert binds[2].source == str(store.directory(anonymous[0]))
    assert len(anonymous) == 1
    assert sorted(store.walk()) == sorted(["named", *anonymous])


def image(folder: Path) -> Path:
    root = folder / "image"
    (root / "data" / "sub").mkdir(parents=True)
    (root / "data" / "file").write_text("hello")
    (root / "data" / "sub" / "link").symlink_to("../file")
    (root / "data").chmod(0o2750)
    return root


def test_an_empty_volume_is_filled_from_the_image(tmp_path: Path) -> None:
    root, store = image(tmp_path), VolumeStore(tmp_path / "root")
    path, _ = store.ensure("v")
    store.fill([Bind("/data", str(path))], root)
    assert (path / "file").read_text() == "hello"
    assert str((path / "sub" / "link").readlink()) == "../file"
    assert path.stat().st_mode & 0o7777 == 0o2750


def test_what_has_files_or_is_no_volume_is_not_filled(tmp_path: Path) -> None:
    root, store = image(tmp_path), VolumeStore(tmp_path / "root")
    path, _ = store.ensure("v")
    (path / "mine").write_text("x")
    (tmp_path / "host").mkdir()
    store.fill([Bind("/data", str(path)), Bind("/data", str(tmp_path / "host"))], root)
    assert [entry.name for entry in path.iterdir()] == ["mine"]
    assert not list((tmp_path / "host").iterdir())


def test_filling_stays_inside_the_image(tmp_path: Path) -> None:
    root, store = image(tmp_path), VolumeStore(tmp_path / "root")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("x")
    path, _ = store.ensure("v")
    for target in (f"{tmp_path}/secret", "../secret", "../../../secret"):
        (root / "evil").symlink_to(target)
        store.fill([Bind("/evil", str(path)), Bind("/../secret", str(path))], root)
        (root / "evil").unlink()
    assert not list(path.iterdir())


def test_filling_from_what_the_image_lacks_leaves_the_volume_empty(tmp_path: Path) -> None:
    store = VolumeStore(tmp_path / "root")
    path, _ = store.ensure("v")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    store.fill([Bind("/nothing", str(path)), Bind("/data/file", str(path))], image(tmp_path))
    assert not list(path.iterdir())
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
