"""Plain forms of ``corten rmi``: the quick way does what the full command line does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corten.cli.commands.rmi import command
from corten.cli.frame import Globals
from corten.cli.main import corten as by_frame
from corten.cli.quick_rmi import parse_rmi
from corten.cli.quick_words import Plain
from corten.content.local import LocalStore
from support.catalog import write_images
from support.commands import corten

PLAIN = [
    "rmi busybox",
    "rmi example/hello:v1 ab12cd34ef56",
    "--root /r rmi a b c",
    "--root=/r rmi a",
]
OTHER = [
    "rmi",
    "rmi -f busybox",
    "rmi busybox --force",
    "rmi --no-prune busybox",
    "rmi -- busybox",
    "rmi --help",
    "--root",
    "--root /r",
    "--root= rmi a",
    "--debug rmi a",
    "image rm busybox",
    "run rmi",
    "tag rmi rmi",
]


def by_click(words: list[str]) -> Plain:
    """What the full command line makes of the words."""
    known = Globals()
    at = words.index("rmi") + 1
    with (
        by_frame.make_context("corten", words[:at], obj=known) as context,
        command.make_context("rmi", words[at:], parent=context) as inner,
    ):
        assert not inner.params["force"]
        assert not inner.params["no_prune"]
        return Plain(known.root, tuple(inner.params["names"]))


@pytest.mark.parametrize("line", PLAIN)
def test_plain_forms_mean_what_the_frame_makes_of_them(line: str) -> None:
    assert parse_rmi(line.split()) == by_click(line.split())


@pytest.mark.parametrize("line", OTHER)
def test_everything_else_is_left_to_the_frame(line: str) -> None:
    assert parse_rmi(line.split()) is None


def test_a_file_as_the_root_is_left_to_the_frame(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for words in (["--root", str(file), "rmi", "a"], [f"--root={file}", "rmi", "a"]):
        assert parse_rmi(words) is None
    for words in (["rmi", "a"], ["--progress", "plain", "rmi", "a"]):
        done = corten(*words, root=file)
        assert done.returncode == 1
        assert done.stderr == (
            f"corten: the root {file} is no directory\nhint: choose another --root or CORTEN_ROOT\n"
        )


def test_an_empty_name_or_root_is_left_to_the_frame() -> None:
    assert parse_rmi(["rmi", ""]) is None
    assert parse_rmi(["--root", "", "rmi", "a"]) is None


@given(st.lists(st.sampled_from(["rmi", "a", "-f", "--", "--root", "--root=/r", "-x", ""])))
@settings(deadline=None)
def test_what_is_understood_is_understood_alike(words: list[str]) -> None:
    found = parse_rmi(words)
    if found is not None:
        assert found == by_click(words)


def names_of(root: Path) -> list[str]:
    with LocalStore(root) as store:
        return list(store.names())


@pytest.mark.root
def test_names_go_and_one_that_is_not_there_does_not_stop_the_others(tmp_path: Path) -> None:
    names = [f"docker.io/library/{letter}:1" for letter in "abc"]
    for at, form in enumerate(
        (["rmi", "a:1", "no:1", "b:1"], ["--debug", "rmi", "a:1", "no:1", "b:1"])
    ):
        root = tmp_path / str(at)
        ids = write_images(
            root, [(name, "2024-01-01T00:00:00Z", at) for at, name in enumerate(names)]
        )
        done = corten(*form, root=root)
        assert done.returncode == 1
        assert (
            done.stdout == f"Untagged: a:1\nDeleted: {ids[0]}\nUntagged: b:1\nDeleted: {ids[1]}\n"
        )
        assert "no image 'no:1' here" in done.stderr
        assert names_of(root) == names[2:]


@pytest.mark.root
def test_it_needs_neither_the_frame_nor_what_runs_containers(tmp_path: Path) -> None:
    write_images(tmp_path, [("docker.io/library/a:1", "2024-01-01T00:00:00Z", 1)])
    assert corten("gc", root=tmp_path).returncode == 0  # the first command tries the drivers
    code = (
        "import sys, corten.cli.entry as entry\n"
        f"assert entry._run(['--root', {str(tmp_path)!r}, 'rmi', 'a:1']) == 0\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())
    assert not modules & {"click", "rich", "urllib3", "asyncio", "inspect"}
    # Nothing but names is removed here: nothing is hashed, mounted or compressed.
    assert not modules & {"hashlib", "ctypes", "shutil", "struct", "queue", "subprocess"}
    assert not modules & {"corten.snapshot.overlay", "corten.snapshot.tree", "corten.system.mount"}
    assert not modules & {"corten.runtime.lifecycle", "corten.runtime.crun", "corten.cli.frame"}
    assert names_of(tmp_path) == []
