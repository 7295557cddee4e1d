"""``corten builder``: the group."""

from __future__ import annotations

from corten.cli.frame import Entry, group

command = group(
    "builder",
    "Manage builds: prune.",
    {
        "build": Entry("build", "Build an image from a Dockerfile"),
        "prune": Entry("builder_prune", "Forget the build cache and delete what only it needs"),
    },
)
