"""Building an image: read, resolve, lower, solve, assemble."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from corten.builder.cache import BuildCache
from corten.builder.context import open_context, read_small
from corten.builder.graph import Step
from corten.builder.imaging import BuildResult, image_config, store_image
from corten.builder.lower import bases, lower
from corten.builder.plan import BaseImage, BaseRequest, Plan, Wishes
from corten.builder.scope import EPOCH
from corten.builder.setting import Setting
from corten.builder.shared_cache import NO_CACHES, NO_PLACES, CachePlaces, inline_cache
from corten.builder.solver import Solver
from corten.builder.stacks import LayerStore, Stacks
from corten.builder.worker import ImageWorker, Result
from corten.dockerfile.instructions import Dockerfile
from corten.dockerfile.parser import parse
from corten.errors import CortenError, NotFound
from corten.events.job import Job
from corten.oci.platform import Platform
from corten.oci.reference import Reference

if TYPE_CHECKING:
    from corten.runtime.protocols import Executor
    from corten.snapshot.protocols import Snapshotter

_ROUNDS = 16

ResolveBase = Callable[[BaseRequest, bool, Job], BaseImage]
"""Finds an image, with all its layers, in the local store, or brings it there.

The flag asks to look for a newer one at its registry.  Raises: NotFound, Denied,
Unavailable.
"""


class BuildRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to build.

    ``dockerfile`` None means ``Dockerfile`` in the context.  ``tags`` are full
    names.  ``platform`` is what the image is for, ``host`` what it is built on.
    ``environ`` is this process's environment: proxies, certificates and
    SOURCE_DATE_EPOCH are taken from it.
    """

    context: Path
    host: Platform
    dockerfile: Path | None = None
    target: str = ""
    tags: tuple[str, ...] = ()
    build_args: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    no_cache: bool = False
    pull: bool = False
    platform: Platform | None = None
    network: str = "host"
    threads: int = 4
    environ: Mapping[str, str] = {}


class Equipment(NamedTuple):
    """What a build works with.

    Snapshotter and executor are made when they are first needed: where all is
    cached they are not.  ``folder`` is ROOT/cache.  ``caches``: of other machines.
    """

    store: LayerStore
    snapshotter: Callable[[], Snapshotter]
    executor: Callable[[], Executor]
    resolve_base: ResolveBase
    folder: Path
    caches: CachePlaces = NO_PLACES


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
        return _build(request, equipment, job)


def _build(request: BuildRequest, equipment: Equipment, job: Job) -> BuildResult:
    path = request.dockerfile or request.context / "Dockerfile"
    context = open_context(request.context, path)
    dockerfile = parse(_read(path), path.name)
    wishes = _wishes(request)
    known = _resolve(dockerfile, wishes, request.pull, equipment.resolve_base, job)
    plan = lower(dockerfile, wishes, known)
    for warning in plan.warnings:
        job.warn(warning)
    shared = NO_CACHES if request.no_cache else equipment.caches.open(job)
    stacks = Stacks(equipment.store, equipment.snapshotter, equipment.folder, shared, job)
    setting = Setting(
        context=context,
        folder=equipment.folder,
        environ=request.environ,
        build_args=wishes.build_args,
        network=request.network,
        file=path.name,
        origins=plan.graph.origins,
        shared=shared,
    )
    with BuildCache(equipment.folder) as cache:
        worker = ImageWorker(stacks, equipment.executor, cache, setting)
        solver: Solver[Result] = Solver(
            worker, threads=request.threads, use_cache=not request.no_cache
        )
        try:
            config = image_config(plan, _solve(solver, plan, job))
        finally:
            worker.finish()
        names = ", ".join(Reference.parse(tag).familiar() for tag in request.tags)
        made = worker.made
        own = [made[e.step.digest] for e in plan.entries if e.step and e.step.digest in made]
        with job.step("image", names or "without a name") as step:
            notes = inline_cache(own, config.diff_ids) if equipment.caches.inline else {}
            result = store_image(config, stacks, request.tags, notes)
            step.result("done", str(result.image_id))
        equipment.caches.send(list(made.values()), own, stacks, job)
    return msgspec.structs.replace(result, warnings=plan.warnings)


def _read(path: Path) -> str:
    try:
        return read_small(path, "Dockerfile")
    except NotFound:
        if path.is_symlink():  # it is there, but leads nowhere
            raise
        raise NotFound(
            f"there is no {path.name} in {path.parent}", hint="-f FILE names another Dockerfile"
        ) from None


def _wishes(request: BuildRequest) -> Wishes:
    arguments = dict(request.build_args)
    if request.environ.get(EPOCH):
        arguments.setdefault(EPOCH, request.environ[EPOCH])
    return Wishes(
        target=request.target,
        build_args=arguments,
        labels=request.labels,
        platform=request.platform or request.host,
        build_platform=request.host,
    )


def _resolve(
    dockerfile: Dockerfile, wishes: Wishes, pull: bool, resolve: ResolveBase, job: Job
) -> dict[tuple[str, str], BaseImage]:
    """All images that the build needs; triggers of some may ask for others."""
    known: dict[tuple[str, str], BaseImage] = {}
    for _ in range(_ROUNDS):
        missing = bases(dockerfile, wishes, known)
        for request in missing:
            try:
                known[request.name, str(request.platform)] = resolve(request, pull, job)
            except CortenError as error:
                error.message = f"{dockerfile.file}:{request.line}: {error.message}"
                error.args = (error.message,)
                raise
        if not missing:
            break
    return known


def _solve(solver: Solver[Result], plan: Plan, job: Job) -> dict[Step, Result]:
    steps = [entry.step for entry in plan.entries if entry.step is not None]
    targets = [*steps, plan.root]
    results = solver.solve(targets, job, plan.graph.origins)
    return dict(zip(targets, results, strict=True))
