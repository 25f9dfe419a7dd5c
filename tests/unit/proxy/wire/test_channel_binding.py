"""`tls-server-end-point` of certificates with every kind of signature, told by OpenSSL's parser."""

import datetime
import hashlib
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from sluice_proxy.wire.channel_binding import server_end_point

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
DSA = dsa.generate_private_key(2048)


def pss(hash_: hashes.HashAlgorithm, mask: hashes.HashAlgorithm) -> dict[str, Any]:
    return {
        "algorithm": hash_,
        "rsa_padding": padding.PSS(mgf=padding.MGF1(mask), salt_length=padding.PSS.DIGEST_LENGTH),
    }


def certificate(key: Any, **signing: Any) -> bytes:
    """Self-signed, in DER."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "orders.shop.svc")])
    begin = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=3650))
    )
    made = builder.sign(key, signing.pop("algorithm"), **signing)
    return made.public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize(
    ("key", "signing", "hashed_by"),
    [
        (RSA, {"algorithm": hashes.SHA224()}, "sha224"),
        (RSA, {"algorithm": hashes.SHA256()}, "sha256"),
        (RSA, {"algorithm": hashes.SHA384()}, "sha384"),
        (RSA, {"algorithm": hashes.SHA512()}, "sha512"),
        (RSA, {"algorithm": hashes.SHA3_256()}, "sha3_256"),
        (EC, {"algorithm": hashes.SHA224()}, "sha224"),
        (EC, {"algorithm": hashes.SHA256()}, "sha256"),
        (EC, {"algorithm": hashes.SHA384()}, "sha384"),
        (EC, {"algorithm": hashes.SHA512()}, "sha512"),
        (EC, {"algorithm": hashes.SHA3_512()}, "sha3_512"),
        (DSA, {"algorithm": hashes.SHA256()}, "sha256"),
        (RSA, pss(hashes.SHA256(), hashes.SHA256()), "sha256"),
        (RSA, pss(hashes.SHA512(), hashes.SHA512()), "sha512"),
    ],
)
def test_the_hash_is_that_of_the_signature(
    key: Any, signing: dict[str, Any], hashed_by: str
) -> None:
    """Pitfall 46."""
    der = certificate(key, **signing)
    assert server_end_point(der) == hashlib.new(hashed_by, der).digest()


@pytest.mark.parametrize(
    ("key", "algorithm"), [(ed25519.Ed25519PrivateKey.generate(), None),
                           (ed448.Ed448PrivateKey.generate(), None)]
)  # fmt: skip
def test_a_signature_without_a_hash_of_its_own_has_none(key: Any, algorithm: None) -> None:
    """Pitfall 46: the RFC leaves Ed25519 undefined."""
    assert server_end_point(certificate(key, algorithm=algorithm)) is None


def with_algorithm(der: bytes, old: str, new: str) -> bytes:
    """`der` with another object identifier of the same size for its signature."""
    before, after = bytes.fromhex(old), bytes.fromhex(new)
    assert len(before) == len(after)
    assert before in der
    return der.replace(before, after)


@pytest.mark.parametrize("weak", ["2a864886f70d010104", "2a864886f70d010105"])
def test_md5_and_sha1_are_replaced_by_sha256(weak: str) -> None:
    """No library signs so any more: the identifier of another certificate is changed."""
    der = with_algorithm(certificate(RSA, algorithm=hashes.SHA256()), "2a864886f70d01010b", weak)
    assert server_end_point(der) == hashlib.sha256(der).digest()


def test_an_unknown_signature_has_none() -> None:
    der = certificate(RSA, algorithm=hashes.SHA256())
    assert server_end_point(with_algorithm(der, "2a864886f70d01010b", "2a864886f70d01017f")) is None


# Certificates of nothing but a signature algorithm, for parameters that no library makes.

SHA1, SHA256 = "06052b0e03021a", "0609608648016503040201"
MGF1, OTHER_MASK = "06092a864886f70d010108", "06092a864886f70d010109"


def element(tag: int, *contents: str) -> str:
    content = bytes.fromhex("".join(contents))
    return (bytes([tag, len(content)]) + content).hex()


def sequence(*contents: str) -> str:
    return element(0x30, *contents)


def pss_certificate(*parameters: str) -> bytes:
    algorithm = sequence("06092a864886f70d01010a", sequence(*parameters))
    return bytes.fromhex(sequence(sequence("0500"), algorithm, "030100"))


HASH = element(0xA0, sequence(SHA256, "0500"))
MASK = element(0xA1, sequence(MGF1, sequence(SHA256, "0500")))
SALT = element(0xA2, "020120")


@pytest.mark.parametrize(
    ("parameters", "known"),
    [
        ((), True),  # RFC 4055: SHA-1 twice, where nothing is said
        ((HASH, MASK), True),
        ((HASH, MASK, SALT), True),
        ((element(0xA0, sequence(SHA1)),), True),
        ((HASH,), False),  # the mask would be made by SHA-1
        ((MASK,), False),
        ((HASH, element(0xA1, sequence(OTHER_MASK, sequence(SHA256, "0500")))), False),
        ((element(0xA0, sequence("06022a03")), element(0xA1, sequence(MGF1, sequence("06022a03")))),
         False),
    ],
)  # fmt: skip
def test_rsa_pss_must_use_one_hash_function_for_both(
    parameters: tuple[str, ...], known: bool
) -> None:
    der = pss_certificate(*parameters)
    assert server_end_point(der) == (hashlib.sha256(der).digest() if known else None)


WHOLE = certificate(EC, algorithm=hashes.SHA256())


@pytest.mark.parametrize("size", range(12))
def test_what_is_cut_off_has_none(size: int) -> None:
    assert server_end_point(WHOLE[:size]) is None


@given(st.binary(max_size=80))
def test_any_bytes_are_survived(data: bytes) -> None:
    assert server_end_point(data) is None


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_a_damaged_certificate_is_survived(at: int, value: int) -> None:
    damaged = WHOLE[:at] + bytes([value]) + WHOLE[at + 1 :]
    binding = server_end_point(damaged)
    assert binding is None or len(binding) in (28, 32, 48, 64)
