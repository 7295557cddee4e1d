"""A Dockerfile under examination: its stages, what they build upon, and a stage's state."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cached_property

from corten.dockerfile import instructions as kinds
from corten.dockerfile.errors import DockerfileError, did_you_mean
from corten.dockerfile.expansion import ExpansionError, expand
from corten.dockerfile.instructions import Dockerfile, Instruction, Stage
from corten.dockerfile.lint.finding import Surroundings
from corten.dockerfile.lint.layout import Layout
from corten.dockerfile.lint.scope import GlobalScope, Scope
from corten.dockerfile.parser import parse_trigger
from corten.errors import Invalid
from corten.oci.platform import Platform

SCRATCH = "scratch"
_WORD = re.compile(r"\w+")
_TRIGGERS = 64
"""So many of a base's triggers are followed; of variables of one with more nothing is known."""


class Subject:
    """What all rules see.

    ``images`` are the expanded names after FROM, ``bases`` the number of the stage that such
    a name stands for, or None.  ``needed`` are the stages to look at.
    Raises: DockerfileError: a variable that cannot be expanded; a target that there is not.
    """

    def __init__(self, text: str, dockerfile: Dockerfile, around: Surroundings) -> None:
        self.text = text
        self.dockerfile = dockerfile
        self.around = around
        self.layout = Layout(text, dockerfile.escape)
        self.globals = GlobalScope(dockerfile, around.build_args, around.automatic)
        self.images: list[str] = []
        self.bases: list[int | None] = []
        self._by_name: dict[str, int] = {}
        for stage in dockerfile.stages:
            image = self.expanded(stage.source, stage.source.image)
            self.images.append(image)
            self.bases.append(self._by_name.get(image.lower()))
            if stage.name:
                self._by_name[stage.name] = stage.index
        self.needed = self._needed()
        self.guesses = 0
        """Names that were compared with others so far: that takes time."""

    @cached_property
    def words(self) -> Counter[str]:
        """How often each word stands in the file."""
        return Counter(_WORD.findall(self.text))

    @cached_property
    def _kinds(self) -> frozenset[type[Instruction]]:
        return frozenset(
            type(one) for stage in self.dockerfile.stages for one in stage.instructions
        )

    def has(self, kind: type[Instruction]) -> bool:
        """Whether any stage has an instruction of that kind."""
        return kind in self._kinds

    def with_defaults(self, source: kinds.From, scope: GlobalScope) -> str | None:
        """The image of a FROM as it is in another global scope; None: it cannot be expanded."""
        try:
            return expand(source.image, scope.values, self.dockerfile.escape)
        except ExpansionError:
            return None

    def expanded(self, source: kinds.From, word: str) -> str:
        """A word of a FROM, expanded.  Raises: DockerfileError."""
        try:
            return expand(word, self.globals.values, self.dockerfile.escape)
        except ExpansionError as error:
            raise source.node.error(error.message, word).located(self.dockerfile.file) from None

    def platform(self, source: kinds.From) -> Platform:
        """What a FROM asks for; the target's where it says nothing, or nothing valid."""
        if source.platform:
            try:
                return Platform.parse(self.expanded(source, source.platform))
            except Invalid:
                pass
        return self.around.platform

    def foreign(self) -> Iterator[tuple[Stage, str, Platform]]:
        """The images that needed stages build upon."""
        for stage in self.needed:
            image = self.images[stage.index]
            if self.bases[stage.index] is None and image not in ("", SCRATCH):
                yield stage, image, self.platform(stage.source)

    def instructions(self) -> Iterator[Instruction]:
        """All that are looked at: ARG before the first FROM, then stage by stage."""
        yield from self.dockerfile.arguments
        for stage in self.needed:
            yield stage.source
            yield from stage.instructions

    def _named(self, name: str) -> int | None:
        found = self._by_name.get(name.lower())
        if found is None and name.isascii() and name.isdigit() and len(name) < 6:
            number = int(name)
            return number if number < len(self.images) else None
        return found

    def _needed(self) -> list[Stage]:
        stages = self.dockerfile.stages
        if not self.around.target and not self.around.last:
            return list(stages)
        start: int | None = len(stages) - 1
        if self.around.target:
            start = self._named(self.around.target)
        if start is None:
            raise DockerfileError(
                f"it has no stage {self.around.target!r}",
                file=self.dockerfile.file,
                hint=did_you_mean(self.around.target, list(self._by_name)[:100]),
            )
        found, waiting = {start}, [start]
        while waiting:
            stage = stages[waiting.pop()]
            nexts = [self.bases[stage.index]]
            nexts += [self._named(name) for one in stage.instructions for name in one.origins]
            for number in nexts:
                if number is not None and number not in found:
                    found.add(number)
                    waiting.append(number)
        return [stages[number] for number in sorted(found)]


class State:
    """What holds before an instruction of a stage.  Mutable; the walk owns it.

    ``shell`` says that SHELL chose one, ``workdir`` that WORKDIR stood in this file.
    ``entrypoint``: whether the image has one, None where that is not known.
    ``seen`` are this stage's CMD, ENTRYPOINT and HEALTHCHECK so far.
    """

    def __init__(self, stage: Stage, scope: Scope) -> None:
        self.stage = stage
        self.scope = scope
        self.shell = False
        self.workdir = False
        self.entrypoint: bool | None = False
        self.triggers: list[str] = []
        self.seen: dict[str, Instruction] = {}

    def apply(self, instruction: Instruction, subject: Subject) -> None:
        """Let the instruction have its effect."""
        if isinstance(instruction, kinds.Env):
            scope = self.scope
            pairs = [(scope.value(name), scope.value(value)) for name, value in instruction.pairs]
            for name, value in pairs:
                if name is None:
                    scope.whole = False
                else:
                    scope.put(name, value)
        elif isinstance(instruction, kinds.Arg):
            for name, default in instruction.pairs:
                self.declare(name, default, subject)
        elif isinstance(instruction, kinds.Shell):
            self.shell = True
        elif isinstance(instruction, kinds.Workdir):
            self.workdir = True
        elif isinstance(instruction, kinds.Onbuild):
            self.triggers.append(instruction.trigger)
        elif isinstance(instruction, kinds.Entrypoint):
            self.entrypoint = True
        if isinstance(instruction, kinds.Cmd | kinds.Entrypoint | kinds.Healthcheck):
            self.seen[instruction.keyword] = instruction

    def declare(self, name: str, default: str | None, subject: Subject) -> None:
        """One name of an ARG."""
        given = subject.around.build_args.get(name)
        if given is not None:
            self.scope.declare(name, given)
        elif default is not None:
            self.scope.declare(name, self.scope.value(default))
        else:
            value = subject.globals.values.get(name)
            self.scope.declare(name, value, is_set=value is not None)


class Walk:
    """Goes through the needed stages; each begins with what its base left."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._states: dict[int, State] = {}
        self._last: dict[int, int] = {}
        for stage in subject.needed:
            base = subject.bases[stage.index]
            if base is not None:
                self._last[base] = stage.index

    def begin(self, stage: Stage) -> State:
        """The state after FROM, and after the triggers of what it names."""
        base = self._subject.bases[stage.index]
        state = self._upon_image(stage) if base is None else self._upon_stage(stage, base)
        triggers, state.triggers = state.triggers, []
        if len(triggers) > _TRIGGERS:
            state.scope.whole = False
            triggers = []
        for text in triggers:
            try:
                state.apply(parse_trigger(text), self._subject)
            except DockerfileError:
                state.scope.whole = False
        state.workdir = state.workdir and base is not None
        state.seen = {}
        if stage.index in self._last:
            self._states[stage.index] = state
        return state

    def _upon_image(self, stage: Stage) -> State:
        subject = self._subject
        escape = subject.dockerfile.escape
        image = subject.images[stage.index]
        if image == SCRATCH:
            return State(stage, Scope({}, whole=True, escape=escape))
        facts = subject.around.bases.get((image, str(subject.platform(stage.source))))
        if facts is None:
            state = State(stage, Scope({}, whole=False, escape=escape))
            state.entrypoint = None
            return state
        state = State(stage, Scope(facts.environment, whole=True, escape=escape))
        state.shell, state.entrypoint = facts.shell, facts.entrypoint
        state.triggers = list(facts.triggers)
        return state

    def _upon_stage(self, stage: Stage, base: int) -> State:
        before = self._states[base]
        if self._last[base] == stage.index:
            del self._states[base]
            state = State(stage, before.scope.taken())
        else:
            state = State(stage, before.scope.copy())
        state.shell, state.workdir = before.shell, before.workdir
        state.entrypoint, state.triggers = before.entrypoint, list(before.triggers)
        return state
