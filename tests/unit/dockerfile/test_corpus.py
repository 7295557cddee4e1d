"""The parser, the expansion and the ignore patterns against shared tables of known answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.dockerfile.errors import DockerfileError
from corten.dockerfile.expansion import ExpansionError, expand, expand_words
from corten.dockerfile.ignore import Ignore
from corten.dockerfile.parser import parse, parse_nodes
from corten.dockerfile.syntax import Node
from support.testdata import SHARED, shared

DATA = SHARED / "testdata" / "dockerfile"


def _names(folder: str) -> list[str]:
    root = DATA / folder
    return sorted(p.name for p in root.iterdir()) if root.is_dir() else ["missing"]


def _quoted(text: str) -> str:
    out = '"'
    for char in text:
        special = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
        special |= {"\b": "\\b", "\f": "\\f", "\0": "\\x00"}
        out += special.get(char, char)
    return out + '"'


def _dump(node: Node) -> str:
    parts = [node.keyword.lower()]
    if node.flags:
        parts.append("[" + " ".join(_quoted(flag) for flag in node.flags) + "]")
    if node.child is not None:
        parts.append(_dump(node.child))
    elif node.pairs:
        for name, value in node.pairs:
            parts += [_quoted(name), _quoted(value), '""' if node.old_form else '"="']
    else:
        parts += [_quoted(arg) for arg in node.args]
    return "(" + " ".join(parts) + ")"


@pytest.mark.parametrize("name", _names("parser"))
def test_nodes_are_those_of_the_table(name: str) -> None:
    folder = shared(*(DATA / "parser" / name).relative_to(SHARED).parts)
    text = (folder / "Dockerfile").read_bytes().decode()
    expected = (folder / "result").read_text().rstrip("\n")
    assert "\n".join(_dump(node) for node in parse_nodes(text)) == expected


@pytest.mark.parametrize("name", _names("parser-negative"))
def test_malformed_files_are_refused(name: str) -> None:
    folder = shared(*(DATA / "parser-negative" / name).relative_to(SHARED).parts)
    with pytest.raises(DockerfileError):
        parse((folder / "Dockerfile").read_text())


def _rows(name: str) -> Iterator[tuple[int, str]]:
    path: Path = shared(*(DATA / name).relative_to(SHARED).parts)
    for number, line in enumerate(path.read_text().split("\n"), 1):
        if line.strip() and not line.startswith("#"):
            yield number, line


def test_expansion_gives_what_the_table_says() -> None:
    variables = {"PWD": "/home", "SHELL": "bash", "KOREAN": "한국어", "NULL": ""}
    rows = 0
    for number, line in _rows("shell_envVarTest"):
        systems, word, expected = (part.strip() for part in line.split("|"))
        if systems == "W":
            continue
        rows += 1
        try:
            got = expand(word, variables)
        except ExpansionError:
            got = "error"
        assert got == expected, f"line {number}: {word}"
    assert rows > 200


def test_word_splitting_gives_what_the_table_says() -> None:
    variables: dict[str, str] = {}
    rows = 0
    for number, line in _rows("shell_wordsTest"):
        if line.startswith("ENV "):
            name, _, value = line[4:].partition("=")
            variables[name] = value
            continue
        rows += 1
        word, _, expected = line.partition(" | ")
        try:
            got = expand_words(word.strip(), variables)
        except ExpansionError:
            got = ["error"]
        assert got == expected.lstrip().split(","), f"line {number}: {word}"
    assert rows > 15


def test_ignore_patterns_match_what_the_table_says() -> None:
    table = json.loads(
        shared(*(DATA / "patternmatcher.json").relative_to(SHARED).parts).read_text()
    )
    assert len(table) > 60
    for pattern, path, expected in table:
        assert Ignore([pattern]).matches(path) is expected, (pattern, path)
