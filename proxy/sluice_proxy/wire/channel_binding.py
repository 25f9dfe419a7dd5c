"""`tls-server-end-point` (RFC 5929 4): what binds a login to the certificate of its server.

The data is a hash of the certificate, by the hash function that its signature is made with.
Which one that is stands in the certificate's `signatureAlgorithm` (RFC 5280 4.1).
"""

import hashlib
from typing import Final

_SEQUENCE: Final = 0x30
_OBJECT_IDENTIFIER: Final = 0x06
_HASH_OF_PSS: Final = 0xA0
_MASK_OF_PSS: Final = 0xA1

_PKCS1: Final = bytes.fromhex("2a864886f70d0101")
_ECDSA: Final = bytes.fromhex("2a8648ce3d04")
_DSA: Final = bytes.fromhex("2a8648ce3804")
_NIST_HASHES: Final = bytes.fromhex("6086480165030402")
_NIST_SIGNATURES: Final = bytes.fromhex("6086480165030403")
_SHA1: Final = bytes.fromhex("2b0e03021a")
_PSS: Final = _PKCS1 + b"\x0a"
_MASK_GENERATION: Final = _PKCS1 + b"\x08"

_HASHES: Final = {
    _SHA1: "sha1",
    _NIST_HASHES + b"\1": "sha256",
    _NIST_HASHES + b"\2": "sha384",
    _NIST_HASHES + b"\3": "sha512",
    _NIST_HASHES + b"\4": "sha224",
    _NIST_HASHES + b"\7": "sha3_224",
    _NIST_HASHES + b"\x08": "sha3_256",
    _NIST_HASHES + b"\x09": "sha3_384",
    _NIST_HASHES + b"\x0a": "sha3_512",
}
# Those with one hash function. Ed25519 and Ed448 have none that could be told apart.
_SIGNATURES: Final = {
    _PKCS1 + b"\x04": "md5",
    _PKCS1 + b"\x05": "sha1",
    _PKCS1 + b"\x0b": "sha256",
    _PKCS1 + b"\x0c": "sha384",
    _PKCS1 + b"\x0d": "sha512",
    _PKCS1 + b"\x0e": "sha224",
    _ECDSA + b"\1": "sha1",
    _ECDSA + b"\3\1": "sha224",
    _ECDSA + b"\3\2": "sha256",
    _ECDSA + b"\3\3": "sha384",
    _ECDSA + b"\3\4": "sha512",
    _DSA + b"\3": "sha1",
    _NIST_SIGNATURES + b"\1": "sha224",
    _NIST_SIGNATURES + b"\2": "sha256",
    _NIST_SIGNATURES + b"\3": "sha384",
    _NIST_SIGNATURES + b"\4": "sha512",
    _NIST_SIGNATURES + b"\x09": "sha3_224",
    _NIST_SIGNATURES + b"\x0a": "sha3_256",
    _NIST_SIGNATURES + b"\x0b": "sha3_384",
    _NIST_SIGNATURES + b"\x0c": "sha3_512",
    _NIST_SIGNATURES + b"\x0d": "sha3_224",
    _NIST_SIGNATURES + b"\x0e": "sha3_256",
    _NIST_SIGNATURES + b"\x0f": "sha3_384",
    _NIST_SIGNATURES + b"\x10": "sha3_512",
}


def server_end_point(certificate: bytes) -> bytes | None:
    """The binding data of a certificate in DER; None where the RFC defines none."""
    try:
        name = _hash_of_signature(certificate)
    except (IndexError, ValueError):
        return None
    if name is None:
        return None
    # "If the certificate's signatureAlgorithm uses MD5 or SHA-1, use SHA-256."
    return hashlib.new("sha256" if name in ("md5", "sha1") else name, certificate).digest()


def _hash_of_signature(certificate: bytes) -> str | None:
    _, start, _ = _element(certificate, 0, _SEQUENCE)
    _, _, after_body = _element(certificate, start, _SEQUENCE)
    algorithm, parameters = _algorithm(certificate, after_body)
    return _hash_of_pss(parameters) if algorithm == _PSS else _SIGNATURES.get(algorithm)


def _hash_of_pss(parameters: bytes) -> str | None:
    """Of RSASSA-PSS-params (RFC 4055 3.1): both its hash functions are SHA-1 unless named."""
    hash_, mask_hash = _SHA1, _SHA1
    _, at, end = _element(parameters, 0, _SEQUENCE)
    while at < end:
        tag, start, at = _element(parameters, at)
        if tag == _HASH_OF_PSS:
            hash_, _ = _algorithm(parameters, start)
        elif tag == _MASK_OF_PSS:
            mask, parameter = _algorithm(parameters, start)
            if mask != _MASK_GENERATION:
                return None
            mask_hash, _ = _algorithm(parameter, 0)
    # "… or uses multiple hash functions, then … is undefined."
    return _HASHES.get(hash_) if hash_ == mask_hash else None


def _algorithm(der: bytes, at: int) -> tuple[bytes, bytes]:
    """The object identifier of an AlgorithmIdentifier, and its parameters in DER."""
    _, start, end = _element(der, at, _SEQUENCE)
    _, name, name_end = _element(der, start, _OBJECT_IDENTIFIER)
    return der[name:name_end], der[name_end:end]


def _element(der: bytes, at: int, expected: int = -1) -> tuple[int, int, int]:
    """Tag, begin and end of the content of the element at `at` (X.690 8.1)."""
    tag, size = der[at], der[at + 1]
    start = at + 2
    if size & 0x80:
        octets = size & 0x7F
        size = int.from_bytes(der[start : start + octets], "big")
        start += octets
    end = start + size
    if end > len(der) or expected not in (-1, tag):
        raise ValueError("not the DER of a certificate")
    return tag, start, end
