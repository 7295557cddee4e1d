"""COPY and ADD: from the instruction to the step that carries it out.  Pure.

Spec: Dockerfile reference, "COPY" and "ADD".
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict

from corten.builder.git_url import is_git, parse_git, public
from corten.builder.graph import PIVOT, Copy, Inline, Step, is_remote, whole_context
from corten.builder.modes import parse_mode
from corten.dockerfile import instructions as kinds
from corten.dockerfile.expansion import expand_document
from corten.dockerfile.ignore import Ignore
from corten.dockerfile.lexer import find_heredocs
from corten.dockerfile.patterns import PatternError
from corten.errors import Invalid

if TYPE_CHECKING:
    from corten.builder.stage import StageState

_URL = re.compile(r"https?://", re.IGNORECASE)
_COMMIT = re.compile(r"[0-9a-f]{1,64}", re.ASCII)
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


def lower_copy(
    state: StageState, instruction: kinds.Copy | kinds.Add, origins: Mapping[str, Step]
) -> None:
    """Put a COPY or ADD on the stage.  Raises: DockerfileError."""
    origin = origins[instruction.origins[0]] if instruction.origins else None
    sources: list[str] = []
    inline: list[Inline] = []
    waiting = list(instruction.heredocs)
    for word in instruction.sources:
        if waiting and find_heredocs(word):
            document = waiting.pop(0)
            content = document.content
            if document.expand:
                content = expand_document(content, state.scope(), state.arguments.escape)
            inline.append(Inline(document.name, content))
        else:
            sources.append(_source(state, instruction, word))
            if origin is None and posixpath.normpath(word.lstrip("/")).split("/")[0] == "..":
                state.warn(
                    instruction,
                    f"{instruction.keyword} {word}: .. cannot leave the context:"
                    f" it means {sources[-1].removeprefix(PIVOT).lstrip('/') or '.'}",
                )
    raw = state.expand(instruction, instruction.destination)
    if not raw:
        raise state.error(
            instruction, f"{instruction.keyword}: the destination is empty after expansion"
        )
    destination = state.absolute(raw)
    if raw.endswith("/") or posixpath.basename(raw) in (".", ".."):
        destination = destination.rstrip("/") + "/"
    if len(sources) + len(inline) > 1 and not destination.endswith("/"):
        raise state.error(
            instruction,
            f"{instruction.keyword} of several sources needs a directory as destination",
            instruction.destination,
            f"write it as {instruction.destination}/",
        )
    # Straight from a named context's files, so that no others have to be read.
    context = whole_context(origin) if origin else ""
    origin = None if context else origin
    op = Copy(
        sources=tuple(sources),
        destination=destination,
        context=context,
        from_input=origin is not None,
        chown=state.expand(instruction, instruction.chown),
        chmod=_mode(state, instruction),
        add=isinstance(instruction, kinds.Add),
        link=instruction.link,
        inline=tuple(inline),
        time=state.arguments.epoch or 0,
        parents=isinstance(instruction, kinds.Copy) and instruction.parents,
        excludes=_excludes(state, instruction),
        **_added(state, instruction, sources),
    )
    flags = "".join(f" {flag}" for flag in instruction.node.flags)
    words = [f"<<{item.name}" for item in inline]
    words += [public(source.removeprefix(PIVOT).lstrip("/")) or "." for source in sources]
    text = f"{instruction.keyword}{flags} {' '.join(words)} {destination}"
    state.advance(op, text, *((origin,) if origin else ()))


def _source(state: StageState, instruction: kinds.Copy | kinds.Add, word: str) -> str:
    """A source, as an absolute path from the root of where it comes from, or a URL."""
    source = state.expand(instruction, word)
    add = isinstance(instruction, kinds.Add)
    # Docker takes github.com/… without a scheme for a path here.
    if is_git(source) and not source.startswith("github.com/"):
        if not add:
            raise state.error(instruction, "COPY does not take Git repositories", word, "use ADD")
        try:
            parse_git(source)
        except Invalid as error:
            raise state.error(instruction, error.message, word, error.hint) from None
        return source
    if _URL.match(source):
        if add:
            return source
        raise state.error(instruction, "COPY does not take URLs", word, "use ADD")
    if not source:
        raise state.error(
            instruction, f"{instruction.keyword}: {word} is empty after expansion", word
        )
    if not (isinstance(instruction, kinds.Copy) and instruction.parents):
        return _rooted(source)
    start, pivot, pattern = source.partition(PIVOT)
    if not pivot:
        start, pattern = "", source
    return _rooted(start).rstrip("/") + PIVOT + _rooted(pattern).lstrip("/")


def _rooted(path: str) -> str:
    return "/" + posixpath.normpath(f"/{path}").lstrip("/")


def _mode(state: StageState, instruction: kinds.Copy | kinds.Add) -> str:
    chmod = state.expand(instruction, instruction.chmod)
    if chmod:
        try:
            parse_mode(chmod)
        except Invalid as error:
            reason = f"--chmod: {error.message}"
            raise state.error(instruction, reason, instruction.chmod, error.hint) from None
    return chmod


def _excludes(state: StageState, instruction: kinds.Copy | kinds.Add) -> tuple[str, ...]:
    patterns = []
    for word in instruction.excludes:
        pattern = state.expand(instruction, word)
        try:
            Ignore((pattern,))
        except PatternError as error:
            raise state.error(instruction, f"--exclude: {error.message}", word) from None
        patterns.append(pattern)
    return tuple(patterns)


class _Added(TypedDict, total=False):
    unpack: bool | None
    checksum: str
    keep_git_dir: bool


def _added(
    state: StageState, instruction: kinds.Copy | kinds.Add, sources: Sequence[str]
) -> _Added:
    """What only ADD says."""
    if not isinstance(instruction, kinds.Add):
        return {}
    checksum = state.expand(instruction, instruction.checksum)
    if checksum:
        part = f"--checksum={instruction.checksum}"
        if len(sources) != 1 or instruction.heredocs:
            raise state.error(instruction, "--checksum is for a single source", part)
        if not is_remote(sources[0]):
            raise state.error(
                instruction, "--checksum is for URLs and Git repositories, not for files", part
            )
        checksum = checksum.lower()
        of_git = is_git(sources[0])
        if not (_COMMIT if of_git else _SHA256).fullmatch(checksum):
            what = "a commit" if of_git else "a SHA-256"
            hint = "up to 64" if of_git else "sha256: and 64"
            raise state.error(
                instruction,
                f"--checksum {checksum!r} is not {what}",
                part,
                f"write it as {hint} hexadecimal digits",
            )
    return {
        "unpack": instruction.unpack,
        "checksum": checksum or _pinned(state, instruction, sources),
        "keep_git_dir": instruction.keep_git_dir,
    }


def _pinned(state: StageState, instruction: kinds.Add, sources: Sequence[str]) -> str:
    """The checksum that a lock file has for what comes from elsewhere; empty: there is no such file."""
    pins = state.arguments.pins
    remote = [source for source in sources if is_remote(source)]
    if pins is None or not remote:
        return ""
    if len(sources) > 1:
        raise state.error(
            instruction, "a lock file pins one source an ADD", hint="write an ADD for each"
        )
    pin = pins.get(public(remote[0]))
    if pin is None:
        raise state.error(
            instruction,
            f"the lock file has no {public(remote[0])}",
            hint="write it anew: corten lock",
        )
    return pin
