"""A hub on a stage: real sessions, with peers, dialler and clock that a test plays itself."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sluice_proxy.metrics import Counters
from sluice_proxy.pool.key import PoolKey
from sluice_proxy.session.client import ClientSession
from sluice_proxy.session.client_login import Login
from sluice_proxy.session.hub import Hub
from sluice_proxy.session.neighbours import LoggedIn
from sluice_proxy.session.peer import LoginPeer, Peer, UncompiledOwner
from sluice_proxy.session.server import ServerConnection
from sluice_proxy.wire.startup import CancelRequest
from sluice_testing.timed import Timed

KEY = PoolKey("app", "shop")
PARAMETERS = {
    b"server_version": b"18.1",
    b"client_encoding": b"UTF8",
    b"standard_conforming_strings": b"on",
    b"application_name": b"",
    b"TimeZone": b"UTC",
}


def msg(kind: str, body: bytes = b"") -> bytes:
    """A message, by the letter of its type."""
    return kind.encode() + struct.pack("!i", len(body) + 4) + body


def ready(status: str = "I") -> bytes:
    return msg("Z", status.encode())


def query(text: bytes) -> bytes:
    return msg("Q", text + b"\0")


def parse(text: bytes, name: bytes = b"") -> bytes:
    return msg("P", name + b"\0" + text + b"\0\0\0")


def bind(statement: bytes = b"", *values: bytes, portal: bytes = b"") -> bytes:
    parts = [portal + b"\0" + statement + b"\0", struct.pack("!hh", 0, len(values))]
    parts += [struct.pack("!i", len(value)) + value for value in values]
    return msg("B", b"".join(parts) + b"\0\0")


def execute(portal: bytes = b"") -> bytes:
    return msg("E", portal + b"\0" + bytes(4))


def describe(name: bytes = b"", what: bytes = b"S") -> bytes:
    return msg("D", what + name + b"\0")


def close(name: bytes = b"", what: bytes = b"S") -> bytes:
    return msg("C", what + name + b"\0")


def error(
    sqlstate: bytes = b"42601", severity: bytes = b"ERROR", message: bytes = b"no", place: int = 0
) -> bytes:
    position = b"P%d\0" % place if place else b""
    said = (severity, severity, sqlstate, message, position)
    return msg("E", b"S%b\0V%b\0C%b\0M%b\0%b\0" % said)


def data_row(*values: bytes | None) -> bytes:
    parts = [struct.pack("!h", len(values))]
    for value in values:
        parts.append(struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)))
        parts.append(value or b"")
    return msg("D", b"".join(parts))


def told(name: bytes, value: bytes) -> bytes:
    """A ParameterStatus."""
    return msg("S", name + b"\0" + value + b"\0")


def found(pins: int, *parameters: tuple[bytes, bytes], wiped: bool = False) -> bytes:
    """The answer to a question about the catalogs; each bit of `pins` is a row of its own.

    `wiped`: there is no prepared statement.
    """
    rows = [data_row(b"s", name, value) for name, value in parameters]
    rows += [data_row(b"%d" % (1 << bit), b"", b"") for bit in range(20) if pins >> bit & 1]
    rows += [data_row(b"w", b"", b"")] if wiped else []
    return msg("T", b"\0\3") + b"".join(rows) + msg("C", b"SELECT\0") + ready()


EXECUTE = execute()
SYNC = msg("S")
TERMINATE = msg("X")
CLOSE_UNNAMED = msg("C", b"S\0")
DONE = msg("C", b"SELECT 1\0")
ANSWER = msg("T", b"\0\0") + msg("D", b"\0\0") + DONE + ready()


def fields(data: bytes) -> dict[str, str]:
    """Of the last FATAL ErrorResponse in `data`, by field letter."""
    body = data[data.rindex(b"SFATAL\0") :].split(b"\0")
    return {part[:1].decode(): part[1:].decode() for part in body if part}


class FakePeer(Peer):
    """Keeps what is written until a test takes it."""

    def __init__(self, address: str = "client:1"):
        self.address = address
        self.received = 0
        self.written = bytearray()
        self.writes = 0
        self.paused = False
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed, "nothing is written after the end"
        self.written += data
        self.writes += 1

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def take(self) -> bytes:
        data = bytes(self.written)
        self.written.clear()
        self.writes = 0
        return data


class FakeLoginPeer(FakePeer, LoginPeer):
    """The same of a client that logs in; keeps what is asked of TLS."""

    def __init__(self) -> None:
        super().__init__()
        self.owner = UncompiledOwner()
        self.agreed: str | None = None
        self.contexts: list[object] = []
        self.handshaker: Any = None

    @property
    def alpn(self) -> str | None:
        return self.agreed

    def start_tls(self, context: object, handshaker: object) -> None:
        self.contexts.append(context)
        self.handshaker = handshaker


class FakeDialler:
    """Keeps what was asked; the test decides how it ends."""

    def __init__(self) -> None:
        self.attempts: list[tuple[PoolKey, float]] = []
        self.cancels: list[tuple[ServerConnection, Callable[[bool], None]]] = []

    def connect(self, key: PoolKey, delay: float) -> None:
        self.attempts.append((key, delay))

    def cancel(self, server: ServerConnection, done: Callable[[bool], None]) -> None:
        self.cancels.append((server, done))


class Stage(Timed):
    """One hub, its clients and its server connections, and the time."""

    def __init__(self, limit: int = 1) -> None:
        super().__init__()
        self.dialler = FakeDialler()
        self.hub = Hub(self.dialler, self.clock, Counters())
        self.hub.pools.set_limit(limit)

    def server(self, key: PoolKey = KEY, **parameters: bytes) -> "ServerSide":
        """A new server connection that is idle, or goes to whoever waits."""
        if (key, 0.0) in self.dialler.attempts:
            self.dialler.attempts.remove((key, 0.0))
        else:
            assert self.hub.pools.reserve(key)
        peer = FakePeer("server:5432")
        told = {name.encode(): value for name, value in parameters.items()}
        login = LoggedIn({**PARAMETERS, **told}, 77, b"key!", None, self.hub.generation)
        server = self.hub.connected(key, peer, login)
        self.hub.pools.connected(key, server)
        return ServerSide(self, server, peer)

    def newcomer(self, key: PoolKey = KEY, application_name: bytes | None = None) -> "ClientSide":
        """A client that has just logged in; whether it is greeted depends."""
        peer = FakePeer()
        client = self.hub.enter(peer, Login(key, application_name, b"", False))
        client.begin()
        return ClientSide(self, client, peer)

    def client(self, key: PoolKey = KEY, application_name: bytes | None = None) -> "ClientSide":
        """A client that has been greeted."""
        side = self.newcomer(key, application_name)
        assert side.peer.take().endswith(ready())
        return side

    def tick(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.hub.tick()


@dataclass
class ClientSide:
    """What a client does and sees."""

    stage: Stage
    session: ClientSession
    peer: FakePeer

    def sends(self, *data: bytes) -> None:
        assert not self.peer.paused, "nothing is read from a peer that is paused"
        assert not self.peer.closed
        self.session.on_bytes(b"".join(data))

    def sees(self) -> bytes:
        return self.peer.take()

    def hangs_up(self) -> None:
        self.session.on_closed()

    def cancels(self, secret: bytes | None = None) -> list[str]:
        """Whether the connection of the request was closed, as an entry: it may be later."""
        key = self.session.secret if secret is None else secret
        closed: list[str] = []
        request = CancelRequest(self.session.pid, key)
        self.stage.hub.cancel(request, lambda: closed.append("closed"))
        return closed


@dataclass
class ServerSide:
    """What a server does and sees."""

    stage: Stage
    connection: ServerConnection
    peer: FakePeer

    def sends(self, *data: bytes) -> None:
        assert not self.peer.paused, "nothing is read from a peer that is paused"
        self.connection.on_bytes(b"".join(data))

    def sees(self) -> bytes:
        return self.peer.take()

    def hangs_up(self) -> None:
        self.connection.on_closed()

    @property
    def idle(self) -> bool:
        return any(self.connection in pool.idle for pool in self.stage.hub.pools)
