"""What a RUN step gets from the machine for its own time."""

from __future__ import annotations

from pathlib import Path

import pytest

from corten.builder.scope import PROXIES
from corten.builder.surroundings import CERTIFICATES, surroundings


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "ca.crt"
    path.write_text("certificates")
    return path


def names(env: tuple[str, ...]) -> set[str]:
    return {entry.partition("=")[0] for entry in env}


@pytest.mark.parametrize("name", PROXIES)
def test_the_host_s_proxies_are_passed_on(name: str) -> None:
    assert f"{name}=http://p" in surroundings((), "host", {}, {name: "http://p"}).env


def test_a_build_argument_comes_before_the_host_s() -> None:
    found = surroundings((), "host", {"HTTP_PROXY": "given"}, {"HTTP_PROXY": "host"})
    assert "HTTP_PROXY=given" in found.env
    assert "HTTP_PROXY=host" not in found.env


def test_other_variables_of_host_and_arguments_are_not(bundle: Path) -> None:
    found = surroundings((), "host", {"TOKEN": "x"}, {"HOME": "/h", "SSL_CERT_FILE": str(bundle)})
    assert names(found.env).isdisjoint({"TOKEN", "HOME"})


def test_certificates_are_bound_read_only_outside_every_layer(bundle: Path) -> None:
    found = surroundings((), "host", {}, {"SSL_CERT_FILE": str(bundle)})
    (bind,) = found.binds
    assert (bind.target, bind.source, bind.readonly) == (CERTIFICATES, str(bundle), True)
    assert CERTIFICATES.startswith("/dev/")
    for name in ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "PIP_CERT",
                 "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO"):  # fmt: skip
        assert f"{name}={CERTIFICATES}" in found.env


def test_what_the_step_sets_is_left_alone(bundle: Path) -> None:
    env = ("SSL_CERT_FILE=/mine", "http_proxy=mine")
    found = surroundings(env, "host", {}, {"SSL_CERT_FILE": str(bundle), "http_proxy": "host"})
    assert names(found.env).isdisjoint({"SSL_CERT_FILE", "http_proxy"})


def test_without_a_bundle_nothing_is_bound_or_named(tmp_path: Path) -> None:
    found = surroundings((), "host", {}, {"SSL_CERT_FILE": str(tmp_path / "missing")})
    assert found.binds == ()
    assert "SSL_CERT_FILE" not in names(found.env)


def test_network_files_are_for_the_host_s_network_only() -> None:
    assert surroundings((), "none", {}, {}).resolv_conf == ""
    assert surroundings((), "none", {}, {}).hosts == ""
    host = surroundings((), "host", {}, {})
    assert host.hosts in ("", "/etc/hosts")
    assert (host.resolv_conf == "/etc/resolv.conf") is Path("/etc/resolv.conf").is_file()
