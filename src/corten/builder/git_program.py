"""Runs the ``git`` program on what strangers wrote: no configuration, hooks, helpers or prompts.

Only the transports of the allow-list are spoken (no ``ext::``, no local paths), so neither an
address nor a redirect nor a submodule can make git run a program or read a file of this machine.
"""

from __future__ import annotations

import os
import re
import resource
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from corten.config.limits import layer_limit
from corten.errors import CortenError, Denied, Invalid, NotFound, Unavailable, Unsupported
from corten.events.job import Job

TRANSPORTS = "https:http:git:ssh"
_LOOK = 0.2
_ERRORS_KEPT = 16 * 1024
_OUTPUT_LIMIT = 1024 * 1024
_SETTINGS = (
    "advice.detachedHead=false",
    "core.attributesFile=/dev/null",
    "core.autocrlf=false",
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.logAllRefUpdates=false",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "core.symlinks=true",
    "credential.helper=",
    "fetch.recurseSubmodules=false",
    "fetch.unpackLimit=1",  # whole packs or nothing: no halves stay of what breaks off
    "fetch.writeCommitGraph=false",
    "gc.auto=0",
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=60",
    "init.defaultBranch=main",
    "maintenance.auto=false",
    "pack.threads=1",
    "submodule.recurse=false",
    "transfer.bundleURI=false",
    "transfer.unpackLimit=1",
)
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_USERINFO = re.compile(r"(?<=://)[^/@\s]*@")


class GitTools(NamedTuple):
    """What fetching works with.

    ``folder`` keeps what was fetched (ROOT/cache/git); ``environ`` is this process's
    environment: proxies and certificates are taken from it, and ``CORTEN_LAYER_LIMIT``.
    ``agent`` is the socket of an SSH agent that the user gave to this build; without one
    SSH has no keys.  ``files``: how many a commit may have.
    """

    folder: Path
    environ: Mapping[str, str]
    agent: str = ""
    files: int = 1_000_000

    @property
    def limit(self) -> int:
        """How many bytes a file, and a checkout, may have."""
        return layer_limit(self.environ)


class GitFailed(Exception):
    """git ended with a failure; the text is what it said."""


class Git(NamedTuple):
    """The program, for the repository whose files are in `directory`.

    ``lock`` is the descriptor of its lock, which git holds too: where this process is killed
    and git goes on, the repository stays locked until git has ended.
    """

    directory: Path
    tools: GitTools
    job: Job
    lock: int

    def text(self, *args: str, **variables: str) -> str:
        """What git prints.  Raises: GitFailed, Unsupported: there is no git; Cancelled."""
        found = bytearray()

        def take(data: bytes) -> None:
            found.extend(data)
            if len(found) > _OUTPUT_LIMIT:
                raise Invalid("git answers with more than a MiB")

        self.run(args, take, variables)
        return found.decode("utf-8", "replace")

    def run(
        self,
        args: Sequence[str],
        take: Callable[[bytes], object],
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """Run it; `take` gets its output piece by piece.  `variables` go to its environment.

        Raises: GitFailed; Unsupported: there is no git; Cancelled; what `take` raises.
        """
        settings = (word for setting in _SETTINGS for word in ("-c", setting))
        command = ["git", "--no-replace-objects", "--literal-pathspecs", *settings, *args]
        environ = {**self._environ(), **(variables or {})}
        try:
            # Its own session: git's helpers end with it.  Modes of files depend on nobody's umask.
            process = subprocess.Popen(
                command,
                cwd=self.directory,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(self.lock,),
                start_new_session=True,
                umask=0o022,
            )
        except FileNotFoundError:
            raise Unsupported(
                "Git repositories are fetched by the program git, which is not installed",
                hint="apt-get install git",
            ) from None
        try:
            limit = self.tools.limit
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, limit))
            said = self._follow(process, take)
            status = process.wait()
        except BaseException:
            _end(process)
            raise
        finally:
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
        if status == -signal.SIGXFSZ or "signal 25" in said:
            raise Unsupported(
                f"a file of the repository is larger than {limit} bytes",
                hint="if it is trusted, set CORTEN_LAYER_LIMIT to more (64G, for example)",
            )
        if status:
            raise GitFailed(said)

    def _follow(self, process: subprocess.Popen[bytes], take: Callable[[bytes], object]) -> str:
        """Pass its output on until it ends; returns the last of what it said of errors."""
        said = bytearray()
        with selectors.DefaultSelector() as selector:
            assert process.stdout is not None and process.stderr is not None
            selector.register(process.stdout, selectors.EVENT_READ, take)
            selector.register(process.stderr, selectors.EVENT_READ, said.extend)
            while selector.get_map():
                self.job.check()
                for key, _ in selector.select(_LOOK):
                    data = os.read(key.fd, 65536)
                    if not data:
                        selector.unregister(key.fileobj)
                        continue
                    key.data(data)
                    del said[:-_ERRORS_KEPT]
        while process.poll() is None:  # it closed its output and goes on
            self.job.check()
            time.sleep(_LOOK / 10)
        return said.decode("utf-8", "replace")

    def _environ(self) -> dict[str, str]:
        given = self.tools.environ
        environ = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.directory),
            "LC_ALL": "C.UTF-8",
            "GIT_DIR": str(self.directory),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "/bin/false",
            "GIT_ALLOW_PROTOCOL": TRANSPORTS,
            "GIT_PROTOCOL_FROM_USER": "0",
            "GIT_SSH_VARIANT": "ssh",
            "GIT_SSH_COMMAND": self._ssh(),
        }
        for name in _PROXIES:
            for variable in (name, name.upper()):
                if given.get(variable):
                    environ[variable] = given[variable]
        if given.get("SSL_CERT_FILE"):
            environ["GIT_SSL_CAINFO"] = given["SSL_CERT_FILE"]
        if self.tools.agent:
            environ["SSH_AUTH_SOCK"] = self.tools.agent
        return environ

    def _ssh(self) -> str:
        """ssh without configuration and without keys, but for those of the agent that was given."""
        home = self.tools.environ.get("HOME", "/root")
        hosts = f"{home}/.ssh/known_hosts"
        if not re.fullmatch(r"[A-Za-z0-9/._-]+", hosts):
            hosts = "/dev/null"
        options = [
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            f"UserKnownHostsFile={hosts}",
            "IdentityFile=none",
            "ConnectTimeout=30",
            "ServerAliveInterval=15",
            "ProxyCommand=none",
            "PermitLocalCommand=no",
            "ForwardAgent=no",
        ]
        if not self.tools.agent:
            options.append("IdentityAgent=none")
        return " ".join(["ssh", "-F", "/dev/null", *(f"-o {option}" for option in options)])


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill git and its helpers; both were started by us, in a session of their own."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


_LEADS = ("fatal:", "error:")
# What git says after ssh has said why.
_VAGUE = re.compile(r"could not read from remote|^and the repository exists|correct access r", re.I)
_KINDS: tuple[tuple[str, type[CortenError], str], ...] = (
    (
        r"host key verification failed|no .* host key is known",
        Denied,
        "add the server's key: ssh-keyscan HOST >> ~/.ssh/known_hosts, after comparing it",
    ),
    (r"permission denied \(", Denied, "--ssh default gives the build your SSH agent's keys"),
    (
        r"could not read (?:username|password)|authentication failed|error: 40[13]|access denied",
        Denied,
        "it may be private, or not there",
    ),
    (r"transport '[^']*' not allowed", Denied, ""),
    (
        r"repository .*not found|not appear to be a git rep|error: 404|not exported|does not exist"
        r"|no such file",
        NotFound,
        "",
    ),
    (r"invalid path|bad tree|malformed|not a valid object", Invalid, ""),
)


def explained(error: GitFailed, what: str) -> CortenError:
    """What to raise where git failed with `what`: Denied, NotFound, Invalid or Unavailable."""
    said = str(error)
    if re.search(r"ssh: (?:command )?not found|cannot run ssh", said):
        hint = "apt-get install openssh-client"
        return Unsupported(f"cannot fetch {what}: the program ssh is not installed", hint=hint)
    lines = [line for line in said.splitlines() if line.strip() and not _VAGUE.search(line)]
    telling = [line for line in lines if line.startswith(_LEADS)] or lines[-1:]
    reason = telling[0] if telling else "git says nothing more"
    if reason.startswith(_LEADS):
        reason = reason.partition(": ")[2]
    reason = _USERINFO.sub("", _UNPRINTABLE.sub(" ", reason)).strip()[:300]
    for pattern, family, hint in _KINDS:
        if re.search(pattern, said, re.IGNORECASE):
            return family(f"cannot fetch {what}: {reason}", hint=hint)
    return Unavailable(f"cannot fetch {what}: {reason}")
