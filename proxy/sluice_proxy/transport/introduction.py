"""The first bytes on the activators' port: for whom an activator dialled, and the proof of both."""

import logging
import socket
from collections.abc import Callable
from typing import Final

from sluice_proxy.errors import ClientProtocolError
from sluice_proxy.session.doorway import LOGIN_TIMEOUT
from sluice_proxy.transport.reactor import HANGUP, Reactor, UncompiledHandler
from sluice_proxy.wire.proxy_header import MAX_LENGTH, answer, header_length, parse

log = logging.getLogger(__name__)

HEADER_TIMEOUT: Final = LOGIN_TIMEOUT
"""Seconds for a header; an activator sends it at once, and nobody else may come."""


class Introduction(UncompiledHandler):
    """Stands in the reactor for a connection until its PROXY header was checked and answered.

    Then the connection is `on_client`'s, with the client's own address. Just the header is
    taken: OpenSSL reads what follows from the socket. `uid` gives the DatabaseProxy's, as the
    configuration in use has it. `on_end` is called once, whatever came of it.
    """

    __slots__ = ("_address", "_done", "_on_client", "_on_end", "_reactor", "_sock", "_uid")

    def __init__(
        self,
        reactor: Reactor,
        sock: socket.socket,
        uid: Callable[[], str],
        on_client: Callable[[socket.socket, str], None],
        on_end: Callable[["Introduction"], None],
    ):
        self._reactor = reactor
        self._sock = sock
        self._uid = uid
        self._on_client = on_client
        self._on_end = on_end
        self._address = ""
        self._done = False

    def start(self, address: str) -> None:
        """`address` is the activator's."""
        self._address = address
        self._reactor.register(self._sock.fileno(), self)
        self._reactor.later(HEADER_TIMEOUT, self.end)

    def on_events(self, mask: int) -> None:
        try:
            header = self._header()
            if header:
                self._check(header)
            elif mask & HANGUP:
                self.end()
        except BlockingIOError:
            return
        except (OSError, ClientProtocolError) as error:
            log.info("introduction refused", extra={"peer": self._address, "error": str(error)})
            self.end()

    def _header(self) -> bytes:
        """The header, taken from the socket once it is there as a whole."""
        seen = self._sock.recv(MAX_LENGTH, socket.MSG_PEEK)
        length = header_length(seen)
        return self._sock.recv(length) if 0 < length <= len(seen) else b""

    def _check(self, header: bytes) -> None:
        uid = self._uid()
        proxied = parse(header, uid)
        self._sock.send(answer(uid, proxied.nonce))
        self._reactor.unregister(self._sock.fileno())
        self._finish()
        host, port = proxied.client
        self._on_client(self._sock, f"{host}:{port}")

    def end(self) -> None:
        """Closed without a byte; nothing happens if it has gone on."""
        if not self._done:
            self._reactor.unregister(self._sock.fileno())
            self._sock.close()
            self._finish()

    def _finish(self) -> None:
        self._done = True
        self._on_end(self)

    def on_failure(self) -> None:
        self.end()
