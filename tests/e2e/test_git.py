"""Git repositories fetched for real: by git's own protocol and by plain HTTP, honest and hostile."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest

from corten.builder.git import fetch, look, prune
from corten.builder.git_program import GitTools
from corten.builder.git_url import Repository, parse_git
from corten.errors import (
    Cancelled,
    Corrupt,
    CortenError,
    Denied,
    Invalid,
    NotFound,
    Unavailable,
    Unsupported,
)
from corten.events.job import Job
from support.git_servers import Origin, daemon, git, smart_web, web

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("git") is None, reason="needs git"),
]


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    made = Origin(tmp_path, "repo")
    made.commit({"a.txt": "one", "sub/b.txt": "two", "run.sh": "#!/bin/sh\n"})
    (made.work / "run.sh").chmod(0o755)
    return made


@pytest.fixture(params=["git", "http", "dumb http"])
def served(request: pytest.FixtureRequest, tmp_path: Path, origin: Origin) -> Iterator[str]:
    serve: dict[str, Callable[[Path], AbstractContextManager[str]]]
    serve = {"git": daemon, "http": smart_web, "dumb http": web}
    with serve[request.param](tmp_path / "served") as url:
        yield f"{url}/repo.git"


@pytest.fixture
def by_git(tmp_path: Path, origin: Origin) -> Iterator[str]:
    """What does not depend on the transport is shown with one."""
    with daemon(tmp_path / "served") as url:
        yield f"{url}/repo.git"


@pytest.fixture
def tools(tmp_path: Path) -> GitTools:
    return GitTools(tmp_path / "cache" / "git", {"HOME": str(tmp_path)})


def fetched(tmp_path: Path, address: str | Repository, tools: GitTools, name: str = "out") -> Path:
    target = tmp_path / name
    target.mkdir()
    repository = parse_git(address) if isinstance(address, str) else address
    return fetch(repository, target, tools, Job()).path


def names(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir())


def test_branches_tags_commits_and_parts_of_commits_are_fetched(
    tmp_path: Path, origin: Origin, served: str, tools: GitTools
) -> None:
    first = origin.commit({"a.txt": "one"})
    origin.tag("v1", "-a", "-m", "first")
    second = origin.commit({"a.txt": "two"}, "topic/x")
    third = origin.commit({"a.txt": "three"})
    for number, (ref, commit, text) in enumerate(
        [
            ("", third, "three"),
            ("#v1", first, "one"),
            ("?tag=v1", first, "one"),
            ("#topic/x", second, "two"),
            ("?branch=topic/x", second, "two"),
            ("#refs/heads/topic/x", second, "two"),
            (f"#{second}", second, "two"),
            (f"#{first[:9]}", first, "one"),
            (f"?ref=v1&commit={first[:5]}", first, "one"),
        ]
    ):
        assert look(parse_git(served + ref), tools, Job()) == commit, ref
        path = fetched(tmp_path, served + ref, tools, f"out{number}")
        assert (path / "a.txt").read_text() == text
        assert not (path / ".git").exists()


def test_modes_and_times_do_not_depend_on_who_fetches(
    tmp_path: Path, origin: Origin, by_git: str, tools: GitTools
) -> None:
    origin.commit({})
    before = os.umask(0o077)
    try:
        path = fetched(tmp_path, by_git, tools)
    finally:
        os.umask(before)
    found = {
        str(each.relative_to(path)): (stat.S_IMODE(each.stat().st_mode), each.stat().st_mtime_ns)
        for each in path.rglob("*")
    }
    time = 1_700_000_000 * 10**9
    assert found == {
        "a.txt": (0o644, time),
        "run.sh": (0o755, time),
        "sub": (0o755, time),
        "sub/b.txt": (0o644, time),
    }


def test_a_second_fetch_needs_no_server(tmp_path: Path, origin: Origin, tools: GitTools) -> None:
    with web(tmp_path / "served") as url:
        commit = look(parse_git(f"{url}/repo.git"), tools, Job())
        fetched(tmp_path, f"{url}/repo.git", tools, "one")
    path = fetched(tmp_path, f"{url}/repo.git#{commit}", tools, "two")
    assert names(path) == ["a.txt", "run.sh", "sub/b.txt"]
    with pytest.raises(Unavailable, match="cannot fetch"):
        fetched(tmp_path, f"{url}/repo.git", tools, "three")
    # That failure threw nothing away.
    assert names(fetched(tmp_path, f"{url}/repo.git#{commit}", tools, "four")) == names(path)
    prune(tools.folder)
    assert list(tools.folder.iterdir()) == []


def test_what_is_not_there_is_named(
    tmp_path: Path, origin: Origin, served: str, tools: GitTools
) -> None:
    for number, (address, text) in enumerate(
        [
            (f"{served}#nowhere", "no branch, tag or commit 'nowhere'"),
            (f"{served}#{'0' * 40}", "cannot fetch|no commit 0000"),
            (f"{served}#:missing", "no directory 'missing'"),
            (f"{served}#:a.txt", "no directory 'a.txt'"),
            (served.replace("repo", "other"), "cannot fetch"),
        ]
    ):
        with pytest.raises((NotFound, Denied), match=text):
            fetched(tmp_path, address, tools, f"out{number}")
    with pytest.raises(Corrupt, match="is commit"):
        fetched(tmp_path, f"{served}?branch=main&commit=0000", tools)


def test_a_subdirectory_cannot_leave_the_repository(
    tmp_path: Path, origin: Origin, by_git: str, tools: GitTools
) -> None:
    (tmp_path / "secret").mkdir()
    (origin.work / "out").symlink_to(tmp_path / "secret")
    (origin.work / "up").symlink_to("../../../../../../../..")
    (origin.work / "in").symlink_to("sub")
    origin.commit({})
    assert names(fetched(tmp_path, f"{by_git}#:in", tools, "1")) == ["b.txt"]
    with pytest.raises(NotFound):
        fetched(tmp_path, f"{by_git}#:out", tools, "2")
    assert fetched(tmp_path, f"{by_git}#main:up", tools, "3").resolve() == tmp_path / "3"
    with pytest.raises(Invalid, match="leads out"):
        parse_git(f"{by_git}#main:../x")


def test_the_kept_directory_is_a_repository_of_one_commit(
    tmp_path: Path, origin: Origin, served: str, tools: GitTools
) -> None:
    origin.commit({"a.txt": "two"})
    path = fetched(tmp_path, f"{served}?keep-git-dir=1", tools)
    assert git(path, "log", "--format=%H") == git(origin.work, "rev-parse", "HEAD")
    assert git(path, "status", "--porcelain") == ""
    assert git(path, "config", "remote.origin.url") == served
    again = fetched(tmp_path, f"{served}?keep-git-dir=1", tools, "again")
    for name in names(again / ".git"):
        if name != "index":  # status refreshed the first one's
            assert (again / ".git" / name).read_bytes() == (path / ".git" / name).read_bytes(), name


def test_submodules_of_submodules_are_counted_together(
    tmp_path: Path, origin: Origin, by_git: str, tools: GitTools
) -> None:
    commit = origin.push()
    for name, below in (("b", "repo"), ("a", "b")):
        made = Origin(tmp_path, name)
        modules = f'[submodule "s0"]\n\tpath = s0\n\turl = ../{below}.git\n'
        blob = git(made.work, "hash-object", "-w", "--stdin", text=modules)
        rows = "".join(f"160000 commit {commit}\ts{number}\n" for number in range(600))
        rows += f"100644 blob {blob}\t.gitmodules\n"
        tree = git(made.work, "mktree", "--missing", text=rows)
        commit = git(made.work, "commit-tree", tree, "-m", "many")
        git(made.work, "push", "-q", str(made.bare), f"{commit}:refs/heads/main")
    fetched(tmp_path, by_git.replace("repo", "b"), tools, "fits")
    with pytest.raises(Unsupported, match="more than 1000 submodules"):
        fetched(tmp_path, by_git.replace("repo", "a"), tools)


def submodule(origin: Origin, path: str, url: str, commit: str) -> None:
    (origin.work / ".gitmodules").write_text(
        f'[submodule "{path}"]\n\tpath = {path}\n\turl = {url}\n'
    )
    git(origin.work, "add", ".gitmodules")
    git(origin.work, "update-index", "--add", "--cacheinfo", f"160000,{commit},{path}")
    origin.push()


def test_submodules_come_with_their_own(
    tmp_path: Path, origin: Origin, served: str, tools: GitTools
) -> None:
    inner, middle = Origin(tmp_path, "inner"), Origin(tmp_path, "middle")
    submodule(middle, "deep/inner", "../inner.git", inner.commit({"i.txt": "i"}))
    commit = git(middle.work, "rev-parse", "HEAD")
    submodule(origin, "middle", served.replace("/repo.git", "/middle.git"), commit)
    path = fetched(tmp_path, served, tools)
    assert (path / "middle/deep/inner/i.txt").read_text() == "i"
    without = fetched(tmp_path, f"{served}?submodules=false", tools, "without")
    assert list((without / "middle").iterdir()) == []


def test_submodules_share_one_limit(
    tmp_path: Path, origin: Origin, by_git: str, tools: GitTools
) -> None:
    inner = Origin(tmp_path, "inner")
    commit = inner.commit({f"{n}.txt": "x" * 1000 for n in range(3)})
    paths = ("p", "q", "r")
    (origin.work / ".gitmodules").write_text(
        "".join(f'[submodule "{p}"]\n\tpath = {p}\n\turl = ../inner.git\n' for p in paths)
    )
    with (origin.work / ".gitmodules").open("a") as file:
        file.write('[submodule "again"]\n\tpath = p\n\turl = ../inner.git\n')
    git(origin.work, "add", ".gitmodules")
    for path in paths:
        git(origin.work, "update-index", "--add", "--cacheinfo", f"160000,{commit},{path}")
    origin.push()  # 4 files, 3 links and 9 files in submodules
    assert len(names(fetched(tmp_path, by_git, tools._replace(files=16), "all"))) == 13
    with pytest.raises(Unsupported, match=f"with commit {commit} .* more than 15 files"):
        fetched(tmp_path, by_git, tools._replace(files=15), "many")
    small = tools._replace(environ={"CORTEN_LAYER_LIMIT": "8K"})
    with pytest.raises(Unsupported, match=f"with commit {commit} .* more than 8192 bytes"):
        fetched(tmp_path, by_git, small, "large")


@pytest.mark.parametrize(
    "url", ["ext::sh -c touch% {}", "file://{}", "{}", "--upload-pack=touch {}", "../../../x"]
)
def test_submodules_cannot_name_programs_and_local_files(
    tmp_path: Path, origin: Origin, by_git: str, tools: GitTools, url: str
) -> None:
    submodule(origin, "evil", url.format(origin.bare), "1" * 40)
    with pytest.raises(Invalid, match="submodule 'evil'"):
        fetched(tmp_path, by_git, tools)
    assert list((tmp_path / "out" / "evil").iterdir()) == []


def test_a_link_in_a_submodules_way_is_not_followed(
    tmp_path: Path, origin: Origin, by_git: str, tools: GitTools
) -> None:
    inner = Origin(tmp_path, "inner")
    commit = inner.commit({"i.txt": "i"})
    (tmp_path / "victim").mkdir()
    link = git(origin.work, "hash-object", "-w", "--stdin", text=str(tmp_path / "victim"))
    modules = '[submodule "x"]\n\tpath = x/y\n\turl = ../inner.git\n'
    blob = git(origin.work, "hash-object", "-w", "--stdin", text=modules)
    below = git(origin.work, "mktree", "--missing", text=f"160000 commit {commit}\ty\n")
    rows = f"100644 blob {blob}\t.gitmodules\n120000 blob {link}\tx\n040000 tree {below}\tx\n"
    tree = git(origin.work, "mktree", "--missing", text=rows)
    evil = git(origin.work, "commit-tree", tree, "-m", "evil")
    git(origin.work, "push", "-q", "-f", str(origin.bare), f"{evil}:refs/heads/main")
    git(origin.bare, "update-server-info")
    with suppress(CortenError):  # git may drop the link instead
        fetched(tmp_path, by_git, tools)
    assert list((tmp_path / "victim").iterdir()) == []


def test_hooks_filters_and_configuration_of_others_are_not_run(
    tmp_path: Path, origin: Origin, by_git: str, tools: GitTools
) -> None:
    mark = tmp_path / "ran"
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        f'[filter "f"]\n\tsmudge = touch {mark}\n[core]\n\tfsmonitor = touch {mark}\n'
    )
    origin.commit({".gitattributes": "* filter=f\n", "hooks/post-checkout": f"touch {mark}\n"})
    fetched(tmp_path, by_git, GitTools(tools.folder, {"HOME": str(home)}))
    assert not mark.exists()


def test_a_commit_of_too_many_bytes_is_refused_before_a_file_is_written(
    tmp_path: Path, origin: Origin, by_git: str, tools: GitTools
) -> None:
    origin.commit({f"f{number}": "x" * 40_000 for number in range(4)})
    small = GitTools(tools.folder, {"CORTEN_LAYER_LIMIT": "100K"})
    with pytest.raises(Unsupported, match="more than 102400 bytes"):
        fetched(tmp_path, by_git, small)
    assert list((tmp_path / "out").iterdir()) == []


def test_trees_that_name_each_other_do_not_grow_without_end(
    tmp_path: Path, origin: Origin, by_git: str, tools: GitTools
) -> None:
    blob = git(origin.work, "hash-object", "-w", "--stdin", text="x")
    rows, kind = f"100644 blob {blob}", "blob"
    tree = ""
    for _ in range(10):
        rows = "".join(f"{rows.split(chr(9), maxsplit=1)[0]}\tf{n}\n" for n in range(10))
        tree = git(origin.work, "mktree", text=rows)
        rows, kind = f"040000 tree {tree}", "tree"
    assert kind == "tree"
    bomb = git(origin.work, "commit-tree", tree, "-m", "bomb")
    git(origin.work, "push", "-q", "-f", str(origin.bare), f"{bomb}:refs/heads/main")
    git(origin.bare, "update-server-info")
    with pytest.raises(Unsupported, match="more than 5000 files"):
        fetched(tmp_path, by_git, tools._replace(files=5000))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_tree_with_a_git_directory_of_its_own_is_refused(
    tmp_path: Path, origin: Origin, by_git: str, tools: GitTools
) -> None:
    config = git(origin.work, "hash-object", "-w", "--stdin", text="[core]\n")
    inner = git(origin.work, "mktree", text=f"100644 blob {config}\tconfig\n")
    tree = git(origin.work, "mktree", text=f"040000 tree {inner}\t.git\n")
    evil = git(origin.work, "commit-tree", tree, "-m", "evil")
    git(origin.work, "push", "-q", "-f", str(origin.bare), f"{evil}:refs/heads/main")
    git(origin.bare, "update-server-info")
    with pytest.raises(Invalid, match="invalid path"):
        fetched(tmp_path, by_git, tools)


def test_a_cancelled_fetch_leaves_nothing_in_the_way(
    tmp_path: Path, origin: Origin, by_git: str, tools: GitTools
) -> None:
    job = Job()
    job.cancel()
    (tmp_path / "gone").mkdir()
    with pytest.raises(Cancelled):
        fetch(parse_git(by_git), tmp_path / "gone", tools, job)
    kept = next(iter(tools.folder.iterdir()), None) if tools.folder.exists() else None
    if kept is None:
        look(parse_git(by_git), tools, Job())
        kept = next(iter(tools.folder.iterdir()))
    # As a kill -9 leaves it: the mark, and a lock of git's.
    (kept / "corten-busy").touch()
    (kept / "shallow.lock").touch()
    (kept / "refs").mkdir(exist_ok=True)
    assert names(fetched(tmp_path, by_git, tools)) == ["a.txt", "run.sh", "sub/b.txt"]


def test_what_broke_off_is_fetched_again(tmp_path: Path, origin: Origin, tools: GitTools) -> None:
    origin.commit({f"{n}.bin": os.urandom(2000).hex() for n in range(50)})
    with smart_web(tmp_path / "served", 0.5) as url:
        with pytest.raises(CortenError, match="cannot fetch"):
            fetched(tmp_path, f"{url}/repo.git", tools, "first")
        assert len(names(fetched(tmp_path, f"{url}/repo.git", tools, "again"))) == 53


def test_a_file_that_was_missing_at_the_server_is_fetched_later(
    tmp_path: Path, origin: Origin, tools: GitTools
) -> None:
    blob = git(origin.work, "rev-parse", "HEAD:sub/b.txt")
    loose = origin.bare / "objects" / blob[:2] / blob[2:]
    loose.rename(tmp_path / "aside")
    with web(tmp_path / "served") as url:
        with pytest.raises(CortenError, match="cannot fetch"):
            fetched(tmp_path, f"{url}/repo.git", tools, "first")
        (tmp_path / "aside").rename(loose)
        assert "sub/b.txt" in names(fetched(tmp_path, f"{url}/repo.git", tools, "again"))


FETCH = """
import sys
from pathlib import Path
from corten.builder.git import look
from corten.builder.git_program import GitTools
from corten.builder.git_url import parse_git
from corten.events.job import Job
look(parse_git(sys.argv[1]), GitTools(Path(sys.argv[2]), {}), Job())
"""


def test_the_lock_lasts_until_git_has_ended(tmp_path: Path, tools: GitTools) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        address = f"git://127.0.0.1:{server.getsockname()[1]}/x.git"
        child = subprocess.Popen([sys.executable, "-c", FETCH, address, str(tools.folder)])
        try:
            connection, _ = server.accept()  # git waits for an answer
        finally:
            child.kill()
            child.wait()
        with connection:
            (kept,) = tools.folder.iterdir()
            assert not free(kept)
            assert prune(tools.folder) == 0
            assert kept.exists()
        for _ in range(500):
            if free(kept):
                break
            time.sleep(0.01)
        assert free(kept)


def free(folder: Path) -> bool:
    """Whether nobody holds the directory's lock."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def test_a_missing_git_says_how_to_get_it(
    tmp_path: Path, tools: GitTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unsupported, match="not installed") as caught:
        fetched(tmp_path, "git://127.0.0.1:1/x.git", tools)
    assert "apt-get install git" in caught.value.hint


SSH = """#!/bin/sh
printf '%s\\n' "agent=$SSH_AUTH_SOCK" "$@" > "{log}"
for command; do :; done
exec sh -c "$command"
"""


def test_ssh_has_no_configuration_and_only_an_agent_that_is_lent(
    tmp_path: Path, origin: Origin, tools: GitTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, programs = tmp_path / "log", tmp_path / "bin"
    programs.mkdir()
    (programs / "ssh").write_text(SSH.format(log=log))
    (programs / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/nowhere/mine")
    address = f"ssh://git@127.0.0.1{origin.bare}"
    path = fetched(tmp_path, address, tools, "alone")
    assert names(path) == ["a.txt", "run.sh", "sub/b.txt"]
    said = log.read_text().splitlines()
    assert said[:3] == ["agent=", "-F", "/dev/null"]
    for option in ("BatchMode=yes", "StrictHostKeyChecking=yes", "IdentityAgent=none"):
        assert option in said
    look(parse_git(address), tools._replace(agent="/nowhere/lent"), Job())
    said = log.read_text().splitlines()
    assert said[0] == "agent=/nowhere/lent"
    assert "IdentityAgent=none" not in said


def test_a_missing_ssh_says_how_to_get_it(
    tmp_path: Path, tools: GitTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("git", "sh"):
        (programs / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(Unsupported, match="ssh is not installed") as caught:
        look(parse_git("git@127.0.0.1:x/y.git"), tools, Job())
    assert "openssh-client" in caught.value.hint
