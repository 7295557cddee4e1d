"""All cases, by ``section/name``: the sections are those of the Dockerfile reference."""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType

from corpus.case import Case

SECTIONS = (
    "format",
    "directives",
    "replacement",
    "ignore_file",
    "forms",
    "from_",
    "run",
    "run_mount",
    "cmd",
    "label",
    "maintainer",
    "expose",
    "env",
    "add",
    "add_remote",
    "copy",
    "copy_flags",
    "copy_selection",
    "entrypoint",
    "volume",
    "user",
    "workdir",
    "arg",
    "onbuild",
    "stopsignal",
    "healthcheck",
    "shell",
    "heredocs",
)


def _all() -> dict[str, Case]:
    found: dict[str, Case] = {}
    for section in SECTIONS:
        for case in import_module(f"corpus.sections.{section}").CASES:
            name = f"{section.strip('_')}/{case.name}"
            assert name not in found, f"two cases are called {name}"
            found[name] = case
    return found


ALL = MappingProxyType(_all())
