"""A stage whose servers are miniature PostgreSQLs: clients speak, everybody else plays along."""

from collections.abc import Iterator

from sluice_proxy.pool.key import PoolKey
from sluice_proxy.session.states import IDLE
from sluice_testing.backend import Backend
from sluice_testing.backend_session import REPORTED
from sluice_testing.stage import KEY, ClientSide, ServerSide, Stage, query


def messages_in(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The whole messages of a stream, each with its type."""
    at = 0
    while at + 5 <= len(data):
        end = at + 1 + int.from_bytes(data[at + 1 : at + 5], "big")
        if end > len(data):
            return
        yield chr(data[at]), data[at + 5 : end]
        at = end


class Theatre:
    """Two servers; `size` is how many bytes a read of theirs has at most."""

    def __init__(self, size: int = 1 << 20) -> None:
        self.stage = Stage(limit=2)
        self.size = size
        self.sent = b""  # all that servers were sent
        self.servers: list[tuple[ServerSide, Backend]] = []
        self.open(KEY)
        self.blockers = [self.stage.client(), self.stage.client()]
        self.blockers[0].sends(query(b"BEGIN"))
        self.open(KEY)
        self.play()
        self.blockers[0].sends(query(b"COMMIT"))
        self.play()

    def open(self, key: PoolKey) -> None:
        start = dict(key.parameters)
        parameters = {name.decode(): value for name, value in start.items()}
        self.servers.append((self.stage.server(key, **parameters), Backend(start)))

    def play(self) -> None:
        """Until nobody has anything to say."""
        busy = True
        while busy:
            busy = False
            for side, backend in self.servers:
                asked = side.sees()
                self.sent += asked
                backend.take(asked)
                while backend.out and not side.peer.closed:
                    data = bytes(backend.out[: self.size])
                    del backend.out[: self.size]
                    side.sends(data)
                    busy = True
            busy |= any(side.peer.written for side, _ in self.servers)

    def hear(self, client: ClientSide, *data: bytes) -> bytes:
        """What the client hears when it has said that."""
        client.sends(*data)
        self.play()
        return client.sees()

    def holds(self, client: ClientSide) -> Backend | None:
        """The server that the client holds."""
        for side, backend in self.servers:
            if side.connection is client.session.server:
                return backend
        return None

    def use_only(self, number: int) -> None:
        """Whoever borrows from now on gets this server, if it is free."""
        for blocker in self.blockers:
            if blocker.session.state != IDLE:
                self.hear(blocker, query(b"COMMIT"))
        wanted = self.servers[number][1]
        if not all(side.idle for side, _ in self.servers[:2]):
            return
        for blocker in self.blockers:
            self.hear(blocker, query(b"BEGIN"))
        for blocker in self.blockers:
            if self.holds(blocker) is wanted:
                self.hear(blocker, query(b"COMMIT"))


def direct(start: dict[bytes, bytes], steps: list[bytes]) -> list[object]:
    """What a server of one's own answers to each step, parameters aside."""
    backend = Backend(start)
    heard: list[object] = []
    for step in steps:
        backend.take(step)
        heard.append(said(bytes(backend.out)))
        heard.append({name: backend.told[name] for name in REPORTED})
        backend.out.clear()
    return heard


def said(data: bytes) -> list[tuple[str, bytes]]:
    return [message for message in messages_in(data) if message[0] != "S"]


def reports(data: bytes) -> dict[bytes, bytes]:
    """What the ParameterStatus messages tell."""
    told = (body.split(b"\0")[:2] for kind, body in messages_in(data) if kind == "S")
    return {name: value for name, value in told}
