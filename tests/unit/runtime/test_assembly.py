"""Mountpoints for binds: made beside the tree, never outside of their directory."""

from pathlib import Path

from corten.runtime.assembly import assemble
from corten.runtime.protocols import Bind


def test_mountpoints_are_directories_or_files_as_their_sources_are(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    points = tmp_path / "points"
    binds = (
        Bind("/run/secrets/key", str(tmp_path / "file")),
        Bind("/opt/data", str(tmp_path / "folder")),
        Bind("/scratch", type="tmpfs"),
    )
    assemble((), tmp_path, binds, points)
    assert (points / "run" / "secrets" / "key").is_file()
    assert (points / "run" / "secrets" / "key").read_text() == ""
    assert (points / "opt" / "data").is_dir()
    assert (points / "scratch").is_dir()


def test_a_target_with_dots_stays_in_the_directory(tmp_path: Path) -> None:
    points = tmp_path / "deep" / "points"
    assemble((), tmp_path, (Bind("/../../escaped", type="tmpfs"),), points)
    assert not (tmp_path / "escaped").exists()
    assert (points / "escaped").is_dir()


def test_without_binds_nothing_is_made(tmp_path: Path) -> None:
    assemble((), tmp_path, (), tmp_path / "points")
    assert not (tmp_path / "points").exists()
