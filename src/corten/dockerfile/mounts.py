"""``RUN --mount``: from its options as written to one checked type per kind of mount.

Spec: Dockerfile reference, "RUN --mount" and the sections of its types.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from typing import NoReturn

import msgspec

from corten.dockerfile.errors import did_you_mean
from corten.dockerfile.given_options import split_options
from corten.errors import Invalid

_ALIASES = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "ro": "readonly",
    "rw": "readwrite",
}
_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "bind": ("target", "source", "from", "readonly", "readwrite"),
    "cache": (
        *("id", "target", "readonly", "readwrite", "sharing", "from", "source"),
        *("mode", "uid", "gid"),
    ),
    "tmpfs": ("target", "size"),
    "secret": ("id", "target", "env", "required", "mode", "uid", "gid"),
    "ssh": ("id", "target", "required", "mode", "uid", "gid"),
}
_KNOWN = frozenset(name for names in _OPTIONS.values() for name in names)
_SHARING = ("shared", "private", "locked")
_MAX_ID = 2**32 - 2
_SIZE = re.compile(r"(\d{1,15})([bkmgt]?)(?:i?b)?", re.ASCII | re.IGNORECASE)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_TRUE, _FALSE = ("true", "t", "1"), ("false", "f", "0")
_ID_LIMIT = 4096

Expand = Callable[[str], str]


class MountFlag(msgspec.Struct, frozen=True):
    """One ``--mount``: options by their first name, values in order, before variables are expanded.

    An option without ``=`` has the value ``true``.
    """

    options: tuple[tuple[str, str], ...]

    @property
    def origin(self) -> str:
        """What ``from`` names, else empty."""
        return dict(self.options).get("from", "")


class Owner(msgspec.Struct, frozen=True):
    """Permissions and owner of what is made for a mount."""

    mode: int
    uid: int = 0
    gid: int = 0


class BindMount(msgspec.Struct, frozen=True, tag="bind"):
    """What is at ``source`` of a context, stage or image, at ``target``.

    ``origin`` is what ``from`` names (empty: the build context).  What is written is thrown
    away if it is not ``readonly``.
    """

    target: str
    source: str = "/"
    origin: str = ""
    readonly: bool = True


class CacheMount(msgspec.Struct, frozen=True, tag="cache"):
    """A directory that outlives the build; a new one begins as ``source`` of ``origin``."""

    target: str
    id: str
    owner: Owner
    sharing: str = "shared"
    readonly: bool = False
    source: str = "/"
    origin: str = ""


class TmpfsMount(msgspec.Struct, frozen=True, tag="tmpfs"):
    """An empty file system in memory, of at most ``size`` bytes (0: the kernel's limit)."""

    target: str
    size: int = 0


class SecretMount(msgspec.Struct, frozen=True, tag="secret"):
    """A secret as a file at ``target``, in the variable ``env``, or both (empty: not so)."""

    id: str
    owner: Owner
    target: str = ""
    env: str = ""
    required: bool = False


class SshMount(msgspec.Struct, frozen=True, tag="ssh"):
    """The socket of an SSH agent; ``target`` empty: the next free name."""

    id: str
    owner: Owner
    target: str = ""
    required: bool = False


Mount = BindMount | CacheMount | TmpfsMount | SecretMount | SshMount


def parse_mount(text: str) -> MountFlag:
    """The options of ``type=T,name=value,…``; a value with a comma is quoted as in CSV.

    Raises: Invalid: no options, an unknown or repeated one, or one that the type does not have.
    """
    parts = split_options(text, "--mount") if text else []
    if not any(parts):
        raise Invalid("--mount needs options", hint="--mount=type=bind,target=/PATH")
    options: dict[str, str] = {}
    for part in parts:
        written, equals, value = part.partition("=")
        name = written.strip().lower()
        name = _ALIASES.get(name, name)
        if name != "type" and name not in _KNOWN:
            hint = did_you_mean(name, {"type", *_KNOWN, *_ALIASES})
            raise Invalid(f"--mount has no option {written!r}", hint=hint)
        if name in options:
            raise Invalid(f"--mount: {name} stands twice")
        options[name] = value if equals else "true"
    if "$" not in options.get("type", ""):
        _check_names(options)
    return MountFlag(tuple(options.items()))


def typed_mount(flag: MountFlag, expand: Expand, directory: str) -> Mount:
    """The mount that `flag` means, its values expanded by `expand`.

    Relative targets begin in `directory`, the working directory.  ``from`` is never
    expanded.  Raises: Invalid: a value that its option cannot have, or one that is missing.
    """
    options = {
        name: value if name == "from" or "$" not in value else expand(value)
        for name, value in flag.options
    }
    kind = _check_names(options)
    target = options.get("target")
    if target == "":
        _wrong("target", target, "name a path")
    if target is not None:
        target = "/" + posixpath.normpath(posixpath.join("/", directory, target)).lstrip("/")
        if target == "/":
            raise Invalid("--mount: the target / is the whole file system", hint="name a path")
    elif kind in ("bind", "cache", "tmpfs"):
        raise Invalid(f"--mount=type={kind} needs a target", hint="add target=/PATH")
    if kind == "secret":
        return _secret(options, target)
    if kind == "ssh":
        name = options.get("id") or "default"
        return SshMount(name, _owner(options, 0o600), target or "", _flag(options, "required"))
    assert target is not None
    if kind == "tmpfs":
        return TmpfsMount(target, _size(options.get("size", "0")))
    source = "/" + posixpath.normpath("/" + options.get("source", "")).lstrip("/")
    origin = options.get("from", "")
    if kind == "bind":
        return BindMount(target, source, origin, not _writable(options, default=False))
    return CacheMount(
        target=target,
        id=_identity(options.get("id") or target),
        owner=_owner(options, 0o755),
        sharing=_sharing(options.get("sharing", "shared")),
        readonly=not _writable(options, default=True),
        source=source,
        origin=origin,
    )


def _check_names(options: Mapping[str, str]) -> str:
    """The type, whose options these are.  Raises: Invalid."""
    kind = options.get("type", "bind").lower()
    if kind not in _OPTIONS:
        raise Invalid(f"--mount has no type {kind!r}", hint=did_you_mean(kind, _OPTIONS))
    for name in options:
        if name != "type" and name not in _OPTIONS[kind]:
            having = [other for other, names in _OPTIONS.items() if name in names]
            hint = f"{name} is for type {' or '.join(having)}; {kind} has "
            raise Invalid(
                f"--mount=type={kind} has no option {name}", hint=hint + ", ".join(_OPTIONS[kind])
            )
    if "readonly" in options and "readwrite" in options:
        raise Invalid("--mount: readonly and readwrite stand together", hint="take one of them")
    return kind


def _secret(options: Mapping[str, str], target: str | None) -> SecretMount:
    name = options.get("id") or (posixpath.basename(target) if target else "")
    env = options.get("env", "")
    if "env" in options and not _VARIABLE.fullmatch(env):
        _wrong("env", env, "a letter or _, then letters, digits and _")
    if not name:
        raise Invalid("--mount=type=secret needs an id or a target", hint="add id=NAME")
    if target is None and not env:
        target = "/" + posixpath.normpath(f"/run/secrets/{name}").lstrip("/")
        if not target.startswith("/run/secrets/"):
            raise Invalid(f"the secret {name!r} cannot be a file's name", hint="add target=/PATH")
    return SecretMount(
        _identity(name), _owner(options, 0o400), target or "", env, _flag(options, "required")
    )


def _identity(name: str) -> str:
    if len(name) > _ID_LIMIT:
        raise Invalid(f"--mount: an id of more than {_ID_LIMIT} characters")
    return name


def _owner(options: Mapping[str, str], mode: int) -> Owner:
    text = options.get("mode")
    if text is not None:
        if not re.fullmatch(r"0*[0-7]{1,4}", text, re.ASCII):
            _wrong("mode", text, "write it in octal, as 0644")
        mode = int(text, 8)
    return Owner(mode, _number(options, "uid"), _number(options, "gid"))


def _number(options: Mapping[str, str], name: str) -> int:
    text = options.get(name, "0")
    if not re.fullmatch(r"\d{1,10}", text, re.ASCII) or int(text) > _MAX_ID:
        _wrong(name, text, f"a number of at most {_MAX_ID}")
    return int(text)


def _size(text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        _wrong("size", text, "write bytes, or 512k, 64m, 2g")
    size: int = int(match[1]) * 1024 ** "bkmgt".index(match[2].lower() or "b")
    if size >= 2**63:
        _wrong("size", text, "that is more than there is")
    return size


def _sharing(text: str) -> str:
    if text not in _SHARING:
        _wrong("sharing", text, did_you_mean(text, _SHARING))
    return text


def _writable(options: Mapping[str, str], *, default: bool) -> bool:
    if "readonly" in options:
        return not _flag(options, "readonly")
    return _flag(options, "readwrite") if "readwrite" in options else default


def _flag(options: Mapping[str, str], name: str) -> bool:
    text = options.get(name, "false").lower()
    if text not in (*_TRUE, *_FALSE):
        _wrong(name, text, "true or false")
    return text in _TRUE


def _wrong(name: str, value: str, hint: str) -> NoReturn:
    raise Invalid(f"--mount: {name} cannot be {value!r}", hint=hint)
