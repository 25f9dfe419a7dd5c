"""One client that is logged in: idle, waiting for a server connection, or holding one."""

from itertools import count

from sluice_proxy.errors import ClientProtocolError, ErrorFields, ProxyError, ServerLost
from sluice_proxy.pool.neighbours import NOT_WAITING, Server
from sluice_proxy.session import common
from sluice_proxy.session.backlog import NOTHING, is_one_request, rebased, without_request
from sluice_proxy.session.client_login import Login
from sluice_proxy.session.inspection import Findings
from sluice_proxy.session.lobby import Lobby
from sluice_proxy.session.neighbours import Client
from sluice_proxy.session.peer import Owner, Peer
from sluice_proxy.session.profile import Profile, Start
from sluice_proxy.session.requests import Requests
from sluice_proxy.session.server import ServerConnection
from sluice_proxy.session.settings import Settings
from sluice_proxy.session.states import GONE, GREETING, IDLE, LINKED, WAITING
from sluice_proxy.wire import constants as c
from sluice_proxy.wire import messages, plain
from sluice_proxy.wire.framing import FROM_CLIENT, Frame, Framer
from sluice_proxy.wire.sql import dotted_names

_CANCELED = ErrorFields("ERROR", "57014", "canceling statement due to user request")
_numbers = count(1)


class ClientSession(Client, Owner):
    """A client from AuthenticationOk on. Bytes come in by `on_bytes`, go out by `peer`.

    `pid` and `secret` are the cancel key that the client was given. `leaving`: it said goodbye,
    and hears what it asked for before. `bare`: nothing that it has sent bears on a plain request
    (see `common`), nor is there anything to be put away.
    """

    __slots__ = (
        "_backlog", "_blocked", "_lobby", "_login", "_since", "_start", "bare", "encrypted",
        "final", "framer", "key", "last_active", "number", "plain_queries", "plan", "requests",
        "secret", "server", "settings", "state",
    )  # fmt: skip

    def __init__(self, peer: Peer, login: Login, pid: int, secret: bytes, lobby: Lobby):
        self.peer = peer
        self.key = login.key
        self.encrypted = login.encrypted
        self.final = login.final
        self.pid = pid
        self.secret = secret
        self.number = next(_numbers)
        self.waits_since = NOT_WAITING
        self._login = login
        self._lobby = lobby
        self.framer = Framer(FROM_CLIENT, ClientProtocolError)
        self.requests = Requests()
        self._backlog = NOTHING
        self.plan = plain.NONE  # what the backlog is (see `common`)
        self.plain_queries = 0
        self._since = 0.0
        self._blocked = self.stalled = self.leaving = self.bare = False
        self.state = GREETING
        self.server: ServerConnection | None = None
        self.unnamed: bytes | None = None
        # The parameters as this client was last told of them; and those that it has set.
        self.told: dict[bytes, bytes] = {}
        self._start: Start
        self.settings: Settings
        self.last_active = lobby.now()

    @property
    def queries(self) -> int:
        return self.requests.queries + self.plain_queries

    @property
    def mid_message(self) -> bool:
        return self.framer.remain > 0 and not self.stalled

    @property
    def holds_long(self) -> bool:
        return self.requests.prepared.statements.holds_long

    def begin(self) -> None:
        """Greets the client, at once if it is known how a session like this begins."""
        profile = self._lobby.profile(self.key)
        if profile is not None:
            self._greet(profile)
            return
        self._since = self._lobby.now()
        self.peer.pause()
        server = self._lobby.acquire(self)
        if server is not None:
            self.grant(server)

    def _meet(self, server: ServerConnection) -> None:
        """The first connection with these startup parameters tells how sessions begin."""
        if not self.key.parameters:
            self._lobby.unused(server)
            self._greet(Profile(server.parameters, initial=server.login.settings))
            return
        self.server = server
        names = b" ".join(value for pair in self.key.parameters for value in pair)
        server.inspect_start(self, dotted_names(names))

    def on_started(self, found: Findings | None) -> None:
        server, self.server = self.server, None
        assert server is not None
        self._lobby.unused(server)
        if found is None:
            self._reject(ServerLost("the server does not tell the session's parameters"))
            return
        profile = Profile(
            server.parameters, found.settings, found.startup_only, server.login.settings
        )
        self._lobby.learn_profile(self.key, profile)
        self._greet(profile)

    def _greet(self, profile: Profile) -> None:
        self._start = self._lobby.start(profile, self._login)
        self.key = self._start.key
        self.settings = self._start.settings
        self.requests.start = self._start.lasting
        self.learn(self._start.parameters)
        self.state = IDLE
        self.peer.write(self.final + messages.greeting(self.told, self.pid, self.secret))
        self.final = b""
        data, frames = self._backlog
        self._backlog = NOTHING
        self.peer.resume()
        if frames:
            self._wake(data, frames)

    def learn(self, parameters: dict[bytes, bytes]) -> None:
        """These are the parameters that the client knows of now."""
        self.told = parameters
        self.requests.learn(parameters)

    def keep(self, found: Findings) -> None:
        """This is what the session has set, now that its transaction is over."""
        self.settings = self._start.kept(found)

    def clients_word(self, text: bytes) -> bytes:
        return self.requests.prepared.statements.clients_word(text)

    def on_wiped(self, tag: bytes) -> None:
        """The server dropped every prepared statement of the session's."""
        if tag != b"DISCARD SEQUENCES":
            self.requests.prepared.statements.clear()

    def on_bytes(self, data: bytes) -> None:
        """A read from the client: at most one write to the server comes of it."""
        self.last_active = self._lobby.now()
        framer = self.framer
        if (self.bare or framer.at_boundary) and common.take(self, data):
            return
        self.bare = False
        rest = framer.remain
        try:
            data, frames = framer.feed(data)
            if self.state == LINKED:
                self._forward(data, frames, rest)
            elif frames:
                self._wake(data, frames)
            if framer.failure is not None and self.state != LINKED:
                self._on_failure(framer.failure)
        except ClientProtocolError as error:
            self._reject(error)

    def _on_failure(self, error: ProxyError) -> None:
        """What follows on good messages is none: they are answered before that is said."""
        server = self.server
        if self._backlog[1]:
            return
        if server is None or not server.expected.owes_client:
            self._reject(error)
            return
        # The server says it in its own words, and ends the connection.
        server.peer.write(self.framer.refused)
        self.stalled = True
        self.peer.pause()

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
        server.plan = plain.NONE
        leaves = bool(frames) and frames[-1][0] == c.TERMINATE
        last = frames.pop() if leaves else None
        whole = data if last is None else data[: last[1]]
        out, entered = self.requests.enter(server, whole, frames, rest)
        if prefix or out:
            server.peer.write(prefix + out)
        if entered < len(frames):
            self._stall(data, frames[entered:] if last is None else [*frames[entered:], last])
        elif leaves:
            self._on_terminate(server)
        else:
            if rest and not self.framer.remain:
                # The rest of a message that the server had already answered, as in a failed COPY.
                server.reconsider()
            if self.framer.failure is not None:
                self._on_failure(self.framer.failure)

    def _on_terminate(self, server: ServerConnection) -> None:
        """What was asked before the goodbye is still done, and answered."""
        expected = server.expected
        if expected.unsynced or expected.copy_in:
            # Only the server knows what it says of that; it ends the connection.
            server.peer.write(messages.TERMINATE)
        elif not expected.owes_client:
            self.leave()
            return
        self.leaving = True
        self.peer.pause()

    def _stall(self, data: bytes, frames: list[Frame]) -> None:
        """What the next message means depends on an answer: it waits, and nothing is read."""
        self.stalled = True
        self._backlog = rebased(data, frames)
        self.peer.pause()

    def go_on(self) -> None:
        """Something was answered."""
        server = self.server
        data, frames = self._backlog
        self._backlog = NOTHING
        if server is None or not frames:
            return
        self.stalled = False
        try:
            self._forward(data, frames, 0)
        except ClientProtocolError as error:
            self._reject(error)
        if not (self.stalled or self.leaving or server.blocked):
            self.peer.resume()

    def _wake(self, data: bytes, frames: list[Frame]) -> None:
        """The first bytes of a new transaction, unless they ask nothing of a server."""
        if self.state != IDLE:
            # Sent ahead of the greeting, for which no more is read; or after the end.
            self._backlog = (data, frames)
            return
        noise, syncs = without_request(frames)
        for _ in range(syncs):
            self.peer.write(messages.ready_for_query())
        if noise < len(frames) and frames[noise][0] == c.TERMINATE:
            self.leave()
        elif noise < len(frames):
            self.borrow(*rebased(data, frames[noise:]))

    def borrow(self, data: bytes, frames: list[Frame]) -> None:
        """Asks for a connection; what is plain has no frames, and gets them only if it must."""
        self._backlog = (data, frames)
        self._since = self.last_active
        self.state = WAITING
        server = self._lobby.acquire(self)
        if server is not None:
            self.grant(server)
        elif self.state == WAITING:
            self.peer.pause()

    def grant(self, server: Server) -> None:
        """The server connection that was waited for."""
        if not isinstance(server, ServerConnection):
            raise TypeError(f"{server!r} is no server connection")
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
        if self.state == GREETING:
            self._meet(server)
        else:
            self._lobby.unused(server)

    def _link(self, server: ServerConnection) -> None:
        self.server = server
        self.state = LINKED
        self.peer.resume()
        if self._blocked:
            server.peer.pause()
        data, frames = self._backlog
        self._backlog = NOTHING
        if self.plan != plain.NONE and common.is_clean(server, self):
            common.link(self, server, data, self.plan)
            return
        self.bare = False
        if not frames:
            data, frames = self.framer.feed(data)
        prefix = server.link(self, self.number, self.settings)
        self._forward(data, frames, 0, prefix)

    def refuse(self, error: ProxyError) -> None:
        if self.state == GREETING:
            # As on the server: who it is was proved, and what it wants is refused after that.
            self.peer.write(self.final + messages.authentication(c.AUTH_OK))
            if error.said:
                self.peer.write(messages.message(b"E", error.said))
                self.leave()
                return
        self._reject(error)

    def on_released(self) -> None:
        if not self.bare:
            self.requests.prepared.rest()
            self.bare = self.framer.at_boundary and self.requests.are_bare
        self.server = None
        if self.state == GREETING:
            # Nothing was asked yet but how a session begins.
            self.begin()
            return
        self.state = IDLE
        self.last_active = self._lobby.now()
        if self.leaving:
            self.leave()
        else:
            self.peer.resume()

    def on_server_lost(self, told: bool) -> None:
        """The server connection died under this client; `told`: the server said so itself."""
        self.server = None
        if told or self.leaving or self.framer.failure is not None:
            self.end(None)
        else:
            self.end(ServerLost("the server closed the connection unexpectedly").fields())

    def on_refused(self, error: ErrorFields) -> None:
        """The session cannot go on with its connection, which is no longer its own."""
        self.server = None
        self.end(error)

    def cancel_wait(self) -> bool:
        """Cancels a single request that still waits for a server connection; False if it cannot."""
        data, frames = self._backlog
        if self.state != WAITING or (frames and not is_one_request(data, frames)):
            return False
        self._lobby.give_up(self)
        self._backlog = NOTHING
        self.state, self.bare = IDLE, False
        self.peer.write(messages.error_response(_CANCELED) + messages.ready_for_query())
        self.peer.resume()
        return True

    def on_hangup(self) -> None:
        """The client closed its side while nothing was read from it."""
        if self.state in (WAITING, GREETING):
            self.leave()

    def on_broken(self) -> None:
        self._doubt()
        self.leave()

    def on_closed(self) -> None:
        self.leave()

    def end(self, error: ErrorFields | None) -> None:
        """Tells the client why, and ends the connection."""
        if self.state == GONE:
            return
        if error is not None and not (self.server is not None and self.server.answers.mid_message):
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
        self._blocked = True
        if self.server is not None:
            self.server.peer.pause()

    def on_drained(self) -> None:
        self._blocked = False
        if self.server is not None:
            self.server.peer.resume()
