"""TLS contexts, by handshakes with real certificates."""

import contextlib
import datetime
import os
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sluice_proxy.config import Certificate, TargetTLS, TLSMode
from sluice_proxy.errors import ConfigError
from sluice_proxy.transport.contexts import client_context, server_context

HOST = "orders.shop.svc"


@dataclass(frozen=True)
class Authority:
    """A CA made for one test run."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, host: str) -> Certificate:
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        leaf = (
            _builder(host, self.certificate.subject, key)
            .add_extension(names, critical=False)
            .add_extension(self._key_identifier(), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        chain = leaf.public_bytes(serialization.Encoding.PEM).decode()
        return Certificate(chain + self.pem, key_pem(key))

    def _key_identifier(self) -> x509.AuthorityKeyIdentifier:
        # Both authorities here have one name, as an old and a new one do in a rotation.
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())


def _builder(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
    )


def make_authority() -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")])
    certificate = (
        _builder("test CA", name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(key, certificate)


def key_pem(key: ec.EllipticCurvePrivateKey, password: bytes = b"") -> str:
    encryption = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    ).decode()


AUTHORITY = make_authority()
STRANGER = make_authority()
GOOD = AUTHORITY.issue(HOST)


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> str:
    """Speaks TLS over a socket pair; the version, or the client's ssl.SSLError."""
    left, right = socket.socketpair()

    def serve() -> None:
        try:
            with server.wrap_socket(left, server_side=True) as tls:
                tls.sendall(tls.recv(5))
        except (ssl.SSLError, OSError):
            left.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with right, client.wrap_socket(right, server_hostname=HOST) as tls:
            tls.sendall(b"hello")
            assert tls.recv(5) == b"hello"
            return tls.version() or ""
    finally:
        thread.join()


def client(mode: TLSMode, ca: str = "") -> ssl.SSLContext:
    context = client_context(TargetTLS(mode, ca))
    assert context is not None
    return context


def test_disable_needs_no_context() -> None:
    assert client_context(TargetTLS("Disable")) is None


@pytest.mark.parametrize("mode", ["Prefer", "Require"])
def test_prefer_and_require_verify_nothing(mode: TLSMode) -> None:
    server = server_context(STRANGER.issue("elsewhere"))
    assert handshake(server, client(mode)) == "TLSv1.3"


@pytest.mark.parametrize("mode", ["VerifyCA", "VerifyFull"])
def test_verification_passes(mode: TLSMode) -> None:
    assert handshake(server_context(GOOD), client(mode, AUTHORITY.pem)) == "TLSv1.3"


@pytest.mark.parametrize("mode", ["VerifyCA", "VerifyFull"])
def test_verification_refuses_another_authority(mode: TLSMode) -> None:
    server = server_context(STRANGER.issue(HOST))
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, client(mode, AUTHORITY.pem))


def test_only_verify_full_looks_at_the_host() -> None:
    server = server_context(AUTHORITY.issue("elsewhere"))
    assert handshake(server, client("VerifyCA", AUTHORITY.pem))
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(server, client("VerifyFull", AUTHORITY.pem))


def test_one_authority_of_a_bundle_is_enough() -> None:
    bundle = f"# Tanúsítványkiadó\n{STRANGER.pem}\n# Zertifizierungsstelle ü\n{AUTHORITY.pem}"
    assert handshake(server_context(GOOD), client("VerifyFull", bundle))


def test_tls_1_2_is_the_oldest() -> None:
    server, modern = server_context(GOOD), client("Require")
    modern.maximum_version = ssl.TLSVersion.TLSv1_2
    assert handshake(server, modern) == "TLSv1.2"
    assert server.minimum_version == modern.minimum_version == ssl.TLSVersion.TLSv1_2


def test_clients_get_no_session_ticket() -> None:
    server = server_context(GOOD)
    assert server.num_tickets == 0
    assert server.options & ssl.OP_NO_RENEGOTIATION


def encrypted() -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    return Certificate(GOOD.chain, key_pem(key, b"secret"))


@pytest.mark.parametrize(
    ("certificate", "problem"),
    [
        (Certificate("", ""), "PEM"),
        (Certificate("garbage", "garbage"), "PEM"),
        (Certificate(GOOD.chain, ""), "PEM"),
        (Certificate("", GOOD.private_key), "PEM"),
        (Certificate(GOOD.chain[:200], GOOD.private_key), "PEM"),
        (Certificate(GOOD.chain, AUTHORITY.issue(HOST).private_key), "does not belong"),
        (encrypted(), "encrypted"),
        (Certificate(GOOD.chain + "\ud800", GOOD.private_key), "surrogates"),
    ],
)
def test_bad_certificate(certificate: Certificate, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        server_context(certificate)
    assert caught.value.path == "certificate"
    assert certificate.private_key == "" or certificate.private_key not in str(caught.value)


@pytest.mark.parametrize("ca", ["", "garbage", "ü", AUTHORITY.pem[:200], GOOD.private_key])
def test_bad_authority(ca: str) -> None:
    with pytest.raises(ConfigError) as caught:
        client_context(TargetTLS("VerifyFull", ca))
    assert caught.value.path == "target_tls.ca"


@pytest.mark.parametrize("make", [lambda: GOOD, encrypted])
def test_nothing_stays_open(make: Callable[[], Certificate]) -> None:
    before = os.listdir("/proc/self/fd")
    with contextlib.suppress(ConfigError):
        server_context(make())
    assert os.listdir("/proc/self/fd") == before
