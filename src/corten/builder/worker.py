"""What steps mean for images: results are stacks of layers.

Nothing is left behind by a step that fails or is cancelled: snapshots are
removed, ingests aborted, and mounts live in namespaces of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import msgspec

from corten.builder.cache import BuildCache, Saved
from corten.builder.graph import Copy, MakeDirectory, Run, Scratch, SourceImage, Step
from corten.builder.hashes import FileHashes
from corten.builder.setting import Setting
from corten.builder.shared_cache import Made
from corten.builder.stacks import Stacks, layer_descriptor
from corten.content.claims import wait_for
from corten.errors import Cancelled, CortenError, StepFailed
from corten.events.job import Job
from corten.oci.codec import canonical_json
from corten.oci.digest import Digest
from corten.oci.platform import Platform

if TYPE_CHECKING:
    from corten.builder.copying import Sources
    from corten.builder.tree import Tree
    from corten.runtime.protocols import Executor

_EMPTY_TAR = 1024
_FORMAT = 2
"""Part of every key: raised when the same step would come out differently."""


class Result(NamedTuple):
    """What a step made: a stack of layers, lowest first, and when (Unix seconds).

    For COPY and ADD the time is the newest that was brought in, for RUN when it ran.
    """

    layers: tuple[Digest, ...]
    created: int = 0


class ImageWorker:
    """The solver's worker for images; see :class:`corten.builder.solver.Worker`.

    ``made`` has what each step came to that was run or found, by the step's digest.
    """

    def __init__(
        self,
        stacks: Stacks,
        executor: Callable[[], Executor],
        cache: BuildCache,
        setting: Setting,
    ) -> None:
        self._stacks = stacks
        self._executor = executor
        self._cache = cache
        self.setting = setting
        self._hashes = {
            context.name: FileHashes(cache, context.name)
            for context in (setting.context, *setting.contexts.values())
            if context.lasting
        }
        self._content: dict[Digest, str] = {}
        self.made: dict[Digest, Made] = {}
        self._borrowed: set[Digest] = set()

    def key(self, step: Step, inputs: Sequence[Result]) -> str | None:
        """The definition key; a COPY from the context has none."""
        op = step.op
        if isinstance(op, SourceImage | Scratch):
            return None
        if isinstance(op, Copy) and not op.from_input:
            return None
        if isinstance(op, Run):  # what came of it with a network is not what comes without
            op = msgspec.structs.replace(op, network=self.setting.network_of(op))
        stacks = [result.layers for result in inputs]
        if isinstance(op, Copy) and op.link:
            stacks = stacks[1:]
        return _key("step", op, step.platform, stacks)

    def content_key(self, step: Step, inputs: Sequence[Result], job: Job) -> str | None:
        """For COPY and ADD: from what they take.  None before the first run of its kind."""
        op = step.op
        if not isinstance(op, Copy):
            return None
        family = self._family(op, step, inputs)
        content = self._content.get(step.digest)
        if content is None:
            if not (self._cache.known(family) or self.setting.shared.known(family)):
                return None
            from corten.builder.copying import content_digest

            with self._blame(step), self._sources(step, op, inputs) as sources:
                content = content_digest(op, sources, job)
        return _key("content", family, content)

    def _family(self, op: Copy, step: Step, inputs: Sequence[Result]) -> str:
        """What copies have in common that differ at most in the content they take."""
        below = () if op.link else inputs[0].layers
        return _key("family", op, step.platform, below)

    def load(self, key: str, step: Step, inputs: Sequence[Result]) -> Result | None:
        """A saved result whose layer is still there."""
        for cache in (self._cache, self.setting.shared):
            found = cache.load(key)
            if found is None or not (found.layer is None or self._stacks.has(found.layer)):
                continue
            self._note(step, inputs, (key,), found)
            if cache is self.setting.shared:
                self._borrowed.add(step.digest)
            added = (found.layer,) if found.layer is not None else ()
            return Result((*inputs[0].layers, *added), found.created)
        return None

    def save(
        self, keys: Sequence[str], step: Step, inputs: Sequence[Result], result: Result
    ) -> None:
        """Remember what the step added to its input.

        What another's cache says is kept for this build alone: a bad one must not stay here.
        """
        if isinstance(step.op, SourceImage | Scratch):
            return
        added = result.layers[len(inputs[0].layers) :]
        saved = Saved(added[0] if added else None, result.created)
        family = self._note(step, inputs, keys, saved)
        if step.digest not in self._borrowed:
            self._cache.save(keys, family, saved)

    def _note(self, step: Step, inputs: Sequence[Result], keys: Sequence[str], saved: Saved) -> str:
        """Keep what a step came to for those who take the cache along; returns its family."""
        family = self._family(step.op, step, inputs) if isinstance(step.op, Copy) else ""
        known = self.made.get(step.digest)
        every = {*keys, *(known.keys if known is not None else ())}
        self.made[step.digest] = Made(tuple(sorted(every)), family, saved)
        return family

    def claim(self, key: str, job: Job) -> AbstractContextManager[object]:
        """The right to run the step with this key: of builds that need it at once, one runs it."""
        # No blob has this digest; whoever dies leaves what gc takes for any other claim.
        name = layer_descriptor(Digest.of(key.encode()))
        store = self._stacks.store
        return wait_for(lambda: store.claim(name), "for {}, which runs this step", job)

    def run(self, step: Step, inputs: Sequence[Result], job: Job) -> Result:
        """Do what the step says.  Errors name the Dockerfile's line."""
        op = step.op
        self._borrowed.discard(step.digest)
        with self._blame(step):
            if isinstance(op, SourceImage):
                job.result("cached")
                return Result(op.layers)
            if isinstance(op, Scratch):
                return Result(())
            below = inputs[0].layers
            if isinstance(op, Run):
                layer, created = self._run(step, op, [each.layers for each in inputs], job)
            elif isinstance(op, Copy):
                layer, created = self._copy(step, op, inputs, job)
            else:
                layer, created = self._directory(op, below), 0
            return Result((*below, layer) if layer else below, created)

    def finish(self) -> None:
        """Keep what was learnt of the contexts' files."""
        for hashes in self._hashes.values():
            hashes.save()

    @contextmanager
    def _blame(self, step: Step) -> Iterator[None]:
        """Errors within name the line of the Dockerfile that the step stands for."""
        try:
            yield
        except (Cancelled, StepFailed):
            raise
        except CortenError as error:
            place = self.setting.place(step)
            if not error.message.startswith(place):
                error.message = f"{place}{error.message}"
                error.args = (error.message,)
            raise

    @contextmanager
    def _sources(self, step: Step, op: Copy, inputs: Sequence[Result]) -> Iterator[Sources]:
        from corten.builder.copying import Sources
        from corten.builder.downloads import Means

        setting = self.setting
        view: AbstractContextManager[Tree]
        hashes = None
        if op.from_input:
            origin = setting.origins.get(step.digest)
            label = (origin.taken_from if origin else "") or "what it copies from"
            view = self._stacks.view(inputs[1].layers, label)
        else:
            context = setting.context_of(op)
            view, hashes = context.tree(), self._hashes.get(context.name)
        with view as tree:
            means = Means(
                self._cache,
                self._temporary,
                setting.environ,
                setting.folder,
                lambda name: setting.given.secret(name, setting.environ),
                lambda: setting.agents.socket("default") if setting.agents else "",
            )
            yield Sources(tree, op.from_input, hashes, means)

    @contextmanager
    def _below(self, layers: tuple[Digest, ...]) -> Iterator[Tree | None]:
        """The tree under a new layer; None where it is empty."""
        if not layers:
            yield None
            return
        with self._stacks.view(layers, "the image") as tree:
            yield tree

    def _temporary(self) -> BinaryIO:
        import tempfile

        folder = self.setting.folder / "work"
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=folder)

    def _copy(
        self, step: Step, op: Copy, inputs: Sequence[Result], job: Job
    ) -> tuple[Digest | None, int]:
        from corten.builder.copy_apart import copy_layer

        with (
            self._sources(step, op, inputs) as sources,
            self._below(() if op.link else inputs[0].layers) as below,
            self._stacks.new_layer() as layer,
        ):
            copied = copy_layer(op, sources, layer.write, below, job)
            self._content[step.digest] = copied.digest
            return (layer.commit() if copied.entries else None), copied.newest

    def _directory(self, op: MakeDirectory, layers: tuple[Digest, ...]) -> Digest | None:
        from corten.builder.layers import LayerWriter, Owner, find_owner
        from corten.runtime.users import resolve_user

        with self._below(layers) as below, self._stacks.new_layer() as layer:
            if below is None:
                owner = find_owner(op.owner, None)
            else:
                user = resolve_user(below.fd, op.owner)
                owner = Owner(user.uid, user.gid)
            writer = LayerWriter(layer.write, below, owner, op.time)
            writer.directory(writer.resolve(op.path))
            writer.finish()
            return layer.commit() if writer.count else None

    def _run(
        self, step: Step, op: Run, inputs: Sequence[tuple[Digest, ...]], job: Job
    ) -> tuple[Digest | None, int]:
        from corten.builder.running import Runner

        if self.setting.host is not None:
            from corten.builder.emulation import check_runs

            check_runs(Platform.parse(step.platform), self.setting.host)
        runner = Runner(self._stacks, self._executor, self.setting)
        return runner.run(step, op, inputs, job)


def _key(kind: str, *parts: object) -> str:
    """A key: its kind, and a digest of what decides the result."""
    raw = canonical_json([_FORMAT, kind, *parts])
    return f"{kind}:{hashlib.sha256(raw, usedforsecurity=False).hexdigest()}"
