"""Credentials that other tools have saved: Docker's config.json, podman's auth.json, helpers.

Read only; where several files know a registry the first in this order counts:
``REGISTRY_AUTH_FILE`` (alone, if set), ``DOCKER_CONFIG``/config.json or
``~/.docker/config.json``, ``$XDG_RUNTIME_DIR/containers/auth.json``,
``~/.config/containers/auth.json``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from corten.errors import Denied, Invalid, Unavailable, Unsupported
from corten.oci.reference import DOCKER_HUB
from corten.wire.dialogue import Credentials

_HUB_KEY = "https://index.docker.io/v1/"
_FILE_LIMIT = 4 * 1024 * 1024
_HELPER = r"[A-Za-z0-9._-]+"
_HELPER_SECONDS = 60
_NOT_FOUND = "credentials not found"


def find(host: str, repository: str, environ: Mapping[str, str]) -> Credentials | None:
    """What is saved for `repository` at the registry `host`; None: nothing.

    Raises: Invalid: a file or a helper's answer is malformed; Unsupported: the
    helper that a file names is not installed; Unavailable: it does not answer.
    """
    for path in config_files(environ):
        config = _load(path)
        if config is None:
            continue
        found = _from_config(config, host, repository, path, environ)
        if found is not None:
            return found
    return None


def config_files(environ: Mapping[str, str]) -> Iterator[Path]:
    """The files that count, in order, whether they exist or not."""
    if environ.get("REGISTRY_AUTH_FILE"):
        yield Path(environ["REGISTRY_AUTH_FILE"])
        return
    home = environ.get("HOME", "")
    if environ.get("DOCKER_CONFIG"):
        yield Path(environ["DOCKER_CONFIG"]) / "config.json"
    elif home:
        yield Path(home) / ".docker" / "config.json"
    if environ.get("XDG_RUNTIME_DIR"):
        yield Path(environ["XDG_RUNTIME_DIR"]) / "containers" / "auth.json"
    if home:
        yield Path(home) / ".config" / "containers" / "auth.json"


def _load(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            raw = file.read(_FILE_LIMIT + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Denied(f"{path}: cannot be read: {error.strerror}") from error
    if len(raw) > _FILE_LIMIT:
        raise Invalid(f"{path}: larger than {_FILE_LIMIT} bytes")
    try:
        config = json.loads(raw or b"{}")
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{path}: not JSON: {error}", hint="repair it, or log in again") from error
    if not isinstance(config, dict):
        raise Invalid(f"{path}: not a JSON object")
    return config


def _from_config(
    config: dict[str, Any], host: str, repository: str, path: Path, environ: Mapping[str, str]
) -> Credentials | None:
    helpers = _section(config, "credHelpers")
    helper = helpers.get(host) or (helpers.get(_HUB_KEY) if host == DOCKER_HUB else None)
    if helper:
        return _ask_helper(str(helper), _HUB_KEY if host == DOCKER_HUB else host, environ)
    auths = _section(config, "auths")
    entries = {_bare(key): value for key, value in auths.items() if isinstance(value, dict)}
    for key in _keys(host, repository):
        entry = entries.get(key)
        if entry:
            found = _from_entry(entry, path)
            if found is not None:
                return found
    store = config.get("credsStore")
    if store:
        return _ask_helper(str(store), _HUB_KEY if host == DOCKER_HUB else host, environ)
    return None


def _section(config: dict[str, Any], name: str) -> dict[str, Any]:
    section = config.get(name)
    return section if isinstance(section, dict) else {}


def _keys(host: str, repository: str) -> Iterator[str]:
    """The most particular key first: podman saves by ``host/path`` too."""
    parts = repository.split("/") if repository else []
    for count in range(len(parts), 0, -1):
        yield "/".join([host, *parts[:count]])
    yield host
    if host == DOCKER_HUB:
        yield "index.docker.io"


def _bare(key: str) -> str:
    """A key of ``auths`` without scheme and version: old clients saved whole URLs."""
    bare = key.removeprefix("https://").removeprefix("http://").rstrip("/")
    return bare.removesuffix("/v1").removesuffix("/v2")


def _from_entry(entry: dict[str, Any], path: Path) -> Credentials | None:
    def text(name: str) -> str:
        value = entry.get(name)
        return value if isinstance(value, str) else ""

    username, password = text("username"), text("password")
    if text("auth"):
        import base64
        import binascii

        try:
            pair = base64.b64decode(text("auth"), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise Invalid(f"{path}: malformed auth entry", hint="log in again") from error
        username, colon, password = pair.partition(":")
        if not colon:
            raise Invalid(f"{path}: malformed auth entry", hint="log in again")
        password = password.rstrip("\0")
    refresh = text("identitytoken")
    if not username and not refresh:
        return None
    return Credentials(username, password, refresh)


def _ask_helper(name: str, key: str, environ: Mapping[str, str]) -> Credentials | None:
    """What the program ``docker-credential-NAME`` has for `key`."""
    import subprocess

    if not re.fullmatch(_HELPER, name, re.ASCII):
        raise Invalid(f"credential helper {name[:60]!r}: not the name of a helper")
    program = f"docker-credential-{name}"
    try:
        done = subprocess.run(
            [program, "get"],
            input=key.encode(),
            capture_output=True,
            timeout=_HELPER_SECONDS,
            env=dict(environ),
            check=False,
        )
    except FileNotFoundError as error:
        raise Unsupported(
            f"credential helper {program} is not installed",
            hint="install it, or take it out of the configuration file",
        ) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"credential helper {program} does not answer: {error}") from error
    said = done.stdout.decode(errors="replace").strip()
    if done.returncode != 0:
        if _NOT_FOUND in said.lower():
            return None
        raise Unavailable(f"credential helper {program} failed: {said[:200] or done.returncode}")
    try:
        answer = json.loads(said)
        username, secret = answer["Username"], answer["Secret"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Invalid(f"credential helper {program}: malformed answer") from error
    if not isinstance(username, str) or not isinstance(secret, str):
        raise Invalid(f"credential helper {program}: malformed answer")
    if username == "<token>":
        return Credentials(refresh_token=secret)
    return Credentials(username, secret) if username else None
