"""A CA and a leaf of our own, for proxies whose users bring no certificate.

The randomness of keys and serial numbers is the one impure thing here; whether anything
must be issued is a plain decision of what is there and what time it is.
"""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sluice_proxy.config import Certificate

CA_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=90)
RENEW_BELOW = 1 / 3
"""A certificate is renewed when less than this part of its life is left."""

SKEW = timedelta(minutes=5)
"""Certificates begin that long ago, for clients whose clock is late."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, both PEM."""

    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class Issued:
    """The CA that signs and the leaf that is shown to clients."""

    ca: Pair
    leaf: Pair

    def shown(self) -> Certificate:
        return Certificate(self.leaf.certificate, self.leaf.key)


def issued(
    subject: str, hosts: tuple[str, ...], now: float, ca: Pair | None, leaf: Pair | None
) -> Issued:
    """`ca` and `leaf` as they are if they will do, new ones otherwise.

    `hosts` are the DNS names and IP addresses that the leaf must be good for, `now`
    is seconds since the epoch. A new CA means a new leaf; a CA is kept for its whole life
    less a third, since clients hold it.
    """
    moment = datetime.fromtimestamp(now, UTC)
    if ca is None or not _usable(ca, moment):
        ca, leaf = _new_ca(subject, moment), None
    if leaf is None or not _usable(leaf, moment) or not _covers(leaf, hosts, ca):
        leaf = _new_leaf(hosts, moment, ca)
    return Issued(ca, leaf)


def _usable(pair: Pair, now: datetime) -> bool:
    """Whether it is a matching pair with more than a third of its life before it."""
    try:
        certificate = x509.load_pem_x509_certificate(pair.certificate.encode())
        key = serialization.load_pem_private_key(pair.key.encode(), password=None)
    except (ValueError, TypeError):
        return False
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    fresh = begin <= now and (end - now) >= RENEW_BELOW * (end - begin)
    return fresh and key.public_key() == certificate.public_key()


def _covers(leaf: Pair, hosts: tuple[str, ...], ca: Pair) -> bool:
    certificate = x509.load_pem_x509_certificate(leaf.certificate.encode())
    signer = x509.load_pem_x509_certificate(ca.certificate.encode())
    try:
        certificate.verify_directly_issued_by(signer)
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except Exception:  # InvalidSignature is no ValueError; whatever it is, it will not do
        return False
    return set(found.value) == set(_general_names(hosts))


def _general_names(hosts: tuple[str, ...]) -> list[x509.GeneralName]:
    return [_general_name(host) for host in hosts]


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _new_ca(subject: str, now: datetime) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{subject} CA"[:64])])
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        _builder(name, key, now, CA_LIFE)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return _signed(builder, key, key)


def _new_leaf(hosts: tuple[str, ...], now: datetime, ca: Pair) -> Pair:
    signer = x509.load_pem_x509_certificate(ca.certificate.encode())
    signer_key = _private_key(ca.key)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0][:64])])
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer_key.public_key())
    life = min(LEAF_LIFE, signer.not_valid_after_utc - now)
    builder = (
        _builder(name, key, now, life)
        .issuer_name(signer.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(_general_names(hosts)), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(authority, critical=False)
    )
    return _signed(builder, key, signer_key)


def _builder(
    name: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + life)
    )


def _signed(
    builder: x509.CertificateBuilder,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
) -> Pair:
    certificate = builder.sign(signer, hashes.SHA256())
    return Pair(
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
    )


def _private_key(pem: str) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the CA's key is not an elliptic curve key")
    return key
