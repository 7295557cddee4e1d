"""Which proxy the environment names."""

import pytest

from corten.errors import Invalid
from corten.remote.proxies import proxy_for

URL = "https://registry.example:5000/v2/"


@pytest.mark.parametrize(
    ("environ", "proxy"),
    [
        ({}, ""),
        ({"https_proxy": "http://p:1"}, "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ({"https_proxy": "http://a", "HTTPS_PROXY": "http://b"}, "http://a"),
        ({"https_proxy": "p:1"}, "http://p:1"),
        ({"all_proxy": "http://p:1"}, "http://p:1"),
        ({"http_proxy": "http://p:1"}, ""),
        ({"https_proxy": ""}, ""),
    ],
)
def test_variables(environ: dict[str, str], proxy: str) -> None:
    assert proxy_for(URL, environ) == proxy


@pytest.mark.parametrize(
    "no_proxy",
    [
        "*",
        "registry.example",
        ".example",
        "example",
        "*.example",
        "a, registry.example ,b",
        "REGISTRY.EXAMPLE",
        "registry.example:5000",
    ],
)
def test_excluded(no_proxy: str) -> None:
    assert proxy_for(URL, {"https_proxy": "http://p", "no_proxy": no_proxy}) == ""


@pytest.mark.parametrize(
    "no_proxy", ["", "registry", "xregistry.example", "registry.example:443", "10.0.0.0/8", ","]
)
def test_not_excluded(no_proxy: str) -> None:
    assert proxy_for(URL, {"https_proxy": "http://p", "no_proxy": no_proxy}) == "http://p"


@pytest.mark.parametrize(
    ("no_proxy", "excluded"),
    [
        ("10.1.2.3", True),
        ("10.0.0.0/8", True),
        ("10.2.0.0/16", False),
        ("10.1.2.3:80", True),
        ("10.1.2.3:81", False),
        ("nonsense/8", False),
        ("2.3", False),
    ],
)
def test_addresses_and_networks(no_proxy: str, excluded: bool) -> None:
    proxy = proxy_for("http://10.1.2.3/v2/", {"http_proxy": "http://p", "no_proxy": no_proxy})
    assert (proxy == "") == excluded


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:80"])
def test_loopback_needs_no_proxy(host: str) -> None:
    assert proxy_for(f"http://{host}/", {"http_proxy": "http://p"}) == ""


def test_a_kind_of_proxy_that_is_not_spoken_is_refused_without_its_password() -> None:
    with pytest.raises(Invalid) as caught:
        proxy_for(URL, {"https_proxy": "socks5://user:secret@p:1"})
    assert "secret" not in str(caught.value)
    assert "socks5" in str(caught.value)
