"""SQL's own PREPARE, EXECUTE and DEALLOCATE: names are put in their texts, errors put right.

They share their names with the protocol's statements. A text is sent with the servers' names
in it; positions in its errors are moved back to where the client's text has them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sluice_proxy.session.pinning import DEALLOCATE, PREPARE, Call
from sluice_proxy.session.settings import Settings
from sluice_proxy.session.statements import (
    ClientStatements,
    ServerStatements,
    Statement,
    from_prepare,
)
from sluice_proxy.wire.expected import FORWARD, SKIP, Note


@dataclass(frozen=True, slots=True)
class Edit:
    """`data[start:end]` becomes `new`."""

    start: int
    end: int
    new: bytes


@dataclass(slots=True)
class Rewritten:
    """A text with the servers' names in it.

    `needs`: what must be on the server; `makes`: what the text prepares there; `taken`: names
    that it prepares although the client uses them already. `changes`: by number of the
    statement, what the client calls what when that statement is done (None: nothing).
    """

    text: bytes
    edits: list[Edit] = field(default_factory=list)
    needs: list[Statement] = field(default_factory=list)
    makes: list[Statement] = field(default_factory=list)
    taken: list[bytes] = field(default_factory=list)
    changes: dict[int, tuple[bytes, Statement | None]] = field(default_factory=dict)


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
            if call.verb == DEALLOCATE:
                names[call.name] = None
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
    statement = from_prepare(result.text[call.end : call.last], under)
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
    """A Query with such statements in it: `prefix` PREPAREs of the proxy's own stand first."""

    __slots__ = ("_changes", "_client", "_done", "_edits", "_prefix", "_server", "_shift")

    def __init__(
        self,
        rewritten: Rewritten,
        client: ClientStatements,
        server: ServerStatements,
        prefix: Sequence[Statement] = (),
    ):
        self._changes = rewritten.changes
        self._edits = rewritten.edits
        self._client = client
        self._server = server
        self._prefix = prefix
        self._shift = sum(len(statement.prepare) + 1 for statement in prefix)
        self._done = 0

    def completed(self) -> int:
        number = self._done
        self._done += 1
        if number < len(self._prefix):
            self._server.confirm(self._prefix[number])
            return SKIP
        change = self._changes.get(number - len(self._prefix))
        if change is not None:
            self._apply(*change)
        return FORWARD

    def _apply(self, name: bytes, statement: Statement | None) -> None:
        before = self._client.put(name, statement, -1)
        if statement is not None:
            self._server.confirm(statement)
        elif before is not None:
            self._server.drop(before)

    def edit_error(self, code: bytes, value: bytes) -> bytes | None:
        value = self._client.clients_word(value)
        if code != b"P" or not value.isdigit():
            return value
        return _moved_back(int(value) - self._shift, self._edits)


class Executing(Script):
    """An Execute of such a statement; its text was rewritten when it was parsed."""

    __slots__ = ()

    def done(self) -> None:
        self.completed()


def _moved_back(position: int, edits: Sequence[Edit]) -> bytes | None:
    """Where the client's text has what stands at `position` (from 1) of the server's."""
    if position < 1:
        return None
    for edit in edits:
        if position - 1 <= edit.start:
            break
        position -= min(len(edit.new) - (edit.end - edit.start), position - 1 - edit.start)
    return b"%d" % position
