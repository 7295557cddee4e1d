"""RUN --mount: what its options mean, and what is wrong with those that mean nothing."""

from __future__ import annotations

import pytest

from corten.dockerfile.mounts import (
    BindMount,
    CacheMount,
    Mount,
    Owner,
    SecretMount,
    SshMount,
    TmpfsMount,
    parse_mount,
    typed_mount,
)
from corten.errors import Invalid


def mount(text: str) -> Mount:
    return typed_mount(parse_mount(text), lambda word: word.replace("$V", "value"), "/work")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("target=/t", BindMount("/t")),
        ("type=bind,dst=/t,src=a/../../b,from=s", BindMount("/t", "/b", "s")),
        ("TYPE=bind,destination=t/./x", BindMount("/work/t/x")),
        ("target=../../../t", BindMount("/t")),
        ("target=.,rw", BindMount("/work", readonly=False)),
        ("target=/t,rw=false", BindMount("/t")),
        ("target=/t,ro=0", BindMount("/t", readonly=False)),
        ("target=/t,readwrite=TRUE", BindMount("/t", readonly=False)),
        ('"target=/a,b"', BindMount("/a,b")),
        ("target=/$V,source=$V", BindMount("/value", "/value")),
        ("target=/t,from=a$V", BindMount("/t", origin="a$V")),
        ("type=cache,target=/t", CacheMount("/t", "/t", Owner(0o755))),
        (
            "type=cache,target=/t,id=../$V,sharing=locked,ro,mode=1777,uid=1,gid=2,from=s,source=d",
            CacheMount("/t", "../value", Owner(0o1777, 1, 2), "locked", True, "/d", "s"),
        ),
        ("type=tmpfs,target=/t", TmpfsMount("/t")),
        ("type=tmpfs,target=/t,size=2m", TmpfsMount("/t", 2 << 20)),
        ("type=tmpfs,target=/t,size=1GiB", TmpfsMount("/t", 1 << 30)),
        ("type=secret,id=a", SecretMount("a", Owner(0o400), "/run/secrets/a")),
        ("type=secret,target=/x/y", SecretMount("y", Owner(0o400), "/x/y")),
        ("type=secret,id=a,env=A", SecretMount("a", Owner(0o400), "", "A")),
        (
            "type=secret,id=a,env=A,target=f,required,mode=0644,uid=3,gid=4",
            SecretMount("a", Owner(0o644, 3, 4), "/work/f", "A", True),
        ),
        ("type=secret,id=a,required=false", SecretMount("a", Owner(0o400), "/run/secrets/a")),
        ("type=ssh", SshMount("default", Owner(0o600))),
        ("type=ssh,id=k,target=/s,required", SshMount("k", Owner(0o600), "/s", True)),
        ("type=$V,target=/t".replace("$V", "tmpfs"), TmpfsMount("/t")),
    ],
)
def test_what_a_mount_means(text: str, meant: Mount) -> None:
    assert mount(text) == meant


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "--mount needs options", "--mount=type=bind,target=/PATH"),
        ("type=bnd,target=/t", "--mount has no type 'bnd'", "did you mean bind?"),
        ("trget=/t", "--mount has no option 'trget'", "did you mean target?"),
        ("type=tmpfs,target=/t,uid=1", "--mount=type=tmpfs has no option uid", "uid is for type"),
        ("type=bind,target=/t,size=1", "--mount=type=bind has no option size", "for type tmpfs"),
        ("target=/a,dst=/b", "--mount: target stands twice", ""),
        ("target=/a,ro,rw", "readonly and readwrite stand together", "take one"),
        ("type=bind", "--mount=type=bind needs a target", "add target="),
        ("type=cache,id=a", "--mount=type=cache needs a target", "add target="),
        ("target=", "target cannot be ''", "name a path"),
        ("target=../..", "the target / is the whole file system", "name a path"),
        ("type=cache,target=/t,mode=789", "mode cannot be '789'", "write it in octal"),
        ("type=cache,target=/t,uid=root", "uid cannot be 'root'", "a number"),
        ("type=cache,target=/t,gid=4294967295", "gid cannot be", "at most 4294967294"),
        ("type=cache,target=/t,sharing=lock", "sharing cannot be 'lock'", "did you mean locked?"),
        ("type=tmpfs,target=/t,size=lots", "size cannot be 'lots'", "64m"),
        ("type=secret", "type=secret needs an id or a target", "add id=NAME"),
        ("type=secret,id=../../etc/passwd", "cannot be a file's name", "add target="),
        ("type=secret,id=a,env=1x", "env cannot be '1x'", "a letter"),
        ("type=secret,id=a,required=maybe", "required cannot be 'maybe'", "true or false"),
        (f"type=cache,target=/t,id={'a' * 5000}", "an id of more than 4096", ""),
        ('"target=/a', "--mount: ", "quote"),
    ],
)
def test_what_is_wrong_with_a_mount(text: str, message: str, hint: str) -> None:
    with pytest.raises(Invalid) as caught:
        mount(text)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_type_that_a_variable_names_is_checked_when_that_is_known() -> None:
    flag = parse_mount("type=$T,target=/t,size=1")
    assert typed_mount(flag, lambda _: "tmpfs", "/") == TmpfsMount("/t", 1)
    with pytest.raises(Invalid, match="type=bind has no option size"):
        typed_mount(flag, lambda _: "bind", "/")
