"""``corten container``: the group."""

from __future__ import annotations

from corten.cli.frame import Entry, group

command = group(
    "container",
    "Manage containers.",
    {
        "attach": Entry("attach", "Join a running container's input and output"),
        "create": Entry("create", "Make a container without starting it"),
        "exec": Entry("exec", "Run one more command in a running container"),
        "export": Entry("export", "Write a container's file system, as it is now, as a tar"),
        "inspect": Entry("container_inspect", "Show all that is known of containers"),
        "kill": Entry("kill", "Send a signal to containers"),
        "logs": Entry("logs", "Print what a container wrote"),
        "ls": Entry("ps", "List containers"),
        "rename": Entry("rename", "Give a container another name"),
        "restart": Entry("restart", "Stop containers and start them again"),
        "rm": Entry("rm", "Remove containers, with all that they changed and wrote"),
        "run": Entry("run", "Run a command in a new container"),
        "start": Entry("start", "Start containers that do not run"),
        "stop": Entry("stop", "Stop containers"),
        "wait": Entry("wait", "Wait for containers to end and print their exit statuses"),
    },
)
