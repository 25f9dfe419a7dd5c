"""One client's prepared statements in its stream of messages: renamed, put before, closed.

Nothing is answered here: every ParseComplete and every error is the server's own.
"""

from typing import Final

from sluice_proxy.session.bound import Bound
from sluice_proxy.session.pinning import NOTHING, Call, Effects, PinReason
from sluice_proxy.session.renaming import Span, name_in, renamed
from sluice_proxy.session.scripts import (
    Edit,
    Executing,
    Rewritten,
    Script,
    characters,
    rewrite,
)
from sluice_proxy.session.server import ServerConnection
from sluice_proxy.session.statement import PREFIX, Statement, from_parse
from sluice_proxy.session.statements import (
    LIMITS,
    Change,
    ClientStatements,
    Closing,
    Naming,
    Preparing,
    Untaking,
)
from sluice_proxy.wire import messages
from sluice_proxy.wire.expected import BIND, CLOSE, EXECUTE, PARSE, QUERY, QUIET, SYNC, TOO_LONG
from sluice_proxy.wire.framing import Frame
from sluice_proxy.wire.note import SKIP, Note

# Statement and portal by which the proxy itself runs an SQL PREPARE amid extended messages.
_HELPER = PREFIX + b"prepare"

_NO_STATEMENT: Final[tuple[Effects, Statement | None]] = (NOTHING, None)

Edits = list[Edit]


class Preparations:
    """What a client's named statements ask of the server connection that it holds.

    Every `on_…` enters its request in the queue of expected replies (but `on_bind` and
    `on_describe`, whose callers do) and adds to `edits` what must
    change in the data.
    """

    __slots__ = ("_unnamed", "bound", "encoding", "portals", "statements")

    def __init__(self) -> None:
        self.statements = ClientStatements()
        # The client's.
        self.encoding = b"UTF8"
        # What the unnamed statement does, and itself if it names others.
        self._unnamed = _NO_STATEMENT
        self.bound = Bound(self.statements)
        # By portal: the rewritten text that an Execute of it will run.
        self.portals: dict[bytes, Rewritten] = {}

    def rest(self) -> None:
        """The transaction is over, and with it every portal."""
        if self.portals:
            self.portals.clear()
        self.statements.rest()
        self.bound.forget()

    # Waiting

    def must_wait(self, server: ServerConnection, data: bytes, frame: Frame) -> bool:
        """Whether the name in this message means what an answer will tell."""
        name = name_in(data, frame)
        expected = server.expected
        return bool(name) and self.statements.is_uncertain(name, expected.sent, expected.answered)

    def must_wait_for_script(self, server: ServerConnection, calls: tuple[Call, ...]) -> bool:
        expected = server.expected
        return any(
            self.statements.is_uncertain(call.name, expected.sent, expected.answered)
            for call in calls
        )

    # The protocol's statements

    def on_parse(
        self,
        server: ServerConnection,
        data: bytes,
        frame: Frame,
        name: bytes,
        effects: Effects,
        edits: Edits,
    ) -> None:
        """A Parse with a name, whole or its beginning."""
        _, start, end = frame
        expected = server.expected
        if self.statements.get(name) is not None:
            self._take(server, name, start, edits)
            expected.push(PARSE)
            return
        body = start + 5 + len(name) + 1
        if end > len(data) or len(self.statements) >= LIMITS.client:
            now = statement = Statement(effects)
            server.pin(PinReason.LONG_STATEMENT)
            edits += renamed(start, end, (start + 5, body - 1), statement.name)
        else:
            now, statement = self._from_parse(server, data[body:end], effects, start, edits)
            statement.version += 1
            statement.encoding = self.encoding
            expected.push(CLOSE | SKIP)
            again = messages.close_statement(statement.name)
            edits.append(Edit(start, end, again + statement.message))
        before = self.statements.put(name, now, expected.sent)
        server.session.prepared.sending(statement, expected.sent)
        change = Change(name, now, before)
        note = Naming(server.session.prepared, statement, self.statements, change)
        expected.push_noted(PARSE, note)

    def _from_parse(
        self, server: ServerConnection, rest: bytes, effects: Effects, at: int, edits: Edits
    ) -> tuple[Statement, Statement]:
        """What the client has, and what the server is sent."""
        if not (effects.calls or effects.wipes):
            under = None if server.session.touched else server.session.settings
            statement = from_parse(rest, under, effects)
            return statement, statement
        now = Statement(effects, template=rest)
        statement, rewritten = self._resolved(server, now)
        # What an EXECUTE returns is found out when it is parsed.
        self._ensure_all(server, rewritten.needs, at, edits)
        return now, statement

    def _resolved(
        self, server: ServerConnection, statement: Statement
    ) -> tuple[Statement, Rewritten]:
        """What a statement that names others is, at this moment."""
        effects, under = statement.effects, server.session.settings
        rewritten = rewrite(statement.template, effects.calls, self.statements, under)
        rewritten.wipes = effects.wipes
        return from_parse(rewritten.text, under, effects), rewritten

    def on_parse_unnamed(
        self,
        server: ServerConnection,
        message: bytes,
        effects: Effects,
        start: int,
        edits: Edits,
    ) -> None:
        """A Parse of the unnamed statement; a long one stands as TOO_LONG."""
        before, self._unnamed = self._unnamed, (effects, None)
        note = Unnamed(self, before)
        if message == TOO_LONG or not (effects.calls or effects.wipes):
            server.expected.push_parse_unnamed(message, note=note if before[1] else None)
            return
        statement = Statement(effects, template=message[6:])
        self._unnamed = (effects, statement)
        changed, rewritten = self._unnamed_message(server, statement)
        statement.message = changed
        self._ensure_all(server, rewritten.needs, start, edits)
        edits.append(Edit(start, start + len(message), changed))
        server.expected.push_parse_unnamed(changed, note=note)

    def _unnamed_message(
        self, server: ServerConnection, statement: Statement
    ) -> tuple[bytes, Rewritten]:
        rewritten = self._resolved(server, statement)[1]
        return messages.message(b"P", b"\x00" + rewritten.text), rewritten

    @property
    def are_plain(self) -> bool:
        """Neither an Execute of an unnamed portal nor a Parse of that statement needs a look."""
        return self._unnamed[1] is None and not self.portals

    @property
    def has_no_unnamed(self) -> bool:
        """Or one that leaves nothing."""
        effects, statement = self._unnamed
        return effects is NOTHING and statement is None

    def forget_unnamed(self) -> None:
        """A simple Query drops it; a plain Parse puts one there that leaves nothing."""
        self._unnamed = _NO_STATEMENT

    def take_back_unnamed(self, before: tuple[Effects, Statement | None]) -> None:
        """The Parse was refused, or skipped."""
        self._unnamed = before

    def on_bind(
        self, server: ServerConnection, data: bytes, frame: Span, span: Span, edits: Edits
    ) -> list[Effects]:
        """What the bound statement may do; its name becomes the server's."""
        name = data[span[0] : span[1]]
        portal = data[frame[0] + 5 : span[0] - 1]
        self.portals.pop(portal, None)
        if not name:
            effects, unnamed = self._unnamed
            if unnamed is not None:
                message, rewritten = self._unnamed_message(server, unnamed)
                self._ensure_all(server, rewritten.needs, frame[0], edits)
                if message != unnamed.message:
                    unnamed.message = message
                    server.expected.push_parse_unnamed(message, SKIP)
                    edits.append(Edit(frame[0], frame[0], message))
                self._ready_to_run(server, rewritten, portal, frame[0], edits)
                return [effects, *rewritten.effects]
            return [effects]
        statement = self.statements.get(name)
        if statement is None:
            return []
        more: list[Effects] = []
        if statement.template:
            resolved, rewritten = self._resolved(server, statement)
            self._ensure_all(server, rewritten.needs, frame[0], edits)
            self.ensure(server, resolved, frame[0], edits)
            self._ready_to_run(server, rewritten, portal, frame[0], edits)
            more = rewritten.effects
        else:
            resolved = statement
            self.ensure(server, resolved, frame[0], edits, self.statements.version(name))
        edits += renamed(frame[0], frame[1], span, resolved.name)
        return [statement.effects, *more]

    def on_describe(self, server: ServerConnection, name: bytes, frame: Span, edits: Edits) -> None:
        statement = self.statements.get(name)
        if statement is not None:
            if statement.template:
                statement, rewritten = self._resolved(server, statement)
                self._ensure_all(server, rewritten.needs, frame[0], edits)
            self.ensure(server, statement, frame[0], edits, self.statements.version(name))
            edits.append(Edit(frame[0], frame[1], messages.describe_statement(statement.name)))

    def _ensure_all(
        self, server: ServerConnection, statements: list[Statement], at: int, edits: Edits
    ) -> None:
        for statement in statements:
            self.ensure(server, statement, at, edits)

    def on_close(self, server: ServerConnection, name: bytes) -> None:
        """The server is told the client's own name, which it does not know: no error."""
        expected = server.expected
        if self.statements.get(name) is None:
            expected.push(CLOSE)
            return
        before = self.statements.put(name, None, expected.sent)
        assert before is not None
        expected.push_noted(CLOSE, Closing(self.statements, name, before))

    def ensure(
        self,
        server: ServerConnection,
        statement: Statement,
        at: int,
        edits: Edits,
        version: int = 0,
    ) -> None:
        """Puts what makes `statement` before the byte `at`, if the server may lack it."""
        expected = server.expected
        if server.session.prepared.has(statement, expected.sent, version):
            return
        server.session.prepared.sending(statement, expected.sent)
        note = Preparing(server.session.prepared, statement)
        close = messages.close_statement(statement.name)
        expected.push(CLOSE | SKIP)
        if statement.message:
            expected.push_noted(PARSE | SKIP, note)
            edits.append(Edit(at, at, close + statement.message_in(self.encoding)))
            return
        expected.push(CLOSE | SKIP)
        expected.push(PARSE | SKIP)
        expected.push(CLOSE | SKIP)
        expected.push(BIND | SKIP)
        expected.push_noted(EXECUTE | SKIP, note)
        run = (
            close,
            messages.close_statement(_HELPER),
            messages.parse(_HELPER, statement.prepare_in(self.encoding)),
            # A portal lives as long as its transaction.
            messages.close_portal(_HELPER),
            messages.bind(_HELPER, _HELPER),
            messages.execute(_HELPER),
        )
        edits.append(Edit(at, at, b"".join(run)))

    # SQL's statements

    def on_script(
        self,
        server: ServerConnection,
        message: bytes,
        calls: tuple[Call, ...],
        start: int,
        edits: Edits,
    ) -> list[Effects]:
        """A Query that holds PREPARE, EXECUTE or DEALLOCATE; what it executes may do this."""
        rewritten = rewrite(message[5:-1], calls, self.statements, server.session.settings)
        prefix: list[Statement] = []
        for statement in rewritten.needs:
            if not server.session.prepared.has(statement, server.expected.sent):
                if statement.prepare:
                    prefix.append(statement)
                else:
                    self.ensure_apart(server, statement, start, edits)
        for name in rewritten.taken:
            self._take(server, name, start, edits)
        self._close_first(server, [*prefix, *rewritten.makes], start, edits)
        for statement in rewritten.drops:
            # Other names may stand for the same.
            server.session.prepared.drop(statement)
        for name, _ in rewritten.changes.values():
            self.statements.changing(name, server.expected.sent)
        for statement in rewritten.makes:
            statement.encoding = self.encoding
        ahead = [statement.prepare_in(self.encoding) + b";" for statement in prefix]
        text = b"".join(ahead) + rewritten.text
        edits.append(Edit(start, start + len(message), messages.query(text)))
        before = characters(b"".join(ahead))
        script = Script(rewritten, self.statements, server.session.prepared, prefix, before)
        server.expected.push_noted(QUERY, script)
        return rewritten.effects

    def ensure_apart(
        self, server: ServerConnection, statement: Statement, at: int, edits: Edits
    ) -> None:
        # Were it to fail without a Sync behind it, the server would skip the Query.
        expected = server.expected
        server.session.prepared.sending(statement, expected.sent)
        expected.push(CLOSE | SKIP)
        expected.push_noted(PARSE | SKIP | QUIET, Preparing(server.session.prepared, statement))
        expected.push(SYNC | SKIP)
        close = messages.close_statement(statement.name)
        edits.append(Edit(at, at, close + statement.message_in(self.encoding) + messages.SYNC))

    def _close_first(
        self, server: ServerConnection, made: list[Statement], at: int, edits: Edits
    ) -> None:
        for statement in made:
            server.session.prepared.sending(statement, server.expected.sent)
            server.expected.push(CLOSE | SKIP)
            edits.append(Edit(at, at, messages.close_statement(statement.name)))

    def _ready_to_run(
        self,
        server: ServerConnection,
        rewritten: Rewritten,
        portal: bytes,
        at: int,
        edits: Edits,
    ) -> None:
        self._close_first(server, rewritten.makes, at, edits)
        if rewritten.matters:
            self.portals[portal] = rewritten

    def on_execute(self, server: ServerConnection, body: bytes, start: int, edits: Edits) -> None:
        """An Execute while a portal is bound to such a statement."""
        rewritten = self.portals.get(body.partition(b"\x00")[0])
        if rewritten is None:
            server.expected.push(EXECUTE)
            return
        for name in rewritten.taken:
            self._take(server, name, start, edits)
        prepared, sent = server.session.prepared, server.expected.sent
        note = Executing(rewritten, self.statements, prepared, sent)
        server.expected.push_noted(EXECUTE, note)

    # Names that are taken

    def _take(self, server: ServerConnection, name: bytes, at: int, edits: Edits) -> None:
        """Makes the server know `name`, so that it refuses to take it a second time.

        Only once it has found no other fault: the error is the one that it would give.
        """
        server.expected.push(CLOSE | SKIP)
        server.expected.push(PARSE | SKIP)
        made = messages.close_statement(name) + messages.parse(name, b"")
        edits.append(Edit(at, at, made))
        server.session.taken.append(name)

    def close_taken(self, server: ServerConnection, at: int, edits: Edits) -> None:
        """Before whatever comes next; once more if the server skips it."""
        taken = server.session.taken
        for name in taken.copy():
            server.expected.push_noted(CLOSE | SKIP, Untaking(taken, name))
            edits.append(Edit(at, at, messages.close_statement(name)))


class Unnamed(Note):
    """A Parse of the unnamed statement that names others."""

    __slots__ = ("_before", "_preparations")

    def __init__(self, preparations: Preparations, before: tuple[Effects, Statement | None]):
        self._preparations = preparations
        self._before = before

    def undone(self) -> None:
        self._preparations.take_back_unnamed(self._before)
