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
        "names of stages are compared as they are written": ("from/names of stages",),
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
    "buildah": {
        "a flag or a form of the language that it does not have": (
            "heredocs/",
            "copy_selection/",
            "run/--network=",
            "run/--security=sandbox",
            "copy_flags/--link",
            "copy_flags/--chmod=",
            "copy_flags/--chmod takes",
            "add/--unpack",
            "add/--exclude",
            "add/--link",
            "add_remote/--unpack",
            "add_remote/--checksum",
            "add_remote/--keep",
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
            "run_mount/locked and private",
            "healthcheck/all five options",
            "arg/SOURCE_DATE_EPOCH",
            "onbuild/a trigger may copy",
        ),
        "parser directives other than escape end the search for them; the backtick and two escape"
        " characters are understood otherwise": ("directives/",),
        "what a mount was put upon is taken out of the image": (
            "run_mount/dst and",
            "run_mount/bind is read-only",
            "run_mount/bind takes from",
            "run_mount/a cache",
            "run_mount/caches",
            "run_mount/a new cache",
            "run_mount/the id of a cache",
            "run_mount/a tmpfs is",
            "run_mount/a secret has the target",
            "run_mount/variables",
        ),
        "a bind shows the whole context, writes go through to it, and a source may be missing": (
            "run_mount/what is written",
            "run_mount/bind does not mount",
            "run_mount/a source that is not there",
        ),
        "targets of mounts must be absolute": ("run_mount/a relative target",),
        "a secret needs an id": ("run_mount/the id of a secret",),
        "the directory of a secret stays in the layer": ("run_mount/a secret is a file",),
        "an error by the reference, which it does not give": (
            "format/a file must begin",
            "format/only ARG",
            "add/several files need",
            "copy/several files",
            "copy/a directory inside onto",
            "copy/a file onto a directory",
            "copy_flags/--chmod that is no mode",
            "copy_flags/--chmod of nine digits",
            "copy_flags/--from its own",
            "onbuild/an instruction that is none",
            "onbuild/ONBUILD",
        ),
        _SILENT: (
            "from/a stage's name",
            "label/a label needs",
            "expose/a word",
            "expose/70000",
            "expose/a protocol",
            "env/it needs a name",
            "copy/a source that expands",
            "copy/an open bracket",
            "entrypoint/it needs",
            "user/a user that expands",
            "volume/a path that expands",
            "arg/a name must be one",
            "arg/it needs a name",
            "stopsignal/a word",
            "copy_flags/a flag may not",
            "copy_flags/a value of --link",
        ),
        "names of stages are compared as they are written": ("from/names of stages",),
        "the first of several stages of one name is meant": ("from/the last of several",),
        "lines of the history are written in the classic form": (
            "run/it is in the history",
            "arg/proxies need",
            "arg/a proxy with",
        ),
        "FROM does not see the platform's arguments": ("arg/FROM sees",),
        "where both the stage and the file have a default, what is given is overlooked": (
            "arg/what is given goes before",
        ),
        "a port with two protocols is one": ("expose/both protocols",),
        "a range of ports stays a range": ("expose/a range",),
        "brackets do not escape brackets": (
            "add/brackets in names",
            "copy/brackets in names",
        ),
        "upper bits of modes are lost": (
            "copy/a file keeps",
            "copy_flags/--chmod may set the upper bits",
            "copy_flags/--from keeps modes",
        ),
        "--chown is overlooked for what is unpacked from an archive": ("add/--chown gives",),
        "the reference: without a group the GID is the number of the UID; it takes the user's own group": (
            "copy_flags/--chown a user's name alone",
        ),
        "zstd is not known to ADD (nor named by the reference)": ("add/a local zst",),
        "SHELL is in the configuration, but not in CMD and ENTRYPOINT": ("shell/",),
        "what steps change in a volume is discarded, as the reference says of the classic builder": (
            "volume/what steps",
        ),
        "WORKDIR is made in a container, not in a layer; an image without layers then lacks"
        " `diff_ids`, which OCI requires": ("workdir/",),
    },
}


def reason(peer: str, case: str) -> str:
    """Why the peer differs in the case; empty where nobody has looked yet."""
    for text, beginnings in _BY_REASON[peer].items():
        if case.startswith(beginnings):
            return text
    return ""
