"""Sizes, names and docstrings: what keeps the code readable."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from support.sources import Function, functions, is_stub, modules

MODULE_LINES, FUNCTION_STATEMENTS, PARAMETERS, PROTOCOL_METHODS = 400, 50, 6, 8
EMPTY_WORDS = {"utils", "util", "helpers", "helper", "manager", "base", "common", "misc"}


def statements(function: Function) -> int:
    """Statements in the body; functions within it count as one."""
    count = 0
    pending: list[ast.AST] = list(function.body)
    while pending:
        node = pending.pop()
        count += isinstance(node, ast.stmt)
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            pending.extend(ast.iter_child_nodes(node))
    return count


def parameters(function: Function) -> int:
    """Named parameters without self and cls."""
    arguments = function.args
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def test_modules_are_short() -> None:
    long = {m.name: lines for m in modules() if (lines := m.text.count("\n")) > MODULE_LINES}
    assert not long


def test_functions_are_short() -> None:
    long = {
        place: count
        for module in modules()
        for place, function in functions(module)
        if (count := statements(function)) > FUNCTION_STATEMENTS
    }
    assert not long


def test_functions_take_few_parameters() -> None:
    many = {
        place: count
        for module in modules()
        for place, function in functions(module)
        if (count := parameters(function)) > PARAMETERS
    }
    assert not many


def protocols() -> Iterator[tuple[str, set[str]]]:
    """Protocol classes with the names of their methods, inherited ones of the module too."""
    for module in modules():
        known: dict[str, set[str]] = {}
        for node in module.tree.body:
            if not isinstance(node, ast.ClassDef):
                continue
            bases = {ast.unparse(base).partition("[")[0] for base in node.bases}
            if "Protocol" in bases:
                own = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
                inherited = [known.get(base, set()) for base in bases]
                known[node.name] = own.union(*inherited) - {"__enter__", "__exit__"}
                yield f"{module.name}.{node.name}", known[node.name]


def test_protocols_are_small() -> None:
    found = dict(protocols())
    assert len(found["corten.content.protocols.Store"]) == 8
    large = {name: methods for name, methods in found.items() if len(methods) > PROTOCOL_METHODS}
    assert not large


def test_no_module_has_a_name_that_says_nothing() -> None:
    empty = [m.name for m in modules() if EMPTY_WORDS & {*m.name.replace("_", ".").split(".")}]
    assert not empty


def undocumented(body: list[ast.stmt], place: str) -> Iterator[str]:
    for node in body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name.startswith("_"):
            continue
        decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
        if decorators & {"overload", "override", f"{node.name}.setter"}:
            continue
        if ast.get_docstring(node) is None and not (
            not isinstance(node, ast.ClassDef) and is_stub(node)
        ):
            yield f"{place}:{node.lineno} {node.name}"
        if isinstance(node, ast.ClassDef):
            yield from undocumented(node.body, place)


def test_modules_say_what_they_are() -> None:
    silent = [m.name for m in modules() if m.text.strip() and ast.get_docstring(m.tree) is None]
    assert not silent


def test_public_names_are_documented() -> None:
    assert not [line for m in modules() for line in undocumented(m.tree.body, m.name)]
