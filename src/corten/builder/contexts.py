"""Where builds take their files from: directories, and what is fetched or unpacked to become one.

What comes from elsewhere is in a directory of its own for the time of the build.
Spec: Docker's "Build context"; ``docker build``, ``--build-context``.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from corten.builder.arriving_input import ArrivingInput, Readable
from corten.builder.attest import ContextSource
from corten.builder.context import DOCKERFILE_LIMIT
from corten.builder.git_url import is_git, parse_git
from corten.builder.named_contexts import NamedContext
from corten.errors import Invalid, NotFound, Usage
from corten.events.job import Job
from corten.snapshot.drafts import own_draft, sweep

INPUT = "-"
FETCHED = "contexts"
"""Where under ROOT/cache there are contexts that came from elsewhere, while they are used."""
_STDIN = Path("/dev/stdin")
_DOCKERFILE = "Dockerfile"
_IGNORE = ".dockerignore"
_KEEP_GIT = "BUILDKIT_CONTEXT_KEEP_GIT_DIR"
_HEAD = 64 * 1024


class Wanted(NamedTuple):
    """What the user named: a context, a Dockerfile (maybe empty) and further contexts by name.

    ``keep_git_dir``: of a Git repository, as the build argument that Docker has for it.
    """

    context: str | Path
    dockerfile: str = ""
    named: Mapping[str, NamedContext] = {}
    keep_git_dir: bool = False


class Opened(NamedTuple):
    """Directories to build from.

    ``dockerfile`` None means ``Dockerfile`` in the directory.  ``named`` has the directories
    of those named contexts that are files.  ``sources`` has by name where what was fetched
    came from, as ``""`` the directory.
    """

    directory: Path
    dockerfile: Path | None
    named: Mapping[str, Path]
    sources: Mapping[str, ContextSource] = {}


class Means(NamedTuple):
    """What fetching works with: ROOT/cache, this process's environment, what
    gives an SSH agent's socket.

    ``stdin`` None is this process's.
    """

    folder: Path
    environ: Mapping[str, str]
    agent: Callable[[], str] = str
    stdin: BinaryIO | None = None

    @property
    def limit(self) -> int:
        """Up to how many bytes a context may expand."""
        from corten.config.limits import layer_limit

        return layer_limit(self.environ)


def is_url(text: str) -> bool:
    """Whether a context or Dockerfile is fetched by HTTP."""
    return text.lower().startswith(("http://", "https://"))


def is_directory(text: str) -> bool:
    """Whether a context is named as a directory: nothing has to be fetched or unpacked."""
    if text == INPUT:
        return False
    return Path(text).is_dir() or not (is_git(text) or is_url(text) or "://" in text)


@contextmanager
def open_contexts(wanted: Wanted, means: Means, job: Job) -> Iterator[Opened]:
    """The directories for a build, for the block; what was fetched goes away with it.

    Raises: NotFound, Denied, Unavailable, Invalid, Corrupt, Unsupported: one cannot be had;
    Usage: standard input is asked for twice; Cancelled.
    """
    files = {name: one.value for name, one in wanted.named.items() if one.kind == "files"}
    texts = (str(wanted.context), *files.values())
    if all(map(is_directory, texts)) and not is_url(wanted.dockerfile):
        path = _STDIN if wanted.dockerfile == INPUT else Path(wanted.dockerfile)
        named = {name: Path(text) for name, text in files.items()}
        yield Opened(Path(wanted.context), path if wanted.dockerfile else None, named)
        return
    with _workspace(means.folder / FETCHED) as place:
        opening = _Opening(means, place, job)
        directory, dockerfile = opening.main(wanted)
        sources, named = {"": opening.source}, {}
        for name, text in files.items():
            opening.source = ContextSource()
            named[name] = opening.files(text, wanted.keep_git_dir)
            sources[name] = opening.source
        yield Opened(directory, dockerfile, named, sources)


@contextmanager
def _workspace(folder: Path) -> Iterator[Path]:
    """A directory for one build; those that killed builds left are removed by the way."""
    folder.mkdir(0o700, parents=True, exist_ok=True)
    sweep(folder)
    with own_draft(folder) as place:
        yield place


class _Opening:
    """Opens the contexts of one build in the directory `place`."""

    def __init__(self, means: Means, place: Path, job: Job) -> None:
        self.means = means
        self.place = place
        self.job = job
        self.source = ContextSource()
        """Of the context that was fetched last."""
        self._count = 0

    def main(self, wanted: Wanted) -> tuple[Path, Path | None]:
        """The context's directory and the Dockerfile."""
        text, named = str(wanted.context), wanted.dockerfile
        if text == INPUT and named == INPUT:
            raise Usage(
                "context and Dockerfile cannot both come from standard input",
                hint="put the Dockerfile into the tar, or name a directory",
            )
        if is_directory(text):
            return Path(text), self._dockerfile(named)
        directory, alone = self._fetched(text, wanted.keep_git_dir)
        if alone is not None:
            if named:
                raise Usage(
                    f"{_source(text)} gives a Dockerfile, and -f names another",
                    hint="leave -f out, or send a tar",
                )
            return directory, alone
        confined(directory, _IGNORE, "ignore file")
        if named == INPUT or is_url(named):
            self.source = self.source._replace(has_dockerfile=False)
            return directory, self._dockerfile(named)
        path = confined(directory, named or _DOCKERFILE, "Dockerfile")
        if path is None:
            raise NotFound(
                f"{_source(text)} has no {named or _DOCKERFILE}",
                hint="-f FILE names another Dockerfile in it",
            )
        beside = str(path.relative_to(directory))
        confined(directory, f"{beside}{_IGNORE}", "ignore file")
        confined(directory, f"{beside}.lock", "lock file")
        return directory, path

    def files(self, text: str, keep_git_dir: bool) -> Path:
        """The directory of a named context."""
        if is_directory(text):
            return Path(text)
        directory, alone = self._fetched(text, keep_git_dir)
        if alone is not None:
            raise Invalid(
                f"{_source(text)} is no tar", hint="a named context is a tar or directory"
            )
        confined(directory, _IGNORE, "ignore file")
        return directory

    def _dockerfile(self, named: str) -> Path | None:
        if not named:
            return None
        if named == INPUT:
            return _STDIN
        if not is_url(named):
            return Path(named)
        context = self.source
        head, rest = self._download(named)
        self.source = context
        with rest:
            return self._alone(named, head, rest)

    def _fetched(self, text: str, keep_git_dir: bool) -> tuple[Path, Path | None]:
        """The directory that `text` gives, and the Dockerfile if it is that alone."""
        if is_git(text):
            return self._git(text, keep_git_dir), None
        if text != INPUT and not is_url(text):
            scheme = text.partition("://")[0]
            raise Invalid(
                f"contexts are not fetched by {scheme}://",
                hint="a directory, - for a tar, an http(s) URL of a tar, or a Git repository",
            )
        if text == INPUT:
            rest: BinaryIO | ArrivingInput
            rest = ArrivingInput(self.means.stdin or sys.stdin.buffer, self.job)
            head = _beginning(rest, _HEAD)
        else:
            head, rest = self._download(text)
        try:
            place = self._new()
            from corten.builder.context_tar import looks_like_tar, unpack_context

            if looks_like_tar(head):
                with self.job.step("context", _source(text)):
                    return unpack_context(head, rest, place, self.means.limit, self.job), None
            empty = place / "context"
            empty.mkdir(0o755)
            return empty, self._alone(text, head, rest)
        finally:
            rest.close()

    def _git(self, text: str, keep_git_dir: bool) -> Path:
        from corten.builder.git import fetch
        from corten.builder.git_program import GitTools

        repository = parse_git(text)
        if keep_git_dir:
            repository = msgspec.structs.replace(repository, keep_git_dir=True)
        target = self._new() / "repository"
        target.mkdir(0o755)
        tools = GitTools(self.means.folder / "git", self.means.environ, self.means.agent())
        found = fetch(repository, target, tools, self.job)
        ref = f"#{repository.ref}" if repository.ref else ""
        self.source = ContextSource(f"{repository.shown}{ref}", found.commit)
        return found.path

    def _download(self, url: str) -> tuple[bytes, BinaryIO]:
        from corten.builder.cache import BuildCache
        from corten.builder.downloads import Asked, fetch
        from corten.builder.downloads import Means as DownloadMeans

        with BuildCache(self.means.folder) as cache:
            means = DownloadMeans(cache, self._temporary, self.means.environ)
            fetched = fetch(Asked(url), means, self.job)
        file = fetched.file
        assert file is not None  # nothing said that it is as it was
        digest = fetched.digest.removeprefix("sha256:")
        self.source = ContextSource(_source(url), f"sha256:{digest}")
        return _beginning(file, _HEAD), file

    def _temporary(self) -> BinaryIO:
        return tempfile.TemporaryFile(dir=self.place)

    def _alone(self, text: str, head: bytes, rest: Readable) -> Path:
        """Keep a Dockerfile that is no part of a context."""
        raw = head + _beginning(rest, DOCKERFILE_LIMIT + 1 - len(head))
        if len(raw) > DOCKERFILE_LIMIT:
            raise Invalid(f"{_source(text)} is no tar, and too large for a Dockerfile")
        path = self._new() / ("stdin" if text == INPUT else _DOCKERFILE)
        path.write_bytes(raw)
        return path

    def _new(self) -> Path:
        self._count += 1
        path = self.place / str(self._count)
        path.mkdir(0o755)
        return path


def confined(directory: Path, name: str, what: str) -> Path | None:
    """A regular file of a context that strangers wrote; None: there is none.

    Raises: Invalid: it leads out, or is something else.
    """
    path = directory / name.lstrip("/")
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(os.path.realpath(directory)):
        raise Invalid(f"the {what} {name} leads out of the build context")
    try:
        mode = real.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Invalid(f"the {what} {name} cannot be looked at: {error.strerror}") from None
    if not stat.S_ISREG(mode):
        raise Invalid(f"the {what} {name} is no regular file")
    return directory / real.relative_to(os.path.realpath(directory))


def keeps_git(arguments: Mapping[str, str]) -> bool:
    """Whether a build argument asks to keep ``.git``."""
    return arguments.get(_KEEP_GIT, "").lower() in ("1", "true", "t")


def _beginning(file: Readable, size: int) -> bytes:
    """Up to `size` next bytes, however small the pieces are that they come in."""
    found = bytearray()
    while len(found) < size and (piece := file.read(size - len(found))):
        found += piece
    return bytes(found)


def _source(text: str) -> str:
    if text == INPUT:
        return "standard input"
    scheme, separator, rest = text.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}"
