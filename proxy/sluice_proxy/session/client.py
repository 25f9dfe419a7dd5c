"""One client that is logged in: idle, waiting for a server connection, or holding one."""

from typing import Final, Protocol

from sluice_proxy.errors import (
    ClientProtocolError,
    ErrorFields,
    InvariantError,
    ProxyError,
    ServerLost,
)
from sluice_proxy.pool import pool
from sluice_proxy.pool.key import PoolKey
from sluice_proxy.session.client_login import Login
from sluice_proxy.session.peer import Peer
from sluice_proxy.session.pinning import lexable
from sluice_proxy.session.requests import Requests
from sluice_proxy.session.server import ServerConnection
from sluice_proxy.wire import constants as c
from sluice_proxy.wire import messages
from sluice_proxy.wire.expected import QUERY, SKIP
from sluice_proxy.wire.framing import FROM_CLIENT, Frame, Framer

GREETING: Final = 0  # logged in, but no server has told its parameters yet
IDLE: Final = 1
WAITING: Final = 2
LINKED: Final = 3
GONE: Final = 4

# Without a transaction these ask nothing of a server: a Flush, the end of a COPY that
# failed. "The server ignores them", and so does the proxy.
_IDLE_NOISE = frozenset((c.FLUSH, c.COPY_DONE, c.COPY_FAIL))
_ENDED_BY_READY = frozenset((c.QUERY, c.SYNC, c.FUNCTION_CALL))
_CANCELED = ErrorFields("ERROR", "57014", "canceling statement due to user request")


class Lobby(Protocol):
    """What a client asks of the proxy as a whole."""

    def now(self) -> float: ...

    def acquire(self, client: "ClientSession") -> ServerConnection | None: ...

    def give_up(self, client: "ClientSession") -> None: ...

    def orphan(self, server: ServerConnection, cut: bool) -> None: ...

    def welcome(self, key: PoolKey) -> dict[bytes, bytes] | None: ...

    def borrowed(self, waited: float) -> None: ...

    def unused(self, server: ServerConnection) -> None: ...

    def gone(self, client: "ClientSession") -> None: ...


class ClientSession:
    """A client from AuthenticationOk on. Bytes come in by `on_bytes`, go out by `peer`.

    `pid` and `secret` are the cancel key that the client was given.
    """

    __slots__ = (
        "_backlog", "_blocked", "_framer", "_lobby", "_requests", "_since", "application_name",
        "encrypted", "final", "key", "last_active", "peer", "pid", "secret", "server", "state",
        "told", "unnamed",
    )  # fmt: skip

    def __init__(self, peer: Peer, login: Login, pid: int, secret: bytes, lobby: Lobby):
        self.peer = peer
        self.key = login.key
        self.application_name = login.application_name
        self.encrypted = login.encrypted
        self.final = login.final
        self.pid = pid
        self.secret = secret
        self._lobby = lobby
        self._framer = Framer(FROM_CLIENT, ClientProtocolError)
        self._requests = Requests()
        self._backlog: tuple[bytes, list[Frame]] = (b"", [])
        self._since = 0.0
        self._blocked = False
        self.state = GREETING
        self.server: ServerConnection | None = None
        self.unnamed: bytes | None = None
        # The parameters as this client was last told of them.
        self.told: dict[bytes, bytes] = {}
        self.last_active = lobby.now()

    @property
    def queries(self) -> int:
        return self._requests.queries

    @property
    def mid_message(self) -> bool:
        return self._framer.remain > 0

    def begin(self) -> None:
        """Greets the client, at once if any server connection of its pool ever told how."""
        known = self._lobby.welcome(self.key)
        if known is not None:
            self._greet(known)
            return
        self._since = self._lobby.now()
        self.peer.pause()
        server = self._lobby.acquire(self)
        if server is not None:
            self.grant(server)

    def _greet(self, parameters: dict[bytes, bytes]) -> None:
        self._learn(parameters)
        self.state = IDLE
        self.peer.write(
            self.final
            + messages.authentication(c.AUTH_OK)
            + messages.parameter_statuses(parameters)
            + messages.parameter_status(b"application_name", self.application_name or b"")
            + messages.backend_key_data(self.pid, self.secret)
            + messages.ready_for_query()
        )
        self.final = b""
        self.peer.resume()

    def _learn(self, parameters: dict[bytes, bytes]) -> None:
        self.told = parameters
        self._requests.lexable = lexable(
            parameters.get(b"client_encoding", b""),
            parameters.get(b"standard_conforming_strings", b""),
        )

    def on_bytes(self, data: bytes) -> None:
        """A read from the client: at most one write to the server comes of it."""
        self.last_active = self._lobby.now()
        framer = self._framer
        rest = framer.remain
        try:
            data, frames = framer.feed(data)
            if self.state == LINKED:
                self._forward(data, frames, rest)
            elif frames:
                self._wake(data, frames)
        except ClientProtocolError as error:
            self._reject(error)

    def _reject(self, error: ProxyError) -> None:
        """Ends the connection for what the client sent."""
        self._doubt()
        self.end(error.fields())

    def _doubt(self) -> None:
        # Requests may have been entered that were never sent.
        if self.server is not None:
            self.server.expected.doubt = True

    def _forward(self, data: bytes, frames: list[Frame], rest: int, prefix: bytes = b"") -> None:
        server = self.server
        assert server is not None
        leaves = bool(frames) and frames[-1][0] == c.TERMINATE
        if leaves:
            data = data[: frames.pop()[1]]
        out = prefix + self._requests.enter(server, data, frames, rest)
        if out:
            server.peer.write(out)
        if leaves:
            self.leave()
        elif rest and not self._framer.remain:
            # The rest of a message that the server had already answered, as in a failed COPY.
            server.reconsider()

    def _wake(self, data: bytes, frames: list[Frame]) -> None:
        """The first bytes of a new transaction, unless they ask nothing of a server."""
        if self.state != IDLE:
            # Sent ahead of the greeting, for which no more is read; or after the end.
            self._backlog = (data, frames)
            return
        at = 0
        while at < len(frames):
            kind = frames[at][0]
            if kind == c.SYNC:
                self.peer.write(messages.ready_for_query())
            elif kind == c.TERMINATE:
                self.leave()
                return
            elif kind not in _IDLE_NOISE:
                break
            at += 1
        else:
            return
        start = frames[at][1]
        if start:
            data = data[start:]
            frames = [(kind, first - start, end - start) for kind, first, end in frames[at:]]
        self._borrow(data, frames)

    def _borrow(self, data: bytes, frames: list[Frame]) -> None:
        self._backlog = (data, frames)
        self._since = self.last_active
        self.state = WAITING
        server = self._lobby.acquire(self)
        if server is not None:
            self.grant(server)
        elif self.state == WAITING:
            self.peer.pause()

    def grant(self, server: pool.Server) -> None:
        """The server connection that was waited for."""
        if not isinstance(server, ServerConnection):
            raise InvariantError(f"{server!r} is no server connection")
        self._lobby.borrowed(self._lobby.now() - self._since)
        try:
            if self.state == WAITING:
                self._link(server)
            else:
                self._decline(server)
        except ClientProtocolError as error:
            self._reject(error)

    def _decline(self, server: ServerConnection) -> None:
        """All that was wanted is a greeting, or the client is gone in the meantime."""
        ahead, self._backlog = self._backlog, (b"", [])
        if self.state == GREETING:
            self._greet(server.parameters)
        self._lobby.unused(server)
        if ahead[1]:
            self._wake(*ahead)

    def _link(self, server: ServerConnection) -> None:
        self.server = server
        self.state = LINKED
        self.peer.resume()
        server.link(self)
        if self._blocked:
            server.peer.pause()
        if server.parameters is not self.told:
            self._tell_changes(server.parameters)
        prefix = self._follow(server)
        data, frames = self._backlog
        self._backlog = (b"", [])
        self._forward(data, frames, 0, prefix)

    def _tell_changes(self, now: dict[bytes, bytes]) -> None:
        """The server's parameters changed while this client held no connection."""
        changed = {name: value for name, value in now.items() if self.told.get(name) != value}
        self._learn(now)
        if changed:
            self.peer.write(messages.parameter_statuses(changed))

    def _follow(self, server: ServerConnection) -> bytes:
        """Sets application_name to this client's; sent together with its first message."""
        wanted = self.application_name
        if wanted is None:
            wanted = server.default_application_name
        if wanted == server.application_name:
            return b""
        server.application_name = wanted
        server.expected.push(QUERY | SKIP)
        return messages.set_application_name(wanted)

    def refuse(self, error: ProxyError) -> None:
        """No server connection will come."""
        self._reject(error)

    def on_released(self) -> None:
        self.server = None
        self.state = IDLE
        self.last_active = self._lobby.now()
        self.peer.resume()

    def on_server_lost(self, told: bool) -> None:
        """The server connection died under this client; `told`: the server said so itself."""
        self.server = None
        if told:
            self.end(None)
        else:
            self.end(ServerLost("the server closed the connection unexpectedly").fields())

    def cancel_wait(self) -> bool:
        """Cancels a request that still waits for a server connection; False if that cannot be.

        Only a single request can be answered for: one Query, or one pipeline up to its Sync.
        """
        data, frames = self._backlog
        ends = [kind for kind, _, _ in frames if kind in _ENDED_BY_READY]
        if self.state != WAITING or len(ends) != 1 or frames[-1][0] not in _ENDED_BY_READY:
            return False
        if frames[-1][2] > len(data):
            return False
        self._lobby.give_up(self)
        self._backlog = (b"", [])
        self.state = IDLE
        self.peer.write(messages.error_response(_CANCELED) + messages.ready_for_query())
        self.peer.resume()
        return True

    def on_hangup(self) -> None:
        """The client closed its side while nothing was read from it."""
        if self.state in (WAITING, GREETING):
            self.leave()

    def on_broken(self) -> None:
        """What came from the client could not be dealt with."""
        self._doubt()
        self.leave()

    def on_closed(self) -> None:
        """The socket is gone."""
        self.leave()

    def end(self, error: ErrorFields | None) -> None:
        """Tells the client why, and ends the connection."""
        if self.state == GONE:
            return
        if error is not None:
            self.peer.write(messages.error_response(error))
        self.leave()

    def leave(self) -> None:
        """Lets go of everything; the connection ends when all was sent."""
        if self.state == GONE:
            return
        state, self.state = self.state, GONE
        server, self.server = self.server, None
        if state in (WAITING, GREETING):
            self._lobby.give_up(self)
        if server is not None:
            self._lobby.orphan(server, cut=self.mid_message)
        self._lobby.gone(self)
        self.peer.close()

    def on_blocked(self) -> None:
        """The client takes no more for now."""
        self._blocked = True
        if self.server is not None:
            self.server.peer.pause()

    def on_drained(self) -> None:
        self._blocked = False
        if self.server is not None:
            self.server.peer.resume()
