"""Completion of names, places and files, by the script's questions and in a real bash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.catalog import write_images
from support.commands import corten, environment

NAMES = ("127.0.0.1:5000/example/hello:v1", "127.0.0.1:5000/other:v2", "debian:bookworm")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    stored = [name if name.startswith("127") else f"docker.io/library/{name}" for name in NAMES]
    write_images(root, [(name, "2026-01-01T00:00:00Z", 12) for name in stored])
    return root


def offered(line: str, root: Path, breaks: str | None = None) -> list[str]:
    """The lines that the script gets for `line`."""
    env = environment(root, COMP_WORDS=line, _CORTEN_COMPLETE="bash_complete")
    if breaks is not None:
        env["COMP_WORDBREAKS"] = breaks
    done = corten(env=env)
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1] if done.stdout.strip() else []


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("corten rmi 127", ["127.0.0.1:5000/example/hello:v1", "127.0.0.1:5000/other:v2"]),
        ("corten rmi 127.0.0.1:50", ["5000/example/hello:v1", "5000/other:v2"]),
        ("corten rmi 127.0.0.1:5000/example/hello:", ["v1"]),
        ("corten rmi debian:", ["bookworm"]),
        ("corten rmi x:y debian:b", ["bookworm"]),
        ("corten rmi nothing:", []),
        ("corten --progress=pl", ["plain"]),
        ("corten --progress=plain rmi debian:", ["bookworm"]),
    ],
)
def test_what_bash_keeps_of_a_word_is_not_offered_again(
    line: str, values: list[str], root: Path
) -> None:
    assert offered(line, root) == [f"plain,{value}" for value in values]


def test_where_bash_does_not_break_words_they_are_offered_whole(root: Path) -> None:
    assert offered("corten rmi debian:b", root, " \t\n") == ["plain,debian:bookworm"]
    assert offered("corten --progress=pl", root, " \t\n") == ["plain,--progress=plain"]
    assert offered("corten --progress=pl", root, " =") == ["plain,plain"]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("corten build -f ", "file"),
        ("corten build ", "dir"),
        ("corten load -i ", "file"),
        ("corten save -o ", "file"),
        ("corten export -o ", "file"),
        ("corten import ", "file"),
        ("corten copy oci:./la", "file"),
        ("corten copy a docker-archive:", "file"),
    ],
)
def test_files_and_directories_are_left_to_the_shell(line: str, kind: str, root: Path) -> None:
    assert [row.partition(",")[0] for row in offered(line, root)] == [kind]


def test_places_are_local_names_and_transports(root: Path) -> None:
    assert offered("corten copy deb", root) == ["plain,debian:bookworm"]
    assert offered("corten copy debian:", root) == ["plain,bookworm"]
    assert offered("corten copy debian:bookworm do", root) == [
        "plain,docker://",
        "plain,docker-archive:",
    ]


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("line", "replies"),
    [
        ("corten rmi debian:", ["bookworm"]),
        ("corten rmi 127.0.0.1:50", ["5000/example/hello:v1", "5000/other:v2"]),
        ("corten rmi debian:bookworm x", []),
    ],
)
def test_the_script_works_in_bash(line: str, replies: list[str], root: Path) -> None:
    script = corten("completion", "bash").stdout
    call = "COMP_LINE=$1 COMP_POINT=${#1}; _corten_completion corten"
    show = r'printf "%s\n" "${COMPREPLY[@]}"'
    folder = str(Path(sys.executable).parent)
    env = environment(root, PATH=f"{folder}{os.pathsep}{os.environ['PATH']}")
    done = subprocess.run(
        ["bash", "--norc", "-c", f"{script}\n{call}\n{show}", "bash", line],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.split() == replies
