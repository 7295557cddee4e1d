"""Building an image: read, resolve, lower, solve, assemble."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from corten.builder.attest import Attest, Circumstances, ContextSource
from corten.builder.cache import BuildCache
from corten.builder.context import Context, open_context, read_small
from corten.builder.contexts import FETCHED
from corten.builder.finishing import Compress, Finish
from corten.builder.given import Given
from corten.builder.graph import Step
from corten.builder.imaging import BuildResult, name_result, store_result
from corten.builder.lower import bases, lower
from corten.builder.named_contexts import NamedContext
from corten.builder.plan import BaseImage, BaseRequest, Plan, Wishes
from corten.builder.platforms import all_origins, all_warnings
from corten.builder.reviewing import facts_of, review, surroundings
from corten.builder.rights import check_rights
from corten.builder.scope import EPOCH
from corten.builder.setting import Setting
from corten.builder.shared_cache import (
    NO_CACHES,
    NO_PLACES,
    CachePlaces,
    LostLayer,
    Made,
    inline_cache,
)
from corten.builder.solver import Solver
from corten.builder.stacks import LayerStore, Stacks
from corten.builder.worker import ImageWorker, Result
from corten.dockerfile.errors import did_you_mean
from corten.dockerfile.instructions import Dockerfile
from corten.dockerfile.parser import parse
from corten.errors import Cancelled, CortenError, NotFound
from corten.events.job import Job
from corten.oci.platform import Platform
from corten.oci.reference import Reference

if TYPE_CHECKING:
    from corten.builder.agents import Agents
    from corten.runtime.protocols import Executor
    from corten.snapshot.protocols import Snapshotter

_ROUNDS = 16

Pull = Literal["missing", "always", "never"]

ResolveBase = Callable[[BaseRequest, Pull, Job], BaseImage]
"""Finds an image, with all its layers, in the local store, or brings it there.

The policy says when to ask its registry: where there is none here, always, never.  Raises: NotFound, Denied,
Unavailable.
"""


class BuildRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to build.

    ``dockerfile`` None means ``Dockerfile`` in the context.  ``tags`` are full
    names.  ``platforms`` is what the image is for (several: an index; none: as the
    host), ``host`` what it is built on.  ``squash`` makes one layer of what is added,
    ``rewrite_times`` lets no file in it be newer than SOURCE_DATE_EPOCH.  ``sources``
    are where contexts came from: see `Circumstances`.  Unless ``kept`` the
    store gets no image: who holds a lease has it until that ends.
    ``environ`` is this process's environment: proxies, certificates and
    SOURCE_DATE_EPOCH are taken from it.  ``given`` is what steps are lent, ``hosts`` are
    ``NAME=ADDRESS`` that they know.  With ``keep_failed`` what a failed RUN had is kept: see
    :class:`corten.builder.failing.RunFailed`.  ``contexts`` are the named ones by their key, with
    directories for those of files.  ``pull`` is when to look for newer images: missing, always
    or never.  ``pins``: see `Wishes`.  Steps of ``no_cache_stages`` are run although they are cached.
    """

    context: Path
    host: Platform
    dockerfile: Path | None = None
    target: str = ""
    tags: tuple[str, ...] = ()
    build_args: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    no_cache: bool = False
    pull: Pull = "missing"
    platforms: tuple[Platform, ...] = ()
    kept: bool = True
    squash: bool = False
    rewrite_times: bool = False
    attest: Attest = Attest()
    sources: Mapping[str, ContextSource] = {}
    network: str = "host"
    threads: int = 4
    environ: Mapping[str, str] = {}
    given: Given = Given()
    hosts: tuple[str, ...] = ()
    keep_failed: bool = False
    contexts: Mapping[str, NamedContext] = {}
    no_cache_stages: tuple[str, ...] = ()
    pins: Mapping[str, str] | None = None


class Equipment(NamedTuple):
    """What a build works with.

    Snapshotter and executor are made when they are first needed: where all is
    cached they are not.  ``folder`` is ROOT/cache.  ``caches``: of other machines.
    ``compress`` is for images that get attestations.
    """

    store: LayerStore
    snapshotter: Callable[[], Snapshotter]
    executor: Callable[[], Executor]
    resolve_base: ResolveBase
    folder: Path
    caches: CachePlaces = NO_PLACES
    compress: Compress = lambda descriptor, job: descriptor


def build(request: BuildRequest, equipment: Equipment, job: Job) -> BuildResult:
    """Build an image and put it into the store.

    Each step is shown as a step ``build`` of `job`, and what they make as a last step
    ``image``, whose detail is the image's ID.  The same inputs give the
    same digest, whatever the number of threads, cached or not, as far as RUN
    does what it did before.

    Raises: NotFound: context, Dockerfile, stage, image or source; DockerfileError
    and Invalid, with file and line; StepFailed: a RUN ended with a failure;
    Cancelled.
    """
    # From the look at the base image on: nothing that the build uses is collected.
    with equipment.store.lease():
        try:
            return _build(request, equipment, job)
        except LostLayer as error:
            # Nobody knew before it was needed.  What was built until then is cached here.
            job.warn(f"{error.message}: building without shared caches")
            return _build(request, equipment, job, alone=True)


def _build(
    request: BuildRequest, equipment: Equipment, job: Job, *, alone: bool = False
) -> BuildResult:
    ready = _prepare(request, equipment, job)
    for warning in ready.warnings:
        job.warn(warning)
    shared = NO_CACHES if request.no_cache or alone else equipment.caches.open(job)
    stacks = Stacks(equipment.store, equipment.snapshotter, equipment.folder, shared, job)
    with BuildCache(equipment.folder) as cache, _agents(request) as agents:
        setting = _setting(request, equipment, ready)._replace(shared=shared, agents=agents)
        worker = ImageWorker(stacks, equipment.executor, cache, setting)
        results = _solve(request, ready, worker, job)
        finish = Finish(
            request.squash,
            request.rewrite_times,
            request.attest,
            stacks,
            cache,
            equipment.compress,
        )
        made = [_made(plan, worker) for plan in ready.plans]
        parts = [
            (plan, finish.config(plan, results), steps)
            for plan, steps in zip(ready.plans, made, strict=True)
        ]
        names = ", ".join(Reference.parse(tag).familiar() for tag in request.tags)
        with job.step("image", names or "without a name") as step:
            # What was made anew of the steps' layers is none of theirs.
            inline = equipment.caches.inline and not finish.changes_layers
            images = []
            for plan, config, steps in parts:
                notes = inline_cache(steps, config.diff_ids) if inline else {}
                made_of = _circumstances(request, ready, plan)
                images.append(finish.image(plan, config, notes, made_of, step))
            result = store_result(images, stacks)
            if request.kept:
                name_result(result, stacks, request.tags)
            step.result("done", str(result.image_id))
        own = list(dict.fromkeys(each for steps in made for each in steps))
        equipment.caches.send(list(worker.made.values()), own, stacks, job)
    return msgspec.structs.replace(result, warnings=ready.warnings)


class _Ready(NamedTuple):
    """What is known before the first step runs.

    ``known`` has the base images by name and platform, ``contexts`` the named ones of files.
    """

    path: Path
    text: str
    context: Context
    contexts: Mapping[str, Context]
    plans: Sequence[Plan]
    known: Mapping[tuple[str, str], BaseImage]
    warnings: tuple[str, ...]


def _prepare(request: BuildRequest, equipment: Equipment, job: Job) -> _Ready:
    """Read, resolve and lower.  Raises: as `build`, but for what steps raise."""
    path = request.dockerfile or request.context / "Dockerfile"
    fetched = equipment.folder / FETCHED
    context = open_context(request.context, path, lasting=fetched not in request.context.parents)
    contexts = {
        name: open_context(
            Path(one.value), name=name, lasting=fetched not in Path(one.value).parents
        )
        for name, one in request.contexts.items()
        if one.kind == "files"
    }
    text = _read(path)
    dockerfile = parse(text, path.name)
    plans, known = _plans(dockerfile, request, equipment.resolve_base, job)
    for plan in plans:
        check_rights(plan, request.given.allowed, request.network, path.name)
    wishes = _wishes(request, _platforms(request)[0])
    around = surroundings(text, dockerfile, wishes, context.ignore, facts_of(known), last=True)
    warnings = (*review(text, dockerfile, around), *all_warnings(plans))
    return _Ready(path, text, context, contexts, plans, known, warnings)


def _setting(request: BuildRequest, equipment: Equipment, ready: _Ready) -> Setting:
    return Setting(
        context=ready.context,
        folder=equipment.folder,
        environ=request.environ,
        build_args=_wishes(request, _platforms(request)[0]).build_args,
        network=request.network,
        file=ready.path.name,
        origins=all_origins(ready.plans),
        host=request.host,
        given=request.given,
        text=ready.text,
        failed=[] if request.keep_failed else None,
        contexts=ready.contexts,
    )


def _circumstances(request: BuildRequest, ready: _Ready, plan: Plan) -> Circumstances:
    return Circumstances(
        file=ready.path.name,
        text=ready.text,
        wishes=_wishes(request, plan.platform),
        bases=ready.known,
        network=request.network,
        sources=request.sources,
    )


def _agents(request: BuildRequest) -> AbstractContextManager[Agents | None]:
    if not request.given.agents:
        return nullcontext()
    from corten.builder.agents import Agents

    return Agents(request.given.agents)


def _made(plan: Plan, worker: ImageWorker) -> list[Made]:
    """What the steps of the image's history came to."""
    steps = [entry.step for entry in plan.entries if entry.step is not None]
    return [worker.made[step.digest] for step in steps if step.digest in worker.made]


def _read(path: Path) -> str:
    try:
        return read_small(path, "Dockerfile")
    except NotFound:
        if path.is_symlink():  # it is there, but leads nowhere
            raise
        raise NotFound(
            f"there is no {path.name} in {path.parent}", hint="-f FILE names another Dockerfile"
        ) from None


def _wishes(request: BuildRequest, platform: Platform) -> Wishes:
    arguments = dict(request.build_args)
    if request.environ.get(EPOCH):
        arguments.setdefault(EPOCH, request.environ[EPOCH])
    return Wishes(
        target=request.target,
        build_args=arguments,
        labels=request.labels,
        platform=platform,
        build_platform=request.host,
        hosts=request.hosts,
        contexts=request.contexts,
        fresh=request.no_cache_stages,
        pins=request.pins,
    )


def _platforms(request: BuildRequest) -> tuple[Platform, ...]:
    return request.platforms or (request.host,)


def _plans(
    dockerfile: Dockerfile, request: BuildRequest, resolve: ResolveBase, job: Job
) -> tuple[list[Plan], dict[tuple[str, str], BaseImage]]:
    """A plan for each platform, whose equal steps are one; and the images that they begin with."""
    plans = []
    known: dict[tuple[str, str], BaseImage] = {}
    for platform in _platforms(request):
        wishes = _wishes(request, platform)
        _resolve(dockerfile, wishes, request.pull, known, resolve, job)
        plans.append(lower(dockerfile, wishes, known))
    return plans, known


def _resolve(
    dockerfile: Dockerfile,
    wishes: Wishes,
    pull: Pull,
    known: dict[tuple[str, str], BaseImage],
    resolve: ResolveBase,
    job: Job,
) -> None:
    """Add all images that the build needs to `known`; triggers of some may ask for others."""
    for _ in range(_ROUNDS):
        missing = bases(dockerfile, wishes, known)
        for request in missing:
            try:
                known[request.name, str(request.platform)] = resolve(request, pull, job)
            except CortenError as error:
                error.message = f"{dockerfile.file}:{request.line}: {error.message}"
                error.args = (error.message,)
                near = did_you_mean(request.name, [stage.name for stage in dockerfile.stages])
                if near.endswith("?") and not isinstance(error, Cancelled):
                    error.hint = near.replace("did you mean", "did you mean the stage")
                raise
        if not missing:
            return


def _solve(
    request: BuildRequest, ready: _Ready, worker: ImageWorker, job: Job
) -> dict[Step, Result]:
    """The results of all plans' steps that stand in a history, and of their roots."""
    plans, setting = ready.plans, worker.setting
    solver: Solver[Result] = Solver(
        worker,
        threads=request.threads,
        use_cache=not request.no_cache,
        fresh=frozenset().union(*(plan.fresh for plan in plans)),
    )
    steps = [e.step for plan in plans for e in plan.entries if e.step is not None]
    targets = list(dict.fromkeys((*steps, *(plan.root for plan in plans))))
    try:
        results = solver.solve(targets, job, setting.origins)
    except BaseException as error:
        for failed in setting.failed or ():
            if failed is not error:  # of several only the first is told
                failed.close()
        raise
    finally:
        worker.finish()
    return dict(zip(targets, results, strict=True))
