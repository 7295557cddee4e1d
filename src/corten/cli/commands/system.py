"""``corten system``: the group."""

from __future__ import annotations

from corten.cli.frame import Entry, group

command = group(
    "system",
    "Look after the store.",
    {
        "check": Entry("system_check", "Verify all that is kept, and mend what can be mended"),
        "df": Entry(
            "system_df", "Show how much room images, containers, volumes and the build cache take"
        ),
        "gc": Entry("gc", "Delete content that nothing needs"),
        "info": Entry("info", "Show what this installation uses, and why"),
        "prune": Entry(
            "system_prune",
            "Remove stopped containers, images without a name, and what nothing needs",
        ),
    },
)
