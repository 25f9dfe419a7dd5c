"""What running a text may do to the session, as a table; and that the cheap scan misses none."""

from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_proxy.session.pinning import (
    INDELIBLE,
    NOTHING,
    PROVABLE,
    Effects,
    PinReason,
    effects_of,
    effects_of_piece,
    excused,
    lexable,
)
from sluice_proxy.wire import sql

TEMP = PinReason.TEMPORARY_OBJECT
CURSOR = PinReason.HOLDABLE_CURSOR
LOCK = PinReason.ADVISORY_LOCK
LISTEN = PinReason.LISTEN
BLOCK = PinReason.CODE_BLOCK
LIBRARY = PinReason.LOADED_LIBRARY
UNKNOWN = PinReason.UNKNOWN
UNREADABLE = PinReason.UNREADABLE_TEXT
AUTHORIZATION = PinReason.SESSION_AUTHORIZATION

SET = Effects(settings=True)
BACK = Effects(settings=True, resets=True)
RESET = Effects(settings=True, resets=True, undoes=True)
UNDO = Effects(undoes=True)
WIPE = Effects(undoes=True, wipes=True)
DOES = Effects(BLOCK, settings=True, undoes=True)

STATEMENTS = [
    # Nothing
    (b"", NOTHING),
    (b";", NOTHING),
    (b"SELECT 1", NOTHING),
    (b"BEGIN", NOTHING),
    (b"COMMIT; BEGIN", NOTHING),
    (b"ROLLBACK AND CHAIN", NOTHING),
    (b"SAVEPOINT a; ROLLBACK TO a; RELEASE a", NOTHING),
    (b"INSERT INTO sets VALUES (1)", NOTHING),
    (b"UPDATE t SET a = 1", NOTHING),
    (b"UPDATE t\nSET a = 1", NOTHING),
    (b"UPDATE t -- what\nSET a = 1", NOTHING),
    (b"UPDATE t SET temp = 1, advisory_lock = 2", NOTHING),
    (b"INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", NOTHING),
    (b"INSERT INTO t VALUES (1) ON CONFLICT DO UPDATE SET a = 1", NOTHING),
    (b"CREATE RULE r AS ON INSERT TO t DO INSTEAD NOTHING", NOTHING),
    (b"ALTER TABLE t ALTER a SET NOT NULL", NOTHING),
    (b"ALTER ROLE r SET work_mem TO '1MB'", NOTHING),
    (b"ALTER SYSTEM SET work_mem TO '1MB'; SELECT 1", NOTHING),
    (b"COPY t FROM STDIN", NOTHING),
    (b"NOTIFY c, 'payload'", NOTHING),
    (b"UNLISTEN c", UNDO),
    (b"DEALLOCATE ALL", WIPE),
    (b"DISCARD ALL", Effects(settings=True, resets=True, undoes=True, wipes=True)),
    (b"EXECUTE p(1)", NOTHING),
    (b"SHOW work_mem", NOTHING),
    (b"LOCK TABLE t", NOTHING),
    (b"COMMIT PREPARED 'x'", NOTHING),
    (b"PREPARE TRANSACTION 'x'", NOTHING),
    (b"SELECT 'SET x = 1'", NOTHING),
    (b"SELECT '; SET x = 1'", NOTHING),
    (b"SELECT ';SET x TO ''a'''", NOTHING),
    (b"SELECT $$; SET x = 1$$", NOTHING),
    (b"SELECT $a$; SET x = 1; $$ $a$", NOTHING),
    (b"SELECT E'\\'; SET x = 1'", NOTHING),
    (b"SELECT 1 /* ; SET x = 1 */", NOTHING),
    (b"SELECT 1 /* /* */ ; SET x = 1 */", NOTHING),
    (b"SELECT 1 -- ; SET x = 1", NOTHING),
    (b'SELECT 1 AS "; SET x"', NOTHING),
    (b"SELECT 'pg_advisory_lock(1)'", NOTHING),
    (b"SELECT 'create temp table'", NOTHING),
    (b"-- set the stage\nSELECT 1", NOTHING),
    (b"/* set */ SELECT 1", NOTHING),
    # The transaction's own
    (b"SET LOCAL work_mem = '1MB'", NOTHING),
    (b"set local role x", NOTHING),
    (b"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", NOTHING),
    (b"SET CONSTRAINTS ALL DEFERRED", NOTHING),
    (b"BEGIN; SET LOCAL x.y = 1; COMMIT", NOTHING),
    (b"SELECT set_config('a', 'b', true)", NOTHING),
    (b"SELECT pg_catalog.set_config('a', f(1, 'b'), TRUE)", NOTHING),
    (b"SELECT pg_advisory_xact_lock(1)", NOTHING),
    (b"SELECT pg_try_advisory_xact_lock_shared(1)", NOTHING),
    (b"SELECT pg_advisory_unlock_all()", UNDO),
    (b"DECLARE c CURSOR FOR SELECT 1", NOTHING),
    (b"DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1", NOTHING),
    # Settings
    (b"SET work_mem = '1MB'", SET),
    (b"set search_path to a, b", SET),
    (b"  \n\tSET x = 1", SET),
    (b"SET SESSION x = 1", SET),
    (b"SET TIME ZONE 'UTC'", SET),
    (b"SET ROLE r", SET),
    (b"SET SESSION AUTHORIZATION r", Effects(AUTHORIZATION, settings=True)),
    (b"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", SET),
    (b"SET transaction_isolation = 'serializable'", SET),
    (b"SET local.x = 1", SET),
    (b"SET transaction.x = 1", SET),
    (b'SET "constraints".x = 1', SET),
    (b'SET"x" = 1', SET),
    (b"SET/**/x = 1", SET),
    (b"SET--\nx = 1", SET),
    (b"/* why */ SET x = 1", SET),
    (b"/* a /* b */ c */SET x = 1", SET),
    (b"-- why\nSET x = 1", SET),
    (b"-- why\rSET x = 1", SET),
    (b"-- a\n-- b\n  SET x = 1", SET),
    (b"SELECT 1;SET x = 1", SET),
    (b"SELECT 1; ; SET x = 1", SET),
    (b"SELECT 1; -- why\nSET x = 1", SET),
    (b"SELECT 1; /* why */ SET x = 1", SET),
    (b"BEGIN; SET x = 1; COMMIT", SET),
    (b"SELECT ''; SET x = 1; SELECT ''", SET),
    (b"SELECT '\\'; SET x = 1; --'", SET),
    (b"SELECT E'a'\n'\\''; SET x = 1; SELECT 'y'", SET),
    (b"SELECT $$'$$; SET x = 1; SELECT 'y'", SET),
    (b"SELECT \"'\" FROM t; SET x = 1; SELECT 'y'", SET),
    (b"RESET x", RESET),
    (b"RESET ALL", RESET),
    (b"SELECT set_config('a', 'b', false)", SET),
    (b"SELECT set_config('a', 'b', $1)", SET),
    (b"SELECT set_config('a', 'b', true), set_config('c', 'd', false)", SET),
    (b"SELECT SET_CONFIG ( 'a' , 'b' , not true )", SET),
    (b"SELECT \"set_config\"('a', 'b', false)", SET),
    (b"WITH x AS (SELECT set_config('a', 'b', false)) SELECT 1", SET),
    (b"UPDATE pg_settings SET setting = 'x' WHERE name = 'y'", SET),
    (b"SELECT setting FROM pg_settings", NOTHING),
    # Prepared statements
    (b"PREPARE p AS SELECT 1", NOTHING),
    (b"prepare p(int) as select $1", NOTHING),
    (b"BEGIN; PREPARE p AS SELECT 1", NOTHING),
    # Temporary objects
    (b"CREATE TEMP TABLE t (a int)", Effects(TEMP)),
    (b"CREATE TEMPORARY TABLE t AS SELECT 1", Effects(TEMP)),
    (b"CREATE LOCAL TEMPORARY TABLE t (a int)", Effects(TEMP)),
    (b"CREATE GLOBAL TEMP TABLE t (a int)", Effects(TEMP)),
    (b"CREATE OR REPLACE TEMP VIEW v AS SELECT 1", Effects(TEMP)),
    (b"CREATE TEMP SEQUENCE s", Effects(TEMP)),
    (b"CREATE/**/TEMP TABLE t (a int)", Effects(TEMP)),
    (b"SELECT 1 INTO TEMP t", Effects(TEMP)),
    (b"SELECT 1 INTO LOCAL TEMPORARY t", Effects(TEMP)),
    (b"CREATE TABLE pg_temp.t (a int)", Effects(TEMP)),
    (b'CREATE FUNCTION "pg_temp".f() RETURNS int', Effects(TEMP, defines=True)),
    (b"EXPLAIN ANALYZE CREATE TEMP TABLE t AS SELECT 1", Effects(TEMP)),
    (b"SELECT temp FROM weather", NOTHING),
    (b"SELECT 1 AS temporary", NOTHING),
    (b"CREATE TABLE temps (temp int)", NOTHING),
    (b"SELECT 1 FROM pg_temp.t", Effects(TEMP)),
    # Functions and triggers, which may do anything
    (b"CREATE FUNCTION f() RETURNS int", Effects(defines=True)),
    (b"create or replace procedure p()", Effects(defines=True)),
    (b"CREATE CONSTRAINT TRIGGER t AFTER INSERT ON x EXECUTE FUNCTION f()", Effects(defines=True)),
    (b"CREATE TABLE function_list (a int)", NOTHING),
    (b"ALTER FUNCTION f() STABLE", NOTHING),
    (b"DROP FUNCTION f()", UNDO),
    # Databases: nobody may be connected to them
    (b"CREATE DATABASE d TEMPLATE t", Effects(databases=(b"d", b"template", b"t"))),
    (b"ALTER DATABASE d RENAME TO e", Effects(databases=(b"d", b"rename", b"to", b"e"))),
    (b"DROP DATABASE d", Effects(undoes=True, databases=(b"d",))),
    # What undoes a reason
    (b"DROP TABLE t", UNDO),
    (b"CLOSE c", UNDO),
    (b"CLOSE ALL", UNDO),
    (b"DISCARD TEMP", UNDO),
    (b"DISCARD PLANS", UNDO),
    (b"DEALLOCATE p", UNDO),
    (b"SELECT pg_advisory_unlock(1)", UNDO),
    (b"SELECT pg_catalog.pg_advisory_unlock_shared(1, 2)", UNDO),
    (b"DEALLOCATE PREPARE ALL", WIPE),
    (b'DEALLOCATE "all"', UNDO),
    (b"DEALLOCATE prepare", UNDO),
    # What goes back to the start
    (b"SET x TO DEFAULT", BACK),
    (b"SET x = default", BACK),
    (b"SET TIME ZONE LOCAL", BACK),
    (b"SET TIME ZONE DEFAULT", BACK),
    (b"SET SESSION x TO DEFAULT", BACK),
    (b"SET SESSION AUTHORIZATION DEFAULT", Effects(AUTHORIZATION, settings=True, resets=True)),
    # Sequences
    (b"SELECT currval('s')", Effects(sequences=True)),
    (b"SELECT lastval() + 1", Effects(sequences=True)),
    (b"SELECT nextval('s')", NOTHING),
    (b"SELECT 'currval'", NOTHING),
    # Cursors, locks, channels, libraries
    (b"DECLARE c CURSOR WITH HOLD FOR SELECT 1", Effects(CURSOR)),
    (b'DECLARE ";" CURSOR WITH HOLD FOR SELECT 1', Effects(CURSOR)),
    (b"BEGIN; DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT 1; COMMIT", Effects(CURSOR)),
    (b"SELECT pg_advisory_lock(1)", Effects(LOCK)),
    (b"SELECT pg_try_advisory_lock(1, 2)", Effects(LOCK)),
    (b"SELECT PG_ADVISORY_LOCK_SHARED(1)", Effects(LOCK)),
    (b"SELECT pg_catalog.pg_try_advisory_lock_shared(1)", Effects(LOCK)),
    (b"SELECT \"pg_advisory_lock\"(1)", Effects(LOCK)),
    (b"LISTEN c", Effects(LISTEN)),
    (b'"load" x; LISTEN c', Effects(LISTEN)),
    (b"listen \"c\"; SELECT 1", Effects(LISTEN)),
    (b"LOAD 'auto_explain'", Effects(LIBRARY)),
    # What cannot be told
    (b"SELECT dblink_connect('x')", Effects(UNKNOWN)),
    (b"SELECT dblink_connect_u('x')", Effects(UNKNOWN)),
    (b"SELECT setseed(0.5)", Effects(UNKNOWN)),
    (b'SELECT U&"set_conf\\0069g"(\'a\', \'b\', false)', Effects(UNREADABLE, settings=True)),
    (b"DO $$ BEGIN NULL; END $$", NOTHING),
    (b"DO $$ BEGIN PERFORM 1; END $$", NOTHING),
    (b"DO $$ BEGIN SET x = 1; END $$", DOES),
    (b"DO LANGUAGE plpgsql $$ BEGIN EXECUTE 'SET x = 1'; END $$", DOES),
    (b"DO $$ BEGIN PERFORM set_config('a', 'b', false); END $$", DOES),
    (b"DO 'BEGIN CREATE TEMP TABLE t (a int); END'", DOES),
    (b"DO $$ BEGIN PERFORM pg_advisory_lock(1); END $$", DOES),
    # Several
    (b"SET x = 1; LISTEN c; CREATE TEMP TABLE t (a int)", Effects(LISTEN | TEMP, settings=True)),
    (b"PREPARE p AS SELECT pg_advisory_lock(1)", Effects(LOCK)),
    # Bytes that are no UTF-8
    (b'"set" x = 1', NOTHING), (b'"reset" x', NOTHING), (b'SELECT 1; "listen" c', NOTHING),
    (b"SELECT '\xff\xfe'; SET x = '\xe4'", SET),
    (b"SELECT '\xff; SET x = 1'", NOTHING),
]  # fmt: skip


def kinds(effects: Effects) -> Effects:
    """All but names and calls, which have tables of their own."""
    return replace(effects, names=(), calls=())


@pytest.mark.parametrize(("text", "expected"), STATEMENTS)
def test_effects(text: bytes, expected: Effects) -> None:
    """Pitfalls 32, 34 and 35: whatever outlives its transaction is told from the text's bytes."""
    assert kinds(effects_of(text)) == expected


@pytest.mark.parametrize(("text", "expected"), STATEMENTS)
def test_where_a_text_cannot_be_taken_apart_every_doubt_counts(
    text: bytes, expected: Effects
) -> None:
    found = effects_of(text, lexable=False)
    assert found == NOTHING or found.pins == UNREADABLE
    if expected != NOTHING:
        assert found.settings
        assert found.undoes


@pytest.mark.parametrize(("text", "expected"), STATEMENTS)
def test_in_a_long_text_nothing_is_missed_either(text: bytes, expected: Effects) -> None:
    if expected != NOTHING:
        assert effects_of_piece(b"SELECT 1; " + text).pins == UNREADABLE


@pytest.mark.parametrize(
    ("effects", "expected"),
    [
        (NOTHING, False),
        (SET, False),
        (Effects(pins=PinReason.TEMPORARY_OBJECT), False),
        (Effects(guessed=True), True),
        (Effects(pins=PinReason.CODE_BLOCK | PinReason.LISTEN), True),
        (Effects(pins=UNREADABLE), True),
    ],
)
def test_what_may_do_anything(effects: Effects, expected: bool) -> None:
    assert effects.anything is expected


def test_a_call_that_does_not_end_is_taken_for_the_worst() -> None:
    assert effects_of(b"SELECT set_config('a', 'b', true") == SET


def test_a_piece_without_a_word_of_interest_does_nothing() -> None:
    assert effects_of_piece(b"x" * 1000) == NOTHING


def test_a_text_too_long_to_be_remembered_is_judged_all_the_same() -> None:
    filler = b"SELECT '%b'; " % (b"x" * 3000)
    assert kinds(effects_of(filler + b"LISTEN c")) == Effects(LISTEN)


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
    """Pitfall 35: in some encodings a character may end with the byte of a quote."""
    assert lexable(encoding, strings) is expected


def test_what_a_user_vouches_for() -> None:
    assert excused([]) == PinReason.NONE
    assert excused(["EXCLUDE_VARIABLE_SETS"]) & AUTHORIZATION
    assert excused(["EXCLUDE_LISTEN", "EXCLUDE_TEMPORARY_OBJECTS"]) == LISTEN | TEMP


def test_nothing_is_proved_that_cannot_be_undone() -> None:
    assert not INDELIBLE & PROVABLE


def judged(text: bytes) -> Effects:
    """The tokenised judgement alone, without the cheap scan before it."""
    with patch.object(sql, "may_leave_state", return_value=True):
        return effects_of(text)


WORDS = [
    b"SET", b"set", b"RESET", b"PREPARE", b"LISTEN", b"LOAD", b"DO", b"DECLARE", b"WITH", b"HOLD",
    b"CREATE", b"TEMP", b"temporary", b"INTO", b"pg_temp_3", b"set_config", b"pg_advisory_lock",
    b"pg_settings", b"UPDATE", b"setseed", b"dblink_connect_u", b"LOCAL", b"x", b"true",
    b"EXECUTE", b"DEALLOCATE", b"DISCARD", b"ALL", b"CLOSE", b"DROP", b"currval", b"lastval",
    b"pg_advisory_unlock", b"default", b"begin", b"atomic", b"case", b"end", b"a.b",
]  # fmt: skip
SIGNS = [
    b";", b"'", b"''", b'"', b"E'", b"U&\"", b"\\", b"$$", b"$a$", b"/*", b"*/", b"--", b"\n",
    b"\r", b"\t", b"\f", b" ", b"(", b",", b")", b".", b"\xff",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(WORDS + SIGNS + [b" "] * 8), max_size=25).map(b"".join)


@given(TEXTS)
def test_the_cheap_scan_never_says_no_where_the_lexer_says_yes(text: bytes) -> None:
    if judged(text) != NOTHING:
        assert sql.may_leave_state(text)
        assert sql.may_leave_state_within(text)


@given(st.sampled_from(STATEMENTS), st.sampled_from(STATEMENTS))
def test_the_second_statement_is_found_behind_any_first(
    first: tuple[bytes, Effects], second: tuple[bytes, Effects]
) -> None:
    found = effects_of(first[0] + b"\n;" + second[0])
    assert found.pins & second[1].pins == second[1].pins
    for kind in ("settings", "resets", "undoes", "wipes", "sequences"):
        assert getattr(found, kind) >= getattr(second[1], kind)
