"""Access control lists between the attribute and the text of tars."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corten.archive.acl import acl_from_text, acl_to_text
from corten.archive.tar_fields import overrides
from support.tars import entries, file, pack

NONE = 0xFFFFFFFF


def acl(*listed: tuple[int, int, int]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in listed)


FULL = acl(
    (1, 6, NONE), (2, 4, 7), (2, 5, 1000), (4, 4, NONE), (8, 7, 5), (16, 5, NONE), (32, 0, NONE)
)
TEXT = b"user::rw-,user:7:r--,user:1000:r-x,group::r--,group:5:rwx,mask::r-x,other::---"


def test_both_forms_say_the_same() -> None:
    assert acl_to_text(FULL) == TEXT
    assert acl_from_text(TEXT) == FULL


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace(b",", b"\n") + b"\n",  # GNU tar
        b"user::rw-,group::r--,other::---,user:u:r--:7,user:joe:r-x:1000,group:adm:rwx:5,mask::r-x",
        b"u::rw, u:7:r, u:1000:rx, g::r, g:5:rwx, m:r-x, o:---",
        b"user::rw-\nuser:7:r--\nuser:1000:r-x\ngroup::r--\ngroup:5:rwx\t#effective:r-x\nmask::r-x\n"
        b"other::---",
    ],
)
def test_spellings_of_star_gnu_tar_and_bsdtar(text: bytes) -> None:
    assert acl_from_text(text) == FULL


def test_root_is_the_only_name_with_a_number_of_its_own() -> None:
    text = b"user::rwx,group::r-x,other::r-x,mask::r-x,user:%b:r--"
    assert acl_from_text(text % b"root") == acl_from_text(text % b"0")
    assert acl_from_text(text % b"daemon") is None


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"user::rwx",
        b"user::rwx,group::r-x",
        TEXT + b",user:7:rwx",
        TEXT.replace(b"mask::", b"mask:3:"),
        TEXT.replace(b"user:7:r--", b"user:7:r-y"),
        TEXT.replace(b"user:7:", b"user:4294967295:"),
        TEXT.replace(b"user:7:", b"user:-7:"),
        TEXT.replace(b"user:7:r--", b"owner:7:r--"),
        TEXT.replace(b"user:7:r--", b"user"),
        TEXT + b",,user:1:r--:1:1",
        TEXT.replace(b",mask::r-x", b""),
        b"user::rw-,group::r--,group:5:rwx,other::---",
        b"user:%d:r--," * 9000 % tuple(range(9000)) + TEXT,
    ],
)
def test_text_that_is_no_list_is_none(text: bytes) -> None:
    assert acl_from_text(text) is None


@pytest.mark.parametrize(
    "value", [b"", b"\2\0\0\0x", b"\1" + FULL[1:], acl((3, 4, 0)), acl((1, 8, 0))]
)
def test_attribute_that_is_no_list_is_none(value: bytes) -> None:
    assert acl_to_text(value) is None


@given(st.binary(max_size=200))
def test_any_text_is_a_list_or_none(text: bytes) -> None:
    found = acl_from_text(text)
    assert found is None or acl_from_text(acl_to_text(found) or b"") == found


@given(st.lists(st.tuples(st.sampled_from([2, 8]), st.integers(0, 7), st.integers(0, NONE - 1))))
def test_lists_survive_the_text(named: list[tuple[int, int, int]]) -> None:
    unique = {(tag, number): allowed for tag, allowed, number in named}
    listed = [(tag, allowed, number) for (tag, number), allowed in unique.items()]
    listed += [(1, 7, NONE), (4, 5, NONE), (16, 7, NONE), (32, 0, NONE)]
    value = acl(*sorted(listed, key=lambda entry: (entry[0], entry[2])))
    assert acl_from_text(acl_to_text(value) or b"") == value


def test_tar_has_both_forms_and_the_attribute_counts() -> None:
    data = pack(file(b"f", xattrs={"system.posix_acl_access": FULL, "user.x": TEXT}))
    assert b"SCHILY.acl.access=" + TEXT in data
    assert entries(data)[0].xattrs["system.posix_acl_access"] == FULL
    other = FULL.replace(b"\2\0\4\0", b"\2\0\7\0")
    for records in (
        {b"SCHILY.xattr.system.posix_acl_access": other, b"SCHILY.acl.access": TEXT},
        {b"SCHILY.acl.access": TEXT, b"SCHILY.xattr.system.posix_acl_access": other},
    ):
        assert overrides(records)["xattrs"] == {"system.posix_acl_access": other}
    assert overrides({b"SCHILY.acl.default": TEXT})["xattrs"] == {"system.posix_acl_default": FULL}
    assert overrides({b"SCHILY.acl.access": b"user:joe:rwx"}) == {}


def test_attribute_names_keep_what_would_end_the_keyword() -> None:
    names = {"user.a=b": b"1", "user.%3D": b"2", "user.100%": b"3", "user.%25": b"=\n"}
    assert entries(pack(file(b"f", xattrs=names)))[0].xattrs == names
