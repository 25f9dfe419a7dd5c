"""One data connection: bytes in, bytes out, in clear or over TLS on the same descriptor."""

import contextlib
import logging
import socket
import ssl
from collections import deque
from typing import Any, Final, Protocol

from sluice_proxy.session.peer import LoginPeer, Owner
from sluice_proxy.transport import descriptors
from sluice_proxy.transport.descriptors import READ_SIZE
from sluice_proxy.transport.reactor import HANGUP, READABLE, Handler, Reactor

log = logging.getLogger(__name__)

_NOT_NOW: Final = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
# The end, with a close_notify or without: PostgreSQL's own lengths tell what is whole.
_END: Final = (ssl.SSLZeroReturnError, ssl.SSLEOFError)
# What TLS reads into: what is read is copied, at its own size.
_ROOM: Final = bytearray(READ_SIZE)
# Reads in a row from one connection before others get their turn.
READS_PER_TURN: Final = 8
# Bytes that wait to be sent above which the other side is told to pause, and below which
# it may go on.
HIGH_WATER: Final = 65536
LOW_WATER: Final = 16384
# Seconds that a connection may take to end after everything was sent.
LINGER: Final = 5.0


class Handshaker(Protocol):
    """Who is told how a TLS handshake ended; `error` is empty when it succeeded."""

    def on_secured(self, error: str) -> None: ...


class Stream(LoginPeer, Handler):
    """A connected socket in the reactor; what sessions know as their Peer.

    `close` sends what is left, then waits for the other side to hang up (at most
    `linger` seconds) so that the last words arrive. `on_closed` is called once, at the very end.
    """

    __slots__ = (
        "_blocked",
        "_closing",
        "_fd",
        "_handshaker",
        "_hung_up",
        "_out",
        "_paused",
        "_pending",
        "_reactor",
        "_readable",
        "_shut",
        "_sock",
        "_ssl",
        "_tls",
        "buffered",
        "closed",
        "distrusted",
        "linger",
    )  # fmt: skip

    def __init__(self, reactor: Reactor, sock: socket.socket, address: str, owner: Owner):
        self._reactor = reactor
        self._sock = sock
        self._fd = sock.fileno()
        self._tls: ssl.SSLSocket | None = None
        # What an SSLSocket itself reads and writes with; as long as there is TLS to be spoken.
        self._ssl: Any = None
        self._handshaker: Handshaker | None = None
        self._out: deque[bytes | memoryview] = deque()
        self._paused = False
        self._readable = False
        self._blocked = False
        self._closing = False
        self._shut = False
        self._pending = False
        self._hung_up = False
        self.linger = LINGER
        self.address = address
        self.owner = owner
        self.buffered = 0
        self.received = 0
        self.closed = False
        # Whether TLS failed because of the other side's certificate.
        self.distrusted = False

    def start(self) -> None:
        """Registers with the reactor; bytes may come from now on."""
        self._reactor.register(self._fd, self)

    @property
    def tls(self) -> ssl.SSLSocket | None:
        return self._tls

    @property
    def alpn(self) -> str | None:
        """The protocol that the TLS handshake agreed on."""
        return None if self._tls is None else self._tls.selected_alpn_protocol()

    @property
    def peer_certificate(self) -> bytes:
        """What the other side showed in the TLS handshake, in DER; empty without."""
        return (self._tls and self._tls.getpeercert(binary_form=True)) or b""

    def on_events(self, mask: int) -> None:
        self._pending = False
        if self._handshaker is not None:
            self._shake_hands()
            return
        if self.buffered and not self.closed:
            self._flush()
        if mask & HANGUP:
            self._hung_up = True
        if mask & (READABLE | HANGUP) and not self.closed:
            self._read()

    # Reading

    def _read(self) -> None:
        for _ in range(READS_PER_TURN):
            if self._paused:
                self._readable = True
                if self._hung_up:
                    self.owner.on_hangup()
                return
            try:
                data = self._receive()
            except (OSError, ValueError) as error:
                self._fail(error)
                return
            if data is None:
                return
            if len(data) == 0:
                self._drop()
                return
            self.received += len(data)
            if self._closing:
                continue
            self.owner.on_bytes(data)
            if self.closed or self._handshaker is not None:
                return
            if len(data) < READ_SIZE and not self._hung_up and self._is_drained:
                # The end of the stream, once announced, is not announced again.
                return
        self._come_again()

    def _receive(self) -> bytes | None:
        """None while there is nothing."""
        if self._ssl is None:
            return descriptors.receive(self._fd)
        try:
            count: int = self._ssl.read(READ_SIZE, _ROOM)
        except _NOT_NOW:
            return None
        except _END:
            return b""
        return bytes(_ROOM[:count])

    @property
    def _is_drained(self) -> bool:
        """After a short read: whatever comes next raises an edge of its own.

        Of TLS a read ends with a record, and OpenSSL takes no more than one from the socket.
        """
        return self._ssl is None or not descriptors.has_more(self._fd)

    def _come_again(self) -> None:
        if not self._pending:
            self._pending = True
            self._reactor.again(self)

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            if self._readable:
                # Bytes that came meanwhile raise no new edge.
                self._readable = False
                self._come_again()

    # Writing

    def write(self, data: bytes) -> None:
        if self.closed or self._shut or not data:
            return
        if self.buffered or self._handshaker is not None:
            self._keep(data)
            return
        sent = self._send(data)
        if sent < len(data) and not self.closed:
            self._keep(memoryview(data)[sent:] if sent else data)

    def _send(self, data: bytes | memoryview) -> int:
        try:
            if self._ssl is None:
                return descriptors.send(self._fd, data)
            return int(self._ssl.write(data))
        except _NOT_NOW:
            return 0
        except (OSError, ValueError) as error:
            self._fail_soon(error)
            return len(data)

    def _keep(self, data: bytes | memoryview) -> None:
        self._out.append(data)
        self.buffered += len(data)
        if self.buffered > HIGH_WATER and not self._blocked:
            self._blocked = True
            self.owner.on_blocked()

    def _flush(self) -> None:
        out = self._out
        while out:
            data = out[0]
            sent = self._send(data)
            if self.closed:
                return
            self.buffered -= sent
            if sent < len(data):
                out[0] = memoryview(data)[sent:]
                break
            out.popleft()
        if self._blocked and self.buffered <= LOW_WATER:
            self._blocked = False
            self.owner.on_drained()
        if self._closing and not self.buffered:
            self._shut_down()

    # TLS

    def start_tls(
        self, context: ssl.SSLContext, handshaker: Handshaker, hostname: str | None = None
    ) -> None:
        """Wraps the connection; `hostname` is the server's name where this side is the client."""
        try:
            self._tls = context.wrap_socket(
                self._sock,
                server_side=hostname is None,
                server_hostname=hostname,
                do_handshake_on_connect=False,
                suppress_ragged_eofs=True,
            )
        except (OSError, ValueError) as error:
            # The other side is gone already.
            handshaker.on_secured(_reason(error))
            self.abort()
            return
        self._sock = self._tls
        self._ssl = self._tls._sslobj  # type: ignore[attr-defined]
        self._handshaker = handshaker
        self._shake_hands()

    def _shake_hands(self) -> None:
        handshaker = self._handshaker
        assert self._tls is not None
        assert handshaker is not None
        try:
            self._tls.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except (OSError, ValueError) as error:
            self._handshaker = None
            self.distrusted = isinstance(error, ssl.SSLCertVerificationError)
            handshaker.on_secured(_reason(error))
            self.abort()
            return
        self._handshaker = None
        handshaker.on_secured("")
        # What came with the last flight of the handshake raises no new edge.
        if not self.closed:
            self._come_again()

    # Ending

    def close(self) -> None:
        if self.closed or self._closing:
            return
        self._closing = True
        self._reactor.later(self.linger, self.abort)
        if not self.buffered:
            self._shut_down()
        if self._paused:
            self.resume()

    def _shut_down(self) -> None:
        self._shut = True
        if self._tls is not None:
            # close_notify: without it the peer must take the end for an attack (RFC 8446, 6.1).
            with contextlib.suppress(OSError, ValueError):
                self._tls.unwrap()
                self._ssl = None
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._fail_soon(error)
            return
        self._come_again()

    def abort(self) -> None:
        self._drop()

    def on_failure(self) -> None:
        try:
            if not self.closed:
                self.owner.on_broken()
        finally:
            self._drop()

    def _fail(self, error: Exception) -> None:
        log.debug("connection failed", extra={"peer": self.address, "error": str(error)})
        self._drop()

    def _fail_soon(self, error: Exception) -> None:
        """An error while writing: told in a turn of its own, so that no caller is re-entered."""
        log.debug("connection failed", extra={"peer": self.address, "error": str(error)})
        self._shut = True
        self._reactor.loop.call_soon(self._hear_out)

    def _hear_out(self) -> None:
        """The other side takes no more; what it said before that is still to be read."""
        self._hung_up = True
        if not self.closed:
            self._read()
        if not (self.closed or self._paused or self._pending):
            self._drop()

    def _drop(self) -> None:
        if self.closed:
            return
        self.closed = True
        self._out.clear()
        self._reactor.unregister(self._fd)
        self._sock.close()
        # Owner and stream would keep each other until the collector comes.
        owner, self.owner = self.owner, _NOBODY
        owner.on_closed()


class _Nobody(Owner):
    """Owner of a stream that is closed."""

    __slots__ = ()


_NOBODY: Final = _Nobody()


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return str(error) or type(error).__name__
