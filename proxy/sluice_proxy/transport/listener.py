"""Accepts clients."""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Final

log = logging.getLogger(__name__)

_BACKLOG: Final = 4096
# Connections accepted per turn of the event loop.
_BATCH: Final = 64
# Seconds without accepting when the process has no descriptors left.
_PAUSE: Final = 0.2
_KEEPALIVE: Final = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))


def tune(sock: socket.socket) -> None:
    """No delay for small messages; a peer that vanished is noticed within two minutes."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; an empty host is every address, IPv6 included where there is any."""
    if host:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    elif socket.has_dualstack_ipv6():
        sock = socket.create_server(
            ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG
        )
    else:
        sock = socket.create_server(("", port), backlog=_BACKLOG)
    sock.setblocking(False)
    return sock


class Listener:
    """Hands each accepted socket, with the client's address as text, to `on_client`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        host: str,
        port: int,
        on_client: Callable[[socket.socket, str], None],
    ):
        self._loop = loop
        self._sock = bind(host, port)
        self._on_client = on_client
        loop.add_reader(self._sock.fileno(), self._accept)

    @property
    def port(self) -> int:
        return int(self._sock.getsockname()[1])

    def _accept(self) -> None:
        for _ in range(_BATCH):
            try:
                client, address = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._rest(error)
                    return
                continue
            try:
                tune(client)
            except OSError:
                client.close()
                continue
            self._on_client(client, f"{address[0]}:{address[1]}")

    def _rest(self, error: OSError) -> None:
        log.error("cannot accept clients for now", extra={"error": str(error)})
        self._loop.remove_reader(self._sock.fileno())
        self._loop.call_later(_PAUSE, self._resume)

    def _resume(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.add_reader(self._sock.fileno(), self._accept)

    def close(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()
