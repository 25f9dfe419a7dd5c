"""Why a client keeps its server connection: a pure judgement of what it sends.

A pin is set before the message goes out, so that no reply can come without it.
"""

from enum import IntFlag, auto

from sluice_proxy.wire import sql


class PinReason(IntFlag):
    """What a client left behind in its server connection; 0 is nothing."""

    NONE = 0
    SESSION_SETTING = auto()
    PREPARED_STATEMENT = auto()
    TEMPORARY_OBJECT = auto()
    HOLDABLE_CURSOR = auto()
    ADVISORY_LOCK = auto()
    LISTEN = auto()
    CODE_BLOCK = auto()
    LOADED_LIBRARY = auto()
    UNKNOWN = auto()
    PROTOCOL_DOUBT = auto()


# What DISCARD ALL does not undo: a server connection with one of these is closed.
INDELIBLE = PinReason.LOADED_LIBRARY | PinReason.UNKNOWN | PinReason.PROTOCOL_DOUBT

# Trailing bytes of these encodings may look like ASCII signs, so that their texts cannot
# be taken apart byte by byte (src/backend/utils/mb: "client-only encodings").
_UNSAFE_ENCODINGS = frozenset((b"SJIS", b"SHIFT_JIS_2004", b"BIG5", b"GBK", b"UHC", b"GB18030"))

_LOCKS = frozenset(
    (
        b"pg_advisory_lock",
        b"pg_advisory_lock_shared",
        b"pg_try_advisory_lock",
        b"pg_try_advisory_lock_shared",
    )
)
# Neither a seed nor a connection of dblink's ends with DISCARD ALL; what a U&"" name spells
# is not looked into.
_BEYOND_DISCARD = frozenset((b"setseed", sql.UNICODE_NAME))
_BEFORE_TEMP = frozenset((b"create", b"local", b"global", b"into", b"replace"))
# SET LOCAL, SET TRANSACTION and SET CONSTRAINTS end with the transaction; `SET local.x` is
# a setting of that name.
_TRANSACTION_SETS = frozenset((b"local", b"transaction", b"constraints"))


def reasons_for_text(text: bytes, lexable: bool = True) -> PinReason:
    """What running `text` may leave behind. Not `lexable`: every doubt counts."""
    if not sql.may_leave_state(text):
        return PinReason.NONE
    if not lexable:
        return PinReason.UNKNOWN
    found = PinReason.NONE
    for statement in sql.statements(text):
        found |= _by_first_words(statement) | _by_any_word(statement)
        if statement[0] == b"do" and sql.may_leave_state_within(text[2:]):
            # What the block does stands in its body, which is a string to this lexer.
            found |= PinReason.CODE_BLOCK
    return found


def reasons_for_piece(piece: bytes) -> PinReason:
    """The same for a piece of a text that is too long to be held."""
    return PinReason.UNKNOWN if sql.may_leave_state_within(piece) else PinReason.NONE


def lexable(encoding: bytes, standard_strings: bytes) -> bool:
    """Whether texts of a client can be taken apart: encoding and standard_conforming_strings."""
    return encoding.upper() not in _UNSAFE_ENCODINGS and standard_strings == b"on"


def _by_first_words(words: list[bytes]) -> PinReason:
    first = words[0]
    second = words[1] if len(words) > 1 else b""
    if first == b"set":
        if second in _TRANSACTION_SETS and words[2:3] != [b"."]:
            return PinReason.NONE
        return PinReason.SESSION_SETTING
    if first == b"prepare":
        # PREPARE TRANSACTION hands the transaction over to the server as a whole.
        return PinReason.NONE if second == b"transaction" else PinReason.PREPARED_STATEMENT
    if first == b"declare":
        return PinReason.HOLDABLE_CURSOR if _holds(words) else PinReason.NONE
    return _BY_FIRST_WORD.get(first, PinReason.NONE)


_BY_FIRST_WORD = {
    b"reset": PinReason.SESSION_SETTING,
    b"listen": PinReason.LISTEN,
    b"load": PinReason.LOADED_LIBRARY,
}


def _holds(words: list[bytes]) -> bool:
    return any(word == b"hold" and words[at - 1] == b"with" for at, word in enumerate(words) if at)


def _by_any_word(words: list[bytes]) -> PinReason:
    found = PinReason.NONE
    for at, word in enumerate(words):
        if word in (b"temp", b"temporary"):
            if at and words[at - 1] in _BEFORE_TEMP:
                found |= PinReason.TEMPORARY_OBJECT
        elif word.startswith(b"pg_temp"):
            found |= PinReason.TEMPORARY_OBJECT
        elif word in _LOCKS:
            found |= PinReason.ADVISORY_LOCK
        elif (word == b"set_config" and not _is_local(words, at)) or (
            word == b"pg_settings" and b"update" in words
        ):
            found |= PinReason.SESSION_SETTING
        elif word in _BEYOND_DISCARD or word.startswith(b"dblink_connect"):
            found |= PinReason.UNKNOWN
    return found


def _is_local(words: list[bytes], at: int) -> bool:
    """True for set_config(name, value, true) with that literal: it ends with the transaction."""
    depth = 0
    for end in range(at + 1, len(words)):
        depth += (words[end] == b"(") - (words[end] == b")")
        if depth == 0:
            return words[end - 2 : end] == [b",", b"true"]
    return False
