"""Addresses of Git repositories: what is one, what it says, and what is refused."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from corten.builder.git_url import Repository, is_git, parse_git, public, submodule_remote
from corten.errors import Invalid

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "remote", "said"),
    [
        ("https://h.example/u/r.git", "https://h.example/u/r.git", {}),
        ("HTTPS://h.example/u/r.git", "https://h.example/u/r.git", {}),
        ("http://h.example:8080/r.git#v1", "http://h.example:8080/r.git", {"ref": "v1"}),
        ("git://h.example/r", "git://h.example/r", {}),
        ("ssh://git@h.example:22/r", "ssh://git@h.example:22/r", {}),
        ("git@h.example:u/r.git#main", "git@h.example:u/r.git", {"ref": "main"}),
        ("github.com/u/r", "https://github.com/u/r", {}),
        ("github.com/u/r.git#:d/e/", "https://github.com/u/r.git", {"subdirectory": "d/e"}),
        ("git://h.example/r#a/b:./d", "git://h.example/r", {"ref": "a/b", "subdirectory": "d"}),
        ("git://h.example/r?branch=b", "git://h.example/r", {"ref": "refs/heads/b"}),
        ("git://h.example/r?tag=v1", "git://h.example/r", {"ref": "refs/tags/v1"}),
        (
            f"https://h.example/r.git?ref=x&commit={SHA[:7]}&subdir=a%20b",
            "https://h.example/r.git",
            {"ref": "x", "checksum": SHA[:7], "subdirectory": "a b"},
        ),
        (f"git://h.example/r?checksum={SHA}", "git://h.example/r", {"ref": SHA, "checksum": SHA}),
        (
            "git://h.example/r?submodules=false&keep-git-dir",
            "git://h.example/r",
            {"submodules": False, "keep_git_dir": True},
        ),
        ("ssh://[::1]/r", "ssh://[::1]/r", {}),
    ],
)
def test_addresses_say(text: str, remote: str, said: dict[str, Any]) -> None:
    assert is_git(text)
    assert parse_git(text) == Repository(remote, **said)


@pytest.mark.parametrize(
    "text",
    [
        ".", "dir", "./x.git", "/srv/repo.git", "https://h.example/a.tar.gz", "https://h.example/r",
        "https://h.example/a.git/b.tar", "https://h.example/x?y=.git", "docker-image://a.git",
        "file:///srv/r.git", "ext::sh -c true", "git@nothing",
    ],
)  # fmt: skip
def test_other_things_are_no_repositories(text: str) -> None:
    assert not is_git(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("git://h/r#-x", "cannot be a branch"),
        ("git://h/r#--upload-pack=touch", "cannot be a branch"),
        ("git://h/r?ref=--output=x", "cannot be a branch"),
        ("git://h/r#a..b", "cannot be a branch"),
        ("git://h/r#a b", "cannot be a branch"),
        ("git://h/r#x^{commit}", "cannot be a branch"),
        ("git://h/r#x@{1}", "cannot be a branch"),
        ("git://h/r#*", "cannot be a branch"),
        ("git://h/r#+x", ""),
        ("git://h/r#x.lock", "cannot be a branch"),
        ("git://h/r#" + "x" * 300, "cannot be a branch"),
        ("git://h/r#:../x", "leads out"),
        ("git://h/r?subdir=%2e%2e/x", "leads out"),
        ("git://h/r?subdir=a%00b", "leads out"),
        ("git://h/r?ref=a#b", "not in both"),
        ("git://h/r?ref=a&branch=b", "exclude each other"),
        ("git://h/r?ref=a&ref=b", "given twice"),
        ("git://h/r?branch=", "branch is empty"),
        ("git://h/r?brunch=a", "no query 'brunch'"),
        ("git://h/r?commit=xyz", "is no commit"),
        (f"git://h/r?commit=12&checksum={SHA}", "commit and checksum differ"),
        ("git://h/r?submodules=perhaps", "true or false"),
        ("git://-oProxyCommand=touch/r", "no host"),
        ("ssh://-oProxyCommand=touch/r", "no host"),
        ("ssh://user@-x/r", "no host"),
        ("ssh://-l@h/r", "malformed user"),
        ("git@-x:r", "is no Git address"),
        ("git@h:-r", "is no Git address"),
        ("git://h/-r", "names no repository"),
        ("git://h/", "names no repository"),
        ("git:///r", "names no host"),
        ("git://h:99999/r", "malformed host or port"),
        ("git://h/r\n", "control character"),
        ("git://h/\u00e9", "not ASCII"),
        ("git://h/" + "x" * 5000, "longer than"),
    ],
)
def test_what_cannot_be_is_refused(text: str, reason: str) -> None:
    if not reason:  # a plus is a character of names, and stands behind ours in a refspec
        assert parse_git(text).ref == "+x"
        return
    with pytest.raises(Invalid, match=reason):
        parse_git(text)


def test_a_password_is_not_shown() -> None:
    found = parse_git("https://user:hunter2@h.example/r.git#x")
    assert found.shown == "https://h.example/r.git"
    for scheme in ("ssh", "git"):
        found = parse_git(f"{scheme.upper()}://user:hun@ter2@h.example:22/r@1.git#x")
        assert found.shown == f"{scheme}://user@h.example:22/r@1.git"
    for kept in ("ssh://user@h:22/a:b@c", "ssh://h:22/r@1", "git@h:u/r@1.git"):
        assert public(kept) == kept
    with pytest.raises(Invalid) as caught:
        parse_git("https://user:hunter2@h.example/r.git?a=b")
    assert "hunter2" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("parent", "url", "remote"),
    [
        ("https://h/a/b.git", "../c.git", "https://h/a/c.git"),
        ("https://h/a/b.git", "./c", "https://h/a/b.git/c"),
        ("https://h/a/b.git", "../../c/d", "https://h/c/d"),
        ("git@h:a/b", "../c", "git@h:a/c"),
        ("https://h/a/b.git", "ssh://x/y", "ssh://x/y"),
    ],
)
def test_submodules_are_found_from_their_parents(parent: str, url: str, remote: str) -> None:
    assert submodule_remote(parent, url) == remote


@pytest.mark.parametrize(
    "url", ["../../../c", "/srv/x", "file:///x", "ext::sh", "-x", "fd::17", "x", "C:\\x", "h:x"]
)
def test_submodules_stay_with_transports_of_the_net(url: str) -> None:
    with pytest.raises(Invalid):
        submodule_remote("https://h/a/b.git", url)


@given(some.text(alphabet=string.printable, max_size=80), some.sampled_from(["#", "?", "/", ""]))
def test_any_text_is_an_address_or_refused(text: str, join: str) -> None:
    address = f"https://h.example/r.git{join}{text}"
    try:
        found = parse_git(address)
    except Invalid:
        return
    assert not found.ref.startswith("-")
    assert not found.remote.startswith("-")
    assert ".." not in found.subdirectory.split("/")
    assert found.remote.startswith("https://h.example/r.git")
