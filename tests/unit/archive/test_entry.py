"""Entries as values, and names in messages."""

from __future__ import annotations

import pytest

from corten.archive.entry import NO_XATTRS, Entry, show


def test_entries_cannot_be_changed() -> None:
    entry = Entry(b"a")
    with pytest.raises(AttributeError):
        entry.mode = 0  # type: ignore[misc]
    with pytest.raises(TypeError):
        NO_XATTRS["user.x"] = b""  # type: ignore[index]


def test_names_in_messages_stay_on_one_short_line() -> None:
    assert show(b"plain/name") == "plain/name"
    assert show(b"a\nb\x1b[31m\xff") == "a\\x0ab\\x1b[31m\\xff"
    assert show("größe".encode()) == "größe"
    assert len(show(b"x" * 10_000)) < 300
