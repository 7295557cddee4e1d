"""What a user gets wrong: one line that says what and what to do, the right status, nothing half done."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import busybox
from support.commands import corten, environment

pytestmark = [pytest.mark.root, pytest.mark.e2e]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("mistakes")
    busybox.build(folder / "root", folder / "context")
    yield folder / "root"
    left = corten("ps", "-aq", root=folder / "root").stdout.split()
    if left:
        corten("rm", "-f", *left, root=folder / "root")


def refused(
    done: subprocess.CompletedProcess[str], message: str, status: int = 1, hint: str = ""
) -> None:
    """The command failed with `status` and said `message` on one line (patterns)."""
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("corten: ")]
    assert len(lines) == 1, done.stderr
    assert re.search(message, lines[0]), lines[0]
    assert not hint or re.search(f"^hint: .*{hint}", done.stderr, re.MULTILINE), done.stderr


@pytest.mark.parametrize(
    ("args", "message", "status", "hint"),
    [
        (["inspect", "nowhere"], "nowhere", 1, ""),
        (["history", "nowhere"], "no image 'nowhere'", 1, "corten pull"),
        (["rmi", "nowhere"], "no image 'nowhere'", 1, ""),
        (["tag", "busybox", "Upper/Case"], "lower case|host", 1, ""),
        (["tag", "busybox", "a/Case"], "lower case", 1, "a/case"),
        (["logs", "nobody"], "no container 'nobody'", 1, "ps -a"),
        (["stop", "nobody"], "no container 'nobody'", 1, ""),
        (["rm", "nobody"], "no container 'nobody'", 1, ""),
        (["exec", "nobody", "true"], "no container 'nobody'", 125, ""),
        (["push", "127.0.0.1:1/x"], "no image", 1, "corten tag"),
        (["load", "-i", "/nonexistent.tar"], "nonexistent.tar", 1, ""),
        (["build", "/nonexistent"], "nonexistent", 1, ""),
        (["--storage-driver", "aufs", "info"], "aufs", 1, "erofs|overlay"),
        (["--storage-driver", "zip", "info"], "zip", 2, ""),
    ],
)  # fmt: skip
def test_unknown_names_and_forms(
    root: Path, args: list[str], message: str, status: int, hint: str
) -> None:
    refused(corten(*args, root=root), message, status, hint)


@pytest.mark.parametrize(
    ("args", "message", "status"),
    [
        (["--pull=never", "nowhere", "true"], "no image 'nowhere'", 125),
        (["busybox", "no-such-command"], "no-such-command", 127),
        (["busybox", "/etc"], "/etc", 126),
        (["-u", "nobody-here", "busybox", "true"], "nobody-here", 125),
        (["-p", "99999:80", "busybox", "true"], "99999", 125),
        (["--network", "mars", "busybox", "true"], "mars", 125),
        (["--cap-add", "FLY", "busybox", "true"], "FLY", 125),
        (["--name", "a b", "busybox", "true"], "a b", 125),
        (["-v", "relative:/x:weird", "busybox", "true"], "weird", 125),
    ],
)
def test_runs_that_cannot_start_leave_no_container(
    root: Path, args: list[str], message: str, status: int
) -> None:
    before = corten("ps", "-aq", root=root).stdout
    refused(corten("run", *args, root=root), message, status)
    assert corten("ps", "-aq", root=root).stdout == before


def test_a_port_in_use_is_named_before_anything_starts(root: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = corten(
            "run", "-d", "-p", f"127.0.0.1:{port}:80", "busybox", "sleep", "60", root=root
        )
    refused(done, f"{port}.* in use", 125, "another")
    assert corten("ps", "-aq", root=root).stdout == ""


def test_an_unreachable_registry_is_named(root: Path) -> None:
    refused(corten("pull", "127.0.0.1:1/x/y", root=root), r"127\.0\.0\.1:1")
    refused(corten("pull", "registry.invalid/x/y", root=root), r"registry\.invalid")
    corten("tag", "busybox", "127.0.0.1:1/x:1", root=root)
    refused(corten("push", "127.0.0.1:1/x:1", root=root), r"127\.0\.0\.1:1")
    corten("rmi", "127.0.0.1:1/x:1", root=root)


@pytest.mark.parametrize(
    ("dockerfile", "message"),
    [
        ("", "empty|no instruction|FROM"),
        ("FORM busybox\n", r"Dockerfile:1.*FORM"),
        ("FROM busybox\nRNU true\n", r"Dockerfile:2.*RNU"),
        ("FROM busybox\nCOPY missing /x\n", r"missing"),
        ("FROM busybox\nCOPY ../outside /x\n", r"outside"),
        ("FROM busybox AS a\nCOPY --from=b /x /y\n", r"'?\bb\b"),
        ("RUN true\n", r"Dockerfile:1"),
        ("FROM busybox\nENV\n", r"Dockerfile:2"),
        ("FROM busybox\nCOPY --wrong=1 a b\n", r"Dockerfile:2.*wrong"),
        ("FROM busybox\nRUN exit 7\n", r"exit.* 7|status 7"),
    ],
)  # fmt: skip
def test_malformed_dockerfiles_leave_no_image(
    root: Path, tmp_path: Path, dockerfile: str, message: str
) -> None:
    (tmp_path / "Dockerfile").write_text(dockerfile)
    before = corten("images", "-aq", root=root).stdout
    done = corten("build", "-t", "broken", "--pull=false", str(tmp_path), root=root)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert re.search(message, done.stderr), done.stderr
    assert corten("images", "-aq", root=root).stdout == before
    assert list((root / "snapshots").glob("run-*")) == []


def test_an_array_that_is_no_json_is_a_command_for_the_shell(root: Path, tmp_path: Path) -> None:
    # As Docker has it: only a well-formed array of strings is the exec form.
    (tmp_path / "Dockerfile").write_text('FROM busybox\nCMD ["a",\n')
    done = corten("build", "-t", "shell-form", str(tmp_path), root=root)
    assert done.returncode == 0, done.stderr
    shown = corten("inspect", "-f", "{{json .Config.Cmd}}", "shell-form", root=root)
    assert json.loads(shown.stdout) == ["/bin/sh", "-c", '["a",']
    corten("rmi", "shell-form", root=root)


def test_a_missing_helper_names_its_package(root: Path, tmp_path: Path) -> None:
    env = environment(root, PATH=str(tmp_path))
    done = corten("run", "--rm", "--network=none", "busybox", "true", env=env)
    if done.returncode == 0:
        pytest.skip("helpers were found outside PATH, in the system's directories")
    # Whichever is missed first is named with the package that has it.
    helpers = {"crun": "crun", "conmon": "conmon", "flock": "util-linux", "mount": "mount"}
    (name,) = re.findall(r"corten: (\S+) is not installed", done.stderr) or [""]
    assert name in helpers, done.stderr
    refused(done, f"{name} is not installed", 125, f"apt-get install {helpers[name]}$")


@pytest.mark.parametrize(
    "content", [b"", b"not a tar", b"\x1f\x8b broken gzip", b"\0" * 10240, b"{}" * 600]
)
def test_archives_that_are_none_are_refused(root: Path, tmp_path: Path, content: bytes) -> None:
    archive = tmp_path / "broken.tar"
    archive.write_bytes(content)
    before = corten("images", "-aq", root=root).stdout
    refused(corten("load", "-i", str(archive), root=root), "broken.tar|archive|tar|gzip")
    assert corten("images", "-aq", root=root).stdout == before


def test_an_image_in_use_is_not_removed(root: Path) -> None:
    done = corten(
        "run", "-d", "--name", "user", "--network=none", "busybox", "sleep", "60", root=root
    )
    assert done.returncode == 0, done.stderr
    try:
        refused(corten("rmi", "busybox", root=root), "busybox.*user", 1, "corten rm")
        refused(corten("rm", "user", root=root), "running", 1, "stop|--force")
        refused(
            corten("run", "-d", "--name", "user", "busybox", "true", root=root), "user", 125, "name"
        )
    finally:
        corten("rm", "-f", "user", root=root)
    assert corten("images", "-q", "busybox", root=root).stdout


def test_a_mistyped_command_is_answered_with_the_right_one() -> None:
    done = corten("imags")
    refused(done, "imags", 2)
    assert "images" in done.stderr


def test_a_stage_whose_name_is_mistyped_is_meant(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM scratch AS builder\nFROM scratch\nCOPY --from=buidler /x /\n"
    )
    done = corten("build", "--pull=never", str(tmp_path), root=tmp_path / "root")
    assert "Dockerfile:3: " in done.stderr
    assert "did you mean the stage builder?" in done.stderr
