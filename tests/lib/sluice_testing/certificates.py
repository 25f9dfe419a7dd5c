"""An authority that lives as long as a test run, and the leaves it signs."""

import datetime
import ipaddress
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SHA256 = hashes.SHA256()
DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Leaf:
    """PEM texts: the chain, leaf first, and its private key."""

    chain: str
    private_key: str
    serial_number: int


class Authority:
    """A CA. `pem` is what a client that trusts it needs; `algorithm` signs its certificates."""

    def __init__(
        self,
        name: str = "Sluice test CA",
        key: Any = None,
        algorithm: Any = SHA256,
    ):
        self._key = key or ec.generate_private_key(ec.SECP256R1())
        self._algorithm = algorithm
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(self._name, self._key)
        for extension, critical in _authority_extensions(self._key.public_key()):
            builder = builder.add_extension(extension, critical=critical)
        self._certificate = builder.sign(self._key, algorithm)
        self.pem = _pem(self._certificate)

    def issue(self, *names: str, days: float = 30) -> Leaf:
        """A server's certificate for DNS names and addresses, good for so many days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = self._builder(subject, key, days).add_extension(alternatives, critical=False)
        builder = builder.add_extension(issuer, critical=False)
        certificate = builder.sign(self._key, self._algorithm)
        return Leaf(_pem(certificate), _private_pem(key), certificate.serial_number)

    def _builder(self, subject: x509.Name, key: Any, days: float = 30) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + days * DAY)
        )


def _authority_extensions(key: Any) -> list[tuple[x509.ExtensionType, bool]]:
    # Python 3.13 verifies by RFC 5280 to the letter, and that asks for all three.
    usage = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return [
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), True),
        (x509.SubjectKeyIdentifier.from_public_key(key), False),
    ]


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _private_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@dataclass(frozen=True)
class Trust:
    """The authority of the test run and its PEM file."""

    authority: Authority
    file: str
