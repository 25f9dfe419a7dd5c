"""One server connection: who holds it, what it owes, and how it gets clean again."""

from collections.abc import Callable, Mapping
from typing import Final

from sluice_proxy.errors import ErrorFields, ServerProtocolError
from sluice_proxy.pool.key import PoolKey
from sluice_proxy.session.asking import Inspection, Replay, Restore, StartInspection
from sluice_proxy.session.cleaning import Step, next_step
from sluice_proxy.session.inspection import Findings, Question
from sluice_proxy.session.neighbours import Client, Keeper, LoggedIn
from sluice_proxy.session.peer import Peer
from sluice_proxy.session.pinning import PinReason
from sluice_proxy.session.release import may_release
from sluice_proxy.session.scripts import Executing
from sluice_proxy.session.settings import Settings, changes, replay
from sluice_proxy.session.state import SessionState
from sluice_proxy.session.statements import PREFIX
from sluice_proxy.wire import constants as c
from sluice_proxy.wire import messages
from sluice_proxy.wire.expected import CLOSE, QUERY, SKIP, TOO_LONG, ExpectedReplies, Note
from sluice_proxy.wire.framing import FROM_SERVER, FROM_SERVER_ROWS, Frame, Framer, is_unsolicited

_ROLLBACK = messages.query(b"ROLLBACK")
_DISCARD_ALL = messages.query(b"DISCARD ALL")
_LOOKED_INTO: Final = frozenset(
    (c.DATA_ROW, c.PARAMETER_STATUS, c.COMMAND_COMPLETE, c.ERROR_RESPONSE, c.NOTIFICATION)
)
_WIPING: Final = frozenset((b"DISCARD ALL", b"DEALLOCATE ALL", b"DISCARD SEQUENCES"))
_READ_ONLY: Final = b"\x00C25006\x00"
_NO_NAMES: Final[dict[bytes, bytes]] = {}
_STALE_PLAN: Final = b"cached plan must not change result type"
# The server reports these of its own accord, whatever a client did.
_SERVERS_OWN: Final = frozenset((b"in_hot_standby", b"is_superuser", b"session_authorization"))


class ServerConnection:
    """A logged-in server connection. Bytes come in by `on_bytes`, go out by `peer`.

    `parameters` are the ParameterStatus reports.
    """

    __slots__ = (
        "_blocked", "_discarding", "_framer", "_keeper", "_masked", "_news", "_reading_rows",
        "_refused", "_skip_rest", "_started", "_told_fatal", "_unsure", "cancels", "client", "closing",
        "delayed", "expected", "foreign", "idle_since", "key", "last_client", "last_pid", "login",
        "orphaned_at", "parameters", "peer", "session", "slot_foreign", "slot_ready", "status",
        "suspect",
    )  # fmt: skip

    def __init__(self, key: PoolKey, peer: Peer, login: LoggedIn, keeper: Keeper):
        self.key = key
        self.peer = peer
        self.login = login
        self._keeper = keeper
        self._framer = Framer(FROM_SERVER, ServerProtocolError)
        self.expected = ExpectedReplies()
        self.session = SessionState()
        self.session.settings = login.settings
        self.parameters = dict(login.parameters)
        self.status = c.IDLE
        self.cancels = 0
        # Cancel requests that wait until the server is at the client's own request: what is
        # to be done when they are through.
        self.delayed: list[Callable[[], None]] = []
        self.client: Client | None = None
        # The number of the client that held it last; whether that is another than the present.
        self.last_client = 0
        # The process id that this client was given.
        self.last_pid = 0
        self.foreign = True
        self.idle_since = 0.0
        # Whether the unnamed statement of this connection is the client's, or may be that
        # of the one before.
        self.slot_ready = False
        self.slot_foreign = True
        # Not for another client: a cancel request may still come to it.
        self.suspect = False
        self.orphaned_at: float | None = None
        self.closing = False
        self._refused = b""
        # What was found out for a client that waits for its greeting.
        self._started: tuple[Findings | None] | None = None
        self._discarding = False
        # Reports of these parameters are kept from the client for a moment.
        self._masked: Mapping[bytes, bytes] = _NO_NAMES
        self._reading_rows = 0
        # What the client is told before the message that is looked at.
        self._news = b""
        self._skip_rest = 0
        self._told_fatal = False
        self._blocked = False
        # The last ReadyForQuery came together with a part of another message.
        self._unsure = False

    @property
    def blocked(self) -> bool:
        """The server takes no more for now."""
        return self._blocked

    @property
    def mid_message(self) -> bool:
        """The client has the first part of a message; anything else would read as its rest."""
        return self._framer.remain > self._skip_rest

    @property
    def pins(self) -> PinReason:
        return self.session.pins

    @property
    def settled(self) -> bool:
        client = self.client
        return (
            self.expected.settled
            and self._framer.at_boundary
            and (client is None or not (client.mid_message or client.stalled))
        )

    # The client's session

    def link(self, client: Client, number: int, wanted: Settings) -> bytes:
        """`client` holds this connection from now on; what to send before its first message."""
        self.client = client
        self.expected.unnamed = client.unnamed
        self.expected.answered = self.expected.sent
        self.slot_ready = False
        self.slot_foreign = True
        self.session.try_again()
        if self._blocked:
            client.peer.pause()
        ahead = [messages.close_statement(name) for name in self.session.to_close()]
        for _ in ahead:
            self.expected.push(CLOSE | SKIP)
        self.foreign = self.last_client != number
        self.last_client = number
        self.last_pid = client.pid
        if self.foreign and self._keeper.asks_sequences(self.key):
            self.foreign = False
            ahead.append(messages.DISCARD_SEQUENCES)
            self.expected.push(QUERY | SKIP)
        if wanted is not self.session.settings:
            ahead += self._follow(wanted)
        elif self.parameters is not client.told and (news := self._changes_untold()):
            client.peer.write(news)
        return b"".join(ahead)

    def _follow(self, wanted: Settings) -> list[bytes]:
        queries = replay(changes(self.session.settings, wanted))
        for _ in queries:
            self._ask(Replay(self))
        self.session.settings = wanted
        return queries

    def _ask(self, note: Note, give: int = 0) -> None:
        """A Query of the proxy's own is sent, whose rows are for `note`."""
        self._reading_rows += 1
        self._framer.use(FROM_SERVER_ROWS)
        # "a simple Query message also destroys the unnamed statement".
        self.slot_ready = False
        self.slot_foreign = True
        self.expected.push_noted(QUERY | SKIP | give, note)

    def mask(self, names: Settings) -> None:
        """The client is about to reset some of these, which will be set again."""
        self._masked = names.values

    def unmask(self) -> None:
        self._masked = _NO_NAMES

    def ask_restore(self, give: int) -> None:
        """That is on its way. `give`: the client gets its ReadyForQuery instead of its own."""
        self._ask(Restore(self), give)

    def on_sequences(self) -> None:
        """The client asks for what its session took of a sequence."""
        self._keeper.on_sequences(self)
        self.pin(PinReason.SEQUENCE)

    def vacate(self, databases: tuple[bytes, ...]) -> None:
        """The client wants these databases for itself."""
        self._keeper.vacate(databases)

    def heard(self) -> None:
        """Such a Query is answered."""
        self._reading_rows -= 1
        if not self._reading_rows:
            self._framer.use(FROM_SERVER)
            self._news = self._changes_untold()

    def _changes_untold(self) -> bytes:
        """Reports of parameters that changed without the client's doing."""
        client = self.client
        if client is None or client.told is self.parameters:
            return b""
        told, now = client.told, self.parameters
        changed = {name: value for name, value in now.items() if told.get(name) != value}
        if changed:
            client.learn(now)
        else:
            self.parameters = told
        return messages.parameter_statuses(changed)

    def pin(self, reasons: PinReason) -> None:
        """Keeps the connection with its client. Told once for each new reason."""
        new = self.session.pin(reasons & ~self._keeper.excused())
        if new:
            self._keeper.pinned(self, new)

    def inspect_start(self, client: Client, names: tuple[bytes, ...]) -> None:
        """Asks with what this connection was started; `client.on_started` follows."""
        self.client = client
        client.told = self.parameters
        question = Question(True, False, names, source=b"client")
        self._ask(StartInspection(self, question))
        self.peer.write(question.query())

    def on_start_inspected(self, found: Findings | None) -> None:
        self._started = (found,)

    def on_inspected(self, question: Question, found: Findings | None) -> None:
        if found is None:
            self.session.fail(question)
            if question.settings:
                self.pin(PinReason.SESSION_SETTING)
            return
        if found.wiped and self.session.wipe_unseen() and self.client is not None:
            self.client.on_wiped(b"DEALLOCATE ALL")
        self.session.learn(question, found, self._keeper.excused())
        if question.settings and self.client is not None:
            self.client.keep(found)

    def on_replay_failed(self) -> None:
        self._refused = self._refused or b"?"

    # What the server says

    def on_bytes(self, data: bytes) -> None:
        """A read from the server: at most one write to the client comes of it."""
        if self.closing:
            return
        rest = self._framer.remain
        try:
            data, frames = self._framer.feed(data)
        except ServerProtocolError as error:
            # Nothing of this read goes on.
            self._framer.remain = rest
            self._break(error.message)
            return
        out, ready = self._take(data, frames)
        if self._framer.failure is not None:
            self._break(self._framer.failure.message)
            return
        if self._refused:
            self._refuse()
            return
        client = self.client
        if client is not None:
            if out:
                client.peer.write(out)
            if client.stalled:
                client.go_on()
        elif self.orphaned_at is None and is_unsolicited(data, frames, rest):
            self._break("the server sent something that nobody asked for")
            return
        else:
            # Nor is what is left of this message for whoever comes next.
            self._skip_rest = self._framer.remain
        if self.delayed and not self.expected.own_query:
            self._keeper.cancel_now(self)
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
            instead: bytes | None
            if kind in _LOOKED_INTO:
                instead = self._look_into(kind, data[start + 5 : end])
            else:
                instead = b"" if on_reply(kind) & SKIP else None
                if kind == c.READY_FOR_QUERY:
                    self.status = data[start + 5]
                    ready = True
            if instead is not None:
                kept += (data[begin:start], self._news, instead)
                begin = min(end, len(data))
                self._skip_rest = end - begin
                self._news = b""
            elif self._news:
                kept += (data[begin:start], self._news)
                begin = start
                self._news = b""
        if not begin and not kept:
            return data, ready
        kept.append(data[begin:])
        return b"".join(kept), ready

    def _look_into(self, kind: int, body: bytes) -> bytes | None:
        """What is sent to the client instead of the message; None: the message itself."""
        if kind == c.DATA_ROW:
            return self._on_row(body)
        if kind == c.PARAMETER_STATUS:
            return self._on_parameter(body)
        if kind == c.ERROR_RESPONSE:
            return self._on_error(body)
        if kind == c.NOTIFICATION:
            return self._on_notification(body)
        note = self.expected.front_note
        action = self.expected.on_reply(kind)
        if body[:-1] in _WIPING:
            self.session.wiped(body[:-1])
            # An Execute of the client's has told it already.
            if self.client is not None and not action & SKIP and not isinstance(note, Executing):
                self.client.on_wiped(body[:-1])
        return b"" if action & SKIP else None

    def _on_notification(self, body: bytes) -> bytes | None:
        """The process that notified, by the id which its client was given."""
        self.expected.on_reply(c.NOTIFICATION)
        pid = self._keeper.pid_of(int.from_bytes(body[:4], "big"))
        return messages.message(b"A", pid.to_bytes(4, "big") + body[4:])

    def _on_row(self, body: bytes) -> bytes | None:
        if not self.expected.own_turn:
            return None
        note = self.expected.front_note
        if note is not None:
            note.row(messages.columns(body))
        return b""

    def _on_error(self, body: bytes) -> bytes | None:
        if b"\x00VFATAL\x00" in body:
            self._told_fatal = True
        if _STALE_PLAN in body:
            # Each is made anew when it is used next.
            self.session.prepared.clear()
        if _READ_ONLY in body:
            self._keeper.read_only(self)
        note = self.expected.front_note
        if self.expected.on_reply(c.ERROR_RESPONSE) & SKIP:
            if self._refused:
                self._refused = body
            return b""
        if note is None and PREFIX not in body:
            return None
        return messages.edited_error(body, note.edit_error if note else self._clients_field)

    def _clients_field(self, code: bytes, value: bytes) -> bytes:
        return value if self.client is None else self.client.clients_word(value)

    def _on_parameter(self, body: bytes) -> bytes | None:
        action = self.expected.on_reply(c.PARAMETER_STATUS)
        name, value = messages.parse_parameter_status(body)
        self.parameters = {**self.parameters, name: value}
        if action & SKIP or name in self._masked:
            return b""
        if self.client is not None:
            self.client.learn(self.parameters)
            if name not in _SERVERS_OWN:
                # Set by a function, perhaps, where no text could show it.
                self.session.touch()
        return None

    # Letting go

    def _on_ready(self) -> None:
        if self.client is not None:
            if self.client.leaving and not self.expected.owes_client:
                self.client.leave()
            elif self.status == c.IDLE and self.settled and not self.cancels:
                self._rest(self.client)
        elif self.orphaned_at is not None:
            self.clean_up()

    def _rest(self, client: Client) -> None:
        """The session rests outside a transaction."""
        session = self.session
        if self._started is not None:
            [found], self._started = self._started, None
            self.client = None
            client.on_started(found)
            return
        if self.expected.unnamed != TOO_LONG and not client.holds_long:
            session.pins &= ~PinReason.LONG_STATEMENT
        question = session.question(self.key.user)
        if question is not None:
            self._ask(Inspection(self, question))
            self.peer.write(question.query())
        elif may_release(self):
            self.unlink()

    def unlink(self) -> None:
        """The client lets go; the connection is clean and goes to the next."""
        client = self.client
        assert client is not None
        client.unnamed = self.expected.unnamed
        self.client = None
        self.session.rest()
        self.peer.resume()
        client.on_released()
        self._keeper.freed(self)

    def reconsider(self) -> None:
        """Something other than a reply changed, such as the end of a cancel request."""
        if not self.closing:
            self._on_ready()

    def orphan(self, now: float, cut: bool) -> None:
        """The client left. `cut`: in the middle of a message, which nobody can complete."""
        self.client = None
        self._keeper.cancel_now(self)
        self.orphaned_at = now
        self.peer.resume()
        if cut or self.expected.copy_in:
            self._keeper.unfit(self, "the client left in the middle of a message")
        else:
            self.clean_up()

    def clean_up(self) -> None:
        """One step towards a connection that is provably clean, or its end."""
        waits = bool(self.cancels) or not self.settled
        step = next_step(self.session, self.expected, self.status, waits, self._discarding)
        if step is Step.GIVE_UP:
            self._keeper.unfit(self, "its client left something that cannot be undone")
        elif step is Step.ROLL_BACK:
            self._run(_ROLLBACK)
        elif step is Step.DISCARD:
            self._discarding = True
            self._run(_DISCARD_ALL)
        elif step is Step.FREE:
            if self._discarding:
                self.session.clean()
            self._discarding = False
            self.session.rest()
            self.orphaned_at = None
            self._keeper.freed(self)

    def _run(self, query: bytes) -> None:
        self.expected.push(QUERY | SKIP)
        self.peer.write(query)

    def _break(self, reason: str) -> None:
        client = self.client
        self.client = None
        self._keeper.unfit(self, reason)
        if client is not None:
            client.on_server_lost(told=self.mid_message)

    def _refuse(self) -> None:
        """The client's parameters cannot be set here: it is told, and nothing was executed."""
        error = messages.parse_error(self._refused)
        client, self.client = self.client, None
        self._keeper.unfit(self, "a client's parameters cannot be set again")
        if client is not None:
            message = f"cannot set the session's parameters again: {error.message}"
            client.on_refused(
                ErrorFields("FATAL", error.sqlstate, message, error.hint, error.detail)
            )

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
        client = self.client
        self.client = None
        if self.delayed:
            self._keeper.cancel_now(self)
        if self.closing:
            self._keeper.closed(self)
            return
        # Whatever is still under way, such as a cancel request, has nothing to clean up.
        self.closing = True
        self._keeper.lost(self)
        if client is not None:
            client.on_server_lost(told=self._told_fatal or self.mid_message)

    def on_hangup(self) -> None:
        """The server closed its side; the rest is read when the client has room for it."""

    def on_blocked(self) -> None:
        """The server takes no more for now."""
        self._blocked = True
        if self.client is not None:
            self.client.peer.pause()

    def on_drained(self) -> None:
        self._blocked = False
        if self.client is not None and not self.client.stalled:
            self.client.peer.resume()
