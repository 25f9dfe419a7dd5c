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

MOST_TRUSTED = 3
"""So many CAs are in the bundle at most, the newest ones."""

SKEW = timedelta(minutes=5)
"""Certificates begin that long ago, for clients whose clock is late."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, both PEM."""

    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class Issued:
    """The CA that signs, the leaf that is shown, and the PEM bundle that clients verify with.

    The bundle is the CA and those before it that have not expired.
    """

    ca: Pair
    leaf: Pair
    trusted: str

    def shown(self) -> Certificate:
        return Certificate(self.leaf.certificate, self.leaf.key)


@dataclass(frozen=True, slots=True)
class Kept:
    """What was issued before, as far as it is still there."""

    ca: Pair | None = None
    leaf: Pair | None = None
    trusted: str = ""


def issued(subject: str, hosts: tuple[str, ...], now: float, kept: Kept) -> Issued:
    """What was kept where it will do, new where not.

    `hosts` are the DNS names and IP addresses that the leaf must be good for, `now`
    is seconds since the epoch. A CA is kept for its life less a third, since clients hold
    it. A new one only joins the bundle: the leaf stays one of the CA before it until it is
    due itself, so that every client knows the new CA before it meets it.
    """
    moment = datetime.fromtimestamp(now, UTC)
    ca = kept.ca
    if ca is None or not _usable(ca, moment):
        ca = _new_ca(subject, moment)
    before = "" if kept.ca is None else kept.ca.certificate
    trusted = _bundle((ca.certificate, before, kept.trusted), moment)
    leaf = kept.leaf
    if leaf is None or not _usable(leaf, moment) or not _covers(leaf, hosts, trusted):
        leaf = _new_leaf(hosts, moment, ca)
    return Issued(ca, leaf, _pem(trusted))


def _bundle(texts: tuple[str, ...], now: datetime) -> list[x509.Certificate]:
    """Each certificate once, the first ones first, none that has expired."""
    found: dict[bytes, x509.Certificate] = {}
    for certificate in (item for text in texts for item in _read(text)):
        if certificate.not_valid_after_utc > now:
            found.setdefault(certificate.fingerprint(hashes.SHA256()), certificate)
    return list(found.values())[:MOST_TRUSTED]


def _read(text: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        return []


def _pem(certificates: list[x509.Certificate]) -> str:
    encoded = (item.public_bytes(serialization.Encoding.PEM) for item in certificates)
    return b"".join(encoded).decode()


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


def _covers(leaf: Pair, hosts: tuple[str, ...], trusted: list[x509.Certificate]) -> bool:
    certificate = x509.load_pem_x509_certificate(leaf.certificate.encode())
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return False
    is_known = any(_is_signed_by(certificate, signer) for signer in trusted)
    return is_known and set(found.value) == set(_general_names(hosts))


def _is_signed_by(certificate: x509.Certificate, signer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(signer)
    except Exception:  # InvalidSignature is no ValueError; whatever it is, it will not do
        return False
    return True


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
