"""A client that has not logged in yet: drives `client_login` with what the socket brings."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sluice_proxy.errors import AuthenticationFailed, ClientProtocolError, ProxyError, TLSRequired
from sluice_proxy.metrics import Counters
from sluice_proxy.session.client_login import (
    Door,
    Login,
    LoginSteps,
    ReadPassword,
    ReadStartup,
    Send,
    StartTLS,
    Unwelcome,
    log_in,
)
from sluice_proxy.session.peer import LoginPeer, Owner
from sluice_proxy.wire import constants as c
from sluice_proxy.wire import messages, startup
from sluice_proxy.wire.startup import CancelRequest, DirectTLS

log = logging.getLogger(__name__)

# Seconds for a login, as PostgreSQL's authentication_timeout.
LOGIN_TIMEOUT: Final = 60.0
# A SCRAM message has a few hundred bytes; PostgreSQL takes 1024 (PG_MAX_SASL_MESSAGE_LENGTH).
_MAX_PASSWORD_MESSAGE: Final = 2048


@dataclass(frozen=True, slots=True)
class Inside:
    """Who is told what came in: a client, its Login and the bytes sent ahead, or a cancel request.

    `on_client` is called once, as soon as it has said that it is one.
    """

    on_client: Callable[[], None]
    on_login: Callable[["Doorway", Login, bytes], None]
    on_cancel: Callable[[CancelRequest, Callable[[], None]], None]


class Doorway(Owner):
    """The login of one client; `is_client` once it has said that it is one."""

    __slots__ = (
        "_buffer", "_context", "_counters", "_inside", "_steps", "_wanted",
        "began", "done", "is_client", "peer",
    )  # fmt: skip

    def __init__(
        self, door: Door, context: object, inside: Inside, counters: Counters, began: float
    ):
        self.peer: LoginPeer
        self.began = began
        self.done = False
        self.is_client = False
        self._context = context
        self._inside = inside
        self._counters = counters
        self._buffer = b""
        self._steps: LoginSteps = log_in(door)
        self._wanted = next(self._steps)

    def on_bytes(self, data: bytes) -> None:
        if self.done:
            return
        self._buffer += data
        try:
            self._advance()
        except ProxyError as error:
            self._refuse(error)

    def on_direct_tls(self) -> None:
        """The client begins with a TLS handshake; none of its bytes was taken yet."""
        self._recognise()
        try:
            self._step(DirectTLS())
        except ProxyError as error:
            self._refuse(error)

    def on_secured(self, error: str) -> None:
        """The TLS handshake ended; the login goes on, or the peer is gone already."""
        if error:
            log.info("TLS handshake failed", extra={"peer": self.peer.address, "error": error})
            return
        try:
            if not self.done:
                self._step(self.peer.alpn)
                self._advance()
        except ProxyError as refusal:
            self._refuse(refusal)

    def _advance(self) -> None:
        while not self.done:
            wanted = self._wanted
            if isinstance(wanted, StartTLS):
                return
            packet = self._packet() if isinstance(wanted, ReadStartup) else self._password()
            if packet is None:
                return
            self._step(packet)

    def _packet(self) -> startup.StartupPacket | None:
        length = startup.packet_length(self._buffer)
        if not length or len(self._buffer) < length:
            return None
        data, self._buffer = self._buffer[:length], self._buffer[length:]
        packet = startup.parse_packet(data)
        if not isinstance(packet, CancelRequest):
            self._recognise()
        return packet

    def _recognise(self) -> None:
        if not self.is_client:
            self.is_client = True
            self._inside.on_client()

    def _password(self) -> bytes | None:
        buffer = self._buffer
        if len(buffer) < 5:
            return None
        length = int.from_bytes(buffer[1:5], "big")
        if buffer[0] != c.PASSWORD:
            raise ClientProtocolError(f"expected SASL response, got message type {buffer[0]}")
        if not 4 <= length <= _MAX_PASSWORD_MESSAGE:
            raise ClientProtocolError("invalid message length")
        if len(buffer) < length + 1:
            return None
        self._buffer = buffer[length + 1 :]
        return buffer[5 : length + 1]

    def _step(self, answer: object) -> None:
        """Gives the login what it wanted, and performs commands until it wants to read."""
        try:
            wanted = self._steps.send(answer)
            while isinstance(wanted, Send):
                self.peer.write(wanted.data)
                wanted = self._steps.send(None)
        except StopIteration as stop:
            self._finish(stop.value)
            return
        self._wanted = wanted
        if isinstance(wanted, StartTLS):
            self._start_tls(wanted)
        else:
            assert isinstance(wanted, ReadStartup | ReadPassword)

    def _start_tls(self, wanted: StartTLS) -> None:
        if self._buffer:
            # CVE-2021-23214: bytes sent before the handshake could be taken for secured ones.
            raise ClientProtocolError(
                "received unencrypted data after SSL request",
                detail="This could be either a client-software bug or evidence of an attempted "
                "man-in-the-middle attack.",
            )
        if wanted.data:
            self.peer.write(wanted.data)
        self._counters.client_tls_connections += 1
        self.peer.start_tls(self._context, self)

    def _finish(self, outcome: Login | CancelRequest) -> None:
        self.done = True
        if isinstance(outcome, CancelRequest):
            # libpq waits for the end of this connection: what it sends on the other one
            # after that must not be hit.
            self._inside.on_cancel(outcome, self.peer.close)
        else:
            self._inside.on_login(self, outcome, self._buffer)

    def _refuse(self, error: ProxyError) -> None:
        details = {"peer": self.peer.address, "sqlstate": error.sqlstate, "error": error.message}
        log.info("login refused", extra=details)
        self.end(error)

    def end(self, error: ProxyError) -> None:
        """Tells the client why it may not come in."""
        if not self.done:
            self._count_failure(error)
            self.done = True
            if not isinstance(error, Unwelcome):
                self.peer.write(messages.error_response(error.fields()))
            self.peer.close()

    def _count_failure(self, error: ProxyError | None) -> None:
        if isinstance(error, AuthenticationFailed | TLSRequired):
            self._counters.client_auth_failures += 1
        else:
            self._counters.client_setup_failures += 1

    def on_broken(self) -> None:
        """`on_closed` follows."""

    def on_closed(self) -> None:
        """Gone before the login was done: a probe, or a client that lost patience."""
        if not self.done and self.peer.received:
            # A probe says nothing.
            self._count_failure(None)
        self.done = True
        self._steps.close()
