"""COPY and ADD: from the instruction to the step that carries it out.  Pure.

Spec: Dockerfile reference, "COPY" and "ADD".
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from corten.builder.graph import Copy, Inline, Step
from corten.dockerfile import instructions as kinds
from corten.dockerfile.expansion import expand_document
from corten.dockerfile.instructions import Instruction
from corten.dockerfile.lexer import find_heredocs

if TYPE_CHECKING:
    from corten.builder.stage import StageState

_OCTAL = re.compile(r"0?[0-7]{3,4}", re.ASCII)
_URL = re.compile(r"https?://", re.IGNORECASE)
_GIT = re.compile(r"git@|git://|ssh://|https?://[^#]*\.git(?:#|$)", re.IGNORECASE)


def lower_copy(
    state: StageState, instruction: kinds.Copy | kinds.Add, origins: Mapping[str, Step]
) -> None:
    """Put a COPY or ADD on the stage.  Raises: DockerfileError."""
    _refuse(state, instruction)
    origin = origins[instruction.origins[0]] if instruction.origins else None
    add = isinstance(instruction, kinds.Add)
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
            sources.append(_source(state, instruction, word, add))
            if origin is None and posixpath.normpath(word.lstrip("/")).split("/")[0] == "..":
                state.warn(
                    instruction,
                    f"{instruction.keyword} {word}: .. cannot leave the context:"
                    f" it means {sources[-1].lstrip('/') or '.'}",
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
    chown = state.expand(instruction, instruction.chown)
    op = Copy(
        sources=tuple(sources),
        destination=destination,
        from_input=origin is not None,
        chown=chown,
        chmod=_mode(state, instruction),
        add=add,
        link=instruction.link,
        inline=tuple(inline),
        time=state.arguments.epoch or 0,
    )
    flags = "".join(f" {flag}" for flag in instruction.node.flags)
    words = [f"<<{item.name}" for item in inline]
    words += [source.lstrip("/") or "." for source in sources]
    text = f"{instruction.keyword}{flags} {' '.join(words)} {destination}"
    state.advance(op, text, *((origin,) if origin else ()))


def _refuse(state: StageState, instruction: kinds.Copy | kinds.Add) -> None:
    """Flags that are not carried out yet are not skipped in silence."""
    given = {"exclude": bool(instruction.excludes)}
    if isinstance(instruction, kinds.Copy):
        given["parents"] = instruction.parents
    else:
        given["checksum"] = bool(instruction.checksum)
        given["keep-git-dir"] = instruction.keep_git_dir
        given["unpack"] = instruction.unpack is not None
    for name, wanted in given.items():
        if wanted:
            raise state.error(
                instruction, f"{instruction.keyword} --{name} is not supported by this version"
            )


def _source(state: StageState, instruction: Instruction, word: str, add: bool) -> str:
    """A source, as an absolute path from the root of where it comes from, or a URL."""
    source = state.expand(instruction, word)
    if add and _GIT.match(source):
        raise state.error(instruction, "ADD of a Git repository is not supported", word)
    if _URL.match(source):
        if add:
            return source
        raise state.error(instruction, "COPY does not take URLs", word, "use ADD")
    if not source:
        raise state.error(
            instruction, f"{instruction.keyword}: {word} is empty after expansion", word
        )
    return "/" + posixpath.normpath(f"/{source}").lstrip("/")


def _mode(state: StageState, instruction: kinds.Copy | kinds.Add) -> str:
    chmod = state.expand(instruction, instruction.chmod)
    if chmod and not _OCTAL.fullmatch(chmod):
        raise state.error(
            instruction,
            f"--chmod {chmod!r} is not an octal mode",
            instruction.chmod,
            "write it as 755 or 0644",
        )
    return chmod
