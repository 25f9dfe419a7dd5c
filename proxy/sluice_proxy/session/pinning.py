"""What a client's texts do to the session: a pure judgement, made before they are sent.

A pin keeps the server connection with its client. Parameters are no reason for one: they
are read when the transaction is over, and follow the client. What cannot be told from a
text is looked for in the server's catalogs (`inspection`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntFlag, auto
from functools import lru_cache
from itertools import takewhile

from sluice_proxy.wire import sql
from sluice_proxy.wire.sql import Token


class PinReason(IntFlag):
    """What a client left behind in its server connection; 0 is nothing."""

    NONE = 0
    SESSION_SETTING = auto()
    SESSION_AUTHORIZATION = auto()
    PREPARED_STATEMENT = auto()
    LONG_STATEMENT = auto()
    TEMPORARY_OBJECT = auto()
    HOLDABLE_CURSOR = auto()
    ADVISORY_LOCK = auto()
    LISTEN = auto()
    SEQUENCE = auto()
    CODE_BLOCK = auto()
    UNREADABLE_TEXT = auto()
    LOADED_LIBRARY = auto()
    UNKNOWN = auto()
    PROTOCOL_DOUBT = auto()


# What DISCARD ALL does not undo: a server connection with one of these is closed.
INDELIBLE = PinReason.LOADED_LIBRARY | PinReason.UNKNOWN | PinReason.PROTOCOL_DOUBT
# What the server's catalogs tell: gone when they show nothing of it.
PROVABLE = (
    PinReason.SESSION_AUTHORIZATION
    | PinReason.PREPARED_STATEMENT
    | PinReason.TEMPORARY_OBJECT
    | PinReason.HOLDABLE_CURSOR
    | PinReason.ADVISORY_LOCK
    | PinReason.LISTEN
    | PinReason.CODE_BLOCK
    | PinReason.UNREADABLE_TEXT
)
# What a user may vouch for (`sessionPinningFilters`); the first name is RDS Proxy's own.
_FILTERS = {
    "EXCLUDE_VARIABLE_SETS": PinReason.SESSION_SETTING | PinReason.SESSION_AUTHORIZATION,
    "EXCLUDE_PREPARED_STATEMENTS": PinReason.PREPARED_STATEMENT | PinReason.LONG_STATEMENT,
    "EXCLUDE_TEMPORARY_OBJECTS": PinReason.TEMPORARY_OBJECT,
    "EXCLUDE_HOLDABLE_CURSORS": PinReason.HOLDABLE_CURSOR,
    "EXCLUDE_ADVISORY_LOCKS": PinReason.ADVISORY_LOCK,
    "EXCLUDE_LISTEN": PinReason.LISTEN,
    "EXCLUDE_SEQUENCES": PinReason.SEQUENCE,
    "EXCLUDE_CODE_BLOCKS": PinReason.CODE_BLOCK | PinReason.UNREADABLE_TEXT,
    "EXCLUDE_LOADED_LIBRARIES": PinReason.LOADED_LIBRARY,
}

# Trailing bytes of these encodings may look like ASCII signs, so that their texts cannot
# be taken apart byte by byte (src/backend/utils/mb: "client-only encodings").
UNSAFE_ENCODINGS = frozenset(
    (b"SJIS", b"SHIFT_JIS_2004", b"BIG5", b"GBK", b"UHC", b"GB18030", b"JOHAB")
)

_LOCKS = frozenset(
    (
        b"pg_advisory_lock",
        b"pg_advisory_lock_shared",
        b"pg_try_advisory_lock",
        b"pg_try_advisory_lock_shared",
    )
)
_SEQUENCES = frozenset((b"currval", b"lastval"))
_BEFORE_TEMP = frozenset((b"create", b"local", b"global", b"into", b"replace"))
# SET LOCAL, SET TRANSACTION and SET CONSTRAINTS end with the transaction; `SET local.x` is
# a setting of that name.
_TRANSACTION_SETS = frozenset((b"local", b"transaction", b"constraints"))
_AFTER_NAME = frozenset((b"to", b"=", b"from"))
# EXPLAIN ANALYZE (…) EXECUTE p, CREATE TABLE t AS EXECUTE p; not EXECUTE FUNCTION f.
_BEFORE_EXECUTE = frozenset((b"explain", b"analyze", b"verbose", b")", b"as"))

# Bytes of a text above which its judgement is not remembered.
_REMEMBERED = 2000

PREPARE, EXECUTE, DEALLOCATE = b"prepare", b"execute", b"deallocate"


@dataclass(frozen=True, slots=True)
class Call:
    """SQL's PREPARE, EXECUTE or DEALLOCATE: which statement of the text, and which name.

    `name` stands at `start:end`; the statement itself at `first:last`.
    """

    verb: bytes
    name: bytes
    index: int
    start: int
    end: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Effects:
    """What running a text may do to the session.

    `settings`: parameters may change, those with a dot in their `names` among them;
    `resets`: some go back to what they were at the start. `undoes`: a reason for a pin may
    be gone. `wipes`: every prepared statement is gone. `sequences`: asks for the last value
    that this session took of a sequence. `databases`: nobody may be connected to these.
    `defines`: a function or a trigger is made. `guessed`: it may do more than stands in the text.
    """

    pins: PinReason = PinReason.NONE
    settings: bool = False
    resets: bool = False
    undoes: bool = False
    wipes: bool = False
    sequences: bool = False
    databases: tuple[bytes, ...] = ()
    defines: bool = False
    guessed: bool = False
    names: tuple[bytes, ...] = ()
    calls: tuple[Call, ...] = ()

    @property
    def anything(self) -> bool:
        """What it does shows in no text: even prepared statements may be gone."""
        return self.guessed or bool(self.pins & (PinReason.CODE_BLOCK | PinReason.UNREADABLE_TEXT))


NOTHING = Effects()


@dataclass(slots=True)
class _Findings:
    """Effects in the making."""

    text: bytes
    pins: PinReason = PinReason.NONE
    settings: bool = False
    resets: bool = False
    undoes: bool = False
    wipes: bool = False
    sequences: bool = False
    databases: tuple[bytes, ...] = ()
    defines: bool = False
    names: set[bytes] = field(default_factory=set)
    calls: list[Call] = field(default_factory=list)


def effects_of(text: bytes, lexable: bool = True) -> Effects:
    """What running `text` may do. Not `lexable`: every doubt counts."""
    if not sql.may_leave_state(text):
        return NOTHING
    return _judged(text) if lexable else doubtful(text)


def effects_of_piece(piece: bytes) -> Effects:
    """The same for a piece of a text that is too long to be held."""
    return doubtful(piece) if sql.may_leave_state_within(piece) else NOTHING


def doubtful(text: bytes) -> Effects:
    """A text that may do anything: what it did is looked for in the catalogs."""
    return Effects(
        PinReason.UNREADABLE_TEXT, settings=True, undoes=True, names=sql.dotted_names(text)
    )


def lexable(encoding: bytes, standard_strings: bytes) -> bool:
    """Whether texts of a client can be taken apart: encoding and standard_conforming_strings."""
    return encoding.upper() not in UNSAFE_ENCODINGS and standard_strings == b"on"


def excused(filters: Iterable[str]) -> PinReason:
    """The reasons that a user vouches for."""
    mask = PinReason.NONE
    for name in filters:
        mask |= _FILTERS[name]
    return mask


def _judged(text: bytes) -> Effects:
    return _remembered(text) if len(text) <= _REMEMBERED else _judge(text)


@lru_cache(maxsize=1024)
def _remembered(text: bytes) -> Effects:
    return _judge(text)


def _judge(text: bytes) -> Effects:
    found = _Findings(text)
    for index, statement in enumerate(sql.statements(text)):
        _by_first_word(statement, index, found)
        _by_any_word([token.word for token in statement], statement, index, found)
    names = sql.dotted_names(text, found.names) if found.settings else ()
    return Effects(
        found.pins,
        found.settings,
        found.resets,
        found.undoes,
        found.wipes,
        found.sequences,
        found.databases,
        found.defines,
        names=names,
        calls=tuple(found.calls),
    )


def _by_first_word(statement: list[Token], index: int, found: _Findings) -> None:
    words = [token.word for token in statement]
    first = words[0]
    if found.text[statement[0].start] == _QUOTE:
        # A name, which begins no statement.
        return
    if first == b"set":
        _on_set(words, found)
    elif first == b"reset":
        found.settings = found.resets = found.undoes = True
        found.names.add(b"".join(words[1:]))
    elif first in (b"prepare", b"deallocate"):
        _on_statement(words, statement, index, found)
    elif first == b"discard":
        _on_discard(words[1:2], found)
    elif first == b"declare":
        if _holds(words):
            found.pins |= PinReason.HOLDABLE_CURSOR
    elif first == b"do":
        _on_do(found.text[statement[0].end : statement[-1].end], found)
    elif first in _DEFINING:
        _on_definition(words, found)
    else:
        found.undoes |= first in _UNDOING
        found.pins |= _PINNING.get(first, PinReason.NONE)


_QUOTE = ord('"')
_PINNING = {b"listen": PinReason.LISTEN, b"load": PinReason.LOADED_LIBRARY}
# "Nobody else can be connected to the target database", nor to the template of a new one.
_DEFINING = frozenset((b"drop", b"alter", b"create"))
_DEFINED = frozenset((b"function", b"procedure", b"trigger"))
_UNDOING = frozenset((b"close", b"unlisten"))


def _on_definition(words: list[bytes], found: _Findings) -> None:
    found.undoes |= words[0] == b"drop"
    if words[1:2] == [b"database"]:
        found.databases = tuple(words[2:])
    elif words[0] == b"create":
        found.defines = not _DEFINED.isdisjoint(words[1:5])


def _on_set(words: list[bytes], found: _Findings) -> None:
    if words[1:2] and words[1] in _TRANSACTION_SETS and words[2:3] != [b"."]:
        return
    found.settings = True
    begin = 2 if words[1:2] == [b"session"] else 1
    found.names.add(b"".join(takewhile(lambda word: word not in _AFTER_NAME, words[begin:])))
    if words[1:3] == [b"session", b"authorization"]:
        found.pins |= PinReason.SESSION_AUTHORIZATION
    # SET TIME ZONE LOCAL is the same as DEFAULT.
    found.resets |= words[-1] == b"default" or words[1:] == [b"time", b"zone", b"local"]


def _on_statement(words: list[bytes], statement: list[Token], index: int, found: _Findings) -> None:
    """PREPARE name …, DEALLOCATE [PREPARE] name or ALL."""
    if words[0] == b"prepare":
        if words[1:2] != [b"transaction"]:
            # PREPARE TRANSACTION hands the transaction over to the server as a whole.
            _call(PREPARE, statement, 1, index, found)
        return
    at = 2 if words[1:2] == [b"prepare"] and len(words) > 2 else 1
    found.undoes = True
    if words[at : at + 1] == [b"all"] and statement[at].end - statement[at].start == 3:
        found.wipes = True
    else:
        _call(DEALLOCATE, statement, at, index, found)


def _on_discard(what: list[bytes], found: _Findings) -> None:
    found.undoes = True
    if what == [b"all"]:
        found.settings = found.resets = found.wipes = True


def _on_do(body: bytes, found: _Findings) -> None:
    # What the block does stands in its body, which is a string to this lexer.
    if sql.may_leave_state_within(body):
        found.pins |= PinReason.CODE_BLOCK
        found.settings = found.undoes = True


def _call(verb: bytes, statement: list[Token], at: int, index: int, found: _Findings) -> None:
    if at < len(statement):
        name, start, end = statement[at]
        if name == sql.UNICODE_NAME:
            try:
                name = sql.unicode_name(found.text[start:end])
            except ValueError:
                return
        first, last = statement[0].start, statement[-1].end
        found.calls.append(Call(verb, name[:63], index, start, end, first, last))


def _holds(words: list[bytes]) -> bool:
    return any(word == b"hold" and words[at - 1] == b"with" for at, word in enumerate(words) if at)


def _by_any_word(words: list[bytes], statement: list[Token], index: int, found: _Findings) -> None:
    for at, word in enumerate(words):
        if word in (b"temp", b"temporary"):
            if at and words[at - 1] in _BEFORE_TEMP:
                found.pins |= PinReason.TEMPORARY_OBJECT
        elif word.startswith(b"pg_temp"):
            found.pins |= PinReason.TEMPORARY_OBJECT
        elif word in _LOCKS:
            found.pins |= PinReason.ADVISORY_LOCK
        elif word.startswith(b"pg_advisory_unlock"):
            found.undoes = True
        elif word in _SEQUENCES:
            found.sequences = True
        elif word == b"execute":
            if not at or words[at - 1] in _BEFORE_EXECUTE:
                _call(EXECUTE, statement, at + 1, index, found)
        else:
            _by_rare_word(words, at, found)


def _by_rare_word(words: list[bytes], at: int, found: _Findings) -> None:
    word = words[at]
    if word == b"set_config":
        found.settings |= not _is_local(words, at)
    elif word == b"pg_settings":
        # Its rule turns an UPDATE into set_config.
        found.settings |= b"update" in words
    elif word == sql.UNICODE_NAME:
        # What it spells is not looked into.
        found.pins |= PinReason.UNREADABLE_TEXT
        found.settings = True
    elif word == b"setseed" or word.startswith(b"dblink_connect"):
        # Neither a seed nor a connection of dblink's ends with DISCARD ALL.
        found.pins |= PinReason.UNKNOWN


def _is_local(words: list[bytes], at: int) -> bool:
    """True for set_config(name, value, true) with that literal: it ends with the transaction."""
    depth = 0
    for end in range(at + 1, len(words)):
        depth += (words[end] == b"(") - (words[end] == b")")
        if depth == 0:
            return words[end - 2 : end] == [b",", b"true"]
    return False
