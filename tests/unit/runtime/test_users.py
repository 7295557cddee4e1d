"""Image users resolved in an image's own, hostile, files.  Spec: OCI image, config.md, "User"."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.errors import Invalid
from corten.runtime.users import FILE_LIMIT, User, open_in_root, resolve_user

PASSWD = """root:x:0:0:root:/root:/bin/bash
# a comment:x:7:7::/:
+nis
daemon:*:1:1::/usr/sbin:/usr/sbin/nologin
app:x:1000:100:An app,,,:/srv/app:/bin/sh
nohome:x:1001:100
relative:x:1002:100::not/absolute:/bin/sh
broken:x:zero:0::/:/bin/sh
huge:x:99999999999:0::/:/bin/sh
short:x
"""
GROUP = """root:x:0:
users:x:100:app
audio:x:29:daemon, app
video:x:44:app,nohome
twice:x:29:app
bad:x:nan:app
"""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    etc = tmp_path / "image" / "etc"
    etc.mkdir(parents=True)
    (etc / "passwd").write_text(PASSWD)
    (etc / "group").write_text(GROUP)
    return tmp_path / "image"


@pytest.fixture
def root(image: Path) -> Iterator[int]:
    fd = os.open(image, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", User(0, 0, (), "/root", "root")),
        ("root", User(0, 0, (), "/root", "root")),
        ("0", User(0, 0, (), "/root", "root")),
        ("app", User(1000, 100, (29, 44), "/srv/app", "app")),
        ("1000", User(1000, 100, (29, 44), "/srv/app", "app")),
        ("app:", User(1000, 100, (29, 44), "/srv/app", "app")),
        ("app:audio", User(1000, 29, (), "/srv/app", "app")),
        ("app:29", User(1000, 29, (), "/srv/app", "app")),
        ("app:4242", User(1000, 4242, (), "/srv/app", "app")),
        ("1234", User(1234, 0, (), "/", "")),
        ("1234:audio", User(1234, 29, (), "/", "")),
        ("1234:5678", User(1234, 5678, (), "/", "")),
        (":audio", User(0, 29, (), "/root", "root")),
        ("nohome", User(1001, 100, (44,), "/", "nohome")),
        ("relative", User(1002, 100, (), "/", "relative")),
        ("4294967294", User(4294967294, 0, (), "/", "")),
    ],
)
def test_a_user_is_who_the_files_say(root: int, text: str, expected: User) -> None:
    assert resolve_user(root, text) == expected


@pytest.mark.parametrize("text", ["nobody", "broken", "huge", "short", "+nis", "# a comment", "-1"])
def test_a_user_that_is_not_there_is_named(root: int, text: str) -> None:
    with pytest.raises(Invalid, match="is not in the image's /etc/passwd") as caught:
        resolve_user(root, text)
    assert repr(text) in str(caught.value)


def test_a_group_that_is_not_there_is_named(root: int) -> None:
    with pytest.raises(Invalid, match="group 'ghosts' of user 'app:ghosts'"):
        resolve_user(root, "app:ghosts")


@pytest.mark.parametrize("text", ["4294967295", "99999999999", "0:4294967295", "1" * 400])
def test_numbers_out_of_range_are_refused(root: int, text: str) -> None:
    with pytest.raises(Invalid, match="out of range"):
        resolve_user(root, text)


def test_without_files_numbers_and_root_still_work(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    try:
        assert resolve_user(fd, "") == User(0, 0, (), "/root", "root")
        assert resolve_user(fd, "5:6") == User(5, 6, (), "/", "")
        with pytest.raises(Invalid):
            resolve_user(fd, "app")
    finally:
        os.close(fd)


def test_a_link_out_of_the_image_leads_into_it(image: Path, root: int, tmp_path: Path) -> None:
    # The host's file has a user that the image has not.
    (tmp_path / "host").write_text("hostuser:x:777:777::/:\n")
    (image / "etc" / "passwd").unlink()
    for target in (f"{tmp_path}/host", "../../host", "/../../host"):
        (image / "etc" / "passwd").symlink_to(target)
        with pytest.raises(Invalid):
            resolve_user(root, "hostuser")
        (image / "etc" / "passwd").unlink()


def test_an_absolute_link_is_followed_inside_the_image(image: Path, root: int) -> None:
    (image / "etc" / "passwd").rename(image / "accounts")
    (image / "etc" / "passwd").symlink_to("/accounts")
    assert resolve_user(root, "app").uid == 1000


def test_a_link_to_etc_itself_stays_inside(image: Path, root: int) -> None:
    (image / "etc").rename(image / "real")
    (image / "etc").symlink_to("/real")
    assert resolve_user(root, "app").uid == 1000


def test_a_named_pipe_does_not_hold_us_up(image: Path, root: int) -> None:
    (image / "etc" / "passwd").unlink()
    os.mkfifo(image / "etc" / "passwd")
    with pytest.raises(Invalid):
        resolve_user(root, "app")


def test_a_directory_in_place_of_a_file_has_no_users(image: Path, root: int) -> None:
    (image / "etc" / "group").unlink()
    (image / "etc" / "group").mkdir()
    assert resolve_user(root, "app").groups == ()


def test_an_endless_file_is_read_up_to_the_limit(image: Path, root: int) -> None:
    with (image / "etc" / "passwd").open("ab") as file:
        file.truncate(FILE_LIMIT + 10)
        file.seek(0, os.SEEK_END)
        file.write(b"\nlate:x:5:5::/:\n")
    assert resolve_user(root, "app").uid == 1000
    with pytest.raises(Invalid):
        resolve_user(root, "late")


def test_bytes_that_are_no_text_do_no_harm(image: Path, root: int) -> None:
    with (image / "etc" / "passwd").open("ab") as file:
        file.write(b"\xff\xfe:x:9:9::/:\n\x00:x:8:8::/:\nlast:x:10:10::/:\n")
    assert resolve_user(root, "last").uid == 10


def test_opening_in_a_root_does_not_leave_it(image: Path, root: int, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (image / "link").symlink_to(f"{tmp_path}/secret")
    for path in ("link", "../secret", "etc/../../secret", "/../secret"):
        with pytest.raises(FileNotFoundError):
            open_in_root(root, path)
    fd = open_in_root(root, "/etc/../etc/passwd")
    assert not os.get_inheritable(fd)
    os.close(fd)
