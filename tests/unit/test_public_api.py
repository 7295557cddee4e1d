"""`import corten`: cheap, typed, and what it says it has."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import corten

STUB = Path(corten.__file__).with_suffix(".pyi")


def test_the_stub_and_the_lazy_table_name_the_same_things() -> None:
    found = {
        alias.asname: node.module
        for node in ast.parse(STUB.read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert found == vars(corten)["_PUBLIC"]


def test_every_public_name_can_be_had() -> None:
    for name in dir(corten):
        assert getattr(corten, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_thing"):
        getattr(corten, "no_such_thing")  # noqa: B009 - mypy knows that it is not there


def test_importing_it_imports_nothing_else_of_it() -> None:
    code = "import sys, corten; print([m for m in sys.modules if m.startswith('corten.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_host_is_opened_by_its_root(tmp_path: Path) -> None:
    with corten.Host.open(tmp_path) as host:
        assert host.root == tmp_path
        assert host.store.names() == ()
