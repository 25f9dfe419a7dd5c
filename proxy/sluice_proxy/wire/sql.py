"""Finds the few words of a query text that change something which outlives its transaction.

Two steps. `may_leave_state` is cheap, sees every query, and may say yes too often.
`tokens` follows PostgreSQL's lexer (chapter "Lexical Structure") and is asked only then.
Query bytes are never decoded: any client encoding that is a superset of ASCII will do.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

# Words that matter only as the first of a statement.
_FIRST = rb"(?:set|reset|prepare|listen|load|do|deallocate|discard|drop|close|unlisten|create)\b"
_AT_START = re.compile(rb"\s*" + _FIRST, re.IGNORECASE)
_AFTER_SEMICOLON = re.compile(rb";\s*" + _FIRST, re.IGNORECASE)
# A comment may stand before the first word, a line comment ends with its line.
_AFTER_COMMENT = re.compile(rb"(?:\*/|[;\r\n])\s*" + _FIRST, re.IGNORECASE)
# Words that matter wherever they stand, in lower case.
_ANYWHERE = (
    b"temp",
    b"advisory_",
    b"set_config",
    b"hold",
    b"execute",
    b"currval",
    b"lastval",
    b"setseed",
    b"pg_settings",
    b"dblink_connect",
    b"database",
    b'u&"',
)

# The longest word above and its surroundings fit in this many bytes, so that a text read
# in pieces misses none when the pieces overlap by as much.
OVERLAP = 64

# A string goes on after a line's end, and an escape string with escapes.
_TOKEN = re.compile(
    rb"""
      (?P<blank>\s+|--[^\r\n]*)
    | (?P<comment>/\*)
    | (?P<escape>[eE]'(?:[^'\\]|\\.|''|'(?:[ \t\f\v]|--[^\r\n]*+)*+[\r\n](?:\s|--[^\r\n]*+)*+')*+'?)
    | (?P<string>(?:[uU]&|[bBxXnN])?'(?:[^']|'')*'?)
    | (?P<unicode>[uU]&"(?:[^"]|"")*"?)
    | (?P<quoted>"(?:[^"]|"")*"?)
    | (?P<dollar>\$(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*)?\$)
    | (?P<word>[A-Za-z_\x80-\xff][\w$\x80-\xff]*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(rb"/\*|\*/")

# What a string or a dollar quote becomes: one token that is no word.
STRING = b"'"
# A U&"" name, whose escapes may spell any word.
UNICODE_NAME = b'u&"'

# Names of parameters that an extension or an application made up: they hold a dot.
# One begins where no other word goes on: the text is passed over once, however long it is.
_DOTTED = re.compile(
    rb"(?<![\w$\x80-\xff])[A-Za-z_\x80-\xff][\w$\x80-\xff]*(?:\.[A-Za-z_\x80-\xff][\w$\x80-\xff]*)+"
)
_NAME_LIMIT = 63
_NAMES_LIMIT = 100


class Token(NamedTuple):
    """What it says, and where it stands in the text."""

    word: bytes
    start: int
    end: int


def may_leave_state(text: bytes) -> bool:
    """False when `text` surely changes nothing that outlives its transaction."""
    if _AT_START.match(text) is not None:
        return True
    if b"--" in text or b"/*" in text:
        if _AFTER_COMMENT.search(text) is not None:
            return True
    elif b";" in text and _AFTER_SEMICOLON.search(text) is not None:
        return True
    lower = text.lower()
    return any(word in lower for word in _ANYWHERE)


def harmless(shape: bytes) -> bool:
    """Whether `may_leave_state` is False of a text, and of all that differ in nothing but digits.

    `shape` is such a text without its digits. No word above has one, and each stands there in one
    piece: without them a text shows whatever it showed with them.
    """
    return not may_leave_state(shape)


def may_leave_state_within(piece: bytes) -> bool:
    """The same for a piece out of a text's middle, where no statement's start is known."""
    return _WORDS.search(piece) is not None


_WORDS = re.compile(rb"\b" + _FIRST + b"|" + b"|".join(_ANYWHERE), re.IGNORECASE)


def dotted_names(text: bytes, more: Iterable[bytes] = ()) -> tuple[bytes, ...]:
    """Whatever may be the name of a parameter with a dot, string literals included."""
    candidates = [name for name in more if _DOTTED.fullmatch(name)] + _DOTTED.findall(text)
    found = {name.lower(): name for name in candidates if len(name) <= _NAME_LIMIT}
    return tuple(found.values())[:_NAMES_LIMIT]


def tokens(text: bytes) -> Iterator[Token]:
    """Words in lower case, quoted names without quotes, STRING for literals, single signs."""
    at = 0
    size = len(text)
    while at < size:
        match = _TOKEN.match(text, at)
        assert match is not None  # `other` takes whatever is left
        kind = match.lastgroup
        start, at = at, match.end()
        if kind == "comment":
            at = _after_comment(text, at)
        elif kind == "dollar":
            at = _after_dollar_quote(text, match.group(), at)
            yield Token(STRING, start, at)
        elif kind != "blank":
            yield Token(_word(kind, match.group()), start, at)


def _word(kind: str | None, raw: bytes) -> bytes:
    if kind == "word":
        return raw.lower()
    if kind == "quoted":
        name = raw[1:].removesuffix(b'"').replace(b'""', b'"')
        return raw if name == b";" else name
    if kind == "unicode":
        return UNICODE_NAME
    return STRING if kind in ("string", "escape") else raw


def unicode_name(raw: bytes) -> bytes:
    """What a U&"…" name spells, in UTF-8; raises ValueError where that cannot be told."""
    text = raw[3:].removesuffix(b'"').replace(b'""', b'"')
    return _ESCAPE.sub(_escaped, text)


_ESCAPE = re.compile(rb"\\(?:(\\)|([0-9A-Fa-f]{4})|\+([0-9A-Fa-f]{6}))")


def _escaped(match: re.Match[bytes]) -> bytes:
    if match[1]:
        return b"\\"
    return chr(int(match[2] or match[3], 16)).encode()


def _after_comment(text: bytes, at: int) -> int:
    """Comments nest, as the SQL standard has it."""
    depth = 1
    while depth:
        edge = _COMMENT_EDGE.search(text, at)
        if edge is None:
            return len(text)
        depth += 1 if edge.group() == b"/*" else -1
        at = edge.end()
    return at


def _after_dollar_quote(text: bytes, tag: bytes, at: int) -> int:
    end = text.find(tag, at)
    return len(text) if end < 0 else end + len(tag)


def statements(text: bytes) -> Iterator[list[Token]]:
    """The tokens of each statement of `text`; empty ones are left out.

    A semicolon within parentheses (the commands of a rule) or within BEGIN ATOMIC … END (the
    body of a function) ends no statement.
    """
    statement: list[Token] = []
    depth = 0
    for token in tokens(text):
        word = token.word
        if word == b";" and depth <= 0:
            if statement:
                yield statement
            statement = []
            continue
        depth += _nesting(word, statement)
        statement.append(token)
    if statement:
        yield statement


def _nesting(word: bytes, before: list[Token]) -> int:
    """How much deeper the statement is after `word`."""
    if word in (b"(", b")"):
        return 1 if word == b"(" else -1
    if not before or before[0].word != b"create":
        return 0
    if word == b"atomic":
        return before[-1].word == b"begin"
    if word in (b"case", b"end") and any(token.word == b"atomic" for token in before):
        return 1 if word == b"case" else -1
    return 0
