"""From a Dockerfile to a plan: which steps to evaluate and which image to make.  Pure.

Stages that the target does not need are not looked at, so their images are not
asked for.
"""

from __future__ import annotations

from collections.abc import Mapping

from corten.builder.graph import Copy as CopyStep
from corten.builder.graph import Graph, Origin, Scratch, SourceImage, Step, whole_context
from corten.builder.named_contexts import NamedContext, context_key
from corten.builder.plan import BaseImage, BaseRequest, Plan, Wishes
from corten.builder.scope import Arguments, platform_arguments
from corten.builder.stage import StageState
from corten.dockerfile.errors import DockerfileError, did_you_mean
from corten.dockerfile.instructions import Copy, Dockerfile, Instruction, Onbuild, Run, Stage
from corten.dockerfile.parser import parse_trigger
from corten.errors import Invalid
from corten.oci.digest import Digest
from corten.oci.platform import Platform

SCRATCH = "scratch"

Known = Mapping[tuple[str, str], BaseImage]
"""Images by name as written and platform as text."""


def bases(
    dockerfile: Dockerfile, wishes: Wishes, known: Known | None = None
) -> tuple[BaseRequest, ...]:
    """The images that the target needs and that `known` does not have.

    Triggers of an image (ONBUILD) may ask for more: ask again, with what was
    found, until nothing is missing.

    Raises: DockerfileError.
    """
    lowering = _Lowering(dockerfile, wishes, known or {}, strict=False)
    lowering.stage(_target(dockerfile, wishes.target))
    return tuple(lowering.missing.values())


def lower(dockerfile: Dockerfile, wishes: Wishes, known: Known) -> Plan:
    """The plan for the wished target.

    Raises: DockerfileError: unknown stage, variable or value, a circle of
    stages; an image that `known` lacks.
    """
    lowering = _Lowering(dockerfile, wishes, known, strict=True)
    state = lowering.stage(_target(dockerfile, wishes.target))
    labels = {**state.labels, **wishes.labels}
    config = state.config(labels)
    warnings = list(lowering.warnings)
    unused = lowering.arguments.unused()
    if unused:
        warnings.append(f"build arguments that no ARG asks for: {', '.join(unused)}")
    graph = Graph((state.step,), _numbered(lowering, state.step))
    return Plan(
        graph=graph,
        root=state.step,
        config=config,
        platform=state.platform,
        entries=tuple(state.entries),
        base=state.base,
        author=state.author,
        warnings=tuple(warnings),
        epoch=lowering.arguments.epoch,
        fresh=frozenset(lowering.fresh),
    )


_SHOWN = 20
"""Stages that a message lists at most."""


def _target(dockerfile: Dockerfile, name: str) -> Stage:
    if not name:
        return dockerfile.stages[-1]
    stage = dockerfile.stage(name)
    if stage is None:
        raise DockerfileError(
            f"it has no stage {name!r}",
            file=dockerfile.file,
            hint=_stages(name, dockerfile),
        )
    return stage


def _stages(name: str, dockerfile: Dockerfile) -> str:
    """A hint at the stage that is near, and all that there are: a number where there is no name."""
    known = [stage.name or str(stage.index) for stage in dockerfile.stages]
    listed = [stage.name or f"{stage.index} (unnamed)" for stage in dockerfile.stages[:_SHOWN]]
    shown = ", ".join(listed) + (", …" if len(known) > _SHOWN else "")
    near = did_you_mean(name, known)
    there = f"its stages: {shown}"
    return f"{near} ({there})" if near.endswith("?") else there


class _Lowering:
    """One walk over the stages that a target needs."""

    def __init__(
        self, dockerfile: Dockerfile, wishes: Wishes, known: Known, *, strict: bool
    ) -> None:
        self.dockerfile = dockerfile
        self.wishes = wishes
        self.known = known
        self.strict = strict
        automatic = platform_arguments(wishes.platform, wishes.build_platform)
        self.arguments = Arguments(
            dockerfile, wishes.build_args, automatic, wishes.hosts, wishes.pins
        )
        self.missing: dict[tuple[str, str], BaseRequest] = {}
        self.states: dict[int, StageState] = {}
        self.under_way: list[int] = []
        self.titles: dict[Digest, tuple[str, Instruction]] = {}
        self.warnings: list[str] = []
        self.fresh: set[Digest] = set()
        self._fresh_stages = {_target(dockerfile, name).index for name in wishes.fresh}

    def stage(self, stage: Stage) -> StageState:
        """The state after all of the stage's instructions."""
        if stage.index in self.states:
            return self.states[stage.index]
        if stage.index in self.under_way:
            names = [self.dockerfile.stages[i].title for i in (*self.under_way, stage.index)]
            raise self.error(stage.source, f"stages need one another: {' -> '.join(names)}")
        self.under_way.append(stage.index)
        try:
            named = self.named(stage.name) if stage.name else None
            if named is not None:
                platform = self._platform(stage, self.arguments.globals())
                state = self._upon(named, stage.name, platform, stage.source)
                self.states[stage.index] = state
                return state
            state = self._start(stage)
            for trigger in state.take_triggers():
                try:
                    instruction = parse_trigger(trigger)
                except DockerfileError as error:
                    reason = f"ONBUILD trigger of {stage.source.image}: {error.reason}"
                    raise self.error(stage.source, reason) from None
                self._apply(state, instruction, stage)
            for instruction in stage.instructions:
                self._apply(state, instruction, stage)
        finally:
            self.under_way.pop()
        self.states[stage.index] = state
        return state

    def error(self, instruction: Instruction, reason: str, part: str = "") -> DockerfileError:
        return instruction.node.error(reason, part).located(self.dockerfile.file)

    def _start(self, stage: Stage) -> StageState:
        source = stage.source
        scope = self.arguments.globals()
        name = self.arguments.expand(source, source.image, scope)
        if not name:
            raise self.error(source, f"{source.image!r} expands to nothing", source.image)
        platform = self._platform(stage, scope)
        earlier = self._earlier(stage, name)
        if earlier is not None:
            return StageState.upon(self.stage(earlier), self.arguments)
        if name == SCRATCH:
            state = StageState(self.arguments, platform)
            state.begin(Step(Scratch(), (), str(platform)), None)
            return state
        named = self.named(name) or NamedContext("image", name)
        return self._upon(named, name, platform, source, stage.title)

    def named(self, name: str) -> NamedContext | None:
        """The context that stands for `name`."""
        return self.wishes.contexts.get(context_key(name)) if self.wishes.contexts else None

    def _upon(
        self,
        named: NamedContext,
        name: str,
        platform: Platform,
        source: Instruction,
        title: str = "",
    ) -> StageState:
        """A state that begins upon what `named` is, which `source` calls `name`."""
        if named.kind == "stage":
            target = self.dockerfile.stage(named.value)
            if target is None:
                reason = f"context {name} is stage {named.value!r}, which there is not"
                raise self.error(source, reason, name)
            return StageState.upon(self.stage(target), self.arguments)
        state = StageState(self.arguments, platform)
        if named.kind == "files":
            state.begin(Step(Scratch(), (), str(platform)), None)
            time = self.arguments.epoch or 0
            op = CopyStep(("/",), "/", context=context_key(name), time=time)
            state.advance(op, f"COPY context {name} /")
            self.titles.setdefault(state.step.digest, (f"context {name}", source))
            return state
        base = self.image(source, named.value, platform)
        layers = base.config.diff_ids if base else ()
        step = Step(SourceImage(base.name if base else named.value, layers), (), str(platform))
        state.begin(step, base)
        self.titles.setdefault(step.digest, (title or name, source))
        return state

    def _earlier(self, stage: Stage, name: str) -> Stage | None:
        """FROM can only mean a stage above it; a number is no name there."""
        for other in reversed(self.dockerfile.stages[: stage.index]):
            if other.name and other.name == name.lower():
                return other
        return None

    def _platform(self, stage: Stage, scope: Mapping[str, str]) -> Platform:
        text = stage.source.platform
        if not text:
            return self.wishes.platform
        value = self.arguments.expand(stage.source, text, scope)
        try:
            return Platform.parse(value)
        except Invalid as error:
            raise self.error(stage.source, error.message, text) from None

    def image(self, instruction: Instruction, name: str, platform: Platform) -> BaseImage | None:
        """A known image, or None after noting that it is missing."""
        key = (name, str(platform))
        found = self.known.get(key)
        if found is None:
            if self.strict:
                raise self.error(instruction, f"image {name} was not found", name)
            self.missing.setdefault(key, BaseRequest(name, platform, instruction.line))
        return found

    def _apply(self, state: StageState, instruction: Instruction, stage: Stage) -> None:
        origins = {
            name: self._from(instruction, name, state.platform) for name in instruction.origins
        }
        if not self.strict and not isinstance(instruction, Onbuild):
            # Only the images are asked for; without them variables may be unknown.
            return
        before = state.step
        state.apply(instruction, origins)
        for part in state.take_parts():
            self._added(part, stage)
            self.titles.setdefault(part.digest, (stage.title, instruction))
        if state.step is not before:
            self._added(state.step, stage)
            self.titles.setdefault(state.step.digest, (stage.title, instruction))
        self.warnings.extend(state.take_warnings())

    def _added(self, step: Step, stage: Stage) -> None:
        if stage.index in self._fresh_stages:
            self.fresh.add(step.digest)

    def _from(self, instruction: Instruction, name: str, platform: Platform) -> Step:
        """The step whose file system COPY --from or a mount takes from."""
        stage = self.dockerfile.stage(name)
        if stage is not None:
            return self.stage(stage).step
        named = self.named(name)
        if named is None and name.isdigit():
            raise self.error(instruction, f"there is no stage number {name}", f"from={name}")
        named = named or NamedContext("image", name)
        return self._upon(named, name, platform, instruction).step


def _numbered(lowering: _Lowering, root: Step) -> dict[Digest, Origin]:
    """Titles as progress shows them: ``[stage 2/5] RUN make``."""
    graph = Graph((root,))
    titles = lowering.titles
    rows = [(step, *titles[step.digest]) for step in graph if step.digest in titles]
    totals: dict[str, int] = {}
    for _, title, _ in rows:
        totals[title] = totals.get(title, 0) + 1
    seen: dict[str, int] = {}
    origins = {}
    for step, title, instruction in rows:
        seen[title] = seen.get(title, 0) + 1
        text = f"FROM {step.op.name}" if isinstance(step.op, SourceImage) else instruction.text
        if context := whole_context(step):
            text = f"files of context {context}"
        elif isinstance(step.op, CopyStep) and isinstance(instruction, Run):
            text = f"files for {text}"
        taken_from = ""
        if isinstance(instruction, Copy) and (name := instruction.source_stage):
            stage = lowering.dockerfile.stage(name)
            kind = "context" if lowering.named(name) else "stage" if stage else "image"
            taken_from = f"{kind} {name}"
        origins[step.digest] = Origin(
            f"[{title} {seen[title]}/{totals[title]}] {text}",
            instruction.line,
            instruction.node.line.source,
            taken_from,
            instruction.node.line.last,
        )
    return origins
