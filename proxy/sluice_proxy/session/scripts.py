"""SQL's own PREPARE, EXECUTE and DEALLOCATE: names are put in their texts, errors put right.

They share their names with the protocol's statements. A text is sent with the servers' names
in it; positions in its errors are moved back to where the client's text has them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sluice_proxy.session.pinning import EXECUTE, PREPARE, Call, Effects, effects_of
from sluice_proxy.session.settings import Settings
from sluice_proxy.session.statement import Statement, from_prepare
from sluice_proxy.session.statements import Change, ClientStatements, ServerStatements
from sluice_proxy.wire.note import FORWARD, SKIP, Note


@dataclass(frozen=True, slots=True)
class Edit:
    """`data[start:end]` becomes `new`."""

    start: int
    end: int
    new: bytes


@dataclass(slots=True)
class Rewritten:
    """A text with the servers' names in it; `original` is the client's.

    `needs`: what must be on the server; `makes`: what the text prepares there; `drops`: what it
    removes; `taken`: names
    that it prepares although the client uses them already. `changes`: by number of the
    statement, what the client calls what when that statement is done (None: nothing).
    `wipes`: it drops every statement. `effects` are those of the statements it executes.
    """

    original: bytes
    text: bytes = b""
    wipes: bool = False
    edits: list[Edit] = field(default_factory=list)
    needs: list[Statement] = field(default_factory=list)
    makes: list[Statement] = field(default_factory=list)
    drops: list[Statement] = field(default_factory=list)
    taken: list[bytes] = field(default_factory=list)
    changes: dict[int, tuple[bytes, Statement | None]] = field(default_factory=dict)
    effects: list[Effects] = field(default_factory=list)

    @property
    def matters(self) -> bool:
        """An Execute of it is to be watched."""
        return bool(self.edits or self.taken or self.wipes)


def rewrite(
    text: bytes, calls: Sequence[Call], client: ClientStatements, under: Settings
) -> Rewritten:
    """`text` for the server, and what must be done around it."""
    result = Rewritten(text)
    names: dict[bytes, Statement | None] = {}
    for call in calls:
        known = names[call.name] if call.name in names else client.get(call.name)
        if call.verb == PREPARE:
            _prepare(result, call, known, names, under)
        elif known is not None:
            result.edits.append(Edit(call.start, call.end, known.name))
            if known not in result.makes and known not in result.needs:
                result.needs.append(known)
            if call.verb == EXECUTE:
                result.effects.append(known.effects)
            else:
                names[call.name] = None
                result.drops.append(known)
                result.changes[call.index] = (call.name, None)
    result.text = edited(text, result.edits)
    return result


def _prepare(
    result: Rewritten,
    call: Call,
    known: Statement | None,
    names: dict[bytes, Statement | None],
    under: Settings,
) -> None:
    if known is not None:
        # The server itself is to say that the name is taken.
        result.taken.append(call.name)
        return
    rest = result.original[call.end : call.last]
    statement = from_prepare(rest, under, effects_of(rest))
    names[call.name] = statement
    result.edits.append(Edit(call.start, call.end, statement.name))
    result.makes.append(statement)
    result.changes[call.index] = (call.name, statement)


def edited(data: bytes, edits: Sequence[Edit]) -> bytes:
    """`data` with all edits made; they are in order and do not overlap."""
    if not edits:
        return data
    parts: list[bytes] = []
    at = 0
    for edit in edits:
        parts += (data[at : edit.start], edit.new)
        at = edit.end
    parts.append(data[at:])
    return b"".join(parts)


class Script(Note):
    """A Query with such statements in it.

    `prefix` are PREPAREs of the proxy's own that stand first, `ahead` characters in all.
    """

    __slots__ = ("_client", "_done", "_prefix", "_rewritten", "_server", "_shift")

    def __init__(
        self,
        rewritten: Rewritten,
        client: ClientStatements,
        server: ServerStatements,
        prefix: Sequence[Statement] = (),
        ahead: int = 0,
    ):
        self._rewritten = rewritten
        self._client = client
        self._server = server
        self._prefix = prefix
        self._shift = ahead
        self._done = 0

    def completed(self) -> int:
        number = self._done
        self._done += 1
        if number < len(self._prefix):
            self._server.confirm(self._prefix[number])
            return SKIP
        change = self._rewritten.changes.get(number - len(self._prefix))
        if change is not None:
            name, statement = change
            self._client.put(name, statement, -1)
            if statement is not None:
                self._server.confirm(statement)
        return FORWARD

    def edit_error(self, code: bytes, value: bytes) -> bytes | None:
        if code == b"P" and value.isdigit():
            return moved_back(int(value) - self._shift, self._rewritten)
        return self._client.clients_word(value)


class Executing(Note):
    """An Execute of one such statement: its changes are in force until it fails."""

    __slots__ = ("_changes", "_client", "_rewritten", "_server")

    def __init__(
        self,
        rewritten: Rewritten,
        client: ClientStatements,
        server: ServerStatements,
        sent: int,
    ):
        self._rewritten = rewritten
        self._client = client
        self._server = server
        wanted = list(rewritten.changes.values())
        if rewritten.wipes:
            wanted += [(name, None) for name in client.names()]
        self._changes: list[Change] = []
        for name, now in wanted:
            self._changes.append(Change(name, now, client.put(name, now, sent)))
            if now is not None:
                server.sending(now, sent)
        for statement in rewritten.drops:
            server.drop(statement)

    def done(self) -> None:
        for change in self._changes:
            if change.now is not None:
                self._server.confirm(change.now)

    def undone(self) -> None:
        for change in reversed(self._changes):
            self._client.take_back(change.name, change.now, change.before)
            if change.now is not None:
                self._server.drop(change.now)

    def edit_error(self, code: bytes, value: bytes) -> bytes | None:
        if code == b"P" and value.isdigit():
            return moved_back(int(value), self._rewritten)
        return self._client.clients_word(value)


def moved_back(position: int, rewritten: Rewritten) -> bytes | None:
    """Where the client's text has what stands at `position` of the server's.

    "The first character has index 1, and positions are measured in characters not bytes."
    None for what stands before the client's text.
    """
    if position < 1:
        return None
    original = rewritten.original
    for edit in rewritten.edits:
        start = characters(original[: edit.start])
        if position - 1 <= start:
            break
        longer = len(edit.new) - characters(original[edit.start : edit.end])
        position -= min(longer, position - 1 - start)
    return b"%d" % position


def characters(text: bytes) -> int:
    """In UTF-8, or in an encoding of one byte each where the text is no UTF-8."""
    try:
        return len(text.decode())
    except UnicodeDecodeError:
        return len(text)
