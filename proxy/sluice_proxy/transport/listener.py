"""Accepts clients."""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Final

from sluice_proxy.transport.sockets import tune

log = logging.getLogger(__name__)

# Connections accepted per turn of the event loop.
_BATCH: Final = 64
# Seconds without accepting when the process has no descriptors left.
_PAUSE: Final = 0.2


class Listener:
    """Hands each accepted socket, with the client's address as text, to `on_client`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        on_client: Callable[[socket.socket, str], None],
    ):
        self._loop = loop
        self._sock = sock
        self._on_client = on_client
        loop.add_reader(sock.fileno(), self._accept)

    @property
    def port(self) -> int:
        return int(self._sock.getsockname()[1])

    def _accept(self) -> bool:
        """Whether more may wait to be accepted."""
        for _ in range(_BATCH):
            try:
                client, address = self._sock.accept()
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._rest(error)
                    return False
                continue
            try:
                tune(client)
            except OSError:
                client.close()
                continue
            self._on_client(client, f"{address[0]}:{address[1]}")
        return True

    def _rest(self, error: OSError) -> None:
        log.error("cannot accept clients for now", extra={"error": str(error)})
        self._loop.remove_reader(self._sock.fileno())
        self._loop.call_later(_PAUSE, self._resume)

    def _resume(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.add_reader(self._sock.fileno(), self._accept)

    def close(self) -> None:
        """Nobody comes any more; whoever had come is accepted: to it, it is connected."""
        if self._sock.fileno() >= 0:
            while self._accept():
                pass
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()
