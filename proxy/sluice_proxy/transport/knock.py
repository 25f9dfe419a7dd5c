"""The first byte of a client: whether TLS begins at once, or PostgreSQL's own protocol."""

import socket
from collections.abc import Callable

from sluice_proxy.transport.reactor import Reactor, UncompiledHandler
from sluice_proxy.transport.stream import Stream
from sluice_proxy.wire import constants as c


class Knock(UncompiledHandler):
    """Stands in for a Stream in the reactor until the first byte can be looked at.

    It is not taken: OpenSSL reads the handshake from the socket, from its begin.
    """

    __slots__ = ("_on_direct_tls", "_reactor", "_sock", "_stream")

    def __init__(
        self,
        reactor: Reactor,
        sock: socket.socket,
        stream: Stream,
        on_direct_tls: Callable[[], None],
    ):
        self._reactor = reactor
        self._sock = sock
        self._stream = stream
        self._on_direct_tls = on_direct_tls

    def start(self) -> None:
        self._reactor.register(self._sock.fileno(), self)

    def on_events(self, mask: int) -> None:
        try:
            first = self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            # The stream meets the same error, and deals with it.
            first = b""
        self._reactor.replace(self._sock.fileno(), self._stream)
        if first and first[0] == c.TLS_HANDSHAKE:
            self._on_direct_tls()
        else:
            self._stream.on_events(mask)

    def on_failure(self) -> None:
        self._stream.on_failure()
