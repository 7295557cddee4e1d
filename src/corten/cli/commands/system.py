"""``corten system``: the group."""

from __future__ import annotations

from corten.cli.frame import Entry, group

command = group(
    "system",
    "Look after the store: check, df, prune.",
    {
        "check": Entry("system_check", "Verify all that is kept, and mend what can be mended"),
        "df": Entry("system_df", "Show what takes how much room on the disk"),
        "gc": Entry("gc", "Delete content that nothing needs"),
        "info": Entry("info", "Show what this installation uses, and why"),
        "prune": Entry("system_prune", "Remove what is not in use"),
    },
)
