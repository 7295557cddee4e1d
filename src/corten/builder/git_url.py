"""Addresses of Git repositories, as ``docker build`` and ADD take them.  Pure.

Everything in one is hostile: what begins with a dash, names another transport or is no
name of Git's is refused here, before a program sees it.
Spec: Dockerfile reference, "Adding files from a Git repository"; Docker's "Build context",
"Git repositories", "URL fragments" and "URL queries".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from corten.dockerfile.errors import did_you_mean
from corten.errors import Invalid

_MAX = 4096
_IS_GIT = re.compile(r"git@[^/]*:|git://|ssh://|github\.com/|https?://[^?#]*\.git(?:[?#]|$)", re.I)
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\.?|\[[0-9A-Fa-f:.]+\]")
_LOGIN = re.compile(r"^(https?://)[^/?#]*@", re.I)
_PASSWORD = re.compile(r"^((?:ssh|git)://[^/?#@:]*):[^/?#]*@", re.I)
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._~%+=-]*")
_SCP = re.compile(r"([^@/:]+)@([^/:]+|\[[^\]]*\]):(.+)", re.S)
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_PREFIX = re.compile(r"[0-9a-f]{1,64}")
# git-check-ref-format(1), and no dash in front.
_BAD_REF = re.compile(
    r"^[-/.]|[\0-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|[/.]$|\.lock(?:/|$)|^@$|[\ud800-\udfff]"
)
_QUERY = ("ref", "branch", "tag", "commit", "checksum", "subdir", "submodules", "keep-git-dir")
_SWITCH = {"": True, "1": True, "true": True, "0": False, "false": False}


class Repository(msgspec.Struct, frozen=True):
    """A repository and what is wanted of it.

    ``remote`` is what git is given; ``ref`` is a branch, a tag, a full ref or a commit
    (empty: what HEAD is there); ``subdirectory`` is relative (empty: all); the commit must
    begin with ``checksum``, if there is one.
    """

    remote: str
    ref: str = ""
    subdirectory: str = ""
    checksum: str = ""
    submodules: bool = True
    keep_git_dir: bool = False

    @property
    def shown(self) -> str:
        """The address as messages, history and provenance show it: without a password."""
        return public(self.remote)

    @property
    def is_commit(self) -> bool:
        """Whether ``ref`` is the whole name of a commit."""
        return _COMMIT.fullmatch(self.ref) is not None


def public(address: str) -> str:
    """A URL or Git address without the password that may stand before the host.

    By HTTP the name goes as well, since it may be a token; SSH's belongs to the address.
    """
    return _PASSWORD.sub(r"\1@", _LOGIN.sub(r"\1", address))


def is_git(text: str) -> bool:
    """Whether `text` is the address of a Git repository, by its form."""
    return _IS_GIT.match(text) is not None


def parse_git(text: str) -> Repository:
    """The repository that `text` names; see :func:`is_git`.

    Raises: Invalid: a transport, host, ref, subdirectory or query that cannot be; the
    message shows no password.
    """
    if len(text) > _MAX:
        raise Invalid(f"the Git address is longer than {_MAX} characters")
    if text.lower().startswith("github.com/"):
        text = f"https://{text}"
    address, has_fragment, fragment = text.partition("#")
    address, has_query, query = address.partition("?")
    remote = check_remote(address)
    found = Repository(remote)
    if has_query and has_fragment:
        raise Invalid(
            f"{found.shown}: the ref stands behind # or in the query, not in both",
            hint="write ?ref=NAME&subdir=DIR",
        )
    if has_query:
        return _queried(found, query)
    ref, _, subdirectory = fragment.partition(":")
    return _with(found, {"ref": ref, "subdir": subdirectory})


def check_remote(address: str) -> str:
    """An address without ref, as git may be given it.  Raises: Invalid: it may not."""
    if any(not " " < char < "\x7f" for char in address):
        raise Invalid("the Git address has a blank, a control character or one that is not ASCII")
    scp = _SCP.fullmatch(address)
    if scp is not None and "://" not in address:
        user, host, path = scp.groups()
        if not (_USER.fullmatch(user) and _HOST.fullmatch(host)) or path.startswith("-"):
            raise Invalid(f"{address!r} is no Git address", hint="git@HOST:PATH.git")
        return address
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise Invalid("the Git address has a malformed host or port") from None
    scheme = parts.scheme.lower()
    if scheme not in ("http", "https", "git", "ssh"):
        raise Invalid(
            f"Git repositories are fetched by https, http, ssh or git, not by {scheme or 'path'!r}",
            hint="a repository on this machine is a directory: name it as one",
        )
    if ":" in host:
        host = f"[{host}]"
    if not _HOST.fullmatch(host) or port == 0:
        raise Invalid(f"the Git address names no host that can be: {host[:100]!r}")
    user = parts.username or ""
    if user and not _USER.fullmatch(user):
        raise Invalid(f"the Git address at {host} has a malformed user name")
    if not parts.path.strip("/") or parts.path.startswith("/-"):
        raise Invalid(f"the Git address at {host} names no repository")
    return f"{scheme}://{address.partition('://')[2]}"


def submodule_remote(parent: str, url: str) -> str:
    """The address of a submodule: relative ones begin at their parent's.  Raises: Invalid."""
    if not url.startswith(("./", "../")):
        return check_remote(url)
    base = parent.rstrip("/")
    while True:
        if url.startswith("./"):
            url = url[2:]
        elif url.startswith("../"):
            url = url[3:]
            head, slash, _ = base.rpartition("/")
            if not slash or head.endswith(("/", ":")):
                raise Invalid(f"a submodule's address climbs above {Repository(parent).shown}")
            base = head
        else:
            return check_remote(f"{base}/{url}")


def _queried(found: Repository, query: str) -> Repository:
    values: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in _QUERY:
            hint = did_you_mean(name, list(_QUERY))
            raise Invalid(f"{found.shown}: Git addresses have no query {name[:40]!r}", hint=hint)
        if name in values:
            raise Invalid(f"{found.shown}: {name} is given twice")
        if not value and name not in ("submodules", "keep-git-dir"):
            raise Invalid(f"{found.shown}: {name} is empty")
        values[name] = value
    return _with(found, values)


def _with(found: Repository, values: Mapping[str, str]) -> Repository:
    """`found` with what a query or fragment said of it."""
    named = [name for name in ("ref", "branch", "tag") if values.get(name)]
    if len(named) > 1:
        raise Invalid(f"{found.shown}: {named[0]} and {named[1]} exclude each other")
    checksums = {values[name] for name in ("commit", "checksum") if values.get(name)}
    if len(checksums) > 1:
        raise Invalid(f"{found.shown}: commit and checksum differ")
    checksum = checksums.pop().lower() if checksums else ""
    if checksum and not _PREFIX.fullmatch(checksum):
        raise Invalid(f"{found.shown}: {checksum[:80]!r} is no commit", hint="hexadecimal digits")
    prefix = {"branch": "refs/heads/", "tag": "refs/tags/"}
    ref = "".join(prefix.get(name, "") + values[name] for name in named)
    if not ref and _COMMIT.fullmatch(checksum):
        ref = checksum
    if ref and (_BAD_REF.search(ref) or len(ref) > 255):
        raise Invalid(f"{found.shown}: {ref[:80]!r} cannot be a branch, tag or commit")
    switches = {}
    for name in ("submodules", "keep-git-dir"):
        if name in values:
            if values[name].lower() not in _SWITCH:
                raise Invalid(f"{found.shown}: {name} is true or false, not {values[name][:40]!r}")
            switches[name.replace("-", "_")] = _SWITCH[values[name].lower()]
    return msgspec.structs.replace(
        found,
        ref=ref,
        subdirectory=_subdirectory(found, values.get("subdir", "")),
        checksum=checksum,
        **switches,
    )


def _subdirectory(found: Repository, text: str) -> str:
    parts = [part for part in unquote(text).split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in text or "%00" in text:
        raise Invalid(f"{found.shown}: the subdirectory {text[:80]!r} leads out of the repository")
    return "/".join(parts)
