"""The table of rules, and the walk that asks them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from corten.dockerfile import instructions as kinds
from corten.dockerfile.instructions import Dockerfile, Instruction
from corten.dockerfile.lint import casing, commands, comments, stages, values, variables
from corten.dockerfile.lint.directive import ARGUMENT, parse_policy
from corten.dockerfile.lint.finding import Finding, Hit, Report, Rule, Surroundings
from corten.dockerfile.lint.subject import State, Subject, Walk
from corten.oci.platform import Platform

FileCheck = Callable[[Subject], Iterable[Hit]]
StepCheck = Callable[[Instruction, State, Subject], Iterable[Hit]]


class _Row(NamedTuple):
    """A rule, and how it is checked: the file as a whole, or each instruction with the state before it."""

    rule: Rule
    file: FileCheck | None = None
    step: StepCheck | None = None


_TABLE = (
    _Row(
        Rule(
            "StageNameCasing",
            "Stage names should be lowercase",
            "stage-name-casing",
            fixable=True,
        ),
        step=casing.stage_name_casing,
    ),
    _Row(
        Rule(
            "FromAsCasing",
            "The 'as' keyword should match the case of the 'from' keyword",
            "from-as-casing",
            fixable=True,
        ),
        step=casing.as_casing,
    ),
    _Row(
        Rule(
            "NoEmptyContinuation",
            "Empty continuation lines will become errors in a future release",
            "no-empty-continuation",
            fixable=True,
        ),
        file=comments.empty_continuation,
    ),
    _Row(
        Rule(
            "ConsistentInstructionCasing",
            "All commands within the Dockerfile should use the same casing (either upper or lower)",
            "consistent-instruction-casing",
            fixable=True,
        ),
        file=casing.instruction_casing,
    ),
    _Row(
        Rule("DuplicateStageName", "Stage names should be unique", "duplicate-stage-name"),
        file=stages.duplicate_name,
    ),
    _Row(
        Rule(
            "ReservedStageName",
            "Reserved words should not be used as stage names",
            "reserved-stage-name",
        ),
        step=stages.reserved_name,
    ),
    _Row(
        Rule(
            "JSONArgsRecommended",
            "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior"
            " related to OS signals",
            "json-args-recommended",
            fixable=True,
        ),
        step=commands.json_arguments,
    ),
    _Row(
        Rule(
            "MaintainerDeprecated",
            "The MAINTAINER instruction is deprecated, use a label instead to define an image"
            " author",
            "maintainer-deprecated",
            fixable=True,
        ),
        step=commands.maintainer,
    ),
    _Row(
        Rule(
            "UndefinedArgInFrom",
            "FROM command must use declared ARGs",
            "undefined-arg-in-from",
        ),
        file=stages.undefined_argument,
    ),
    _Row(
        Rule(
            "WorkdirRelativePath",
            "Relative workdir without an absolute workdir declared within the build can have"
            " unexpected results if the base image changes",
            "workdir-relative-path",
        ),
        step=commands.relative_workdir,
    ),
    _Row(
        Rule(
            "UndefinedVar",
            "Variables should be defined before their use",
            "undefined-var",
        ),
        step=variables.undefined,
    ),
    _Row(
        Rule(
            "MultipleInstructionsDisallowed",
            "Multiple instructions of the same type should not be used in the same stage",
            "multiple-instructions-disallowed",
        ),
        step=commands.several,
    ),
    _Row(
        Rule(
            "LegacyKeyValueFormat",
            "Legacy key/value format with whitespace separator should not be used",
            "legacy-key-value-format",
            fixable=True,
        ),
        step=values.old_form,
    ),
    _Row(
        Rule(
            "InvalidBaseImagePlatform",
            "Base image platform does not match expected target platform",
            "",
        ),
        file=stages.image_platform,
    ),
    _Row(
        Rule(
            "RedundantTargetPlatform",
            "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the"
            " default behavior",
            "redundant-target-platform",
            fixable=True,
        ),
        step=stages.redundant_platform,
    ),
    _Row(
        Rule(
            "SecretsUsedInArgOrEnv",
            "Sensitive data should not be used in the ARG or ENV commands",
            "secrets-used-in-arg-or-env",
        ),
        file=lambda subject: _each(subject, values.secrets),
    ),
    _Row(
        Rule(
            "InvalidDefaultArgInFrom",
            "Default value for global ARG results in an empty or invalid base image name",
            "invalid-default-arg-in-from",
        ),
        file=stages.invalid_default,
    ),
    _Row(
        Rule(
            "FromPlatformFlagConstDisallowed",
            "FROM --platform flag should not use a constant value",
            "from-platform-flag-const-disallowed",
        ),
        step=stages.constant_platform,
    ),
    _Row(
        Rule(
            "CopyIgnoredFile",
            "Attempting to Copy file that is excluded by .dockerignore",
            "copy-ignored-file",
        ),
        step=variables.ignored_file,
    ),
    _Row(
        Rule(
            "InvalidDefinitionDescription",
            "Comment for build stage or argument should follow the format:"
            " `# <arg/stage name> <description>`",
            "invalid-definition-description",
            experimental=True,
        ),
        file=lambda subject: _each(subject, comments.description),
    ),
    _Row(
        Rule(
            "ExposeProtoCasing",
            "Protocol in EXPOSE instruction should be lowercase",
            "expose-proto-casing",
            fixable=True,
        ),
        step=casing.protocol_casing,
    ),
    _Row(
        Rule(
            "ExposeInvalidFormat",
            "IP address and host-port mapping should not be used in EXPOSE instruction",
            "expose-invalid-format",
            fixable=True,
        ),
        step=values.port_format,
    ),
)

_POINTED = 50
"""Findings of one instruction that point at their part: looking for it takes time."""

RULES = {row.rule.name: row.rule for row in _TABLE}
"""All rules by name."""


def check(text: str, dockerfile: Dockerfile, around: Surroundings) -> Report:
    """What the rules say about a Dockerfile; `text` is what it was parsed from.

    Time is linear in the text.  Raises: DockerfileError: a wrong ``check`` directive, a
    target that there is not, a variable that cannot be expanded.
    """
    policy = parse_policy(dockerfile, text, around.build_args.get(ARGUMENT, ""))
    rows = [row for row in _TABLE if policy.wants(row.rule.name, row.rule.experimental)]
    subject = Subject(text, dockerfile, around) if rows else None
    found = _findings(rows, subject) if subject is not None else []
    return Report(dockerfile.file, tuple(found), policy.error, policy.unknown(RULES))


def foreign_images(
    text: str, dockerfile: Dockerfile, around: Surroundings
) -> list[tuple[str, Platform]]:
    """The images that the stages which are looked at build upon, each once.

    Raises: DockerfileError.
    """
    subject = Subject(text, dockerfile, around)
    return list({(i, str(p)): (i, p) for _, i, p in subject.foreign()}.values())


def images_matter(dockerfile: Dockerfile) -> bool:
    """Whether what is said depends on what images hold, not only on their names."""
    return any(_depends(one) for stage in dockerfile.stages for one in stage.instructions)


def _depends(instruction: Instruction) -> bool:
    """Whether what is said about an instruction depends on the base image."""
    if isinstance(instruction, kinds.Cmd | kinds.Entrypoint):
        return instruction.command.shell
    if isinstance(instruction, kinds.Run):
        return any("$" in value for mount in instruction.mounts for _, value in mount.options)
    documents = instruction.node.heredocs
    return "$" in instruction.text or any("$" in document.content for document in documents)


def _each(
    subject: Subject, rule: Callable[[Instruction, State | None, Subject], Iterable[Hit]]
) -> Iterator[Hit]:
    """Ask a rule that needs no state, about ARG before the first FROM too."""
    for instruction in subject.instructions():
        yield from rule(instruction, None, subject)


def _findings(rows: list[_Row], subject: Subject) -> list[Finding]:
    found: dict[tuple[str, int, str], tuple[Rule, Hit]] = {}

    def keep(rule: Rule, hits: Iterable[Hit]) -> None:
        for hit in hits:
            found.setdefault((rule.name, hit.instruction.line, hit.message), (rule, hit))

    steps = [(row.rule, row.step) for row in rows if row.step is not None]
    for row in rows:
        if row.file is not None:
            keep(row.rule, row.file(subject))
    walk = Walk(subject)
    for stage in subject.needed:
        state = walk.begin(stage)
        for instruction in (stage.source, *stage.instructions):
            for rule, step in steps:
                keep(rule, step(instruction, state, subject))
            state.apply(instruction, subject)
    done = []
    counts: Counter[int] = Counter()
    for rule, hit in found.values():
        line = hit.instruction.node.line
        counts[line.first] += 1
        part = hit.part if counts[line.first] <= _POINTED else ""
        spot = subject.layout.locate(line, part)
        done.append(Finding(rule, hit.message, hit.instruction, spot, rule.fixable and hit.certain))
    return sorted(done, key=lambda one: (one.instruction.line, one.line, one.rule.name))
