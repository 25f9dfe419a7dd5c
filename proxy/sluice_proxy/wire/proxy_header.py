"""How an activator and a proxy's pod know each other: a PROXY v2 header, and 32 bytes back.

The format is HAProxy's (proxy-protocol.txt, 2.2). Two TLVs of the range for one's own use carry
a nonce and a proof: only who knows the DatabaseProxy's UID can make a header that `parse` takes,
and only the same can `answer`. The UID itself never goes over the wire.
"""

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import Struct
from typing import Final

from sluice_proxy.errors import ClientProtocolError

Address = tuple[str, int]
"""An IPv4 or IPv6 address as text, and a port."""

ANSWER_LENGTH: Final = 32
NONCE_LENGTH: Final = 16

MAX_LENGTH: Final = 536
"""Bytes of the longest header that is read; "the 536 bytes" that fit into any first packet."""

_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
# Signature, version and command, family and transport, bytes that follow.
_FIXED: Final = Struct("!12sBBH")
_PROXY: Final = 0x21
_LENGTHS: Final = {0x11: 4, 0x21: 16}
_TCP4, _TCP6 = _LENGTHS
_PORTS: Final = Struct("!HH")
_MAPPED: Final = bytes(10) + b"\xff\xff"

_TLV: Final = Struct("!BH")
_NONCE: Final = 0xE0
_PROOF: Final = 0xE1


@dataclass(frozen=True, slots=True)
class Proxied:
    """For whom an activator dialled, and the nonce that it wants answered."""

    client: Address
    nonce: bytes


def header(client: Address, dialled: Address, uid: str, nonce: bytes) -> bytes:
    """What an activator says first; `nonce` has NONCE_LENGTH bytes and is never used again."""
    family, block = _address_block(client, dialled)
    rest = block + _tlv(_NONCE, nonce) + _tlv(_PROOF, _proof(uid, nonce, block))
    return _FIXED.pack(_SIGNATURE, _PROXY, family, len(rest)) + rest


def answer(uid: str, nonce: bytes) -> bytes:
    """What the pod that was meant says to that, ANSWER_LENGTH bytes."""
    return _hmac(uid, b"proxy" + nonce)


def header_length(data: bytes) -> int:
    """Bytes of the header that begins here, 0 if that is not known yet.

    Raises ClientProtocolError for what is no PROXY v2 header of TCP, or a very long one.
    """
    if not _SIGNATURE.startswith(data[: len(_SIGNATURE)]):
        raise ClientProtocolError("no PROXY header")
    if len(data) < _FIXED.size:
        return 0
    _, command, family, length = _FIXED.unpack_from(data)
    if command != _PROXY or family not in _LENGTHS:
        raise ClientProtocolError("the PROXY header is for no TCP connection of a client")
    if _FIXED.size + length > MAX_LENGTH:
        raise ClientProtocolError("the PROXY header is too long")
    return int(_FIXED.size + length)


def parse(header: bytes, uid: str) -> Proxied:
    """What a whole header says. Raises ClientProtocolError if its proof is not of this `uid`."""
    if not header or header_length(header) != len(header):
        raise ClientProtocolError("the PROXY header is not whole")
    size = _LENGTHS[header[13]]
    block = header[_FIXED.size : _FIXED.size + 2 * size + _PORTS.size]
    if len(block) < 2 * size + _PORTS.size:
        raise ClientProtocolError("the PROXY header lacks addresses")
    found = dict(_tlvs(header[_FIXED.size + len(block) :]))
    nonce = found.get(_NONCE, b"")
    if len(nonce) != NONCE_LENGTH:
        raise ClientProtocolError("the PROXY header has no nonce")
    proved = hmac.compare_digest(found.get(_PROOF, b""), _proof(uid, nonce, block))
    # What anybody knows proves nothing.
    if not (uid and proved):
        raise ClientProtocolError("the PROXY header is from no activator of this DatabaseProxy")
    port, _ = _PORTS.unpack_from(block, 2 * size)
    return Proxied((str(_plain(ip_address(block[:size]))), port), nonce)


def _address_block(client: Address, dialled: Address) -> tuple[int, bytes]:
    source, target = _plain(ip_address(client[0])), _plain(ip_address(dialled[0]))
    if source.version == target.version:
        family = _TCP4 if source.version == 4 else _TCP6
        addresses = source.packed + target.packed
    else:
        # One block holds one family.
        family, addresses = _TCP6, _mapped(source) + _mapped(target)
    return family, addresses + _PORTS.pack(client[1], dialled[1])


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that a socket of both families shows as one of IPv6."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _mapped(address: IPv4Address | IPv6Address) -> bytes:
    # RFC 4291, 2.5.5.2.
    return address.packed if address.version == 6 else _MAPPED + address.packed


def _tlv(kind: int, value: bytes) -> bytes:
    return _TLV.pack(kind, len(value)) + value


def _tlvs(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        if len(data) < _TLV.size:
            raise ClientProtocolError("the PROXY header ends within a field")
        kind, length = _TLV.unpack_from(data)
        end = _TLV.size + length
        if len(data) < end:
            raise ClientProtocolError("the PROXY header ends within a field")
        yield kind, data[_TLV.size : end]
        data = data[end:]


def _proof(uid: str, nonce: bytes, block: bytes) -> bytes:
    return _hmac(uid, b"activator" + nonce + block)


def _hmac(uid: str, message: bytes) -> bytes:
    return hmac.digest(uid.encode(), message, hashlib.sha256)
