"""Our client over TLS: whom it trusts, and that it says why not."""

from __future__ import annotations

import datetime
import ipaddress
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.registry_server import docker_registry

pytestmark = pytest.mark.e2e

_CLIENT = """
import os, sys
from corten.errors import CortenError
from corten.remote.registries import Registries
insecure = frozenset(sys.argv[2:])
with Registries(os.environ, insecure) as registries:
    try:
        print(list(registries.registry(sys.argv[1]).catalog()))
    except CortenError as error:
        print(type(error).__mro__[-4].__name__, error, error.hint, sep=' | ')
"""


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that vouches for itself, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test registry")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "cert.pem", folder / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_file, key_file


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def host(certificate: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("registry"), certificate) as server:
        yield server.host


def ask(host: str, *insecure: str, **environ: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _CLIENT, host, *insecure],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, **environ},
    )
    return done.stdout.strip()


def test_a_certificate_in_ssl_cert_file_is_trusted(
    host: str, certificate: tuple[Path, Path]
) -> None:
    assert ask(host, SSL_CERT_FILE=str(certificate[0])) == "[]"


def test_a_certificate_that_nobody_vouches_for_is_denied_with_a_hint(host: str) -> None:
    said = ask(host)
    assert host in said
    assert "certificate is not trusted" in said
    assert "SSL_CERT_FILE" in said


def test_an_insecure_registry_may_have_any_certificate(host: str) -> None:
    assert ask(host, host) == "[]"
    assert "not trusted" in ask(host, "another.example")
