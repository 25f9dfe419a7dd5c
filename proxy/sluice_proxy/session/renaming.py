"""The name of a prepared statement in a message: found, and put in another's place."""

from struct import Struct

from sluice_proxy.errors import ClientProtocolError
from sluice_proxy.session.scripts import Edit
from sluice_proxy.wire import constants as c
from sluice_proxy.wire import messages
from sluice_proxy.wire.framing import Frame

Span = tuple[int, int]

_int32 = Struct("!i").pack


def name_in(data: bytes, frame: Frame) -> bytes:
    """The named statement that a message is about; empty if it is about none."""
    kind, start, end = frame
    end = min(end, len(data))
    if kind == c.PARSE:
        return data[start + 5 : data.find(b"\x00", start + 5, end)]
    if kind == c.BIND:
        span = messages.statement_of_bind(data, start + 5, end)
        return b"" if span is None else data[span[0] : span[1]]
    if kind in (c.DESCRIBE, c.CLOSE) and data[start + 5 : start + 6] == b"S":
        return data[start + 6 : end - 1]
    return b""


def renamed(start: int, end: int, span: Span, name: bytes) -> list[Edit]:
    """The message at `start:end` with `name` where `span` is."""
    length = end - start - 1 + len(name) - (span[1] - span[0])
    if length > c.MAX_MESSAGE_LENGTH:
        raise ClientProtocolError("invalid message length")
    return [Edit(start + 1, start + 5, _int32(length)), Edit(span[0], span[1], name)]
