"""``corten image``: the group."""

from __future__ import annotations

from corten.cli.frame import Entry, group

command = group(
    "image",
    "Manage images.",
    {
        "build": Entry("build", "Build an image from a Dockerfile"),
        "history": Entry("history", "Show how an image came about"),
        "import": Entry("import_", "Make an image of one layer from a root file system in a tar"),
        "inspect": Entry("image_inspect", "Show all that is known of images"),
        "load": Entry("load", "Take images from an archive"),
        "ls": Entry("images", "List images"),
        "pull": Entry("pull", "Fetch an image from its registry"),
        "push": Entry("push", "Give an image to the registry that its name says"),
        "rm": Entry("rmi", "Remove images"),
        "save": Entry("save", "Write images to a tar archive"),
        "tag": Entry("tag", "Give an image one more name"),
    },
)
