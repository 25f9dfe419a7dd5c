"""The ports of all proxies: accepts at once, and hears who really is a client."""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from sluice_activator import decide
from sluice_activator.first_bytes import FirstBytes, judge
from sluice_activator.metrics import Metrics
from sluice_activator.slices import Key
from sluice_activator.sockets import EXHAUSTED, bind, close, plain, tune
from sluice_activator.trial import Client

log = logging.getLogger(__name__)

# Connections accepted per turn of the event loop.
_BATCH: Final = 64
# Seconds without accepting when the process has no descriptors left.
_REST: Final = 0.2
# Seconds until a port that could not be had is tried again.
_BIND_AGAIN: Final = 1.0


@dataclass(frozen=True, slots=True)
class Visitors:
    """Who takes those that come: real clients, and CancelRequests. `full` if nobody may come."""

    on_client: Callable[[Key, Client], None]
    on_cancel: Callable[[Key, Client], None]
    full: Callable[[], bool]


@dataclass(slots=True)
class _Port:
    proxy: Key
    sock: socket.socket


@dataclass(frozen=True, slots=True)
class _Knock:
    """At whose port somebody has not said who they are, and until when they may."""

    proxy: Key
    late: asyncio.TimerHandle


class Doors:
    """One listening socket for each proxy's port. `failed` says which could not be had, and why.

    `came_at` is when the last real client came, by the event loop's clock.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, host: str, visitors: Visitors, metrics: Metrics
    ):
        self._loop = loop
        self._host = host
        self._visitors = visitors
        self._metrics = metrics
        self._ports: dict[int, _Port] = {}
        self._wanted: Mapping[int, Key] = {}
        self._knocking: dict[Client, _Knock] = {}
        self._knocks: Counter[Key] = Counter()
        self._again: asyncio.TimerHandle | None = None
        self.failed: dict[int, str] = {}
        self.came_at = loop.time()

    @property
    def knocking(self) -> int:
        """Connections that have not said who they are."""
        return len(self._knocking)

    @property
    def open(self) -> Collection[int]:
        """The ports that are listened on."""
        return self._ports.keys()

    @property
    def closed(self) -> str:
        """Why too few of the wanted ports could be had, or an empty string."""
        if not decide.too_few_ports(len(self.failed), len(self._wanted)):
            return ""
        port, problem = next(iter(self.failed.items()))
        return f"cannot listen on {len(self.failed)} ports: {port}: {problem}"

    def want(self, wanted: Mapping[int, Key]) -> None:
        """Listens on these ports, each for its proxy, and on no others."""
        self._wanted = wanted
        for port, open_port in list(self._ports.items()):
            # A port that goes over to another proxy is closed in between: who waits to be
            # accepted came for the old one.
            if wanted.get(port) != open_port.proxy:
                close(self._loop, self._ports.pop(port).sock)
        for port in [port for port in self.failed if port not in wanted]:
            del self.failed[port]
        for port, proxy in wanted.items():
            if port not in self._ports:
                self._open(port, proxy)

    def _open(self, port: int, proxy: Key) -> None:
        try:
            sock = bind(self._host, port)
        except OSError as error:
            if port not in self.failed:
                details = {"proxy": "/".join(proxy), "port": port, "error": str(error)}
                log.error("cannot listen", extra=details)
            self.failed[port] = str(error)
            if self._again is None:
                self._again = self._loop.call_later(_BIND_AGAIN, self._try_again)
            return
        self.failed.pop(port, None)
        self._ports[port] = _Port(proxy, sock)
        self._loop.add_reader(sock.fileno(), self._accept, port)

    def _try_again(self) -> None:
        self._again = None
        self.want(self._wanted)

    # Connections

    def _accept(self, port: int) -> None:
        door = self._ports[port]
        for _ in range(_BATCH):
            try:
                sock, address = door.sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in EXHAUSTED:
                    self._rest(port, error)
                    return
                continue
            try:
                tune(sock)
            except OSError:
                sock.close()
                continue
            self._on_connection(door.proxy, sock, (plain(address[0]), address[1]))

    def _rest(self, port: int, error: OSError) -> None:
        log.error("cannot accept clients for now", extra={"port": port, "error": str(error)})
        self._loop.remove_reader(self._ports[port].sock.fileno())
        self._loop.call_later(_REST, self._resume, self._ports[port])

    def _resume(self, door: _Port) -> None:
        if door.sock.fileno() >= 0:
            self._loop.add_reader(door.sock.fileno(), self._accept, door.sock.getsockname()[1])

    def _on_connection(self, proxy: Key, sock: socket.socket, address: tuple[str, int]) -> None:
        if self._visitors.full() or self._knocks[proxy] >= decide.HELD_MAX:
            log.warning("full: a connection is refused", extra={"proxy": "/".join(proxy)})
            self._metrics.refused.labels("full").inc()
            sock.close()
            return
        client = Client(sock, address, self._loop.time())
        late = self._loop.call_later(decide.FIRST_BYTES_WITHIN, self._refuse, client, "incomplete")
        self._knocking[client] = _Knock(proxy, late)
        self._knocks[proxy] += 1
        self._loop.add_reader(sock.fileno(), partial(self._hear, proxy, client))

    def _hear(self, proxy: Key, client: Client) -> None:
        if client.take() is None:
            # A health check, a scan, or somebody who lost patience.
            self._let_go(client)
            close(self._loop, client.sock)
            return
        heard = judge(client.kept)
        if heard is FirstBytes.NOISE:
            self._refuse(client, "noise")
        elif heard is not FirstBytes.INCOMPLETE:
            self._let_go(client)
            client.startup = heard is FirstBytes.STARTUP
            if heard.real:
                self.came_at = self._loop.time()
                self._visitors.on_client(proxy, client)
            else:
                self._visitors.on_cancel(proxy, client)

    def _let_go(self, client: Client) -> None:
        knock = self._knocking.pop(client)
        knock.late.cancel()
        self._knocks[knock.proxy] -= 1
        if not self._knocks[knock.proxy]:
            del self._knocks[knock.proxy]
        self._loop.remove_reader(client.sock.fileno())

    def _refuse(self, client: Client, reason: str) -> None:
        self._let_go(client)
        self._metrics.refused.labels(reason).inc()
        close(self._loop, client.sock)

    def close(self) -> None:
        if self._again is not None:
            self._again.cancel()
        self.want({})
        for client in list(self._knocking):
            self._refuse(client, "shutdown")
