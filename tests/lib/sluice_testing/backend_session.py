"""The session of the miniature PostgreSQL: a few statements, and what each leaves behind.

Parameters, temporary tables, channels and held cursors are transactional; prepared
statements, advisory locks and what was taken of a sequence are not, as in PostgreSQL.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

Row = tuple[bytes | None, ...]

IDLE, OPEN, FAILED = "ITE"
DEFAULTS: Final = {
    b"application_name": b"",
    b"client_encoding": b"UTF8",
    b"standard_conforming_strings": b"on",
    b"TimeZone": b"UTC",
    b"work_mem": b"4MB",
    b"role": b"none",
}
# "reported to the client by ParameterStatus messages"
REPORTED: Final = (b"application_name", b"client_encoding", b"standard_conforming_strings",
                   b"TimeZone")  # fmt: skip
_STRING = rb"E?'((?:[^'\\]|''|\\.)*)'"
_SET_CONFIG = re.compile(rb"set_config\(%s, (?:(NULL)|%s), (true|false)\)" % (_STRING, _STRING))
_PAIR = re.compile(rb"\(%s, %s\)" % (_STRING, _STRING))
_PREPARE = re.compile(rb"PREPARE (\w+) AS (.*)", re.DOTALL)
_EXECUTE = re.compile(rb"EXECUTE (\w+)(?:\('([^']*)'\))?")
_OBJECT = re.compile(rb"SELECT '(\d+)', '', '' WHERE (.*?)(?= UNION ALL|$)", re.DOTALL)
_NAMES = re.compile(rb"unnest\(E'\{([^}]*)\}'")
_PREFIX = re.compile(rb"starts_with\(name, '([^']*)'\)")


@dataclass
class Failure(Exception):
    """An ERROR; `position` counts characters from 1."""

    sqlstate: bytes
    message: bytes
    position: int = 0


@dataclass(frozen=True)
class Prepared:
    text: bytes
    from_sql: bool


@dataclass(frozen=True)
class Result:
    tag: bytes
    rows: tuple[Row, ...] = ()


@dataclass
class Lasting:
    """What a rollback takes back."""

    settings: dict[bytes, bytes] = field(default_factory=dict)
    local: dict[bytes, bytes] = field(default_factory=dict)
    objects: frozenset[tuple[bytes, bytes]] = frozenset()

    def copy(self) -> "Lasting":
        return Lasting(dict(self.settings), dict(self.local), self.objects)


def pieces(text: bytes) -> list[tuple[int, bytes]]:
    """The statements of a text, each with its place. Strings hold no semicolon here."""
    found = []
    at = 0
    for piece in text.split(b";"):
        stripped = piece.lstrip()
        if stripped:
            found.append((at + len(piece) - len(stripped), stripped.rstrip()))
        at += len(piece) + 1
    return found


def unquoted(value: bytes) -> bytes:
    """What stands within the quotes of a string."""
    return re.sub(rb"''|\\\\", lambda pair: pair[0][:1], value)


def refuse(text: bytes, word: bytes, sqlstate: bytes, at: int = 0) -> None:
    """`bad` is no SQL, `missing` is no table: both are found before anything runs."""
    found = re.search(rb"\b%s\b" % word, text)
    if found is not None:
        raise Failure(sqlstate, b"no " + text[found.start() :], at + found.start() + 1)


def is_exit(text: bytes) -> bool:
    """It may run in a transaction that failed."""
    return text.split(b" ")[0] in (b"ROLLBACK", b"COMMIT", b"")


class Session:
    """`start` are the parameters that the connection was started with."""

    def __init__(self, start: Mapping[bytes, bytes]) -> None:
        self.start = dict(start)
        self.status = IDLE
        self.statements: dict[bytes, Prepared] = {}
        self.locks: set[bytes] = set()
        self.taken: bytes | None = None
        self.lasting = Lasting()
        self._begun: Lasting | None = None
        self._savepoints: list[tuple[bytes, Lasting]] = []

    @property
    def clean(self) -> bool:
        """Nothing is left of any client but parameters and what is prepared."""
        return not (self.lasting.objects or self.locks or self.status != IDLE)

    def show(self, name: bytes) -> bytes:
        known = self.lasting.local.get(name, self.lasting.settings.get(name))
        return self._reset_value(name) if known is None else known

    def _reset_value(self, name: bytes) -> bytes:
        return self.start.get(name, DEFAULTS.get(name, b""))

    # Transactions

    def finish(self) -> None:
        """A Query or a pipeline is over: an implicit transaction is committed."""
        if self.status == IDLE:
            self._commit()

    def fail(self) -> None:
        if self.status == IDLE:
            self._roll_back()
        else:
            self.status = FAILED

    def _commit(self) -> None:
        self.status, self._begun = IDLE, None
        self._savepoints.clear()
        self.lasting.local.clear()

    def _roll_back(self) -> None:
        if self._begun is not None:
            self.lasting = self._begun
        self._commit()

    # Statements

    def run(self, text: bytes, value: bytes | None = None, alone: bool = True) -> Result:
        """Executes one statement; `value` stands for $1."""
        verb, _, rest = text.partition(b" ")
        if self.status == FAILED and not is_exit(text):
            raise Failure(b"25P02", b"current transaction is aborted")
        if self._begun is None:
            self._begun = self.lasting.copy()
        known: dict[bytes, Callable[[bytes], bytes]] = {
            b"BEGIN": self._begin,
            b"COMMIT": self._on_commit,
            b"ROLLBACK": self._on_rollback,
            b"SAVEPOINT": self._savepoint,
            b"SET": self._set,
            b"RESET": self._reset,
            b"PREPARE": lambda rest: self._prepare(text),
            b"DEALLOCATE": self._deallocate,
            b"CREATE": self._create,
            b"DROP": self._drop,
            b"LISTEN": lambda rest: self._make(b"channel", rest),
            b"UNLISTEN": lambda rest: self._unmake(b"channel", rest),
            b"DECLARE": lambda rest: self._make(b"cursor", rest.split(b" ")[0]),
            b"CLOSE": lambda rest: self._unmake(b"cursor", rest),
        }
        if verb == b"DISCARD":
            return Result(self._discard(rest, alone))
        if verb in known:
            return Result(known[verb](rest) or verb)
        if verb == b"EXECUTE":
            return self._execute(text)
        if verb == b"SHOW":
            return Result(b"SHOW", ((self.show(rest),),))
        if verb == b"SELECT":
            return self._select(text, rest, value)
        raise Failure(b"22000", rest)

    def _begin(self, tag: bytes) -> bytes:
        self.status = OPEN
        return tag

    def _on_commit(self, tag: bytes) -> bytes:
        if self.status == FAILED:
            return self._on_rollback(tag)
        self._commit()
        return tag

    def _on_rollback(self, rest: bytes) -> bytes:
        if rest.startswith(b"TO "):
            return self._roll_back_to(rest[3:])
        if self.status != IDLE:
            self._roll_back()
        return rest

    def _savepoint(self, name: bytes) -> bytes:
        if self.status == IDLE:
            raise Failure(b"25P01", b"SAVEPOINT can only be used in transaction blocks")
        self._savepoints.append((name, self.lasting.copy()))
        return b"SAVEPOINT"

    def _roll_back_to(self, name: bytes) -> bytes:
        while self._savepoints and self._savepoints[-1][0] != name:
            self._savepoints.pop()
        if not self._savepoints:
            raise Failure(b"3B001", b"savepoint does not exist")
        self.lasting = self._savepoints[-1][1].copy()
        self.status = OPEN
        return b"ROLLBACK"

    def _set(self, rest: bytes) -> bytes:
        is_local = rest.startswith(b"LOCAL ")
        name, _, value = rest.removeprefix(b"LOCAL ").partition(b" ")
        self._put(name, value, is_local)
        return b"SET"

    def _put(self, name: bytes, value: bytes, is_local: bool) -> None:
        if not is_local:
            self.lasting.local.pop(name, None)
            self.lasting.settings[name] = value
        elif self.status != IDLE:
            self.lasting.local[name] = value

    def _reset(self, name: bytes) -> bytes:
        if name == b"ALL":
            for one in [*self.lasting.settings, *self.lasting.local]:
                if one != b"role":
                    self._take_back(one)
        else:
            self._take_back(name)
        return b"RESET"

    def _take_back(self, name: bytes) -> None:
        self.lasting.local.pop(name, None)
        known = self.lasting.settings.pop(name, None) is not None
        if known and b"." in name:
            # An application's own parameter is never unset again.
            self.lasting.settings[name] = b""

    def _prepare(self, text: bytes) -> bytes:
        match = _PREPARE.fullmatch(text)
        assert match is not None, text
        self.keep(match[1], Prepared(match[2], True))
        return b"PREPARE"

    def keep(self, name: bytes, statement: Prepared) -> None:
        if name in self.statements:
            raise Failure(b"42P05", b'prepared statement "%b" already exists' % name)
        self.statements[name] = statement

    def find(self, name: bytes) -> Prepared:
        if name not in self.statements:
            raise Failure(b"26000", b'prepared statement "%b" does not exist' % name)
        return self.statements[name]

    def _execute(self, text: bytes) -> Result:
        match = _EXECUTE.fullmatch(text)
        assert match is not None, text
        return self.run(self.find(match[1]).text, match[2])

    def _deallocate(self, name: bytes) -> bytes:
        if name == b"ALL":
            self.statements.clear()
            return b"DEALLOCATE ALL"
        self.find(name)
        del self.statements[name]
        return b"DEALLOCATE"

    def _create(self, rest: bytes) -> bytes:
        return self._make(b"table", rest.removeprefix(b"TEMP TABLE "))

    def _drop(self, rest: bytes) -> bytes:
        return self._unmake(b"table", rest.removeprefix(b"TABLE "))

    def _make(self, kind: bytes, name: bytes) -> bytes:
        if (kind, name) in self.lasting.objects and kind != b"channel":
            raise Failure(b"42P07", b"exists: " + name)
        self.lasting.objects |= {(kind, name)}
        return b"CREATE"

    def _unmake(self, kind: bytes, name: bytes) -> bytes:
        if (kind, name) not in self.lasting.objects and kind != b"channel":
            raise Failure(b"42P01", b"not there: " + name)
        self.lasting.objects -= {(kind, name)}
        return b"DROP"

    def _discard(self, what: bytes, alone: bool) -> bytes:
        self.taken = None
        if what == b"ALL":
            if self.status != IDLE or not alone:
                raise Failure(b"25001", b"DISCARD ALL cannot run inside a transaction block")
            self._reset(b"role")
            self._reset(b"ALL")
            self.lasting.objects = frozenset()
            self.statements.clear()
            self.locks.clear()
        return b"DISCARD " + what

    # Queries

    def _select(self, text: bytes, rest: bytes, value: bytes | None) -> Result:
        rest = rest.removeprefix(b"pg_catalog.")
        if text.startswith(b"SELECT 's', name") or _OBJECT.match(text):
            return Result(b"SELECT", (*self._settings_asked(text), *self._objects_asked(text)))
        if rest.startswith(b"set_config("):
            self._set_config(text)
            return Result(b"SELECT", ((b"",),))
        name, _, argument = rest.partition(b"(")
        argument = argument.rstrip(b")")
        if name == b"pg_advisory_lock":
            self.locks.add(argument)
        elif name == b"pg_advisory_unlock":
            self.locks.discard(argument)
        elif name == b"nextval":
            self.taken = argument
        elif name == b"lastval":
            if self.taken is None:
                raise Failure(b"55000", b"lastval is not yet defined in this session")
            return Result(b"SELECT", ((self.taken,),))
        return Result(rest, ((rest.replace(b"$1", value or b"nothing"),),))

    def _set_config(self, text: bytes) -> None:
        if b" FROM (VALUES " in text:
            # What a RESET took back too far is set again.
            for name, value in _PAIR.findall(text):
                if self.lasting.settings.get(name, b"") in (b"", b"none"):
                    self._put(name, unquoted(value), False)
        for name, null, value, is_local in _SET_CONFIG.findall(text):
            if null:
                self._take_back(name)
            else:
                self._put(name, unquoted(value), is_local == b"true")

    def _settings_asked(self, text: bytes) -> list[Row]:
        if b"pg_settings" not in text:
            return []
        if b"WHERE source OPERATOR(pg_catalog.=) 'client'" in text:
            return [(b"s", name, value) for name, value in self.start.items()]
        rows: list[Row] = [
            (b"s", name, value)
            for name, value in self.lasting.settings.items()
            if b"." not in name and name != b"role" and value != self._reset_value(name)
        ]
        asked = _NAMES.search(text)
        assert asked is not None
        for name in asked[1].split(b","):
            known = name == b"role" or name in self.lasting.settings
            rows.append((b"s", name, self.show(name) if known else None))
        return rows

    def _objects_asked(self, text: bytes) -> list[Row]:
        return [(found[1], b"", b"") for found in _OBJECT.finditer(text) if self._holds(found[2])]

    def _holds(self, condition: bytes) -> bool:
        kinds = {kind for kind, _ in self.lasting.objects}
        if b"pg_prepared_statements" in condition:
            prefix = _PREFIX.search(condition)
            assert prefix is not None
            return any(
                statement.from_sql and not name.startswith(prefix[1])
                for name, statement in self.statements.items()
            )
        return (
            (b"pg_my_temp_schema" in condition and b"table" in kinds)
            or (b"pg_cursors" in condition and b"cursor" in kinds)
            or (b"pg_listening_channels" in condition and b"channel" in kinds)
            or (b"pg_locks" in condition and bool(self.locks))
        )
