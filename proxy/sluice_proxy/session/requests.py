"""What a client's messages ask of the server connection that it holds.

One pass over the frames of a read: each request is entered in the queue of expected
replies, what it leaves behind pins, and what the server does not know yet is put before it.
"""

from struct import Struct

from sluice_proxy.errors import ClientProtocolError
from sluice_proxy.session.pinning import PinReason, reasons_for_piece, reasons_for_text
from sluice_proxy.session.server import ServerConnection
from sluice_proxy.wire import constants as c
from sluice_proxy.wire import messages, sql
from sluice_proxy.wire.expected import (
    BIND,
    CLOSE,
    CLOSE_UNNAMED,
    DESCRIBE,
    EXECUTE,
    FUNCTION,
    PARSE,
    QUERY,
    SKIP,
    SYNC,
)
from sluice_proxy.wire.framing import Frame

_uint32_at = Struct("!I").unpack_from

# pg_proc's fixed object ids of what leaves something behind: set_config and the advisory
# locks that last for the session.
_PINNING_FUNCTIONS = frozenset((2077, 2880, 2881, 2882, 2883, 2886, 2887, 2888, 2889))


class Requests:
    """The requests of one client, entered into whatever server connection it holds.

    `lexable` says whether its query texts can be taken apart (see `pinning.lexable`).
    """

    __slots__ = ("_insertions", "_tail", "_watching", "lexable", "queries")

    def __init__(self) -> None:
        self.lexable = True
        self.queries = 0
        # Bytes to be put before the byte at an offset of the read.
        self._insertions: list[tuple[int, bytes]] = []
        # A query text longer than HOLD_LIMIT is passing by; the end of what was seen.
        self._watching = False
        self._tail = b""

    def enter(self, server: ServerConnection, data: bytes, frames: list[Frame], rest: int) -> bytes:
        """What to send to the server for `data`, whose first `rest` bytes end a message."""
        if self._watching:
            self._watch(server, data[:rest])
            self._watching = rest > len(data)
        if server.slot_foreign and frames:
            self._clean_slot(server, data, frames[0])
        for frame in frames:
            self._enter_one(server, data, frame)
        if not self._insertions:
            return data
        return self._inserted(data)

    def _enter_one(self, server: ServerConnection, data: bytes, frame: Frame) -> None:
        kind, start, end = frame
        expected = server.expected
        if kind == c.QUERY:
            self.queries += 1
            self._judge(server, data[start + 5 : end - 1], end > len(data))
            server.slot_ready = True
            expected.push(QUERY)
        elif kind == c.SYNC:
            expected.push(SYNC)
        elif kind == c.BIND:
            self._on_bind(server, data, start, end)
        elif kind == c.EXECUTE:
            self.queries += 1
            expected.push(EXECUTE)
        elif kind == c.PARSE:
            self._on_parse(server, data, start, end)
        else:
            self._enter_rare(server, data, frame)

    def _enter_rare(self, server: ServerConnection, data: bytes, frame: Frame) -> None:
        kind, start, end = frame
        expected = server.expected
        if kind == c.DESCRIBE:
            if data[start + 5 : end] == b"S\x00":
                self._make_unnamed_ready(server, start)
            expected.push(DESCRIBE)
        elif kind == c.CLOSE:
            self._on_close(server, data[start + 5 : end])
        elif kind == c.FUNCTION_CALL:
            self._on_function_call(server, data, start)
        elif kind in (c.COPY_DONE, c.COPY_FAIL):
            expected.push_copy_end()
        elif kind in (c.PASSWORD, c.TERMINATE):
            # A Terminate is the last that a client says.
            raise ClientProtocolError(f"invalid frontend message type {kind}")

    def _judge(self, server: ServerConnection, text: bytes, cut: bool) -> None:
        if not cut:
            reasons = reasons_for_text(text, self.lexable)
        else:
            reasons = reasons_for_piece(text)
            self._watching = True
            self._tail = text[-sql.OVERLAP :]
        if reasons:
            server.pin(reasons)

    def _watch(self, server: ServerConnection, piece: bytes) -> None:
        seen = self._tail + piece
        reasons = reasons_for_piece(seen)
        if reasons:
            server.pin(reasons)
        self._tail = seen[-sql.OVERLAP :]

    def _on_parse(self, server: ServerConnection, data: bytes, start: int, end: int) -> None:
        cut = end > len(data)
        found = messages.name_and_text_of_parse(data[start + 5 : end])
        if found is None:
            raise ClientProtocolError("invalid string in message")
        name, text = found
        self._judge(server, text, cut)
        if name or cut:
            # A statement that is too long to be kept cannot be made anew elsewhere.
            server.pin(PinReason.PREPARED_STATEMENT)
        if name:
            server.expected.push(PARSE)
            return
        server.slot_ready = True
        server.expected.push_parse_unnamed(None if cut else data[start:end])

    def _on_bind(self, server: ServerConnection, data: bytes, start: int, end: int) -> None:
        statement = messages.statement_of_bind(data[start + 5 : end])
        if statement is None:
            raise ClientProtocolError("invalid string in message")
        if not statement:
            self._make_unnamed_ready(server, start)
        server.expected.push(BIND)

    def _on_close(self, server: ServerConnection, body: bytes) -> None:
        if body == b"S\x00":
            server.slot_ready = True
            server.expected.push(CLOSE_UNNAMED)
        else:
            server.expected.push(CLOSE)

    def _on_function_call(self, server: ServerConnection, data: bytes, start: int) -> None:
        self.queries += 1
        if len(data) >= start + 9 and _uint32_at(data, start + 5)[0] in _PINNING_FUNCTIONS:
            server.pin(PinReason.SESSION_SETTING | PinReason.ADVISORY_LOCK)
        server.expected.push(FUNCTION)

    def _clean_slot(self, server: ServerConnection, data: bytes, first: Frame) -> None:
        """Puts this client's unnamed statement, or none, where the one before may have left its.

        Before anything else: after an error the server would skip what replaces it.
        """
        server.slot_foreign = False
        _, start, end = first
        if messages.replaces_unnamed(data[start:end], end - start):
            return
        if server.expected.unnamed is not None:
            self._make_unnamed_ready(server, start)
        else:
            server.expected.push(CLOSE | SKIP)
            self._insertions.append((start, messages.CLOSE_UNNAMED))

    def _make_unnamed_ready(self, server: ServerConnection, before: int) -> None:
        """Makes the unnamed statement here what it was where the client was before."""
        if server.slot_ready:
            return
        server.slot_ready = True
        statement = server.expected.unnamed
        if statement is not None:
            server.expected.push_parse_unnamed(statement, SKIP)
            self._insertions.append((before, statement))

    def _inserted(self, data: bytes) -> bytes:
        parts: list[bytes] = []
        at = 0
        for offset, insertion in self._insertions:
            parts += (data[at:offset], insertion)
            at = offset
        parts.append(data[at:])
        self._insertions.clear()
        return b"".join(parts)
