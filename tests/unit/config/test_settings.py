"""Settings: flags over environment over defaults."""

from pathlib import Path

import pytest

from corten.config.root import default_root
from corten.config.settings import Settings
from corten.errors import Usage


@pytest.mark.parametrize(
    ("environ", "root"),
    [
        ({}, "/var/lib/corten"),
        ({"HOME": "/root"}, "/var/lib/corten"),
        ({"HOME": "/home/a"}, "/home/a/.local/share/corten"),
        ({"HOME": "/home/a", "XDG_DATA_HOME": "/data"}, "/data/corten"),
        ({"HOME": "/home/a", "CORTEN_ROOT": "/srv/c"}, "/srv/c"),
        ({"CORTEN_ROOT": ""}, "/var/lib/corten"),
    ],
)
def test_where_the_root_lies(environ: dict[str, str], root: str) -> None:
    assert default_root(environ) == Path(root)
    assert Settings.load(environ).root == Path(root)


def test_the_flag_wins() -> None:
    assert Settings.load({"CORTEN_ROOT": "/a"}, root="/b").root == Path("/b")


@pytest.mark.parametrize("given", ["here", "./here"])
def test_a_relative_root_is_made_absolute(given: str) -> None:
    assert Settings.load({}, root=given).root == Path.cwd() / "here"
    assert Settings.load({"CORTEN_ROOT": given}).root == Path.cwd() / "here"


def test_a_root_with_a_colon_is_refused() -> None:
    with pytest.raises(Usage, match="/srv/a:b has a colon"):
        Settings.load({}, root="/srv/a:b")


def test_the_driver_comes_from_the_environment() -> None:
    assert Settings.load({"CORTEN_STORAGE_DRIVER": "overlay"}).storage_driver == "overlay"
