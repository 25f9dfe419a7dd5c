"""What a client's first bytes are: whether a real client stands there.

Only a message that is whole tells: health checks and scanners connect and close, or send a
few bytes. Nothing is answered here, and nothing is asked.
"""

from enum import Enum
from typing import Final

from sluice_activator.client_hello import CLIENT_HELLO, RECORD_HEAD, handshake, is_whole, offers
from sluice_proxy.errors import ProxyError
from sluice_proxy.wire import constants as c
from sluice_proxy.wire.startup import CancelRequest, Startup, packet_length, parse_packet

KEPT_MAX: Final = c.MAX_STARTUP_LENGTH
"""The most that is taken from a client before a pod answers: the longest first message."""

# TLSPlaintext: type, version, length; then the type of the handshake message (RFC 8446, 5.1, 4).
_TLS_MAJOR: Final = 3
_RECORD_MAX: Final = 1 << 14
# What direct TLS has to offer by ALPN, with its length; pods refuse whoever does not.
_OFFER: Final = b"\x0apostgresql"


class FirstBytes(Enum):
    """What stands at the beginning of what a client sent."""

    INCOMPLETE = "incomplete"
    STARTUP = "startup"
    """A StartupMessage: this client understands an ErrorResponse."""
    ENCRYPTION = "encryption"
    """SSLRequest, GSSENCRequest, or a ClientHello that offers `postgresql` by ALPN, as libpq's
    direct TLS does: whatever is answered in clear misleads it."""
    CANCEL = "cancel"
    NOISE = "noise"

    @property
    def real(self) -> bool:
        """Whether it is a client that wants to log in."""
        return self in (FirstBytes.STARTUP, FirstBytes.ENCRYPTION)


def judge(data: bytes) -> FirstBytes:
    """What `data`, all that a client sent so far, begins with."""
    if data[:1] == bytes((c.TLS_HANDSHAKE,)):
        return _tls(data)
    try:
        length = packet_length(data)
        if not length or len(data) < length:
            return FirstBytes.INCOMPLETE
        packet = parse_packet(data[:length])
    except ProxyError:
        return FirstBytes.NOISE
    if isinstance(packet, CancelRequest):
        return FirstBytes.CANCEL
    return FirstBytes.STARTUP if isinstance(packet, Startup) else FirstBytes.ENCRYPTION


def _tls(data: bytes) -> FirstBytes:
    """A ClientHello counts when it is whole, or when as much of it is here as is ever kept."""
    length = int.from_bytes(data[3:RECORD_HEAD], "big")
    impossible = (
        data[1:2] not in (b"", bytes((_TLS_MAJOR,))),
        len(data) >= RECORD_HEAD and not 4 <= length <= _RECORD_MAX,
        len(data) > RECORD_HEAD and data[RECORD_HEAD] != CLIENT_HELLO,
    )
    if any(impossible):
        return FirstBytes.NOISE
    message = handshake(data)
    if not is_whole(message) and len(data) < KEPT_MAX:
        return FirstBytes.INCOMPLETE
    offered = offers(message, _OFFER[1:]) if is_whole(message) else _OFFER in message
    return FirstBytes.ENCRYPTION if offered else FirstBytes.NOISE
