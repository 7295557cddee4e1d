"""Which way imports point, where effects and asynchrony may stand."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from support.sources import REPOSITORY, Module, modules

ASYNC_ALLOWED = ("corten.registry", "corten.cli.commands.registry")


def test_every_import_contract_is_kept() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run(
        [lint, "--no-cache"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_asynchrony_stays_at_the_edge(module: Module) -> None:
    if module.name.startswith(ASYNC_ALLOWED):
        return
    lines = [
        node.lineno
        for node in ast.walk(module.tree)
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith)
    ]
    assert not lines, f"{module.name} is asynchronous in lines {lines}"


def test_inits_of_packages_are_empty() -> None:
    full = [
        module.name
        for module in modules()
        if module.path.name == "__init__.py" and module.name != "corten" and module.text.strip()
    ]
    assert not full
