"""``--format``: the part of Go's template language that people use with Docker.

``{{.Field.Sub}}``, ``{{json .X}}``, ``{{len .X}}``, ``{{upper .X}}``, ``{{lower .X}}``,
``{{join .X ","}}``, ``{{index .X "key" 0}}``, ``{{println .X}}``,
``{{range .X}} … {{end}}``, ``{{if .X}} … {{else}} … {{end}}``, pipes between functions,
string and number literals, ``\\t`` and ``\\n`` in the text.  Everything else is an error
that names it, not silence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from corten.errors import Usage

Values = Mapping[str, Any]
Render = Callable[[Any, Any], str]  # (root value, current value) -> text

_ACTION = re.compile(r"\{\{(-?)\s*(.*?)\s*(-?)\}\}", re.DOTALL)
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`|\(|\)|\||[^\s()|]+')
_DEEPEST = 50


def compile_template(text: str) -> Callable[[Any], str]:
    """A function from a value to text.  Raises: Usage: by what it does not understand."""
    text = text.replace("\\t", "\t").replace("\\n", "\n")
    pieces = _pieces(text)
    body, position, closed = _block(pieces, 0, 0)
    if closed:
        raise Usage(f"invalid format: {{{{{closed}}}}} without {{{{if}}}} or {{{{range}}}}")
    assert position == len(pieces)
    return lambda value: _render(body, value, value)


def render_rows(form: str, rows: Sequence[Values], headers: Mapping[str, str]) -> str:
    """Rows of a listing by ``--format``: ``json``, ``table TEMPLATE`` or a template.

    `headers` gives the column title of every field.  Raises: Usage: unknown field.
    """
    if form == "json":
        return "".join(json.dumps(dict(row), ensure_ascii=False) + "\n" for row in rows)
    titled = form.startswith("table ")
    render = compile_template(form.removeprefix("table "))
    lines = [render(row) for row in rows]
    if not titled:
        return "".join(line + "\n" for line in lines)
    from corten.cli.tables import table

    split = [line.split("\t") for line in [render(headers), *lines]]
    return table((), split)


def _pieces(text: str) -> list[str | tuple[str]]:
    """Text and actions (1-tuples) in turn; ``{{-`` and ``-}}`` trim the text beside them."""
    pieces: list[str | tuple[str]] = []
    at, trim = 0, False
    for match in _ACTION.finditer(text):
        before = text[at : match.start()]
        before = before.lstrip() if trim else before
        pieces.append(before.rstrip() if match[1] else before)
        pieces.append((match[2],))
        at, trim = match.end(), bool(match[3])
    rest = text[at:]
    if "{{" in rest:
        raise Usage(f"invalid format: {{{{ without }}}} in {rest[:40]!r}")
    pieces.append(rest.lstrip() if trim else rest)
    return pieces


def _block(pieces: list[str | tuple[str]], at: int, depth: int) -> tuple[list[Render], int, str]:
    """Parts up to the end or to ``end``/``else``; where it stopped and at which word."""
    if depth > _DEEPEST:
        raise Usage("invalid format: nested too deep")
    parts: list[Render] = []
    while at < len(pieces):
        piece = pieces[at]
        at += 1
        if isinstance(piece, str):
            parts.append(lambda root, dot, text=piece: text)  # type: ignore[misc]
            continue
        action = piece[0]
        word, _, rest = action.partition(" ")
        if word in ("end", "else"):
            if rest:
                raise Usage(f"invalid format: {{{{{action}}}}} is not supported")
            return parts, at, word
        if word in ("if", "range"):
            part, at = _control(word, rest, pieces, at, depth)
            parts.append(part)
        elif not action.startswith("/*"):
            parts.append(_shown(_pipeline(action)))
    return parts, at, ""


def _control(
    word: str, condition: str, pieces: list[str | tuple[str]], at: int, depth: int
) -> tuple[Render, int]:
    """``if`` or ``range`` with its blocks."""
    test = _pipeline(condition)
    body, at, closed = _block(pieces, at, depth + 1)
    otherwise: list[Render] = []
    if closed == "else":
        otherwise, at, closed = _block(pieces, at, depth + 1)
    if closed != "end":
        raise Usage(f"invalid format: {{{{{word}}}}} without {{{{end}}}}")

    def choose(root: Any, dot: Any) -> str:
        value = test(root, dot)
        if word == "if":
            return _render(body if value else otherwise, root, dot)
        items = value.values() if isinstance(value, Mapping) else value or ()
        if isinstance(items, str | int | float):
            raise Usage(f"invalid format: {{{{range {condition}}}}} is not a list")
        return "".join(_render(body, root, item) for item in items) or _render(otherwise, root, dot)

    return choose, at


def _render(parts: list[Render], root: Any, dot: Any) -> str:
    return "".join(part(root, dot) for part in parts)


def _shown(find: Callable[[Any, Any], Any]) -> Render:
    return lambda root, dot: _text(find(root, dot))


def _pipeline(action: str) -> Callable[[Any, Any], Any]:
    """``a | b | c``: each command takes the result of the one before as its last argument."""
    commands: list[list[str]] = [[]]
    for word in _WORD.findall(action):
        if word == "|":
            commands.append([])
        elif word in "()":
            raise Usage(f"invalid format: parentheses are not supported in {action!r}")
        else:
            commands[-1].append(word)
    if not all(commands):
        raise Usage(f"invalid format: nothing to show in {{{{{action}}}}}")
    steps = [_command(words) for words in commands]

    def run(root: Any, dot: Any) -> Any:
        result = steps[0](root, dot, ())
        for step in steps[1:]:
            result = step(root, dot, (result,))
        return result

    return run


def _command(words: list[str]) -> Callable[[Any, Any, tuple[Any, ...]], Any]:
    head, *rest = words
    function = _FUNCTIONS.get(head)
    if function is None:
        if rest:
            raise Usage(
                f"invalid format: unknown function {head!r}",
                hint="there are " + ", ".join(sorted(_FUNCTIONS)),
            )
        operand = _operand(head)
        return lambda root, dot, piped: operand(root, dot)
    operands = [_operand(word) for word in rest]

    def call(root: Any, dot: Any, piped: tuple[Any, ...]) -> Any:
        arguments = [operand(root, dot) for operand in operands]
        try:
            return function(*arguments, *piped)
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise Usage(f"invalid format: {head} cannot take {' '.join(rest)}: {error}") from None

    return call


def _operand(word: str) -> Callable[[Any, Any], Any]:
    if word[0] in '"`':
        literal = json.loads(word) if word[0] == '"' else word[1:-1]
        return lambda root, dot: literal
    if word.lstrip("-").isdecimal():
        number = int(word)
        return lambda root, dot: number
    if word in ("true", "false"):
        return lambda root, dot: word == "true"
    if word == ".":
        return lambda root, dot: dot
    from_root = word.startswith("$")
    path = word[1:] if from_root else word
    if path and not path.startswith("."):
        raise Usage(f"invalid format: {word!r} is no field", hint=f"try {{{{.{word}}}}}")
    names = path.split(".")[1:]
    return lambda root, dot: _field(root if from_root else dot, names, word)


def _field(value: Any, names: Sequence[str], path: str) -> Any:
    for name in names:
        if not isinstance(value, Mapping):
            # As Go shows a field of nothing.
            if value is None:
                return None
            raise Usage(f"invalid format: {path} goes into something that has no fields")
        if name not in value:
            known = ", ".join(sorted(map(str, value))[:40])
            raise Usage(f"invalid format: no field {name!r} in {path}", hint=f"there are {known}")
        value = value[name]
    return value


def _text(value: Any) -> str:
    """A value as Go's templates print it."""
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{key}:{_text(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list | tuple):
        return "[" + " ".join(map(_text, value)) + "]"
    return str(value)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        value = value.get(key, "") if isinstance(value, Mapping) else value[key]
    return value


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "json": lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")),
    "len": len,
    "upper": lambda value: str(value).upper(),
    "lower": lambda value: str(value).lower(),
    "title": lambda value: str(value).title(),
    "join": lambda value, separator: str(separator).join(map(_text, value)),
    "split": lambda value, separator: str(value).split(separator),
    "println": lambda *values: " ".join(map(_text, values)) + "\n",
    "index": _index,
}
