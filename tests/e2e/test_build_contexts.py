"""Contexts of builds: tars on standard input, URLs, Git repositories, and named ones."""

from __future__ import annotations

import gzip
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.builder.contexts import Wanted
from support.commands import COMMAND, corten, environment
from support.contexts import CONTEXT, DOCKERFILE, files, opened, refused, tar_of
from support.git_servers import Origin, daemon, web

pytestmark = [pytest.mark.root, pytest.mark.e2e]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "root"
    yield made
    assert list(made.glob("cache/contexts/*")) == []  # whatever a build did


def ok(*arguments: str, root: Path) -> str:
    """Standard output of a command that must succeed."""
    done = corten(*arguments, root=root)
    assert done.returncode == 0, done.stderr
    return done.stdout


def given(root: Path, data: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """A build with `data` on standard input."""
    return subprocess.run(
        [*COMMAND, "build", *arguments],
        input=data, env=environment(root), capture_output=True, check=False,
    )  # fmt: skip


def test_a_tar_on_standard_input_is_the_context(root: Path, tmp_path: Path) -> None:
    done = given(root, gzip.compress(CONTEXT), "-", "-o", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "out") == [".dockerignore", "Dockerfile", "a.txt"]
    refused = given(root, b"FROM scratch\n", "-f", "x", "-")
    assert b"gives a Dockerfile, and -f names another" in refused.stderr
    refused = given(root, CONTEXT, "--check", "--fix", "-")
    assert b"no file that --fix could write" in refused.stderr


def test_tars_and_dockerfiles_come_from_urls(tmp_path: Path) -> None:
    served = tmp_path / "served"
    served.mkdir()
    (served / "c.tgz").write_bytes(gzip.compress(CONTEXT))
    (served / "Only").write_text("FROM scratch\n")
    (served / "large").write_bytes(b"#" * (2 << 20))
    pipe = tarfile.TarInfo(".dockerignore")
    pipe.type = tarfile.FIFOTYPE
    (served / "pipe.tar").write_bytes(tar_of(pipe))
    with web(served) as url:
        with opened(tmp_path, Wanted(f"{url}/c.tgz")) as found:
            assert (found.directory / "a.txt").read_text() == "a"
        with opened(tmp_path, Wanted(f"{url}/Only")) as found:
            assert files(found.directory) == []
            assert found.dockerfile is not None
            assert found.dockerfile.read_text() == "FROM scratch\n"
        with opened(tmp_path, Wanted(tmp_path, f"{url}/Only")) as found:
            assert found.directory == tmp_path
            assert found.dockerfile is not None
            assert found.dockerfile.read_text() == "FROM scratch\n"
        assert "answers 404" in refused(tmp_path, Wanted(f"{url}/nothing"))
        for dockerfile in ("-", f"{url}/Only"):
            assert "no regular file" in refused(tmp_path, Wanted(f"{url}/pipe.tar", dockerfile))
        assert "too large for a Dockerfile" in refused(tmp_path, Wanted(f"{url}/large"))


def test_a_git_repository_is_the_context(root: Path, tmp_path: Path) -> None:
    origin = Origin(tmp_path, "repo")
    origin.commit({"d/Dockerfile": DOCKERFILE, "d/.dockerignore": "no\n", "d/no": "", "d/a": "1"})
    origin.tag("v1")
    origin.commit({"d/a": "2", "Dockerfile": "FROM scratch\nCOPY .git /git\n"})
    out = tmp_path / "out"
    with daemon(tmp_path / "served") as url:
        first = ok("build", "-q", f"{url}/repo.git#v1:d", root=root)
        ok("build", f"{url}/repo.git#v1:d", "-o", str(out), root=root)
        assert files(out) == [".dockerignore", "Dockerfile", "a"]
        assert (out / "a").read_text() == "1"
        # Elsewhere, and later, it is the same image: times are the commit's.
        assert ok("build", "-q", f"{url}/repo.git?tag=v1&subdir=d", root=tmp_path / "2") == first
        kept = ("--build-arg", "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1")
        ok("build", *kept, f"{url}/repo.git", "-o", str(tmp_path / "git"), root=root)
        assert (tmp_path / "git/git/HEAD").exists()
        refused = corten("build", f"{url}/repo.git", root=root)
        assert ".git is not in the build context" in refused.stderr
        refused = corten("build", f"{url}/repo.git#--upload-pack=x", root=root)
        assert "cannot be a branch, tag or commit" in refused.stderr
    assert list((root / "cache/git").iterdir())
    assert "reclaimed" in ok("builder", "prune", root=root)
    assert list((root / "cache/git").iterdir()) == []


def folder(place: Path, files: dict[str, str]) -> str:
    for name, content in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return str(place)


def test_named_contexts_give_files_and_images(root: Path, tmp_path: Path) -> None:
    assets = folder(tmp_path / "assets", {"x": "1", "no": "2", ".dockerignore": "no\n"})
    base = folder(tmp_path / "base", {"Dockerfile": "FROM scratch\nCOPY f /f\n", "f": "base"})
    layout = str(tmp_path / "layout")
    ok("build", "-t", "base:1", "-o", f"type=oci,dest={layout},tar=false", base, root=root)
    ok("build", "-t", "base:1", base, root=root)
    text = """FROM alpine
COPY --from=assets x /copied
COPY --from=laid /f /laid
COPY --from=packed /a.txt /
FROM assets
COPY --from=0 / /all/
"""
    main = folder(tmp_path / "main", {"Dockerfile": text})
    served = tmp_path / "served"
    served.mkdir()
    (served / "c.tar").write_bytes(CONTEXT)
    with web(served) as url:
        done = corten(
            "build", "--build-context", "Alpine=docker-image://base:1",
            "--build-context", f"ASSETS={assets}",
            "--build-context", f"laid=oci-layout://{layout}",
            "--build-context", f"packed={url}/c.tar",
            "-o", str(tmp_path / "out"), main, root=root,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {name: (tmp_path / "out" / name).read_text() for name in files(tmp_path / "out")}
    assert found == {
        ".dockerignore": "no\n",
        "x": "1",
        "all/a.txt": "a",
        "all/copied": "1",
        "all/f": "base",
        "all/laid": "base",
    }
    for value, reason in (
        (f"assets={tmp_path}/nowhere", "build context assets "),
        (f"assets=oci-layout://{assets}", "is no OCI layout"),
        ("assets", "is not NAME=VALUE"),
        ("assets=target:nowhere", "which there is not"),
    ):
        refused = corten("build", "--build-context", value, main, root=root)
        assert refused.returncode != 0
        assert reason in refused.stderr, refused.stderr


def test_named_contexts_are_cached_by_content(root: Path, tmp_path: Path) -> None:
    one = folder(tmp_path / "one", {"x": "1"})
    main = folder(tmp_path / "main", {"Dockerfile": "FROM src\nCOPY --from=src x /y\n"})

    def built(place: str) -> tuple[str, str]:
        done = corten("build", "--build-context", f"src={place}", main, root=root)
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr

    first, _ = built(one)
    again, progress = built(one)
    assert again == first
    assert progress.count("CACHED") == 2
    copied = folder(tmp_path / "copy", {"x": "1"})
    os.utime(tmp_path / "copy" / "x", (1, 1))
    assert built(copied)[1].count("CACHED") == 2
    (tmp_path / "one" / "x").write_text("2")
    changed, progress = built(one)
    assert changed != first
    assert "CACHED" not in progress


def test_only_what_a_copy_takes_of_a_named_context_is_read(root: Path, tmp_path: Path) -> None:
    large = folder(tmp_path / "large", {"x": "1"})
    with (tmp_path / "large" / "huge").open("wb") as file:
        file.truncate(1 << 40)  # nobody could copy that
    main = folder(tmp_path / "main", {"Dockerfile": "FROM scratch\nCOPY --from=l x /y\n"})
    ok("build", "--build-context", f"l={large}", main, root=root)


def test_chosen_stages_run_again(root: Path, tmp_path: Path) -> None:
    text = "FROM scratch AS a\nCOPY f /a\nFROM scratch\nCOPY f /b\nCOPY --from=a /a /\n"
    main = folder(tmp_path / "main", {"Dockerfile": text, "f": ""})
    ok("build", main, root=root)
    assert corten("build", main, root=root).stderr.count("CACHED") == 3
    assert corten("build", "--no-cache-filter", "a", main, root=root).stderr.count("CACHED") == 2
    refused = corten("build", "--no-cache-filter", "a,c", main, root=root)
    assert "no stage 'c'" in refused.stderr


def test_pull_policies(root: Path, tmp_path: Path) -> None:
    main = folder(tmp_path / "main", {"Dockerfile": "FROM 127.0.0.1:1/no/such\n"})
    for flags, reason in (
        (("--pull=never",), "no image '127.0.0.1:1/no/such' here"),
        (("--pull=missing",), "cannot be pulled"),
        (("--pull=false",), "cannot be pulled"),
        (("--pull=always",), "refused"),
        (("--pull=sometimes",), "'missing', 'always', 'never'"),
    ):
        done = corten("build", *flags, main, root=root)
        assert done.returncode != 0
        assert reason in done.stderr, done.stderr
