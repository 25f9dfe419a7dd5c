"""The lexer that finds what a query text leaves behind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_proxy.wire import sql


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", []),
        (b"SELECT 1", [b"select", b"1"]),
        (b"a-b", [b"a", b"-", b"b"]),
        (b"a--b\nc", [b"a", b"c"]),
        (b"a--b\rc", [b"a", b"c"]),
        (b"--", []),
        (b"a/* b */c", [b"a", b"c"]),
        (b"a/* /* b */ c */d", [b"a", b"d"]),
        (b"a/* b", [b"a"]),
        (b"a */ b", [b"a", b"*", b"/", b"b"]),
        (b"'a'b", [b"'", b"b"]),
        (b"'it''s'b", [b"'", b"b"]),
        (rb"'a\'b", [b"'", b"b"]),
        (b"'open", [b"'"]),
        (rb"E'a\'b'c", [b"'", b"c"]),
        (rb"e'a\\'b", [b"'", b"b"]),
        (rb"E'a''b'c", [b"'", b"c"]),
        (b"E'a'\n'\\'b'c", [b"'", b"c"]),
        (b"E'a' -- why\n -- not\n '\\'b'c", [b"'", b"c"]),
        (rb"E'a' '\'z'", [b"'", b"'", b"z", b"'"]),
        (rb"some'a\'b", [b"some", b"'", b"b"]),
        (rb"x.e'a\'b'c", [b"x", b".", b"'", b"c"]),
        (b"B'01'x", [b"'", b"x"]),
        (b"U&'d\\0061'x", [b"'", b"x"]),
        (b'"Mixed"x', [b"Mixed", b"x"]),
        (b'"a""b"x', [b'a"b', b"x"]),
        (b'"a"""x', [b'a"', b"x"]),
        (b'"open', [b"open"]),
        (b'U&"d\\0061"x', [b'u&"', b"x"]),
        (b"$$ ; ' $$x", [b"'", b"x"]),
        (b"$a$ $$ $b$ $a$x", [b"'", b"x"]),
        (b"$a$ open", [b"'"]),
        (b"$1", [b"$", b"1"]),
        (b"a$$b", [b"a$$b"]),
        (b"\xc3\xa9t\xc3\xa9 x", [b"\xc3\xa9t\xc3\xa9", b"x"]),
        (b"$\xc3\xa9$ ' $\xc3\xa9$x", [b"'", b"x"]),
    ],
)
def test_tokens(text: bytes, expected: list[bytes]) -> None:
    assert list(sql.tokens(text)) == expected


def test_statements_are_split_at_semicolons_outside_of_everything() -> None:
    text = b"a ';' \";\" $$;$$ /*;*/ --;\n b;; ; c"
    assert list(sql.statements(text)) == [[b"a", b"'", b'";"', b"'", b"b"], [b"c"]]


@given(st.binary(max_size=80))
def test_the_lexer_ends_whatever_it_reads(text: bytes) -> None:
    assert all(token for token in sql.tokens(text) if token != b"")


FRAGMENTS = [
    b"'", b"''", b"E'", b"\\", b"\n", b"\r", b"--", b"-", b"/*", b"*/", b"$$", b"$a$", b'"',
    b";", b" ", b"set", b"x", b"U&", b"temp", b"(", b")",
]  # fmt: skip


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=40).map(b"".join))
def test_the_lexer_is_quick_whatever_it_reads(text: bytes) -> None:
    assert len(list(sql.tokens(text * 20))) <= len(text) * 20


WORDS = [
    b"SET", b"x", b"temp", b"pg_advisory_lock", b"set_config", b"dblink_connect_u", b"HOLD",
    b" ", b"''", b"y" * 70,
]  # fmt: skip
PIECES = st.lists(st.sampled_from(WORDS), max_size=8).map(b"".join)


@given(PIECES, st.integers(1, 40))
def test_pieces_that_overlap_miss_nothing(text: bytes, size: int) -> None:
    """Cut every `size` bytes; the tail of what was seen goes before each piece."""
    tail = b""
    found = False
    for at in range(0, len(text), size):
        seen = tail + text[at : at + size]
        found = found or sql.may_leave_state_within(seen)
        tail = seen[-sql.OVERLAP :]
    assert found or not sql.may_leave_state_within(text)
