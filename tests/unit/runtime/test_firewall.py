"""The rules' text."""

import shutil
import subprocess

import pytest

from corten.runtime.firewall import delete_table, replace_table, table_name
from corten.runtime.ports import PublishedPort

TARGETS = [
    (PublishedPort(80, 8080), "10.89.1.2"),
    (PublishedPort(81, 8080, "127.0.0.1"), "10.89.1.3"),
    (PublishedPort(53, 5353, "0.0.0.0", "udp"), "10.89.1.2"),
]


def rules(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines()]


def test_every_port_is_redirected_to_its_container() -> None:
    lines = rules(replace_table("abcd", "ctnabcd", "10.89.1.0/24", TARGETS))
    assert "tcp dport 8080 dnat to 10.89.1.2:80" in lines
    assert "ip daddr 127.0.0.1 tcp dport 8080 dnat to 10.89.1.3:81" in lines
    assert "udp dport 5353 dnat to 10.89.1.2:53" in lines


def test_rules_for_one_address_come_first() -> None:
    lines = rules(replace_table("abcd", "ctnabcd", "10.89.1.0/24", TARGETS))
    special = next(n for n, line in enumerate(lines) if "127.0.0.1 tcp" in line)
    general = next(n for n, line in enumerate(lines) if line.startswith("tcp dport 8080"))
    assert special < general


def test_the_table_is_replaced_whether_it_is_there_or_not() -> None:
    text = replace_table("abcd", "b", "10.89.1.0/24", [])
    # To delete what may not be there it is made first, in the same transaction.
    assert text.startswith("table ip corten_abcd\ndelete table ip corten_abcd\n")
    assert delete_table("abcd") == "table ip corten_abcd\ndelete table ip corten_abcd\n"


def test_roots_have_tables_of_their_own() -> None:
    assert table_name("a") != table_name("b")


def test_what_is_not_published_is_dropped() -> None:
    lines = rules(replace_table("abcd", "ctnabcd", "10.89.1.0/24", []))
    passing = [line for line in lines if line.startswith('oifname "ctnabcd" iifname != "ctnabcd"')]
    assert [line.rpartition(" ")[2] for line in passing] == ["accept", "accept", "drop"]


def test_nft_understands_the_rules() -> None:
    nft = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin")
    if nft is None:
        pytest.skip("nft is not installed")
    text = replace_table("abcd", "ctnabcd", "10.89.1.0/24", TARGETS)
    done = subprocess.run(
        [nft, "--check", "-f", "-"], input=text, text=True, capture_output=True, check=False
    )
    if "not permitted" in done.stderr:
        pytest.skip("nft needs root")
    assert (done.returncode, done.stderr) == (0, "")
