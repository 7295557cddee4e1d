"""Fetches one commit of a Git repository, and lays out its files.

Each repository is kept bare under ROOT/cache/git, so that a later fetch brings what is new.
One build at a time works in one; a fetch that was killed is begun anew.
Spec: Docker's "Build context", "Git repositories"; Dockerfile reference, "ADD".
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from corten.builder.git_program import Git, GitFailed, GitTools, explained
from corten.builder.git_tree import Budget, Submodule, check_size, lay_out, submodules
from corten.builder.git_url import Repository
from corten.builder.tree import open_tree
from corten.errors import Corrupt, CortenError, Denied, Invalid, NotFound, Unavailable
from corten.events.job import Job
from corten.snapshot.removal import remove_tree

_BUSY = "corten-busy"
_PAUSE = 0.05
_DEPTH = 16
_BLOCK = 512
_SHORT = re.compile(r"[0-9a-f]{7,63}")
_ELSEWHERE = re.compile(
    r"shallow|unadvertised|not our ref|couldn't find remote ref|upload-pack: not our|"
    r"no such remote ref|unable to find",
    re.IGNORECASE,
)
_ALL = ("+refs/heads/*:refs/corten/heads/*", "+refs/tags/*:refs/corten/tags/*")


class Checkout(NamedTuple):
    """Files of a commit: where they are, the commit's full name, its time (Unix seconds).

    ``path`` is the wished subdirectory.  Files have the modes 644 and 755, directories 755,
    and everything the commit's time.
    """

    path: Path
    commit: str
    time: int


def look(repository: Repository, tools: GitTools, job: Job) -> str:
    """The full name of the commit that the repository's ref means now, for cache keys.

    It is asked for at the server, if the ref is no commit; hardly anything is fetched.
    Raises: as :func:`fetch`.
    """
    with _opened(repository, tools, job) as store:
        return store.commit()


def fetch(repository: Repository, target: Path, tools: GitTools, job: Job) -> Checkout:
    """The files of the commit that the repository's ref means, in the empty directory `target`.

    With its submodules, recursively, and without ``.git`` unless that is wished.  Shown as a
    step ``git`` of `job`, whose detail is the commit.  What is in `target` after a failure is
    the caller's to remove.

    Raises: NotFound: repository, ref or subdirectory; Denied: a server, or its host key;
    Unavailable; Corrupt: not the commit that ``checksum`` asks for; Invalid: what is in it
    breaks rules; Unsupported: it is larger than the layer limit, or git is not installed;
    Cancelled.
    """
    with job.step("git", _title(repository)) as step:
        commit, seconds = _fetch(repository, target, tools, step, Budget(tools), 0)
        step.result("done", commit)
    _set_times(target, seconds)
    return Checkout(_inside(repository, target), commit, seconds)


def prune(folder: Path) -> int:
    """Remove the repositories that are kept in `folder` and that no build works in.

    Returns the bytes on the disk that this gave back.
    """
    size = 0
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        with suppress(OSError):
            fd = _lock(path)
            if fd is None:
                continue
            try:
                size += sum(each.lstat().st_blocks * _BLOCK for each in path.rglob("*"))
                remove_tree(path)
            finally:
                os.close(fd)
    return size


def _title(repository: Repository) -> str:
    ref = repository.ref[:12] if repository.is_commit else repository.ref
    return f"{repository.shown}{f'#{ref}' if ref else ''}"


def _fetch(
    repository: Repository, target: Path, tools: GitTools, job: Job, budget: Budget, depth: int
) -> tuple[str, int]:
    if depth > _DEPTH:
        raise Invalid(f"submodules are nested more than {_DEPTH} deep at {repository.shown}")
    with _opened(repository, tools, job) as store:
        commit = store.commit()
        store.bring(commit)
        links = check_size(store.git, commit, budget)
        seconds = lay_out(store.git, commit, target)
        parts = submodules(store.git, commit, links, repository) if repository.submodules else []
        if repository.keep_git_dir:
            store.copy_to(target, commit)
    for part in parts:
        _submodule(part, target, tools, job, budget, depth)
    return commit, seconds


def _submodule(
    part: Submodule, target: Path, tools: GitTools, job: Job, budget: Budget, depth: int
) -> None:
    place = target / part.path
    # git made the directory; a tree that puts a link in its way is not followed out of the target.
    if os.path.realpath(place) != f"{os.path.realpath(target)}/{part.path}":
        raise Invalid(f"the submodule {part.path!r} lies behind a symbolic link")
    place.mkdir(parents=True, exist_ok=True)
    with job.step("git", f"{part.path} ({_title(part.repository)})") as step:
        commit, _ = _fetch(part.repository, place, tools, step, budget, depth + 1)
        step.result("done", commit)


def _inside(repository: Repository, target: Path) -> Path:
    """The wished subdirectory; links in it are followed inside of the repository only."""
    if not repository.subdirectory:
        return target
    with open_tree(target, None, repository.shown) as tree:
        real = tree.resolve(repository.subdirectory)
        try:
            os.close(tree.open(real, os.O_RDONLY | os.O_DIRECTORY))
        except OSError:
            raise NotFound(
                f"{repository.shown} has no directory {repository.subdirectory!r}"
            ) from None
    return target / real


def _set_times(target: Path, seconds: int) -> None:
    """Give everything the commit's time: git does not keep any other, and now is never the same."""
    for _, folders, files, fd in os.fwalk(target, topdown=False):
        for name in (*folders, *files):
            os.utime(name, (seconds, seconds), dir_fd=fd, follow_symlinks=False)
    os.utime(target, (seconds, seconds))


class _Kept(NamedTuple):
    """A repository that is kept, locked for one build."""

    git: Git
    repository: Repository

    def commit(self) -> str:
        """What the ref means now.  Raises: NotFound, Corrupt."""
        repository = self.repository
        found: tuple[str, ...] = (repository.ref,)
        if not repository.is_commit:
            found = self._listed() or self._abbreviated()
        if not any(name.startswith(repository.checksum) for name in found):
            raise Corrupt(
                f"{_title(repository)} is commit {found[0]}, not {repository.checksum}",
                hint="the branch or tag was moved, or the checksum is of another commit",
            )
        return found[0]

    def _candidates(self) -> tuple[str, ...]:
        ref = self.repository.ref
        if not ref:
            return ("HEAD",)
        if ref.startswith("refs/") or ref == "HEAD":
            return (ref,)
        return (f"refs/tags/{ref}", f"refs/heads/{ref}")

    def _listed(self) -> tuple[str, ...]:
        """The commit, and for an annotated tag the tag's own name; nothing: there is no such ref."""
        candidates = self._candidates()
        patterns = [name for each in candidates for name in (each, f"{each}^{{}}")]
        text = self._remote("ls-remote", "--", self.repository.remote, *patterns)
        listed: dict[str, str] = {}
        for line in text.splitlines():
            commit, _, name = line.partition("\t")
            if re.fullmatch(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", commit):
                listed[name] = commit
        for name in candidates:
            if name in listed:
                peeled = listed.get(f"{name}^{{}}")
                return (peeled, listed[name]) if peeled else (listed[name],)
        return ()

    def _abbreviated(self) -> tuple[str, ...]:
        """A commit by its first digits: all must be there to know."""
        ref = self.repository.ref
        if _SHORT.fullmatch(ref):
            self._all()
            with suppress(GitFailed):
                return (self._parse(ref),)
        if not ref:
            raise NotFound(f"{self.repository.shown} has no commits")
        raise NotFound(f"{self.repository.shown} has no branch, tag or commit {ref!r}")

    def _parse(self, name: str) -> str:
        args = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        return self.git.text(*args).strip()

    def bring(self, commit: str) -> None:
        """Have the commit and all its files here.  Raises: NotFound, Denied, Unavailable."""
        if self._has(commit):
            return
        wanted = [commit]
        if not self.repository.is_commit and not _SHORT.fullmatch(self.repository.ref):
            wanted = [*self._candidates(), commit]
        for name in wanted:
            key = hashlib.sha256(name.encode(), usedforsecurity=False).hexdigest()[:16]
            try:
                self._get("--depth=1", spec=(f"+{name}:refs/corten/{key}",))
            except GitFailed as error:
                if not _ELSEWHERE.search(str(error)):
                    raise self._explained(error) from None
            if self._has(commit):
                return
        self._all()
        if not self._has(commit):
            raise NotFound(f"{self.repository.shown} has no commit {commit}")

    def _has(self, commit: str) -> bool:
        """Whether it is here with all its files: what broke off may have left it without some."""
        try:
            if self._parse(commit) != commit:
                return False
            self.git.run(("rev-list", "--quiet", "--objects", "--no-walk", commit), len)
        except GitFailed:
            return False
        return True

    def _all(self) -> None:
        """All branches and tags with their history, for servers that give no single commits."""
        shallow = (self.git.directory / "shallow").exists()
        try:
            self._get(*(("--unshallow",) if shallow else ()), spec=_ALL)
        except GitFailed as error:
            raise self._explained(error) from None

    def _get(self, *options: str, spec: tuple[str, ...]) -> None:
        fixed = ("--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head")
        self.git.text("fetch", *fixed, "--force", *options, "--", self.repository.remote, *spec)

    def _remote(self, *args: str) -> str:
        try:
            return self.git.text(*args)
        except GitFailed as error:
            raise self._explained(error) from None

    def _explained(self, error: GitFailed) -> CortenError:
        return explained(error, _title(self.repository))

    def copy_to(self, target: Path, commit: str) -> None:
        """Make `target` a repository of its own that has the one commit."""
        own = target / ".git"
        own.mkdir(0o755)
        git = self.git._replace(directory=own)
        try:
            git.text("init", "--quiet", "--template=", GIT_WORK_TREE=str(target))
            git.text(
                *("-c", "uploadpack.allowAnySHA1InWant=true"),
                *("fetch", "--quiet", "--no-tags", "--depth=1", "--no-write-fetch-head"),
                *("--", str(self.git.directory), f"{commit}:refs/corten/commit"),
                GIT_ALLOW_PROTOCOL="file",
            )
            git.text("update-ref", "--no-deref", "HEAD", commit)
            git.text("update-ref", "-d", "refs/corten/commit")
            # An index that says nothing of this machine's files: it is the same everywhere.
            git.text("read-tree", commit)
            git.text("config", "remote.origin.url", self.repository.shown)
            git.text("config", "core.bare", "false")
        except GitFailed as error:
            raise self._explained(error) from None


@contextmanager
def _opened(repository: Repository, tools: GitTools, job: Job) -> Iterator[_Kept]:
    """The repository as it is kept here, made if need be, for this build alone."""
    name = hashlib.sha256(repository.remote.encode(), usedforsecurity=False).hexdigest()[:32]
    path = tools.folder / name
    tools.folder.mkdir(0o700, parents=True, exist_ok=True)
    while True:
        job.check()
        path.mkdir(0o700, exist_ok=True)
        fd = _lock(path)
        if fd is not None:
            break
        time.sleep(_PAUSE)
    try:
        busy = path / _BUSY
        if busy.exists():  # whoever worked in it was killed: locks and halves of packs may be left
            for child in path.iterdir():
                if child.is_dir() and not child.is_symlink():
                    remove_tree(child)
                elif child != busy:
                    child.unlink()
        busy.touch()
        git = Git(path, tools, job, fd)
        if not (path / "HEAD").exists():
            try:
                git.text("init", "--quiet", "--bare", "--template=")
            except GitFailed as error:
                raise explained(error, _title(repository)) from None
        try:
            yield _Kept(git, repository)
        except (NotFound, Corrupt, Denied, Unavailable):  # git ended by itself
            busy.unlink(missing_ok=True)
            raise
        busy.unlink(missing_ok=True)
    finally:
        os.close(fd)


def _lock(path: Path) -> int | None:
    """A descriptor that holds the directory's lock; None: another has it, or it went away."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(fd), path.lstat()):
            return fd
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None
