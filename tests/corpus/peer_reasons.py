"""Why other builders make something else of a case than the reference says.

The cases of a reason are given by the beginnings of their names.
"""

from __future__ import annotations

from collections.abc import Mapping

_LATER = "newer than its Dockerfile 1.2: it refuses or overlooks what later versions of the language brought"
_SILENT = "the reference does not say: here a mistake is an error, there it is passed over"

_BY_REASON: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "docker": {
        _LATER: (
            "heredocs/",
            "copy_selection/",
            "run/--network=",
            "run/--security=sandbox",
            "copy_flags/--link",
            "copy_flags/--chmod may be a variable",
            "copy_flags/--chmod=",
            "copy_flags/--chmod takes",
            "add/--unpack",
            "add/--exclude",
            "add/--link",
            "add_remote/--",
            "add_remote/a Git",
            "add_remote/a fragment",
            "add_remote/a reference that",
            "add_remote/a directory that",
            "replacement/a minus gives",
            "replacement/a minus keeps",
            "replacement/a plus gives",
            "replacement/# takes",
            "replacement/## takes",
            "replacement/% takes",
            "replacement/%% takes",
            "replacement/a slash",
            "replacement/two slashes",
            "replacement/? in",
            "replacement/an escaped star",
            "run_mount/a tmpfs may have a size",
            "run_mount/a secret may be a variable",
            "run_mount/variables are replaced",
            "onbuild/a trigger may copy",
            "healthcheck/all five options",
            "arg/SOURCE_DATE_EPOCH",
        ),
        "a frontend is an image of a registry, which this machine does not reach; corten has its own": (
            "directives/several directives",
        ),
        "names of stages in FROM are compared as they are written, in COPY --from not": (
            "from/names of stages",
        ),
        "an error by the reference, which it does not give": (
            "add/several files need",
            "copy/several files",
            "copy_flags/--chmod that is no mode",
            "copy_flags/--chmod of nine digits",
            "copy_flags/--chown a name that",
            "copy_flags/--chown of a group",
            "run/RUN needs a command",
            "onbuild/an instruction that is none",
        ),
        _SILENT: (
            "run_mount/an option of another type",
            "add_remote/a URL without a path",
            "copy/a source that expands to nothing",
            "copy/an open bracket",
            "entrypoint/it needs a command",
            "user/a user that expands to nothing",
            "arg/a name must be one",
        ),
        "the reference: without a group the GID is the number of the UID; it takes the user's own group": (
            "copy_flags/--chown a user's name alone",
        ),
        "--chown is overlooked for what is unpacked from an archive": ("add/--chown gives",),
        "upper bits of --chmod are lost": ("copy_flags/--chmod may set the upper bits",),
        "zstd is not known to ADD (nor named by the reference)": ("add/a local zst",),
        "an ARG after an ENV of its name wins, which the reference rules out": (
            "arg/ENV goes before an ARG",
        ),
        "the value of a declared proxy is in the line of RUN, not in that of ARG": (
            "arg/a proxy with an ARG",
        ),
        "absolute paths of WORKDIR stay as they are written; later versions resolve them": (
            "workdir/dots",
        ),
        "it sets SSH_AUTH_SOCK although nothing is there": ("run_mount/ssh that is not given",),
        "the empty directories and files that mounts are put upon stay in the layer; later versions take them away": (
            "run_mount/bind is the type",
            "run_mount/the id of a cache is",
            "run_mount/a secret is a file",
        ),
    },
    "buildah": {},
}


def reason(peer: str, case: str) -> str:
    """Why the peer differs in the case; empty where nobody has looked yet."""
    for text, beginnings in _BY_REASON[peer].items():
        if case.startswith(beginnings):
            return text
    return ""
