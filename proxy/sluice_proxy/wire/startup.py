"""What a client says first: StartupMessage, SSLRequest, GSSENCRequest, CancelRequest.

These have a length but no type. The limits are PostgreSQL's own (`ProcessStartupPacket`).
"""

from dataclasses import dataclass, field
from struct import Struct

from sluice_proxy.errors import ClientProtocolError, FeatureNotSupported
from sluice_proxy.wire import constants as c

_int32 = Struct("!i")
_uint32 = Struct("!I")


@dataclass(frozen=True, slots=True)
class SSLRequest:
    """Asks for TLS; answered by one byte."""


@dataclass(frozen=True, slots=True)
class GSSENCRequest:
    """Asks for GSSAPI encryption; answered by one byte."""


@dataclass(frozen=True, slots=True)
class DirectTLS:
    """The handshake begins at once: no packet, yet the first that a client may say."""


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Asks that the query of the client with this key be cancelled; never answered."""

    pid: int
    secret: bytes


@dataclass(frozen=True, slots=True)
class Startup:
    """A StartupMessage. `minor` is what follows 3 in the version asked for."""

    minor: int
    parameters: dict[bytes, bytes] = field(default_factory=dict)


StartupPacket = SSLRequest | GSSENCRequest | DirectTLS | CancelRequest | Startup


def packet_length(data: bytes | bytearray) -> int:
    """Bytes of the packet that begins here, 0 if that is not known yet.

    Raises ClientProtocolError for a length that no StartupMessage has: HTTP, TLS, noise.
    """
    if len(data) < 4:
        return 0
    (length,) = _int32.unpack_from(data)
    if not 8 <= length <= c.MAX_STARTUP_LENGTH:
        raise ClientProtocolError(
            "invalid length of startup packet",
            hint="This port speaks the PostgreSQL protocol.",
        )
    return int(length)


def parse_packet(packet: bytes) -> StartupPacket:
    """The packet, whole. Raises ClientProtocolError or FeatureNotSupported."""
    (code,) = _int32.unpack_from(packet, 4)
    if code == c.SSL_REQUEST:
        return SSLRequest()
    if code == c.GSSENC_REQUEST:
        return GSSENCRequest()
    if code == c.CANCEL_REQUEST:
        return _cancel_request(packet)
    return _startup(code, packet)


def _cancel_request(packet: bytes) -> CancelRequest:
    if len(packet) < 12:
        raise ClientProtocolError("invalid length of cancel request packet")
    if not 0 < len(packet) - 12 <= c.MAX_CANCEL_KEY:
        raise ClientProtocolError("invalid length of cancel key in cancel request packet")
    (pid,) = _uint32.unpack_from(packet, 8)
    return CancelRequest(pid, packet[12:])


def _startup(code: int, packet: bytes) -> Startup:
    major, minor = code >> 16, code & 0xFFFF
    if major != 3:
        raise FeatureNotSupported(
            "Feature not supported: RDS Proxy supports only version 3.0 of the "
            "PostgreSQL messaging protocol.",
            detail=unsupported(code),
        )
    return Startup(minor, _parameters(packet[8:]))


def unsupported(code: int) -> str:
    """PostgreSQL's words for a version that it does not speak."""
    return (
        f"unsupported frontend protocol {code >> 16}.{code & 0xFFFF}: "
        f"server supports 3.0 to 3.{c.NEWEST_MINOR}"
    )


def _parameters(body: bytes) -> dict[bytes, bytes]:
    if not body.endswith(b"\x00"):
        raise ClientProtocolError("invalid startup packet layout: expected terminator as last byte")
    strings = body[:-1].split(b"\x00")
    if strings[-1] != b"" or len(strings) % 2 != 1:
        raise ClientProtocolError("invalid startup packet layout: expected terminator as last byte")
    names = strings[0:-1:2]
    if b"" in names:
        raise ClientProtocolError("invalid startup packet layout: expected terminator as last byte")
    # The last of two equal names counts, as each overwrites the one before on the server.
    return dict(zip(names, strings[1::2], strict=True))
