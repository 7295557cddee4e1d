"""The checks of a Dockerfile as part of a build: what they may know, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from corten.builder.named_contexts import context_key
from corten.builder.plan import BaseImage, Wishes
from corten.builder.scope import platform_arguments
from corten.dockerfile.errors import DockerfileError
from corten.dockerfile.ignore import Ignore
from corten.dockerfile.instructions import Dockerfile
from corten.dockerfile.lint.checking import check, foreign_images
from corten.dockerfile.lint.finding import BaseFacts, Finding, Report, Surroundings
from corten.oci.image_config import ImageConfig
from corten.oci.platform import Platform

_NAMED = 6
"""Rules that a build's warning names at most."""


def facts(config: ImageConfig) -> BaseFacts:
    """What checks may know of an image."""
    container = config.config
    return BaseFacts(
        environment=container.environment(),
        entrypoint=bool(container.entrypoint),
        shell=bool(container.shell),
        triggers=container.on_build,
        platform=config.platform,
    )


FindFacts = Callable[[str, Platform], BaseFacts | None]
"""What is known of an image, by its name; None: nothing."""


def surroundings(
    text: str,
    dockerfile: Dockerfile,
    wishes: Wishes,
    ignore: Ignore,
    find: FindFacts,
    *,
    last: bool = False,
) -> Surroundings:
    """What a Dockerfile is checked with; `last` as in `Surroundings`.  Raises: DockerfileError."""
    around = Surroundings(
        build_args=wishes.build_args,
        automatic=platform_arguments(wishes.platform, wishes.build_platform),
        platform=wishes.platform,
        ignore=ignore,
        target=wishes.target,
        last=last,
    )
    found = {}
    for name, platform in foreign_images(text, dockerfile, around):
        named = wishes.contexts.get(context_key(name)) if wishes.contexts else None
        if named is None or named.kind == "image":
            known = find(named.value if named else name, platform)
        else:
            known = BaseFacts({}) if named.kind == "files" else None
        if known is not None:
            found[name, str(platform)] = known
    return msgspec.structs.replace(around, bases=found)


def facts_of(known: Mapping[tuple[str, str], BaseImage]) -> FindFacts:
    """Finds among the images that a build begins with."""

    def find(name: str, platform: Platform) -> BaseFacts | None:
        image = known.get((name, str(platform)))
        return facts(image.config) if image is not None else None

    return find


def review(text: str, dockerfile: Dockerfile, around: Surroundings) -> tuple[str, ...]:
    """What a build says about its Dockerfile: one warning with rules and lines, or none.

    Raises: DockerfileError: also where the file says ``# check=error=true`` and a rule is broken.
    """
    report = check(text, dockerfile, around)
    if not report.findings:
        return ()
    if report.error:
        raise violation(report)
    count = len(report.findings)
    said = f"{count} warning{'s' if count > 1 else ''} of the checks: {_summary(report)}"
    return (f"{dockerfile.file}: {said}; build --check explains",)


def violation(report: Report) -> DockerfileError:
    """The error of a file that wants no broken rules."""
    first: Finding = report.findings[0]
    names = sorted({one.rule.name for one in report.findings})
    more = f" (and others: {', '.join(names)})" if len(names) > 1 else ""
    return DockerfileError(
        f"{first.rule.name}: {first.message}{more}",
        line=first.line,
        source=first.instruction.node.line.source,
        file=report.file,
        hint="the file says check=error=true; corten build --check shows all",
    )


def _summary(report: Report) -> str:
    lines: dict[str, list[int]] = {}
    for one in report.findings:
        lines.setdefault(one.rule.name, []).append(one.line)
    shown = [f"{name} ({_numbers(found)})" for name, found in list(lines.items())[:_NAMED]]
    return ", ".join([*shown, *(["…"] if len(lines) > _NAMED else [])])


def _numbers(found: list[int]) -> str:
    unique = sorted(set(found))
    text = ", ".join(map(str, unique[:3])) + (", …" if len(unique) > 3 else "")
    return f"line{'s' if len(unique) > 1 else ''} {text}"
