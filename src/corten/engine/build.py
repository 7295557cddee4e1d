"""The use case of building an image on this host."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from corten import __version__
from corten.builder.attest import Attest, parse_provenance
from corten.builder.build import BuildRequest, Equipment, Pull
from corten.builder.build import build as build_image
from corten.builder.contexts import Means, Opened, Wanted, keeps_git, open_contexts
from corten.builder.imaging import BuildResult
from corten.builder.lockfile import Lock, lock_path, read_lock
from corten.builder.named_contexts import NamedContext, parse_contexts
from corten.builder.platforms import parse_platforms
from corten.builder.shared_cache import NO_PLACES, CachePlaces
from corten.engine.build_bases import base_image
from corten.engine.host import Host
from corten.engine.outputs.metadata import metadata
from corten.engine.outputs.options import check_outputs, parse_output
from corten.engine.outputs.send import send, takes_stdout
from corten.engine.step_options import StepOptions
from corten.errors import Invalid
from corten.events.job import Job
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.oci.reference import Reference
from corten.runtime.protocols import Executor

if TYPE_CHECKING:
    from corten.runtime.specification import Isolation


class BuildOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What ``corten build`` may be told.

    ``locked`` builds on what the lock file says.  ``cache_from`` and ``cache_to`` as on the command line.  ``network`` is ``host`` or ``none``.
    ``context``, ``dockerfile`` (empty: ``Dockerfile`` in the context) and ``build_contexts``
    (``NAME=VALUE``) as on the command line: directories, ``-``, URLs.  Steps of the stages
    ``no_cache_filter`` are run although they are cached.
    """

    context: str | Path
    dockerfile: str = ""
    tags: tuple[str, ...] = ()
    target: str = ""
    build_args: Mapping[str, str] = msgspec.field(default_factory=dict)
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()
    pull: Pull = "missing"
    build_contexts: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    network: str = "host"
    threads: int = 4
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    locked: bool = False
    outputs: tuple[str, ...] = ()
    squash: bool = False
    provenance: str = ""
    sbom: bool = False
    steps: StepOptions = StepOptions()


class BuildOutcome(msgspec.Struct, frozen=True):
    """What was built, its root as it was ``sent``, and all ``names`` (full) that it got.

    ``kept``: whether the store has it under these names; ``stdout_taken``: an output went there.
    """

    result: BuildResult
    sent: Descriptor
    names: tuple[str, ...] = ()
    kept: bool = True
    stdout_taken: bool = False

    @property
    def image_id(self) -> Digest:
        """The image's ID; see `BuildResult`."""
        return self.result.image_id

    @property
    def descriptor(self) -> Descriptor:
        """The manifest or index as the store has it."""
        return self.result.descriptor

    @property
    def kept_names(self) -> tuple[str, ...]:
        """The names that the store has, as people write them."""
        return tuple(Reference.parse(n).familiar() for n in self.names) if self.kept else ()

    def metadata(self) -> dict[str, Any]:
        """The document of ``--metadata-file``."""
        return metadata(self.result, self.sent, self.names)


def build(host: Host, options: BuildOptions, job: Job) -> BuildOutcome:
    """Build an image from a Dockerfile into the local store, or for the outputs that are asked for.

    Raises: as :func:`corten.builder.build.build`; Invalid: a tag, platform or network, or
    a value that is no text.
    """
    _check_text("build argument", options.build_args)
    _check_text("label", options.labels)
    if options.network not in ("host", "none", "default"):
        raise Invalid(f"unknown network {options.network!r} for build steps", hint="host or none")
    outputs = [parse_output(text) for text in options.outputs]
    tags = tuple(_name(tag) for tag in options.tags)
    check_outputs(outputs, tags)
    named = dict.fromkeys((*tags, *(name for each in outputs for name in each.names)))
    kept = not outputs or any(each.keeps for each in outputs)
    request = BuildRequest(
        context=Path(options.context),
        host=host.platform,
        target=options.target,
        tags=tuple(named),
        kept=kept,
        squash=options.squash,
        rewrite_times=any(each.rewrite_times for each in outputs),
        attest=Attest(
            provenance=parse_provenance(options.provenance),
            sbom=options.sbom,
            tool=f"corten-{__version__}",
        ),
        build_args=options.build_args,
        labels=options.labels,
        no_cache=options.no_cache,
        no_cache_stages=options.no_cache_filter,
        pull=options.pull,
        platforms=parse_platforms(options.platforms, host.platform),
        network="none" if options.network == "none" else "host",
        threads=options.threads,
        environ=dict(os.environ),
        given=options.steps.given(os.environ),
        hosts=options.steps.hosts(),
        keep_failed=options.steps.debug,
        contexts=parse_contexts(options.build_contexts),
    )
    # What the store does not keep stays at least until it is where it shall go.
    with host.store.lease() if outputs else nullcontext():
        with _opened(host, options, request, job) as opened, _caches(host, options) as caches:
            request = _placed(request, opened)
            lock = None
            if options.locked:
                lock = read_lock(lock_path(request.dockerfile or request.context / "Dockerfile"))
                request = msgspec.structs.replace(request, pins=lock.remotes)
            result = build_image(request, _equipment(host, options, caches, lock), job)
        sent = send(host, outputs, result, tags, job)
    return BuildOutcome(result, sent, request.tags, kept, takes_stdout(outputs))


@contextmanager
def _opened(host: Host, options: BuildOptions, request: BuildRequest, job: Job) -> Iterator[Opened]:
    """The directories that the build takes files from."""
    wanted = Wanted(
        options.context, options.dockerfile, request.contexts, keeps_git(options.build_args)
    )
    means = Means(host.root / "cache", os.environ)
    with ExitStack() as stack:
        if request.given.agents:
            from corten.builder.agents import Agents

            agents = stack.enter_context(Agents(request.given.agents))
            means = means._replace(agent=lambda: agents.socket("default"))
        yield stack.enter_context(open_contexts(wanted, means, job))


def _placed(request: BuildRequest, opened: Opened) -> BuildRequest:
    """`request` with directories in place of what they were fetched from."""
    return msgspec.structs.replace(
        request,
        context=opened.directory,
        dockerfile=opened.dockerfile,
        sources=opened.sources,
        contexts={
            key: NamedContext("files", str(opened.named[key])) if one.kind == "files" else one
            for key, one in request.contexts.items()
        },
    )


def _caches(host: Host, options: BuildOptions) -> AbstractContextManager[CachePlaces]:
    if not (options.cache_from or options.cache_to):
        return nullcontext(NO_PLACES)
    from corten.engine.build_caches import BuildCaches, parse_cache_from, parse_cache_to

    origins = [parse_cache_from(text) for text in options.cache_from]
    return BuildCaches(host, origins, [parse_cache_to(text) for text in options.cache_to])


def _equipment(
    host: Host, options: BuildOptions, caches: CachePlaces, lock: Lock | None
) -> Equipment:
    # Now: what is wrong with limits is wrong also where all is cached.
    isolation = options.steps.isolation() if options.steps != StepOptions() else None
    return Equipment(
        store=host.store,
        snapshotter=lambda: host.snapshotter,
        executor=lambda: _executor(host, isolation),
        resolve_base=lambda wanted, pull, job: base_image(host, wanted, pull, job, lock),
        folder=host.root / "cache",
        caches=caches,
        compress=lambda descriptor, job: _compressed(host, descriptor, job),
    )


def _compressed(host: Host, descriptor: Descriptor, job: Job) -> Descriptor:
    from corten.image.compress import compressed

    return compressed(host.store, descriptor, job)


def _check_text(what: str, values: Mapping[str, str]) -> None:
    """Raises: Invalid: bytes that are not UTF-8, which arguments and the environment may have."""
    for name, value in values.items():
        try:
            f"{name}={value}".encode()
        except UnicodeEncodeError:
            raise Invalid(
                f"the {what} {name} is not UTF-8",
                hint="an image's configuration can hold nothing else",
            ) from None


def _executor(host: Host, isolation: Isolation | None) -> Executor:
    """What runs the steps, after it ended those of builds that were killed."""
    host.executor.sweep()
    if isolation is None:
        return host.executor
    from corten.runtime.crun import CrunExecutor

    return CrunExecutor(host.root, isolation)


def _name(tag: str) -> str:
    reference = Reference.parse(tag)
    if reference.digest is not None:
        raise Invalid(f"{tag!r} cannot be a new image's name: it has a digest")
    return str(reference)
