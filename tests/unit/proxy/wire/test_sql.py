"""The lexer that finds what a query text leaves behind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_proxy.wire import messages, plain, sql


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
    assert [token.word for token in sql.tokens(text)] == expected


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        (b" a  bc", [b"a", b"bc"]),
        (b"a /* b */ 'it''s' c", [b"a", b"'it''s'", b"c"]),
        (b'$x$ ; $x$,"a""b"', [b"$x$ ; $x$", b",", b'"a""b"']),
        (b"E'\\'' x", [b"E'\\''", b"x"]),
    ],
)
def test_a_token_knows_where_it_stands(text: bytes, spans: list[bytes]) -> None:
    assert [text[token.start : token.end] for token in sql.tokens(text)] == spans


def words(text: bytes) -> list[list[bytes]]:
    return [[token.word for token in statement] for statement in sql.statements(text)]


STATEMENTS = [
    (b"", []),
    (b" ;; ", []),
    (b"a ';' \";\" $$;$$ /*;*/ --;\n b;; ; c", [5, 1]),
    # The commands of a rule, the body of a function: "BEGIN ATOMIC statement; … END"
    (b"CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); b", [16, 1]),
    (b"CREATE FUNCTION f() BEGIN ATOMIC SELECT 1; SELECT 2; END; b", [14, 1]),
    (b"CREATE FUNCTION f() BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; END; b", [16, 1]),
    (b"CREATE TABLE atomic (a int); b", [7, 1]),
    (b"CREATE VIEW v AS SELECT CASE WHEN a THEN 1 END; b", [11, 1]),
    (b"SELECT atomic; END; b", [2, 1, 1]),
    (b"a) ; b", [2, 1]),
]


@pytest.mark.parametrize(("text", "sizes"), STATEMENTS)
def test_statements_are_split_at_semicolons_outside_of_everything(
    text: bytes, sizes: list[int]
) -> None:
    assert [len(statement) for statement in words(text)] == sizes


def test_a_quoted_semicolon_is_no_end() -> None:
    assert words(b'a ";" b; c') == [[b"a", b'";"', b"b"], [b"c"]]


@pytest.mark.parametrize(
    ("text", "more", "expected"),
    [
        (b"SET a.b = 1", (), (b"a.b",)),
        (b"SELECT set_config('My.Own', 'x.y', false)", (), (b"My.Own", b"x.y")),
        (b"SET a.b = 1; SET A.B = 2", (), (b"A.B",)),
        (b"SET a.b.c TO 1.5", (), (b"a.b.c",)),
        (b"SET work_mem = 1", (), ()),
        (b"", (b"quoted.name", b"no dot"), (b"quoted.name",)),
        (b"%b.%b" % (b"a" * 40, b"b" * 40), (), ()),
    ],
)
def test_names_with_a_dot(
    text: bytes, more: tuple[bytes, ...], expected: tuple[bytes, ...]
) -> None:
    assert sql.dotted_names(text, more) == expected


def test_no_text_makes_more_names_than_are_asked_for() -> None:
    assert len(sql.dotted_names(b" ".join(b"a.b%d" % n for n in range(1000)))) == 100


SCANNED = [
    (b"SELECT 1", False),
    (b"  set x = 1", True),
    (b"SELECT 1; set x = 1", True),
    (b"SELECT 1; SELECT 2", False),
    (b"-- why\nset x = 1", True),
    (b"-- why\nSELECT 1", False),
    (b"/* why */ SELECT 1", False),
    (b"SELECT 1 -- why\n; reset x", True),
    (b"SELECT 'EXECUTE'", True),
    (b"UPDATE t SET a = 1", False),
    (b"DROP TABLE t", True),
]


@pytest.mark.parametrize(("text", "expected"), SCANNED)
def test_the_cheap_scan(text: bytes, expected: bool) -> None:
    assert sql.may_leave_state(text) is expected


@given(st.binary(max_size=80))
def test_the_lexer_ends_whatever_it_reads(text: bytes) -> None:
    at = 0
    for token in sql.tokens(text):
        assert at <= token.start < token.end <= len(text)
        at = token.end


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


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b'U&"plain"', b"plain"),
        (b'U&"d\\0061t\\+000061"', b"data"),
        (b'u&"a\\\\b""c"', b'a\\b"c'),
        (b'U&"\\00e4"', "ä".encode()),
    ],
)
def test_what_a_unicode_name_spells(raw: bytes, name: bytes) -> None:
    assert sql.unicode_name(raw) == name


@pytest.mark.parametrize("raw", [b'U&"\\+FFFFFF"', b'U&"\\d800"'])
def test_what_no_name_can_spell(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"chr|surrogates"):
        sql.unicode_name(raw)


PARTS = st.sampled_from([
    b"set", b"SET ", b"x", b"1", b"te", b"mp", b"temp", b"hold", b" ", b";", b"/*", b"*/", b"-",
    b"-1-", b"--", b"\n", b"'", b"u&", b'"', b"do", b"create", b"_", b"advisory_", b"execute",
])  # fmt: skip


def shape(text: bytes) -> bytes:
    return plain.shape_of(messages.query(text), plain.QUERY)


@given(st.lists(PARTS, max_size=12).map(b"".join))
def test_what_is_harmless_leaves_no_state(text: bytes) -> None:
    """Digits are left out of the comparison: no word loses or gains its meaning by them."""
    if sql.harmless(shape(text)):
        assert not sql.may_leave_state(text)


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        (b"SELECT 1", True),
        (b"UPDATE t SET a = 1 WHERE b = 2", True),
        (b"SET a = 1", False),
        (b"SELECT 1 --2\nSET a = 1", False),
        (b"SELECT 1; SET a = 1", False),
        (b"SELECT 1 /* 2 */ SET a = 1", False),
        (b"SELECT '" + b"x" * 2000 + b"'", True),
        (b"SELECT '" + b"x" * 2000 + b"'; SET a = 1", False),
    ],
)
def test_what_is_harmless(text: bytes, harmless: bool) -> None:
    assert sql.harmless(shape(text)) is harmless
