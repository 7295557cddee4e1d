"""Rules about variables and files that are not there."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator

from corten.dockerfile import instructions as kinds
from corten.dockerfile.errors import did_you_mean
from corten.dockerfile.expansion import ExpansionError, missing_variables
from corten.dockerfile.instructions import Instruction
from corten.dockerfile.lexer import Heredoc
from corten.dockerfile.lint.finding import Hit
from corten.dockerfile.lint.subject import State, Subject
from corten.dockerfile.patterns import has_magic

_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|git@", re.ASCII)
_GUESSES = 20
"""So many misspelt names are compared with others, each with so many:"""
_CANDIDATES = 300
_IN_STAGES = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})


def _words(instruction: Instruction) -> list[str]:
    """The words of an instruction in which variables are replaced."""
    words = _WORDS.get(type(instruction))
    return words(instruction) if words is not None else []


def _of_pairs(one: kinds.Env | kinds.Label) -> list[str]:
    return [word for pair in one.pairs for word in pair]


def _of_files(one: kinds.Copy | kinds.Add) -> list[str]:
    # The names of here-documents are words too; where one has a $ it is quoted.
    sources = [word for word in one.sources if not word.startswith("<<")]
    words = [*sources, one.destination, one.chown, one.chmod, *one.excludes]
    return [*words, one.checksum] if isinstance(one, kinds.Add) else words


_WORDS: dict[type[Instruction], Callable[..., list[str]]] = {
    kinds.Add: _of_files,
    kinds.Copy: _of_files,
    kinds.Env: _of_pairs,
    kinds.Label: _of_pairs,
    kinds.Expose: lambda one: list(one.ports),
    kinds.Run: lambda one: [value for mount in one.mounts for _, value in mount.options],
    kinds.Stopsignal: lambda one: [one.signal],
    kinds.User: lambda one: [one.user],
    kinds.Volume: lambda one: list(one.paths),
    kinds.Workdir: lambda one: [one.path],
}


def undefined(instruction: Instruction, state: State, subject: Subject) -> Iterator[Hit]:
    """A variable that no ARG, no ENV and not the base image has.

    Where the base image is not known, only what looks like a slip of the pen.
    """
    escape = subject.dockerfile.escape
    names: list[str] = []
    known: set[str] = set()
    words = _words(instruction)
    if isinstance(instruction, kinds.Arg):
        # Each name of an ARG sees those before it.
        words = []
        for name, default in instruction.pairs:
            found = _missing(instruction, default or "", state, subject)
            names += [one for one in found if one not in known]
            known.add(name)
    for word in words:
        if "$" in word:
            names += _missing(instruction, word, state, subject)
    if isinstance(instruction, kinds.Copy | kinds.Add):
        for document in instruction.heredocs:
            names += _in_document(document, state, escape)
    for name in dict.fromkeys(names):
        if name in _IN_STAGES:
            continue
        guess = _guess(name, state, subject)
        if guess or state.scope.whole:
            yield Hit(instruction, f"Usage of undefined variable '${name}'{guess}", f"${name}")


def _missing(instruction: Instruction, word: str, state: State, subject: Subject) -> list[str]:
    try:
        return missing_variables(word, state.scope, subject.dockerfile.escape)
    except ExpansionError as error:
        place = instruction.node.error(error.message, word)
        raise place.located(subject.dockerfile.file) from None


def _in_document(document: Heredoc, state: State, escape: str) -> list[str]:
    if not document.expand:
        return []
    try:
        return missing_variables(document.content, state.scope, escape, document=True)
    except ExpansionError:
        return []  # the builder says so, with the place


def _guess(name: str, state: State, subject: Subject) -> str:
    if subject.guesses >= _GUESSES:
        return ""
    subject.guesses += 1
    candidates = [one for _, one in zip(range(_CANDIDATES), state.scope, strict=False)]
    hint = did_you_mean(name, candidates)
    if not hint.endswith("?"):
        return ""
    near = hint.removeprefix("did you mean ").removesuffix("?")
    return f" (did you mean ${near}?)"


def ignored_file(instruction: Instruction, state: State, subject: Subject) -> Iterator[Hit]:
    """COPY or ADD of what the ignore file leaves out of the context."""
    ignore = subject.around.ignore
    if not isinstance(instruction, kinds.Copy | kinds.Add) or not ignore or instruction.origins:
        return
    for word in instruction.sources:
        if word.startswith("<<"):
            continue
        source = state.scope.value(word)
        if not source or _REMOTE.match(source):
            continue
        path = _certain_part(source)
        if path and ignore.matches(path) and not ignore.may_keep_below(path):
            message = (
                f'Attempting to {instruction.keyword.capitalize()} file "{source}" '
                "that is excluded by .dockerignore"
            )
            yield Hit(instruction, message, word)


def _certain_part(source: str) -> str:
    """The path from the context's root up to the first wildcard; empty: the root itself."""
    path = posixpath.normpath(f"/{source}").lstrip("/")
    parts = []
    for part in path.split("/"):
        if has_magic(part):
            break
        parts.append(part)
    return "/".join(parts)
