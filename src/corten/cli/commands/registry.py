"""``corten registry``: the group."""

from __future__ import annotations

from corten.cli.frame import Entry, group

command = group(
    "registry",
    "Run a registry: serve.",
    {"serve": Entry("registry_serve", "Serve a registry: one process, files and SQLite")},
)
