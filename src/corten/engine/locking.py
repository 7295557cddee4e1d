"""The use case of pinning what a Dockerfile builds on: ``corten lock``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, NamedTuple

from corten.builder.context import read_small
from corten.builder.git_url import is_git, parse_git, public
from corten.builder.graph import Copy, is_remote
from corten.builder.lockfile import Lock, lock_path, lock_text, read_lock
from corten.builder.lower import bases, lower
from corten.builder.plan import BaseImage, BaseRequest, Wishes
from corten.dockerfile.instructions import Dockerfile
from corten.dockerfile.parser import parse
from corten.engine.host import Host
from corten.engine.lookup import find_image
from corten.errors import CortenError, Denied, Invalid, NotFound, Unavailable
from corten.events.job import Job
from corten.image.view import load_image
from corten.oci.digest import Digest
from corten.oci.platform import Platform
from corten.oci.reference import Reference
from corten.remote.registries import Registries
from corten.system.durable import write_durably

_ROUNDS = 16


class Locked(NamedTuple):
    """What `lock` wrote, where, and what stood there before."""

    path: Path
    lock: Lock
    before: Lock


def lock(
    host: Host,
    dockerfile: Path,
    job: Job,
    *,
    build_args: Mapping[str, str] | None = None,
    platform: str = "",
) -> Locked:
    """Pin every image, URL and Git repository that any stage of `dockerfile` names, beside it.

    Registries are asked, nothing is pulled; where none can be, what was pulled under that
    name counts.  What a URL gives is fetched, to know its digest.  Raises: NotFound, Denied,
    Unavailable: of an image or URL; DockerfileError.
    """
    parsed = parse(read_small(dockerfile, "Dockerfile"), dockerfile.name)
    wanted = Platform.parse(platform) if platform else host.platform
    pins: dict[str, Digest] = {}
    remotes: dict[str, str] = {}
    known: dict[tuple[str, str], BaseImage] = {}
    with Registries(os.environ) as registries:
        for stage in parsed.stages:
            wishes = Wishes(
                target=str(stage.index),
                build_args=build_args or {},
                platform=wanted,
                build_platform=host.platform,
            )
            for request in _missing(parsed, wishes, known):
                with job.step("resolve", request.name) as step:
                    found, digest = _resolve(host, registries, request, parsed.file)
                    known[request.name, str(request.platform)] = found
                    if digest is not None:
                        pins[str(Reference.parse(request.name))] = digest
                        step.result("done", str(digest))
            for source in _remotes(parsed, wishes, known):
                name = public(source)
                if name not in remotes:
                    with job.step("resolve", name) as step:
                        remotes[name] = _checksum(host, source, step)
                        step.result("done", remotes[name])
    path = lock_path(dockerfile)
    made = Lock(images=pins, remotes=remotes)
    before = _before(path)
    try:
        write_durably(path, lock_text(made).encode())
    except OSError as error:
        raise Invalid(f"cannot write {path}: {error.strerror}") from None
    return Locked(path, made, before)


def _missing(
    parsed: Dockerfile, wishes: Wishes, known: Mapping[tuple[str, str], BaseImage]
) -> Iterator[BaseRequest]:
    """What the target needs and `known` does not have; triggers of what was found ask for more."""
    for _ in range(_ROUNDS):
        missing = bases(parsed, wishes, known)
        if not missing:
            return
        yield from missing


def _resolve(
    host: Host, registries: Registries, request: BaseRequest, file: str
) -> tuple[BaseImage, Digest | None]:
    """The image's configuration, and the digest to pin it by: None where it is pinned already."""
    reference = Reference.parse(request.name)
    try:
        source = registries.open(reference)
        root = source.resolve(reference.target)
        image = load_image(source, root, request.platform)
    except (NotFound, Denied, Unavailable) as error:
        digest = _pulled(host, reference)
        if digest is None:
            error.message = f"{file}:{request.line}: cannot pin {request.name}: {error.message}"
            error.args = (error.message,)
            if _is_here(host, reference):
                error.hint = "it is only here: push it to a registry, and name it so in FROM"
            raise
        image = find_image(host, request.name, request.platform)
        return BaseImage(str(reference), image.config), digest
    return BaseImage(str(reference), image.config), None if reference.digest else root.digest


def _is_here(host: Host, reference: Reference) -> bool:
    try:
        find_image(host, str(reference))
    except CortenError:
        return False
    return True


def _pulled(host: Host, reference: Reference) -> Digest | None:
    """The digest under which the local image of that name came from its registry."""
    try:
        image = find_image(host, str(reference))
    except CortenError:
        return None
    lead = f"{reference.name}@"
    found = [text for text in host.store.repo_digests(image.id) if text.startswith(lead)]
    return Digest(found[-1].removeprefix(lead)) if found else None


def _remotes(
    parsed: Dockerfile, wishes: Wishes, known: Mapping[tuple[str, str], BaseImage]
) -> Iterator[str]:
    """What ADD takes from elsewhere for the target, without a checksum of its own."""
    for step in lower(parsed, wishes, known).graph:
        if isinstance(step.op, Copy) and step.op.add and not step.op.checksum:
            yield from filter(is_remote, step.op.sources)


def _checksum(host: Host, source: str, job: Job) -> str:
    folder = host.root / "cache"
    if is_git(source):
        from corten.builder.git import look
        from corten.builder.git_program import GitTools

        agent = os.environ.get("SSH_AUTH_SOCK", "")
        return look(parse_git(source), GitTools(folder / "git", os.environ, agent), job)
    from corten.builder.cache import BuildCache
    from corten.builder.downloads import Asked, Means
    from corten.builder.downloads import look as look_at

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def scratch() -> BinaryIO:
        return TemporaryFile(dir=folder)

    with BuildCache(folder) as cache:
        means = Means(cache, scratch, os.environ, folder)
        found = look_at(Asked(source), means, job)
        if found.file is not None:
            found.file.close()
        return f"sha256:{found.digest}"


def _before(path: Path) -> Lock:
    try:
        return read_lock(path)
    except (NotFound, Invalid):
        return Lock()
