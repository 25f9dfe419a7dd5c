"""What a statement leaves behind, as a table; and that the cheap scan misses none of it."""

from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_proxy.session.pinning import PinReason, lexable, reasons_for_piece, reasons_for_text
from sluice_proxy.wire import sql

NONE = PinReason.NONE
SETTING = PinReason.SESSION_SETTING
PREPARED = PinReason.PREPARED_STATEMENT
TEMP = PinReason.TEMPORARY_OBJECT
CURSOR = PinReason.HOLDABLE_CURSOR
LOCK = PinReason.ADVISORY_LOCK
LISTEN = PinReason.LISTEN
BLOCK = PinReason.CODE_BLOCK
LIBRARY = PinReason.LOADED_LIBRARY
UNKNOWN = PinReason.UNKNOWN

STATEMENTS = [
    # Nothing
    (b"", NONE),
    (b";", NONE),
    (b"SELECT 1", NONE),
    (b"BEGIN", NONE),
    (b"COMMIT; BEGIN", NONE),
    (b"ROLLBACK AND CHAIN", NONE),
    (b"SAVEPOINT a; ROLLBACK TO a; RELEASE a", NONE),
    (b"INSERT INTO sets VALUES (1)", NONE),
    (b"UPDATE t SET a = 1", NONE),
    (b"UPDATE t\nSET a = 1", NONE),
    (b"UPDATE t -- what\nSET a = 1", NONE),
    (b"UPDATE t SET temp = 1, advisory_lock = 2", NONE),
    (b"INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", NONE),
    (b"INSERT INTO t VALUES (1) ON CONFLICT DO UPDATE SET a = 1", NONE),
    (b"CREATE RULE r AS ON INSERT TO t DO INSTEAD NOTHING", NONE),
    (b"ALTER TABLE t ALTER a SET NOT NULL", NONE),
    (b"ALTER ROLE r SET work_mem TO '1MB'", NONE),
    (b"ALTER SYSTEM SET work_mem TO '1MB'; SELECT 1", NONE),
    (b"COPY t FROM STDIN", NONE),
    (b"NOTIFY c, 'payload'", NONE),
    (b"UNLISTEN c", NONE),
    (b"DEALLOCATE ALL", NONE),
    (b"DISCARD ALL", NONE),
    (b"EXECUTE p(1)", NONE),
    (b"SHOW work_mem", NONE),
    (b"LOCK TABLE t", NONE),
    (b"COMMIT PREPARED 'x'", NONE),
    (b"PREPARE TRANSACTION 'x'", NONE),
    (b"SELECT 'SET x = 1'", NONE),
    (b"SELECT '; SET x = 1'", NONE),
    (b"SELECT ';SET x TO ''a'''", NONE),
    (b"SELECT $$; SET x = 1$$", NONE),
    (b"SELECT $a$; SET x = 1; $$ $a$", NONE),
    (b"SELECT E'\\'; SET x = 1'", NONE),
    (b"SELECT 1 /* ; SET x = 1 */", NONE),
    (b"SELECT 1 /* /* */ ; SET x = 1 */", NONE),
    (b"SELECT 1 -- ; SET x = 1", NONE),
    (b'SELECT 1 AS "; SET x"', NONE),
    (b"SELECT 'pg_advisory_lock(1)'", NONE),
    (b"SELECT 'create temp table'", NONE),
    (b"-- set the stage\nSELECT 1", NONE),
    (b"/* set */ SELECT 1", NONE),
    # The transaction's own
    (b"SET LOCAL work_mem = '1MB'", NONE),
    (b"set local role x", NONE),
    (b"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", NONE),
    (b"SET CONSTRAINTS ALL DEFERRED", NONE),
    (b"BEGIN; SET LOCAL x.y = 1; COMMIT", NONE),
    (b"SELECT set_config('a', 'b', true)", NONE),
    (b"SELECT pg_catalog.set_config('a', f(1, 'b'), TRUE)", NONE),
    (b"SELECT pg_advisory_xact_lock(1)", NONE),
    (b"SELECT pg_try_advisory_xact_lock_shared(1)", NONE),
    (b"SELECT pg_advisory_unlock_all()", NONE),
    (b"DECLARE c CURSOR FOR SELECT 1", NONE),
    (b"DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1", NONE),
    # Settings
    (b"SET work_mem = '1MB'", SETTING),
    (b"set search_path to a, b", SETTING),
    (b"  \n\tSET x = 1", SETTING),
    (b"SET SESSION x = 1", SETTING),
    (b"SET TIME ZONE 'UTC'", SETTING),
    (b"SET ROLE r", SETTING),
    (b"SET SESSION AUTHORIZATION r", SETTING),
    (b"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", SETTING),
    (b"SET transaction_isolation = 'serializable'", SETTING),
    (b"SET local.x = 1", SETTING),
    (b"SET transaction.x = 1", SETTING),
    (b'SET "constraints".x = 1', SETTING),
    (b'SET"x" = 1', SETTING),
    (b"SET/**/x = 1", SETTING),
    (b"SET--\nx = 1", SETTING),
    (b"/* why */ SET x = 1", SETTING),
    (b"/* a /* b */ c */SET x = 1", SETTING),
    (b"-- why\nSET x = 1", SETTING),
    (b"-- why\rSET x = 1", SETTING),
    (b"-- a\n-- b\n  SET x = 1", SETTING),
    (b"SELECT 1;SET x = 1", SETTING),
    (b"SELECT 1; ; SET x = 1", SETTING),
    (b"SELECT 1; -- why\nSET x = 1", SETTING),
    (b"SELECT 1; /* why */ SET x = 1", SETTING),
    (b"BEGIN; SET x = 1; COMMIT", SETTING),
    (b"SELECT ''; SET x = 1; SELECT ''", SETTING),
    (b"SELECT '\\'; SET x = 1; --'", SETTING),
    (b"SELECT E'a'\n'\\''; SET x = 1; SELECT 'y'", SETTING),
    (b"SELECT $$'$$; SET x = 1; SELECT 'y'", SETTING),
    (b"SELECT \"'\" FROM t; SET x = 1; SELECT 'y'", SETTING),
    (b"RESET x", SETTING),
    (b"RESET ALL", SETTING),
    (b"SELECT set_config('a', 'b', false)", SETTING),
    (b"SELECT set_config('a', 'b', $1)", SETTING),
    (b"SELECT set_config('a', 'b', true), set_config('c', 'd', false)", SETTING),
    (b"SELECT SET_CONFIG ( 'a' , 'b' , not true )", SETTING),
    (b"SELECT \"set_config\"('a', 'b', false)", SETTING),
    (b"WITH x AS (SELECT set_config('a', 'b', false)) SELECT 1", SETTING),
    (b"UPDATE pg_settings SET setting = 'x' WHERE name = 'y'", SETTING),
    (b"SELECT setting FROM pg_settings", NONE),
    # Prepared statements
    (b"PREPARE p AS SELECT 1", PREPARED),
    (b"prepare p(int) as select $1", PREPARED),
    (b"BEGIN; PREPARE p AS SELECT 1", PREPARED),
    # Temporary objects
    (b"CREATE TEMP TABLE t (a int)", TEMP),
    (b"CREATE TEMPORARY TABLE t AS SELECT 1", TEMP),
    (b"CREATE LOCAL TEMPORARY TABLE t (a int)", TEMP),
    (b"CREATE GLOBAL TEMP TABLE t (a int)", TEMP),
    (b"CREATE OR REPLACE TEMP VIEW v AS SELECT 1", TEMP),
    (b"CREATE TEMP SEQUENCE s", TEMP),
    (b"CREATE/**/TEMP TABLE t (a int)", TEMP),
    (b"SELECT 1 INTO TEMP t", TEMP),
    (b"SELECT 1 INTO LOCAL TEMPORARY t", TEMP),
    (b"CREATE TABLE pg_temp.t (a int)", TEMP),
    (b'CREATE FUNCTION "pg_temp".f() RETURNS int', TEMP),
    (b"EXPLAIN ANALYZE CREATE TEMP TABLE t AS SELECT 1", TEMP),
    (b"SELECT temp FROM weather", NONE),
    (b"SELECT 1 AS temporary", NONE),
    (b"CREATE TABLE temps (temp int)", NONE),
    # Cursors, locks, channels, libraries
    (b"DECLARE c CURSOR WITH HOLD FOR SELECT 1", CURSOR),
    (b'DECLARE ";" CURSOR WITH HOLD FOR SELECT 1', CURSOR),
    (b"BEGIN; DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT 1; COMMIT", CURSOR),
    (b"SELECT pg_advisory_lock(1)", LOCK),
    (b"SELECT pg_try_advisory_lock(1, 2)", LOCK),
    (b"SELECT PG_ADVISORY_LOCK_SHARED(1)", LOCK),
    (b"SELECT pg_catalog.pg_try_advisory_lock_shared(1)", LOCK),
    (b"SELECT \"pg_advisory_lock\"(1)", LOCK),
    (b"LISTEN c", LISTEN),
    (b"listen \"c\"; SELECT 1", LISTEN),
    (b"LOAD 'auto_explain'", LIBRARY),
    # What cannot be told
    (b"SELECT dblink_connect('x')", UNKNOWN),
    (b"SELECT dblink_connect_u('x')", UNKNOWN),
    (b"SELECT setseed(0.5)", UNKNOWN),
    (b'SELECT U&"set_conf\\0069g"(\'a\', \'b\', false)', UNKNOWN),
    (b"DO $$ BEGIN NULL; END $$", NONE),
    (b"DO $$ BEGIN PERFORM 1; END $$", NONE),
    (b"DO $$ BEGIN SET x = 1; END $$", BLOCK),
    (b"DO LANGUAGE plpgsql $$ BEGIN EXECUTE 'SET x = 1'; END $$", BLOCK),
    (b"DO $$ BEGIN PERFORM set_config('a', 'b', false); END $$", BLOCK),
    (b"DO 'BEGIN CREATE TEMP TABLE t (a int); END'", BLOCK),
    (b"DO $$ BEGIN PERFORM pg_advisory_lock(1); END $$", BLOCK),
    # Several
    (b"SET x = 1; LISTEN c; CREATE TEMP TABLE t (a int)", SETTING | LISTEN | TEMP),
    (b"PREPARE p AS SELECT pg_advisory_lock(1)", PREPARED | LOCK),
    # Bytes that are no UTF-8
    (b"SELECT '\xff\xfe'; SET x = '\xe4'", SETTING),
    (b"SELECT '\xff; SET x = 1'", NONE),
]  # fmt: skip


@pytest.mark.parametrize(("text", "reasons"), STATEMENTS)
def test_reasons(text: bytes, reasons: PinReason) -> None:
    assert reasons_for_text(text) == reasons


@pytest.mark.parametrize(("text", "reasons"), STATEMENTS)
def test_where_a_text_cannot_be_taken_apart_every_doubt_counts(
    text: bytes, reasons: PinReason
) -> None:
    assert reasons_for_text(text, lexable=False) in (NONE, UNKNOWN)
    if reasons:
        assert reasons_for_text(text, lexable=False) == UNKNOWN


@pytest.mark.parametrize(("text", "reasons"), STATEMENTS)
def test_in_a_long_text_nothing_is_missed_either(text: bytes, reasons: PinReason) -> None:
    if reasons:
        assert reasons_for_piece(b"SELECT 1; " + text) == UNKNOWN


@pytest.mark.parametrize(
    ("encoding", "strings", "expected"),
    [
        (b"UTF8", b"on", True),
        (b"LATIN1", b"on", True),
        (b"", b"on", True),
        (b"UTF8", b"off", False),
        (b"UTF8", b"", False),
        (b"SJIS", b"on", False),
        (b"gbk", b"on", False),
        (b"GB18030", b"on", False),
    ],
)
def test_which_texts_can_be_taken_apart(encoding: bytes, strings: bytes, expected: bool) -> None:
    assert lexable(encoding, strings) is expected


def judged(text: bytes) -> bool:
    """The tokenised judgement alone, without the cheap scan before it."""
    with patch.object(sql, "may_leave_state", return_value=True):
        return bool(reasons_for_text(text))


WORDS = [
    b"SET", b"set", b"RESET", b"PREPARE", b"LISTEN", b"LOAD", b"DO", b"DECLARE", b"WITH", b"HOLD",
    b"CREATE", b"TEMP", b"temporary", b"INTO", b"pg_temp_3", b"set_config", b"pg_advisory_lock",
    b"pg_settings", b"UPDATE", b"setseed", b"dblink_connect_u", b"LOCAL", b"x", b"true",
]  # fmt: skip
SIGNS = [
    b";", b"'", b"''", b'"', b"E'", b"U&\"", b"\\", b"$$", b"$a$", b"/*", b"*/", b"--", b"\n",
    b"\r", b"\t", b"\f", b" ", b"(", b",", b")", b".", b"\xff",
]  # fmt: skip


@given(st.lists(st.sampled_from(WORDS + SIGNS + [b" "] * 8), max_size=25).map(b"".join))
def test_the_cheap_scan_never_says_no_where_the_lexer_says_yes(text: bytes) -> None:
    if judged(text):
        assert sql.may_leave_state(text)
        assert sql.may_leave_state_within(text)


@given(st.sampled_from(STATEMENTS), st.sampled_from(STATEMENTS))
def test_the_second_statement_is_found_behind_any_first(
    first: tuple[bytes, PinReason], second: tuple[bytes, PinReason]
) -> None:
    text = first[0] + b"\n;" + second[0]
    assert reasons_for_text(text) & second[1] == second[1]
