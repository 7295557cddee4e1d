"""``corten system``: the group."""

from __future__ import annotations

from corten.cli.frame import Entry, group

command = group(
    "system",
    "Look after the store.",
    {
        "gc": Entry("gc", "Delete content that nothing needs"),
        "info": Entry("info", "Show what this installation uses, and why"),
    },
)
