"""One server connection: who holds it, what it owes, and how it gets clean again."""

from collections.abc import Callable

from sluice_proxy.errors import ErrorFields
from sluice_proxy.pool.key import PoolKey
from sluice_proxy.pool.neighbours import Server
from sluice_proxy.session import common
from sluice_proxy.session.answers import Answers
from sluice_proxy.session.asking import Inspection, Replay, Restore, StartInspection
from sluice_proxy.session.cleaning import Step, next_step
from sluice_proxy.session.inspection import Findings, Question
from sluice_proxy.session.neighbours import Client, Keeper, LoggedIn
from sluice_proxy.session.peer import Owner, Peer
from sluice_proxy.session.pinning import PinReason
from sluice_proxy.session.release import may_release
from sluice_proxy.session.settings import Settings, changes, replay
from sluice_proxy.session.state import SessionState
from sluice_proxy.session.suspects import EVERYBODY, NOBODY
from sluice_proxy.wire import constants as c
from sluice_proxy.wire import messages, plain
from sluice_proxy.wire.expected import CLOSE, QUERY, TOO_LONG, ExpectedReplies
from sluice_proxy.wire.framing import is_unsolicited
from sluice_proxy.wire.note import SKIP, Note

_FUNCTIONS = Question(functions=True)
_ROLLBACK = messages.query(b"ROLLBACK")
_DISCARD_ALL = messages.query(b"DISCARD ALL")


class ServerConnection(Server, Owner):
    """A logged-in server connection. Bytes come in by `on_bytes`, go out by `peer`.

    `parameters` are the ParameterStatus reports.
    """

    __slots__ = (
        "_discarding", "_started", "_unsure", "answers", "bare", "blocked", "cancels", "client",
        "closing", "delayed", "expected", "foreign", "keeper", "key", "last_client", "last_pid",
        "linked_at", "login", "orphaned_at", "parameters", "peer", "plan", "session",
        "slot_foreign", "slot_ready", "suspect", "suspects",
    )  # fmt: skip

    def __init__(self, key: PoolKey, peer: Peer, login: LoggedIn, keeper: Keeper):
        self.key = key
        self.peer = peer
        self.login = login
        self.keeper = keeper
        self.expected = ExpectedReplies()
        self.session = SessionState()
        self.session.become(login.settings)
        self.parameters = dict(login.parameters)
        self.answers = Answers(self)
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
        self.linked_at = 0  # `expected.sent` when it came
        # What is under way, where that is plain (see `common`).
        self.plan = plain.NONE
        # Plain traffic alone was here since the session was at rest.
        self.bare = False
        # Functions that change the session behind a text.
        self.suspects = NOBODY
        self.idle_since = 0.0
        # Whether the unnamed statement of this connection is the client's, or may be that
        # of the one before.
        self.slot_ready, self.slot_foreign = False, True
        # Not for another client: a cancel request may still come to it.
        self.suspect = False
        self.orphaned_at: float | None = None
        self.closing = self._discarding = False
        # What was found out for a client that waits for its greeting.
        self._started: tuple[Findings | None] | None = None
        # The server takes no more for now.
        self.blocked = False
        # The last ReadyForQuery came together with a part of another message.
        self._unsure = False

    @property
    def _is_idle(self) -> bool:
        return self.client is None and self.orphaned_at is None

    @property
    def status(self) -> int:
        return self.answers.status

    @property
    def pins(self) -> PinReason:
        return self.session.pins

    @property
    def settled(self) -> bool:
        client = self.client
        return (
            self.expected.settled
            and self.answers.at_boundary
            and (client is None or not (client.mid_message or client.stalled))
        )

    def link(self, client: Client, number: int, wanted: Settings) -> bytes:
        """`client` holds this connection from now on; what to send before its first message."""
        self.client = client
        self.plan = plain.NONE
        self.expected.unnamed = client.unnamed
        self.expected.answered = self.expected.sent
        self.slot_ready, self.slot_foreign = False, True
        self.session.try_again()
        if self.blocked:
            client.peer.pause()
        ahead = [messages.close_statement(name) for name in self.session.to_close()]
        for _ in ahead:
            self.expected.push(CLOSE | SKIP)
        self.foreign = self.last_client != number
        self.linked_at = self.expected.sent
        self.last_client = number
        self.last_pid = client.pid
        if self.foreign and self.keeper.unseen.asks_sequences(self.key):
            self.foreign = False
            ahead.append(messages.DISCARD_SEQUENCES)
            self.expected.push(QUERY | SKIP)
        self.suspects = self.keeper.unseen.suspects(self.key.database, self.session)
        if self.session.functions_due:
            self.session.functions_due = False
            self._ask(Inspection(self, _FUNCTIONS))
            ahead.append(_FUNCTIONS.query())
        if wanted is not self.session.settings:
            ahead += self._follow(wanted)
        elif self.parameters is not client.told and (news := self.answers.changes_untold()):
            client.peer.write(news)
        return b"".join(ahead)

    def _follow(self, wanted: Settings) -> list[bytes]:
        queries = replay(changes(self.session.settings, wanted))
        for _ in queries:
            self._ask(Replay(self))
        self.session.become(wanted)
        return queries

    def _ask(self, note: Note, give: int = 0) -> None:
        """A Query of the proxy's own is sent, whose rows are for `note`."""
        self.answers.ask()
        # "a simple Query message also destroys the unnamed statement".
        self.slot_ready, self.slot_foreign = False, True
        self.expected.push_noted(QUERY | SKIP | give, note)

    def ask_restore(self, give: int) -> None:
        """That is on its way. `give`: the client gets its ReadyForQuery instead of its own."""
        self._ask(Restore(self), give)

    def on_sequences(self) -> None:
        """The client asks for what its session took of a sequence."""
        self.keeper.unseen.on_sequences(self.key)
        self.pin(PinReason.SEQUENCE)

    def on_definition(self) -> None:
        """The client makes a function: until it is known what it does, any may do anything."""
        self.suspects = EVERYBODY
        self.keeper.unseen.learn(self.key.database, EVERYBODY)
        self.session.functions_due = True

    def pin(self, reasons: PinReason) -> None:
        """Keeps the connection with its client. Told once for each new reason."""
        new = self.session.pin(reasons & ~self.keeper.excused())
        if new:
            self.keeper.pinned(self, new)

    def inspect_start(self, client: Client, names: tuple[bytes, ...]) -> None:
        """Asks with what this connection was started; `client.on_started` follows."""
        self.client = client
        client.told = self.parameters
        question = Question(settings=True, names=names, source=b"client")
        self._ask(StartInspection(self, question))
        self.peer.write(question.query())

    def on_start_inspected(self, found: Findings | None) -> None:
        self._started = (found,)

    def on_inspected(self, question: Question, found: Findings | None) -> None:
        if found is None:
            self.session.fail(question)
            if question.patient:
                self._on_silence(question)
            return
        if question.functions:
            self.keeper.unseen.learn(self.key.database, found.functions)
            self.suspects = found.functions
        if found.wiped and self.session.wipe_unseen() and self.client is not None:
            self.client.on_wiped(b"DEALLOCATE ALL")
        self.session.learn(question, found, self.keeper.excused())
        if question.settings and self.client is not None:
            self.client.keep(found)

    def _on_silence(self, question: Question) -> None:
        """The catalogs cannot be asked at all: what is not known pins."""
        if question.settings:
            self.pin(PinReason.SESSION_SETTING)
        if question.functions:
            # A server that has no such catalogs; its other clients are not to wait for that.
            self.session.functions_due = False
            self.keeper.unseen.learn(self.key.database, NOBODY)
            self.suspects = NOBODY

    def on_replay_failed(self) -> None:
        self.answers.on_replay_failed()

    def unmask(self) -> None:
        self.answers.unmask()

    def heard(self) -> None:
        self.answers.heard()

    def on_bytes(self, data: bytes) -> None:
        """A read from the server: at most one write to the client comes of it."""
        if self.closing or (self.plan >= 0 and common.pass_on(self, data)):
            return
        self.plan = plain.NONE
        self.bare = False
        answers = self.answers
        rest = answers.remain
        data, frames = answers.frame(data)
        out, ready = answers.take(data, frames)
        if answers.failure is not None:
            if self.client is not None and out:
                self.client.peer.write(out)
            self._break(answers.failure.message)
        elif self.expected.own_in_doubt:
            self._break("the server's answers cannot be told apart any more")
        elif answers.refused:
            self._refuse()
        elif self._is_idle and is_unsolicited(data, frames, rest):
            self._break("the server sent something that nobody asked for")
        else:
            self._pass_on(out)
            if ready or self._unsure:
                self._unsure = not answers.at_boundary
                self._on_ready()

    def _pass_on(self, out: bytes) -> None:
        client = self.client
        if client is None:
            # Nor is what is left of this message for whoever comes next.
            self.answers.skip_rest()
        else:
            if out:
                client.peer.write(out)
            if client.stalled:
                client.go_on()
            if client.leaving and self.expected.copy_in and not self.expected.doubt:
                # Its goodbye stands amid a COPY that was not known of: the server's to judge.
                self.expected.doubt = True
                self.peer.write(messages.TERMINATE)
        if self.delayed and not self.expected.own_query:
            self.keeper.cancel_now(self)

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
        if not self.bare:
            self.session.rest()
            self.bare = not self.session.prepared.overflows
        self.peer.resume()
        client.on_released()
        self.keeper.freed(self)

    def reconsider(self) -> None:
        """Something other than a reply changed, such as the end of a cancel request."""
        if not self.closing:
            self._on_ready()

    def orphan(self, now: float, cut: bool) -> None:
        """The client left. `cut`: in the middle of a message, which nobody can complete."""
        self.client = None
        self.keeper.cancel_now(self)
        self.orphaned_at = now
        self.peer.resume()
        if cut or self.expected.copy_in:
            self.keeper.unfit(self, "the client left in the middle of a message")
        else:
            self.clean_up()

    def clean_up(self) -> None:
        """One step towards a connection that is provably clean, or its end."""
        waits = bool(self.cancels) or not self.settled
        step = next_step(self.session, self.expected, self.status, waits, self._discarding)
        if step is Step.GIVE_UP:
            self.keeper.unfit(self, "its client left something that cannot be undone")
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
            self.keeper.freed(self)

    def _run(self, query: bytes) -> None:
        self.expected.push(QUERY | SKIP)
        self.peer.write(query)

    def _break(self, reason: str) -> None:
        client = self.client
        self.client = None
        self.keeper.broken(self, reason)
        if client is not None:
            client.on_server_lost(told=self.answers.mid_message)

    def _refuse(self) -> None:
        """The client's parameters cannot be set here: it is told, and nothing was executed."""
        error = messages.parse_error(self.answers.refused)
        client, self.client = self.client, None
        self.keeper.unfit(self, "a client's parameters cannot be set again")
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
        if not self.closing:
            self._break("internal error")

    def on_closed(self) -> None:
        client = self.client
        self.client = None
        if self.delayed:
            self.keeper.cancel_now(self)
        if self.closing:
            self.keeper.closed(self)
            return
        # Whatever is still under way, such as a cancel request, has nothing to clean up.
        self.closing = True
        self.keeper.lost(self)
        if client is None:
            return
        busy = self.session.sure or self.expected.owes_client or client.stalled or client.leaving
        if self.status == c.IDLE and not busy:
            # The proxy alone still had something to ask.
            client.unnamed = self.expected.unnamed
            client.on_released()
        else:
            client.on_server_lost(told=self.answers.told_fatal or self.answers.mid_message)

    def on_blocked(self) -> None:
        self.blocked = True
        if self.client is not None:
            self.client.peer.pause()

    def on_drained(self) -> None:
        self.blocked = False
        if self.client is not None and not self.client.stalled:
            self.client.peer.resume()
