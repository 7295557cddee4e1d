"""The table of commands: where each is, what it does in a line, where the help lists it.

Names within the management groups stand for the same commands, as with Docker:
``corten image ls`` is ``corten images``.
"""

from __future__ import annotations

from collections.abc import Mapping

from corten.cli.frame import Entry

_BUILD = "Build and run"
_CONTAINERS = "Containers"
_IMAGES = "Images"
_REGISTRIES = "Registries"
_ARCHIVES = "Archives"
_SYSTEM = "System"
_GROUPS = "Groups of commands"

COMMANDS: Mapping[str, Entry] = {
    "bootstrap": Entry("bootstrap", "Make a base image from Debian's packages", _BUILD),
    "build": Entry("build", "Build an image from a Dockerfile", _BUILD),
    "lock": Entry("lock", "Pin what a Dockerfile builds on", _BUILD),
    "run": Entry("run", "Run a command in a new container", _BUILD),
    "exec": Entry("exec", "Run one more command in a running container", _BUILD),
    "ps": Entry("ps", "List containers", _CONTAINERS),
    "logs": Entry("logs", "Print what a container wrote", _CONTAINERS),
    "stop": Entry("stop", "Stop containers", _CONTAINERS),
    "start": Entry("start", "Start containers that do not run", _CONTAINERS),
    "restart": Entry("restart", "Stop containers and start them again", _CONTAINERS),
    "kill": Entry("kill", "Send a signal to containers", _CONTAINERS),
    "rm": Entry("rm", "Remove containers, with all that they changed and wrote", _CONTAINERS),
    "create": Entry("create", "Make a container without starting it", _CONTAINERS),
    "attach": Entry("attach", "Join a running container's input and output", _CONTAINERS),
    "wait": Entry("wait", "Wait for containers to end and print their exit statuses", _CONTAINERS),
    "rename": Entry("rename", "Give a container another name", _CONTAINERS),
    "inspect": Entry("inspect", "Show all that is known of containers and images", _CONTAINERS),
    "images": Entry("images", "List images", _IMAGES),
    "history": Entry("history", "Show how an image came about", _IMAGES),
    "tag": Entry("tag", "Give an image one more name", _IMAGES),
    "rmi": Entry("rmi", "Remove images", _IMAGES),
    "pull": Entry("pull", "Fetch an image from its registry", _REGISTRIES),
    "push": Entry("push", "Give an image to the registry that its name says", _REGISTRIES),
    "copy": Entry("copy", "Copy an image from one place to another", _REGISTRIES),
    "save": Entry("save", "Write images to a tar archive", _ARCHIVES),
    "load": Entry("load", "Take images from an archive", _ARCHIVES),
    "export": Entry("export", "Write a container's file system, as it is now, as a tar", _ARCHIVES),
    "import": Entry(
        "import_", "Make an image of one layer from a root file system in a tar", _ARCHIVES
    ),
    "info": Entry("info", "Show what this installation uses, and why", _SYSTEM),
    "gc": Entry("gc", "Delete content that nothing needs", _SYSTEM),
    "completion": Entry("completion", "Print the completion script of a shell", _SYSTEM),
    "version": Entry("version", "Print the versions of corten and of what it uses", _SYSTEM),
    "builder": Entry("builder", "Manage builds: prune", _GROUPS),
    "container": Entry("container", "Manage containers", _GROUPS),
    "image": Entry("image", "Manage images", _GROUPS),
    "registry": Entry("registry", "Run a registry: serve", _GROUPS),
    "system": Entry("system", "Look after the store: check, df, prune", _GROUPS),
}
