"""Capability sets: podman's default and what the command line makes of it."""

import pytest

from corten.errors import Invalid
from corten.runtime.capabilities import (
    ALL_CAPABILITIES,
    DEFAULT_CAPABILITIES,
    adjusted,
    available_capabilities,
    check_capabilities,
)


def test_the_default_set_is_podmans_eleven() -> None:
    assert len(DEFAULT_CAPABILITIES) == 11
    dangerous = {"CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_MKNOD", "CAP_SYS_PTRACE"}
    assert not dangerous & set(DEFAULT_CAPABILITIES)


def test_all_are_listed_once_and_by_number() -> None:
    assert len(ALL_CAPABILITIES) == len(set(ALL_CAPABILITIES)) == 41
    # Numbers from capabilities(7)'s header.
    for number, name in (
        (0, "CHOWN"),
        (12, "NET_ADMIN"),
        (21, "SYS_ADMIN"),
        (27, "MKNOD"),
        (39, "BPF"),
    ):
        assert ALL_CAPABILITIES[number] == f"CAP_{name}"
    assert set(DEFAULT_CAPABILITIES) <= set(ALL_CAPABILITIES)


def test_without_a_change_the_default_stays() -> None:
    assert set(adjusted()) == set(DEFAULT_CAPABILITIES)


def test_names_come_in_any_form() -> None:
    for text in ("net_raw", "NET_RAW", "CAP_NET_RAW", "cap_net_raw"):
        assert "CAP_NET_RAW" in adjusted(add=[text])


def test_all_can_be_dropped_and_some_added_again() -> None:
    assert adjusted(add=["chown"], drop=["ALL"]) == ("CAP_CHOWN",)
    assert adjusted(drop=["all"]) == ()
    assert adjusted(add=["all"]) == ALL_CAPABILITIES


def test_unknown_names_are_refused() -> None:
    with pytest.raises(Invalid, match="CAP_FLY"):
        adjusted(add=["fly"])
    with pytest.raises(Invalid, match="CHOWN"):
        check_capabilities(["CHOWN"])


def test_the_bounding_set_limits_what_can_be_given() -> None:
    assert available_capabilities("Name:\tx\nCapBnd:\t0000000000000003\n") == ALL_CAPABILITIES[:2]
    assert available_capabilities("CapBnd:\tffffffffffffffff\n") == ALL_CAPABILITIES
    assert available_capabilities("nothing here\n") == ()


def test_the_own_bounding_set_is_read() -> None:
    assert set(available_capabilities()) <= set(ALL_CAPABILITIES)
