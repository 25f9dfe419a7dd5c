"""Both ways in: clients come by themselves, or behind the PROXY header of an activator."""

import socket
from collections.abc import Callable

from sluice_proxy.session.logins import Logins
from sluice_proxy.transport.introduction import Introduction
from sluice_proxy.transport.knock import Knock
from sluice_proxy.transport.listener import Listener
from sluice_proxy.transport.reactor import Reactor
from sluice_proxy.transport.sockets import Sockets
from sluice_proxy.transport.stream import Stream


class Entrance:
    """Accepts on `sockets`, and brings each client to its login.

    `uid` gives the DatabaseProxy's, by which activators are known. They are hung up on unless
    `has_room`: they hold their clients, or bring them to another pod.
    """

    def __init__(
        self,
        reactor: Reactor,
        sockets: Sockets,
        logins: Logins,
        uid: Callable[[], str],
        has_room: Callable[[], bool],
    ):
        self._reactor = reactor
        self._logins = logins
        self._uid = uid
        self._has_room = has_room
        self._introductions: set[Introduction] = set()
        self._clients = Listener(reactor.loop, sockets.clients, self._on_client)
        self._listeners = [self._clients]
        if sockets.activators is not None:
            self._listeners.append(Listener(reactor.loop, sockets.activators, self._on_activator))

    @property
    def port(self) -> int:
        """Where clients come by themselves."""
        return self._clients.port

    @property
    def busy(self) -> bool:
        """Whether an activator has not said yet whom it brings."""
        return bool(self._introductions)

    def close(self) -> None:
        """Nobody comes any more, but for those whom the system let in already."""
        for listener in self._listeners:
            listener.close()

    def end(self) -> None:
        """Lets go of activators that have not said whom they bring."""
        for introduction in list(self._introductions):
            introduction.end()

    def _on_client(self, sock: socket.socket, address: str) -> None:
        doorway = self._logins.begin()
        stream = Stream(self._reactor, sock, address, doorway)
        doorway.peer = stream
        Knock(self._reactor, sock, stream, doorway.on_direct_tls).start()

    def _on_activator(self, sock: socket.socket, address: str) -> None:
        if not self._has_room():
            sock.close()
            return
        introduction = Introduction(
            self._reactor, sock, self._uid, self._on_client, self._introductions.discard
        )
        self._introductions.add(introduction)
        introduction.start(address)
