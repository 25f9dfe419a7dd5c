"""Prepared statements: what clients call them, what servers call them, and who has which.

A statement is known by the exact bytes of its Parse (or of its SQL PREPARE) and by the
parameters that its meaning depends on. Clients that prepare the same share one name on the
servers. A client's Parse always reaches the server, which judges it anew as it would without
a proxy; what a server lacks when a client uses it is put before, in the same write.

What is changed here when a message is sent is taken back when the server refuses or skips it.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from sluice_proxy.session.settings import DEFAULTS
from sluice_proxy.session.statement import PREFIX, Meaning, Statement
from sluice_proxy.wire.note import Note

# Names that are the same so far are the same (NAMEDATALEN - 1).
NAME_LIMIT: Final = 63
CONFIRMED: Final = -1
# Below any version.
_OUTDATED: Final = -1


class Limits:
    """How many prepared statements are kept."""

    __slots__ = ("client", "server")

    def __init__(self) -> None:
        # By a server connection when it goes to the next client.
        self.server = 500
        # Of one client; what is above stays where it was prepared.
        self.client = 5000


LIMITS: Final = Limits()


class ServerStatements:
    """Those that one server connection has, the one used last at the end.

    With each: CONFIRMED, or the number of the request that it was sent with; and its version.
    """

    __slots__ = ("_held", "_meaning", "_strangers")

    def __init__(self) -> None:
        self._held: OrderedDict[Statement, tuple[int, int]] = OrderedDict()
        # What texts are read under, and those that were made while that was not their own.
        self._meaning: Meaning | None = DEFAULTS.meaning
        self._strangers: set[Statement] = set()

    def has(self, statement: Statement, sent: int, version: int = 0) -> bool:
        """It is there, or whatever is sent now fails together with it."""
        state, held_version = self._held.get(statement, (None, 0))
        if state not in (CONFIRMED, sent) or held_version < version:
            return not statement.kept
        self._held.move_to_end(statement)
        return True

    def sending(self, statement: Statement, sent: int) -> None:
        self._held[statement] = (sent, statement.version)
        if statement.meaning is None or statement.meaning != self._meaning:
            self._strangers.add(statement)

    def read_under(self, meaning: Meaning | None) -> None:
        """Texts are read under these parameters from now on; None: it is not known which.

        What was made under others than its own is made anew.
        """
        if meaning == self._meaning:
            return
        self._meaning = meaning
        strangers, self._strangers = self._strangers, set()
        for statement in strangers:
            if statement in self._held:
                self._held[statement] = (self._held[statement][0], _OUTDATED)

    def confirm(self, statement: Statement) -> None:
        """It was made; unless something that drops it has been sent since."""
        held = self._held.get(statement)
        if held is not None:
            self._held[statement] = (CONFIRMED, held[1])

    def drop(self, statement: Statement) -> None:
        self._held.pop(statement, None)

    def clear(self) -> None:
        self._held.clear()

    def outdate(self) -> None:
        """The names in their texts may mean something else by now: each is made anew."""
        for statement, (state, _) in self._held.items():
            self._held[statement] = (state, _OUTDATED)

    @property
    def confirmed(self) -> bool:
        """At least one is surely there."""
        return any(state == CONFIRMED for state, _ in self._held.values())

    @property
    def overflows(self) -> bool:
        return len(self._held) > LIMITS.server

    def overflow(self) -> list[Statement]:
        """The ones used longest ago, above the limit: no longer held."""
        held = self._held
        return [held.popitem(last=False)[0] for _ in range(len(held) - LIMITS.server)]

    def __len__(self) -> int:
        return len(self._held)


class ClientStatements:
    """What one client calls its prepared statements."""

    __slots__ = ("_changed", "_former", "_names", "_versions", "_wiped")

    def __init__(self) -> None:
        self._names: dict[bytes, Statement] = {}
        # By name: which version of its statement was the last when it was prepared.
        self._versions: dict[bytes, int] = {}
        # Names of the proxy's that this client's once had, for errors that come late.
        self._former: dict[bytes, bytes] = {}
        # Which request changed the name last; and which wiped all of them.
        self._changed: dict[bytes, int] = {}
        self._wiped = -1

    def get(self, name: bytes) -> Statement | None:
        return self._names.get(name[:NAME_LIMIT])

    def version(self, name: bytes) -> int:
        return self._versions.get(name[:NAME_LIMIT], 0)

    def names(self) -> list[bytes]:
        return list(self._names)

    def __len__(self) -> int:
        return len(self._names)

    @property
    def holds_long(self) -> bool:
        """One of them can live on one server connection alone."""
        return any(not statement.kept for statement in self._names.values())

    def put(self, name: bytes, statement: Statement | None, sent: int) -> Statement | None:
        """`name` means `statement` from now on, or nothing; what it meant before."""
        name = name[:NAME_LIMIT]
        before = self._names.pop(name, None)
        if statement is not None:
            self._names[name] = statement
            self._versions[name] = statement.version
        elif before is not None:
            self._remember(name, before)
        if sent >= 0:
            self._changed[name] = sent
        return before

    def changing(self, name: bytes, sent: int) -> None:
        """A request that is sent now may change what `name` means."""
        self._changed[name[:NAME_LIMIT]] = sent

    def take_back(self, name: bytes, now: Statement | None, before: Statement | None) -> None:
        """The change from `before` to `now` did not happen."""
        name = name[:NAME_LIMIT]
        if self._names.get(name) is not now:
            return
        if now is not None:
            self._remember(name, now)
            del self._names[name]
        if before is not None:
            self._names[name] = before

    def wipe(self, sent: int) -> None:
        """All of them are about to go: known when the server says so."""
        self._wiped = sent

    def clear(self) -> None:
        """The server said so."""
        for name, statement in self._names.items():
            self._remember(name, statement)
        self._names.clear()

    def _remember(self, name: bytes, statement: Statement) -> None:
        if len(self._former) > 100:
            self._former.clear()
        self._former[statement.name] = name

    def is_uncertain(self, name: bytes, sent: int, answered: int) -> bool:
        """Whether what `name` means depends on an answer that is still to come.

        Not if the change was sent with the same request: then both fail together.
        """
        changed = self._changed.get(name[:NAME_LIMIT], -1)
        return answered <= changed < sent or answered <= self._wiped < sent

    @property
    def is_changing(self) -> bool:
        """Something was changed since the last rest."""
        return bool(self._changed) or self._wiped >= 0

    def rest(self) -> None:
        """Nothing is under way."""
        if self._changed:
            self._changed.clear()
        self._wiped = -1

    def clients_word(self, text: bytes) -> bytes:
        """`text` with this client's names in place of the proxy's."""
        if PREFIX not in text:
            return text
        names = {statement.name: name for name, statement in self._names.items()}
        # Longest first: a name may begin another.
        for ours, theirs in sorted(({**self._former, **names}).items(), key=lambda n: -len(n[0])):
            text = text.replace(ours, theirs)
        return text


class Preparing(Note):
    """A statement on its way to a server connection."""

    __slots__ = ("_server", "_statement")

    def __init__(self, server: ServerStatements, statement: Statement):
        self._server = server
        self._statement = statement

    def done(self) -> None:
        self._server.confirm(self._statement)

    def undone(self) -> None:
        self._server.drop(self._statement)


@dataclass(frozen=True, slots=True)
class Change:
    """A client's name: what it means `now`, and what it meant `before`."""

    name: bytes
    now: Statement | None
    before: Statement | None


class Naming(Preparing):
    """A client's Parse of a named statement, which is `statement` on the server."""

    __slots__ = ("_change", "_client")

    def __init__(
        self,
        server: ServerStatements,
        statement: Statement,
        client: ClientStatements,
        change: Change,
    ):
        super().__init__(server, statement)
        self._client = client
        self._change = change

    def undone(self) -> None:
        super().undone()
        self._client.take_back(self._change.name, self._change.now, self._change.before)


class Closing(Note):
    """A client's Close of one of its statements."""

    __slots__ = ("_before", "_client", "_name")

    def __init__(self, client: ClientStatements, name: bytes, before: Statement):
        self._client = client
        self._name = name
        self._before = before

    def undone(self) -> None:
        self._client.take_back(self._name, None, self._before)


class Untaking(Note):
    """The Close of a name that was taken so that the server would say so."""

    __slots__ = ("_name", "_taken")

    def __init__(self, taken: list[bytes], name: bytes):
        self._taken = taken
        self._name = name
        taken.remove(name)

    def undone(self) -> None:
        self._taken.append(self._name)
