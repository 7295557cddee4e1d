"""The use case of checking a Dockerfile without building it: ``corten build --check``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from corten.builder.context import open_context, read_small
from corten.builder.contexts import FETCHED, Means, Opened, Wanted, open_contexts
from corten.builder.named_contexts import LAYOUT, parse_contexts
from corten.builder.plan import Wishes
from corten.builder.platforms import parse_platforms
from corten.builder.reviewing import facts, surroundings
from corten.dockerfile.fixing import Change, fix
from corten.dockerfile.lint.checking import check, images_matter
from corten.dockerfile.lint.finding import BaseFacts, Report
from corten.dockerfile.parser import parse
from corten.engine.host import Host
from corten.engine.lookup import find_image
from corten.errors import Conflict, CortenError, Denied, Invalid, NotFound, Unsupported, Usage
from corten.events.job import Job
from corten.image.view import load_image
from corten.oci.image_config import ImageConfig
from corten.oci.platform import Platform
from corten.oci.reference import Reference
from corten.system.durable import durable_file

_INPUT = Path("/dev/stdin")


class LintOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to check: as for a build.  ``mend`` rewrites the file where that is certain."""

    context: str | Path
    dockerfile: str = ""
    target: str = ""
    build_args: Mapping[str, str] = {}
    platforms: tuple[str, ...] = ()
    build_contexts: tuple[str, ...] = ()
    mend: bool = False


class Linted(msgspec.Struct, frozen=True):
    """What was found in `text`, the file as it is now, and what was changed in it before."""

    text: str
    report: Report
    changes: tuple[Change, ...] = ()


def lint(host: Host, options: LintOptions, job: Job) -> Linted:
    """Check a Dockerfile.  Nothing is built and nothing pulled.

    Base images that are not here are asked for at their registries, as far as what they
    contain matters; where none answers, a warning says what could not be checked.

    Raises: NotFound: the context or the Dockerfile; DockerfileError: it does not parse;
    Usage: `mend` of what is no file; Conflict: it was changed meanwhile.
    """
    wanted = Wanted(options.context, options.dockerfile)
    with open_contexts(wanted, Means(host.root / "cache", os.environ), job) as opened:
        return _lint(host, options, opened, job)


def _lint(host: Host, options: LintOptions, opened: Opened, job: Job) -> Linted:
    path = opened.dockerfile or opened.directory / "Dockerfile"
    named = options.dockerfile or str(options.context)
    fetched = host.root / "cache" / FETCHED in path.parents
    if options.mend and (fetched or path == _INPUT or (path.exists() and not path.is_file())):
        shown = named if fetched else path
        raise Usage(f"{shown} is no file that --fix could write", hint="name one with -f FILE")
    ignore = open_context(opened.directory, path).ignore
    text = read_small(path, "Dockerfile")
    dockerfile = parse(text, path.name)
    platforms = parse_platforms(options.platforms, host.platform)
    wishes = Wishes(
        target=options.target,
        build_args=options.build_args,
        platform=platforms[0] if platforms else host.platform,
        build_platform=host.platform,
        contexts=parse_contexts(options.build_contexts),
    )

    def find(name: str, platform: Platform) -> BaseFacts | None:
        return _facts(host, name, platform, job) if images_matter(dockerfile) else None

    around = surroundings(text, dockerfile, wishes, ignore, find)
    changes: tuple[Change, ...] = ()
    if options.mend:
        fixed = fix(text, dockerfile, around)
        if fixed.changes:
            _rewrite(path, text, fixed.text)
            text, dockerfile = fixed.text, parse(fixed.text, path.name)
            changes = fixed.changes
    return Linted(text, check(text, dockerfile, around), changes)


def _facts(host: Host, name: str, platform: Platform, job: Job) -> BaseFacts | None:
    try:
        return facts(_config(host, name, platform))
    except CortenError as error:
        job.warn(f"what {name} holds is not known to the checks: {error.message}")
        return None


def _config(host: Host, name: str, platform: Platform) -> ImageConfig:
    """The configuration of an image, from here or its registry."""
    if name.startswith(LAYOUT):
        raise Unsupported("an OCI layout is not looked into")
    with suppress(NotFound, Conflict, Invalid):
        return find_image(host, name, platform).config
    from corten.remote.registries import Registries

    reference = Reference.parse(name)
    with Registries(os.environ) as registries:
        source = registries.open(reference)
        return load_image(source, source.resolve(reference.target), platform).config


def _rewrite(path: Path, before: str, after: str) -> None:
    """Replace the file's text; its mode and owner stay, and a link to it stays a link."""
    target = path.resolve()
    try:
        status = target.stat()
        with durable_file(target, status.st_mode & 0o7777) as file:
            os.fchown(file.fileno(), status.st_uid, status.st_gid)
            file.write(after.encode())
            if read_small(target, "Dockerfile") != before:
                raise Conflict(f"{path} was changed meanwhile", hint="run it again")
    except OSError as error:
        raise Denied(f"cannot write {path}: {error.strerror}") from None
