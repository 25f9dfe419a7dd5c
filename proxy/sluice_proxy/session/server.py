"""One server connection: who holds it, what it owes, and how it gets clean again."""

from dataclasses import dataclass
from typing import Protocol

from sluice_proxy.errors import ServerProtocolError
from sluice_proxy.pool.key import FOLLOWED, PoolKey
from sluice_proxy.session.peer import Peer
from sluice_proxy.session.pinning import INDELIBLE, PinReason
from sluice_proxy.session.release import may_release
from sluice_proxy.wire import constants as c
from sluice_proxy.wire import messages
from sluice_proxy.wire.expected import QUERY, SKIP, ExpectedReplies
from sluice_proxy.wire.framing import FROM_SERVER, Frame, Framer

_ROLLBACK = messages.query(b"ROLLBACK")
_DISCARD_ALL = messages.query(b"DISCARD ALL")


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """What a server said at the end of a login. `secret` is None if it gave no cancel key.

    `origin` is where a cancel request must go: known to the transport alone.
    `generation` counts the changes of where and how the server is reached.
    """

    parameters: dict[bytes, bytes]
    pid: int
    secret: bytes | None
    origin: object = None
    generation: int = 0


class Client(Protocol):
    """What a server connection sees of the client that holds it."""

    peer: Peer
    unnamed: bytes | None

    @property
    def mid_message(self) -> bool:
        """The first part of a message was sent to the server, the rest is still to come."""

    def on_released(self) -> None: ...

    def on_server_lost(self, told: bool) -> None: ...


class Keeper(Protocol):
    """Whose the server connections are: told what becomes of each."""

    def freed(self, server: "ServerConnection") -> None: ...

    def unfit(self, server: "ServerConnection", reason: str) -> None: ...

    def lost(self, server: "ServerConnection") -> None: ...

    def closed(self, server: "ServerConnection") -> None: ...

    def pinned(self, server: "ServerConnection", reasons: PinReason) -> None: ...


class ServerConnection:
    """A logged-in server connection. Bytes come in by `on_bytes`, go out by `peer`.

    `parameters` are the ParameterStatus reports without application_name, which follows
    the client and is kept in `application_name`.
    """

    __slots__ = (
        "_base", "_blocked", "_discarding", "_framer", "_keeper", "_skip_rest", "_told_fatal",
        "_unsure", "application_name", "cancels", "client", "closing", "default_application_name",
        "expected", "idle_since", "key", "login", "orphaned_at", "parameters", "peer", "pins",
        "slot_foreign", "slot_ready", "status", "suspect",
    )  # fmt: skip

    def __init__(self, key: PoolKey, peer: Peer, login: LoggedIn, keeper: Keeper):
        self.key = key
        self.peer = peer
        self.login = login
        self._keeper = keeper
        self._framer = Framer(FROM_SERVER, ServerProtocolError)
        self.expected = ExpectedReplies()
        self.parameters = dict(login.parameters)
        self.application_name = self.parameters.pop(FOLLOWED, b"")
        self.default_application_name = self.application_name
        self._base = self.parameters
        self.status = c.IDLE
        self.pins = PinReason.NONE
        self.cancels = 0
        self.client: Client | None = None
        self.idle_since = 0.0
        # Whether the unnamed statement of this connection is the client's, or may be that
        # of the one before.
        self.slot_ready = False
        self.slot_foreign = True
        # Not for another client: a cancel request may still come to it.
        self.suspect = False
        self.orphaned_at: float | None = None
        self.closing = False
        self._discarding = False
        self._skip_rest = 0
        self._told_fatal = False
        self._blocked = False
        # The last ReadyForQuery came together with a part of another message.
        self._unsure = False

    @property
    def settled(self) -> bool:
        client = self.client
        return (
            self.expected.settled
            and self._framer.at_boundary
            and (client is None or not client.mid_message)
        )

    def share_parameters(self, known: dict[bytes, bytes]) -> None:
        """Uses `known` in place of an equal dict: sameness is then a matter of identity."""
        if self.parameters == known:
            self.parameters = self._base = known

    def link(self, client: Client) -> None:
        """`client` holds this connection from now on."""
        self.client = client
        self._base = self.parameters
        self.expected.unnamed = client.unnamed
        self.slot_ready = False
        self.slot_foreign = True
        if self._blocked:
            client.peer.pause()

    def pin(self, reasons: PinReason) -> None:
        """Keeps the connection with its client. Told once for each new reason."""
        new = reasons & ~self.pins
        if new:
            self.pins |= reasons
            self._keeper.pinned(self, new)

    def on_bytes(self, data: bytes) -> None:
        """A read from the server: at most one write to the client comes of it."""
        if self.closing:
            return
        rest = self._framer.remain
        try:
            data, frames = self._framer.feed(data)
        except ServerProtocolError as error:
            self._break(error.message)
            return
        out, ready = self._take(data, frames)
        client = self.client
        if client is not None:
            if out:
                client.peer.write(out)
        elif self.orphaned_at is None and self._is_unsolicited(data, frames, rest):
            self._break("the server sent something that nobody asked for")
            return
        else:
            # Nor is what is left of this message for whoever comes next.
            self._skip_rest = self._framer.remain
        if ready or self._unsure:
            self._unsure = not self._framer.at_boundary
            self._on_ready()

    def _take(self, data: bytes, frames: list[Frame]) -> tuple[bytes, bool]:
        """Settles what the frames answer; what is for the client, and whether one was ready."""
        kept: list[bytes] = []
        begin = 0
        if self._skip_rest:
            begin = min(self._skip_rest, len(data))
            self._skip_rest -= begin
        ready = False
        on_reply = self.expected.on_reply
        for frame in frames:
            kind, start, end = frame
            action = on_reply(kind)
            if kind == c.READY_FOR_QUERY:
                self.status = data[start + 5]
                ready = True
            elif kind == c.PARAMETER_STATUS:
                action = self._on_parameter(data[start + 5 : end], action)
            elif kind == c.ERROR_RESPONSE and b"\x00VFATAL\x00" in data[start:end]:
                self._told_fatal = True
            if action == SKIP:
                kept.append(data[begin:start])
                begin = min(end, len(data))
                self._skip_rest = end - begin
        if not begin:
            return data, ready
        kept.append(data[begin:])
        return b"".join(kept), ready

    def _on_parameter(self, body: bytes, action: int) -> int:
        name, value = messages.parse_parameter_status(body)
        if name == FOLLOWED:
            self.application_name = value
            return action
        changed = {**self.parameters, name: value}
        self.parameters = self._base if changed == self._base else changed
        # Even amid an answer that is skipped: it is news of the server's own.
        return 0

    def _is_unsolicited(self, data: bytes, frames: list[Frame], rest: int) -> bool:
        """Whether there is anything but news; the first `rest` bytes end what was news."""
        size = len(data)
        news = min(rest, size)
        for kind, start, end in frames:
            if kind in (c.PARAMETER_STATUS, c.NOTICE_RESPONSE):
                news += min(end, size) - start
        return news != size

    def _on_ready(self) -> None:
        if self.parameters is not self._base and self.status == c.IDLE and self.settled:
            self._on_changed_parameters()
        if self.client is None:
            self.clean_up()
        elif may_release(self):
            self.unlink()

    def _on_changed_parameters(self) -> None:
        if self._discarding:
            self._base = self.parameters
        else:
            # Set by a function, where no text could show it.
            self.pin(PinReason.SESSION_SETTING)

    def unlink(self) -> None:
        """The client lets go; the connection is clean and goes to the next."""
        client = self.client
        assert client is not None
        client.unnamed = self.expected.unnamed
        self.client = None
        self.peer.resume()
        client.on_released()
        self._keeper.freed(self)

    def reconsider(self) -> None:
        """Something other than a reply changed, such as the end of a cancel request."""
        if self.client is None:
            if self.orphaned_at is not None:
                self.clean_up()
        elif may_release(self):
            self.unlink()

    def orphan(self, now: float, cut: bool) -> None:
        """The client left. `cut`: in the middle of a message, which nobody can complete."""
        self.client = None
        self.orphaned_at = now
        self.peer.resume()
        if cut or self.expected.copy_in:
            self._give_up("the client left in the middle of a message")
        else:
            self.clean_up()

    def clean_up(self) -> None:
        """One step towards a connection that is provably clean, or its end."""
        if self.pins & INDELIBLE or self.expected.doubt:
            self._give_up("its state cannot be undone")
        elif self.cancels:
            return
        elif self.expected.unsynced:
            # A Sync would commit what the client never finished: the server undoes it.
            self._give_up("the client left in the middle of a pipeline")
        elif not self.settled:
            # What the client asked for runs on, as it would on the server, until the
            # keeper loses patience.
            return
        elif self.status != c.IDLE:
            self._run(_ROLLBACK)
        elif self.pins and not self._discarding:
            self._discarding = True
            self._run(_DISCARD_ALL)
        else:
            self._discarding = False
            self.pins = PinReason.NONE
            self.orphaned_at = None
            self._keeper.freed(self)

    def _run(self, query: bytes) -> None:
        self.expected.push(QUERY | SKIP)
        self.peer.write(query)

    def _give_up(self, reason: str) -> None:
        self._keeper.unfit(self, reason)

    def _break(self, reason: str) -> None:
        client = self.client
        self.client = None
        self._keeper.unfit(self, reason)
        if client is not None:
            client.on_server_lost(told=False)

    def close(self, reason: str) -> None:
        """Says goodbye and waits for the server to hang up; `closed` follows then."""
        self.closing = True
        self.peer.resume()
        self.peer.write(messages.TERMINATE)
        self.peer.close()

    def on_broken(self) -> None:
        """What came from the server could not be dealt with."""
        if not self.closing:
            self._break("internal error")

    def on_closed(self) -> None:
        """The socket is gone."""
        if self.closing:
            self._keeper.closed(self)
            return
        # Whatever is still under way, such as a cancel request, has nothing to clean up.
        self.closing = True
        client = self.client
        self.client = None
        self._keeper.lost(self)
        if client is not None:
            client.on_server_lost(told=self._told_fatal)

    def on_hangup(self) -> None:
        """The server closed its side; the rest is read when the client has room for it."""

    def on_blocked(self) -> None:
        """The server takes no more for now."""
        self._blocked = True
        if self.client is not None:
            self.client.peer.pause()

    def on_drained(self) -> None:
        self._blocked = False
        if self.client is not None:
            self.client.peer.resume()
