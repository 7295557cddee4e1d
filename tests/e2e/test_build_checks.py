"""``corten build --check``, ``--fix``, and what an ordinary build says of its Dockerfile."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support.commands import COMMAND, corten, environment
from support.registry_server import corten_registry

pytestmark = [pytest.mark.root, pytest.mark.e2e]

TEXT = (
    "\ufeffFrom scratch as Base\r\n"
    "# comment\r\n"
    "ENV NAME a b  \r\n"
    "COPY left/out /x\r\n"
    "ENV B=$NAMES\r\n"
)
MENDED = (
    "\ufeffFROM scratch AS base\r\n"
    "# comment\r\n"
    'ENV NAME="a b"  \r\n'
    "COPY left/out /x\r\n"
    "ENV B=$NAMES\r\n"
)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / ".dockerignore").write_text("left\n")
    (folder / "Dockerfile").write_bytes(TEXT.encode())
    return folder


def test_checks_are_reported_and_mended_and_nothing_is_built(context: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    done = corten("build", "--check", "-t", "x", str(context), root=root)
    assert (done.returncode, done.stderr) == (1, "")
    rules = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("WARNING: ")}
    assert rules == {
        "ConsistentInstructionCasing",
        "StageNameCasing",
        "LegacyKeyValueFormat",
        "CopyIgnoredFile",
        "UndefinedVar",
    }
    assert (
        "Usage of undefined variable '$NAMES' (did you mean $NAME?)\nDockerfile:5\n" in done.stdout
    )
    assert (context / "Dockerfile").read_bytes() == TEXT.encode()
    assert corten("images", "-q", root=root).stdout == ""
    called = corten("build", "--call=check", "--rm", str(context), root=root)
    assert (called.returncode, called.stdout) == (1, done.stdout)

    real = tmp_path / "elsewhere"
    (context / "Dockerfile").rename(real)
    real.chmod(0o640)
    os.chown(real, 12, 34)
    (context / "Dockerfile").symlink_to(real)
    done = corten("build", "--check", "--fix", str(context), root=root)
    assert done.returncode == 1
    assert "- From scratch as Base\n+ FROM scratch AS base\n" in done.stdout
    assert "Check complete, 2 warnings have been left!" in done.stdout
    assert real.read_bytes() == MENDED.encode()
    status = real.stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o640, 12, 34)
    assert (context / "Dockerfile").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["context", "elsewhere"]


def test_a_clean_file_passes_and_a_malformed_one_is_an_error(context: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (context / "Dockerfile").write_text("# check=skip=StageNameCasing\nFROM scratch AS A\n")
    done = corten("build", "--check", str(context), root=root)
    assert (done.returncode, done.stdout) == (0, "Check complete, no warnings found.\n")
    (context / "Dockerfile").write_text("FROM scratch\nCOPPY a b\n")
    done = corten("build", "--check", str(context), root=root)
    assert done.returncode == 1
    assert "Dockerfile:2: unknown instruction COPPY" in done.stderr
    assert "did you mean COPY?" in done.stderr


def test_standard_input_is_checked_but_not_mended(context: Path, tmp_path: Path) -> None:
    for flags, status, said in (
        (["--check"], 1, "Check complete, 4 warnings have been found!"),
        (["--fix"], 2, "is no file that --fix could write"),
    ):
        with (context / "Dockerfile").open("rb") as file:
            done = subprocess.run(
                [*COMMAND, "build", *flags, "-"],
                env=environment(tmp_path / "root"),
                stdin=file,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        assert done.returncode == status
        assert said in done.stdout + done.stderr
    assert (context / "Dockerfile").read_bytes() == TEXT.encode()


def test_a_build_names_rules_and_lines_or_fails_of_them(context: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    body = "FROM scratch AS Base\nENV A b\nFROM scratch as unused\nFROM base\n"
    (context / "Dockerfile").write_text(body)
    done = corten("build", "-t", "x", str(context), root=root)
    assert done.returncode == 0, done.stderr
    warned = [line for line in done.stderr.splitlines() if "of the checks" in line]
    assert len(warned) == 1
    assert (
        "2 warnings of the checks: StageNameCasing (line 1), LegacyKeyValueFormat (line 2);"
        in warned[0]
    )
    (context / "Dockerfile").write_text(f"# check=error=true\n{body}")
    done = corten("build", "-t", "y", str(context), root=root)
    assert done.returncode == 1
    assert "Dockerfile:2: StageNameCasing: Stage name 'Base' should be lowercase" in done.stderr
    assert "y" not in corten("images", root=root).stdout.split()
    words = ["build", "--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip=all", "-q", str(context)]
    done = corten(*words, root=root)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_registry_is_asked_what_an_image_holds_and_nothing_is_pulled(
    context: Path, tmp_path: Path
) -> None:
    publisher, root = tmp_path / "publisher", tmp_path / "root"
    with corten_registry(tmp_path / "registry") as server:
        name = f"{server.host}/base:1"
        (context / "Dockerfile").write_text("FROM scratch\nENV FROM_BASE=1\n")
        assert corten("build", "-t", name, str(context), root=publisher).returncode == 0
        assert corten("push", name, root=publisher).returncode == 0
        (context / "Dockerfile").write_text(f"FROM {name}\nENV A=$FROM_BASE\nENV B=$WHATEVER\n")
        done = corten("build", "--check", str(context), root=root)
        assert done.stdout.count("WARNING: UndefinedVar") == 1
        assert "'$WHATEVER'" in done.stdout
        assert corten("images", "-q", root=root).stdout == ""
    done = corten("build", "--check", str(context), root=root)
    assert (done.returncode, done.stdout) == (0, "Check complete, no warnings found.\n")
    assert f"what {name} holds is not known to the checks" in done.stderr
