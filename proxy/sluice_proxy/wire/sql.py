"""Finds the few words of a query text that leave something behind in the session.

Two steps. `may_leave_state` is cheap, sees every query, and may say yes too often.
`tokens` follows PostgreSQL's lexer (chapter "Lexical Structure") and is asked only then.
Query bytes are never decoded: any client encoding that is a superset of ASCII will do.
"""

import re
from collections.abc import Iterator

# Words that matter only as the first of a statement.
_FIRST = rb"(?:set|reset|prepare|listen|load|do)\b"
_AT_START = re.compile(rb"\s*" + _FIRST, re.IGNORECASE)
_AFTER_SEMICOLON = re.compile(rb";\s*" + _FIRST, re.IGNORECASE)
# A comment may stand before the first word, a line comment ends with its line.
_AFTER_COMMENT = re.compile(rb"(?:\*/|[;\r\n])\s*" + _FIRST, re.IGNORECASE)
# Words that matter wherever they stand, in lower case.
_ANYWHERE = (
    b"temp",
    b"advisory_lock",
    b"set_config",
    b"hold",
    b"setseed",
    b"pg_settings",
    b"dblink_connect",
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


def may_leave_state_within(piece: bytes) -> bool:
    """The same for a piece out of a text's middle, where no statement's start is known."""
    return _WORDS.search(piece) is not None


_WORDS = re.compile(
    rb"\b(?:set|reset|prepare|listen|load|do)\b|" + b"|".join(_ANYWHERE),
    re.IGNORECASE,
)


def tokens(text: bytes) -> Iterator[bytes]:
    """Words in lower case, quoted names without quotes, STRING for literals, single signs."""
    at = 0
    size = len(text)
    while at < size:
        match = _TOKEN.match(text, at)
        assert match is not None  # `other` takes whatever is left
        kind = match.lastgroup
        at = match.end()
        if kind == "comment":
            at = _after_comment(text, at)
        elif kind == "dollar":
            at = _after_dollar_quote(text, match.group(), at)
            yield STRING
        elif kind != "blank":
            yield _token(kind, match.group())


def _token(kind: str | None, raw: bytes) -> bytes:
    if kind == "word":
        return raw.lower()
    if kind == "quoted":
        name = raw[1:].removesuffix(b'"').replace(b'""', b'"')
        return raw if name == b";" else name
    if kind == "unicode":
        return UNICODE_NAME
    return STRING if kind in ("string", "escape") else raw


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


def statements(text: bytes) -> Iterator[list[bytes]]:
    """The tokens of each statement of `text`; empty ones are left out."""
    statement: list[bytes] = []
    for token in tokens(text):
        if token != b";":
            statement.append(token)
        elif statement:
            yield statement
            statement = []
    if statement:
        yield statement
