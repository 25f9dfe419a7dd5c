"""What a TLS client offers by ALPN, read out of its ClientHello (RFC 8446, 4.1.2; RFC 7301, 3.1).

Whatever lengths it gives, nothing is read but what is there.
"""

from collections.abc import Iterator
from typing import Final

from sluice_proxy.wire.constants import TLS_HANDSHAKE

RECORD_HEAD: Final = 5
"""Bytes of a record before its fragment: type, version, length."""

CLIENT_HELLO: Final = 1
"""The type of the handshake message."""

# Type and length, before the handshake message's body.
_MESSAGE_HEAD: Final = 4
_VERSION_AND_RANDOM: Final = 2 + 32
_ALPN: Final = 16


def handshake(data: bytes) -> bytes:
    """The handshake messages in the records that `data` begins with, without the records' heads."""
    told, at = bytearray(), 0
    while data[at : at + 1] == bytes((TLS_HANDSHAKE,)):
        start = at + RECORD_HEAD
        at = start + int.from_bytes(data[at + 3 : start], "big")
        told += data[start:at]
    return bytes(told)


def is_whole(message: bytes) -> bool:
    """Whether the first message is here to its end."""
    return len(message) >= _MESSAGE_HEAD and len(message) >= _length(message)


def _length(message: bytes) -> int:
    return _MESSAGE_HEAD + int.from_bytes(message[1:_MESSAGE_HEAD], "big")


def offers(message: bytes, protocol: bytes) -> bool:
    """Whether a whole ClientHello offers this protocol; one that is malformed offers nothing."""
    try:
        return any(protocol in _protocols(body) for body in _extensions(message, _ALPN))
    except ValueError:
        return False


def _extensions(message: bytes, kind: int) -> Iterator[bytes]:
    rest = message[_MESSAGE_HEAD : _length(message)][_VERSION_AND_RANDOM:]
    # The session's id, cipher suites, methods of compression.
    for size in (1, 2, 1):
        _, rest = _vector(rest, size)
    rest, _ = _vector(rest, 2)
    while rest:
        told = int.from_bytes(rest[:2], "big")
        body, rest = _vector(rest[2:], 2)
        if told == kind:
            yield body


def _protocols(body: bytes) -> list[bytes]:
    names = []
    rest, _ = _vector(body, 2)
    while rest:
        name, rest = _vector(rest, 1)
        names.append(name)
    return names


def _vector(data: bytes, size: int) -> tuple[bytes, bytes]:
    """What stands after its length of `size` bytes, and what follows. ValueError if it is cut."""
    end = size + int.from_bytes(data[:size], "big")
    if len(data) < max(size, end):
        raise ValueError
    return data[size:end], data[end:]
