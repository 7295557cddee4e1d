"""Files of /etc made for a container."""

from corten.runtime.etc_files import hosts_text, resolv_conf_text, without_loopback


def test_hosts_has_loopback_and_the_containers_name() -> None:
    lines = hosts_text("web", "10.89.1.2").splitlines()
    assert lines[0] == "127.0.0.1\tlocalhost"
    assert lines[-1] == "10.89.1.2\tweb"


def test_a_full_name_is_found_by_its_first_word_too() -> None:
    assert hosts_text("web.example.org", "10.89.1.2").splitlines()[-1] == (
        "10.89.1.2\tweb.example.org web"
    )


def test_without_a_network_the_name_is_on_loopback() -> None:
    assert hosts_text("web").splitlines()[-1] == "127.0.1.1\tweb"


def test_on_the_hosts_network_its_entries_are_kept() -> None:
    assert hosts_text("web", "", "1.2.3.4 mirror") == "1.2.3.4 mirror\n127.0.1.1\tweb\n"


def test_name_servers_on_loopback_are_dropped() -> None:
    text = (
        "# nameserver 127.0.0.9\nsearch example\nnameserver 127.0.0.53\nnameserver ::1\n"
        "nameserver 10.0.0.1\nnameserver fe80::1%eth0\nnameserver nonsense\noptions ndots:2\n"
    )
    assert without_loopback(text) == (
        "# nameserver 127.0.0.9\nsearch example\nnameserver 10.0.0.1\n"
        "nameserver fe80::1%eth0\nnameserver nonsense\noptions ndots:2\n"
    )


def test_on_the_hosts_network_the_hosts_resolver_is_right() -> None:
    from pathlib import Path

    assert resolv_conf_text(False) == Path("/etc/resolv.conf").read_text()
    assert "127." not in "".join(
        line for line in resolv_conf_text(True).splitlines() if line.startswith("nameserver")
    )
