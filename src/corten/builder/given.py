"""What the caller of a build gives to its steps: secrets, SSH agents, and rights.

None of it is in a cache key, a layer, an image or on a disk.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from corten.dockerfile.errors import did_you_mean
from corten.dockerfile.given_options import split_options
from corten.errors import Denied, Invalid, NotFound

if TYPE_CHECKING:
    from corten.builder.agents import AgentSource

SECRET_LIMIT = 500 * 1024
"""Bytes of a secret, as with BuildKit."""

NETWORK_HOST, INSECURE = "network.host", "security.insecure"
RIGHTS = (NETWORK_HOST, INSECURE)
"""What ``--allow`` may name."""


class Secret(NamedTuple):
    """Where a secret is: in a file, or in a variable of our environment."""

    path: str = ""
    env: str = ""

    def read(self, name: str, environ: Mapping[str, str]) -> bytes:
        """Its value.  Raises: NotFound, Denied, Invalid: it is too large."""
        if self.env:
            if self.env not in environ:
                raise NotFound(f"secret {name}: the variable {self.env} is not set")
            return os.fsencode(environ[self.env])
        try:
            with open(self.path, "rb") as file:
                data = file.read(SECRET_LIMIT + 1)
        except FileNotFoundError:
            raise NotFound(f"secret {name}: {self.path} does not exist") from None
        except OSError as error:
            raise Denied(f"secret {name}: {self.path} cannot be read: {error.strerror}") from None
        if len(data) > SECRET_LIMIT:
            raise Invalid(f"secret {name}: {self.path} has more than {SECRET_LIMIT} bytes")
        return data


class Given(NamedTuple):
    """Secrets and SSH agents by their ids, and what steps may do beyond the usual."""

    secrets: Mapping[str, Secret] = {}
    agents: Mapping[str, AgentSource] = {}
    allowed: frozenset[str] = frozenset()

    def secret(self, name: str, environ: Mapping[str, str]) -> bytes | None:
        """A secret's value; None: it is not given.  Raises: as `Secret.read`."""
        found = self.secrets.get(name)
        return None if found is None else found.read(name, environ)


def parse_secret(text: str, environ: Mapping[str, str]) -> tuple[str, Secret]:
    """``id=NAME[,src=FILE|,env=VARIABLE][,type=file|env]``: the id, and where the secret is.

    The id alone is the variable of that name, or else the file.
    Raises: Invalid; NotFound: there is no such file or variable.
    """
    options: dict[str, str] = {}
    for part in split_options(text, "--secret"):
        written, _, value = part.partition("=")
        name = {"source": "src"}.get(written, written)
        if name not in ("id", "src", "env", "type"):
            hint = did_you_mean(name, ("id", "src", "env", "type"))
            raise Invalid(f"--secret has no option {written!r}", hint=hint)
        options[name] = value
    identity = options.get("id", "")
    if not identity:
        raise Invalid(f"--secret {text!r} has no id", hint="--secret id=NAME,src=FILE")
    kind = options.get("type", "")
    if kind not in ("", "file", "env"):
        raise Invalid(f"--secret has no type {kind!r}", hint=did_you_mean(kind, ("file", "env")))
    path, env = options.get("src", ""), options.get("env", "")
    if kind == "env" and not env:
        path, env = "", path or identity
    elif not path and not env:
        path, env = ("", identity) if kind != "file" and identity in environ else (identity, "")
    if path and env:
        raise Invalid(f"--secret {identity}: src and env stand together", hint="take one of them")
    if env and env not in environ:
        raise NotFound(f"--secret {identity}: the variable {env} is not set")
    if path:
        try:
            found = Path(path).stat()
        except OSError as error:
            raise NotFound(f"--secret {identity}: {path}: {error.strerror}") from None
        if stat.S_ISDIR(found.st_mode):
            raise Invalid(f"--secret {identity}: {path} is a directory", hint="name a file")
        path = str(Path(path).absolute())
    return identity, Secret(path, env)


def parse_allowed(texts: tuple[str, ...]) -> frozenset[str]:
    """The rights that ``--allow`` names.  Raises: Invalid."""
    for text in texts:
        if text not in RIGHTS:
            raise Invalid(f"--allow has no {text!r}", hint=did_you_mean(text, RIGHTS))
    return frozenset(texts)
