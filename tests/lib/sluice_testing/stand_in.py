"""Somebody at a pod's address: a pod that misbehaves as it is told, or no pod of ours at all."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sluice_proxy.errors import ProxyError
from sluice_proxy.wire import proxy_header
from sluice_proxy.wire.proxy_header import Address


@dataclass
class Visit:
    """One connection to a stand-in. `header` is what came first, `said` all that followed."""

    sock: socket.socket
    uid: str
    header: bytes = b""
    said: bytes = b""

    @property
    def client(self) -> Address:
        return proxy_header.parse(self.header, self.uid).client

    def prove(self) -> None:
        """Answers as the proxy's own pod does."""
        nonce = proxy_header.parse(self.header, self.uid).nonce
        self.sock.sendall(proxy_header.answer(self.uid, nonce))

    def hear(self) -> bytes:
        """What the client says next."""
        data = self.sock.recv(65536)
        self.said += data
        return data

    def hear_all(self) -> None:
        while self.hear():
            pass


def answers(visit: Visit) -> None:
    """A pod: answers what comes with one byte, and hears the rest."""
    visit.prove()
    visit.hear()
    visit.sock.sendall(b"R")
    visit.hear_all()


def only_listens(visit: Visit) -> None:
    """Another's pod, which says nothing and hears whatever comes."""
    visit.hear_all()


def answers_as_another(visit: Visit) -> None:
    visit.sock.sendall(bytes(proxy_header.ANSWER_LENGTH))
    visit.hear_all()


def hangs_up(visit: Visit) -> None:
    """Proves itself, takes what the client says, and is gone without a byte."""
    visit.prove()
    visit.hear()


@dataclass
class StandIn:
    """Meets each connection, on a thread of its own, in this manner; `visits` in their order."""

    address: str
    port: int
    uid: str
    manner: Callable[[Visit], None]
    visits: list[Visit] = field(default_factory=list)

    @contextlib.contextmanager
    def listening(self) -> Iterator["StandIn"]:
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        place = (self.address, self.port)
        with socket.create_server(place, family=family, backlog=512) as listener:
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
            yield self
            # Closing alone does not wake a thread that accepts.
            listener.shutdown(socket.SHUT_RDWR)
        for visit in self.visits:
            with contextlib.suppress(OSError):
                visit.sock.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                self.visits.append(Visit(sock, self.uid))
                threading.Thread(target=self._meet, args=(self.visits[-1],), daemon=True).start()

    def _meet(self, visit: Visit) -> None:
        # Whom it cannot believe, it leaves.
        with contextlib.suppress(OSError, ProxyError), visit.sock:
            visit.sock.settimeout(30)
            while not (length := proxy_header.header_length(visit.header)):
                visit.header += _some(visit.sock, 16 - len(visit.header))
            while len(visit.header) < length:
                visit.header += _some(visit.sock, length - len(visit.header))
            self.manner(visit)


def _some(sock: socket.socket, size: int) -> bytes:
    data = sock.recv(size)
    if not data:
        raise ConnectionError
    return data
