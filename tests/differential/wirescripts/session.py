"""What a session keeps in its server connection: temporary tables, cursors, locks, channels."""

import struct

from sluice_testing.raw import SYNC, function_call, parse, query
from sluice_testing.stories import Step, story
from wirescripts.phrases import NUMBERS, ONE, rerun, run, whole

LOOK = query("SELECT * FROM mine")
TEMP = query("CREATE TEMP TABLE mine (n int)")
HOLD = "DECLARE c CURSOR WITH HOLD FOR SELECT generate_series(1, 9)"
LISTENS = query("SELECT pg_listening_channels()")
LOCKS = query("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = "
              "pg_backend_pid()")  # fmt: skip

TEMPORARY = [
    story("table", TEMP, query("INSERT INTO mine VALUES (1)"), LOOK, query("DROP TABLE mine"), LOOK,
          pitfalls=(34,)),
    story("tables by other words", *(part for text in ("CREATE TEMPORARY TABLE mine (n int)",
          "CREATE LOCAL TEMP TABLE mine (n int)", "CREATE TABLE pg_temp.mine (n int)", "SELECT 1 "
          "AS n INTO TEMP mine", "CREATE TEMP TABLE mine AS SELECT 1 AS n", "CREATE TEMP VIEW mine "
          "AS SELECT 1 AS n", "CREATE OR REPLACE TEMP VIEW mine AS SELECT 1 AS n", "CREATE TEMP "
          "TABLE IF NOT EXISTS mine (n int)") for part in (query(text), LOOK, query("DROP " + (
          "VIEW" if "VIEW" in text else "TABLE") + " mine"), LOOK)), pitfalls=(34,)),
    story("table by extended protocol", whole("CREATE TEMP TABLE mine (n int)"),
          whole("INSERT INTO mine VALUES ($1)", "1"), whole("SELECT * FROM mine"),
          whole("DROP TABLE mine"), pitfalls=(34,)),
    story("table in a transaction", query("BEGIN"), TEMP, query("INSERT INTO mine VALUES (1)"),
          query("COMMIT"), LOOK, pitfalls=(34,)),
    story("table rolled back", query("BEGIN"), TEMP, query("ROLLBACK"), LOOK, pitfalls=(34,)),
    story("table dropped, then rolled back", TEMP, query("BEGIN; DROP TABLE mine; ROLLBACK"), LOOK,
          pitfalls=(34,)),
    story("ON COMMIT DROP", query("BEGIN; CREATE TEMP TABLE mine (n int) ON COMMIT DROP"),
          query("INSERT INTO mine VALUES (1)"), LOOK, query("COMMIT"), LOOK, pitfalls=(34,)),
    story("ON COMMIT DROP, at once", query("CREATE TEMP TABLE mine ON COMMIT DROP AS SELECT 1"),
          LOOK, pitfalls=(34,)),
    story("ON COMMIT DELETE ROWS", query("CREATE TEMP TABLE mine (n int) ON COMMIT DELETE ROWS"),
          query("BEGIN; INSERT INTO mine VALUES (1)"), LOOK, query("COMMIT"), LOOK, pitfalls=(34,)),
    story("DISCARD TEMP", TEMP, query("DISCARD TEMP"), LOOK, TEMP, LOOK, pitfalls=(20, 34)),
    story("in the way of another", query("CREATE TEMP TABLE numbers (n text)"), query("INSERT INTO "
          "numbers VALUES ('temporary')"), query("SELECT * FROM numbers"), query("SELECT * FROM "
          "public.numbers"), query("DROP TABLE numbers"), query("SELECT * FROM numbers"),
          setup=NUMBERS, pitfalls=(34,)),
    story("sequence and index", query("CREATE TEMP SEQUENCE count"), query("SELECT "
          "nextval('count')"), query("SELECT nextval('count')"), TEMP, query("CREATE INDEX ON mine "
          "(n)"), query("SELECT currval('count')"), query("DROP SEQUENCE count"), pitfalls=(34,)),
    story("function and type", query("CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS "
          "'SELECT 7'"), query("SELECT pg_temp.f()"), query("CREATE TYPE pg_temp.mood AS ENUM "
          "('ok')"), query("SELECT 'ok'::pg_temp.mood::text"), query("DROP FUNCTION pg_temp.f()"),
          pitfalls=(34,)),
    story("within a function", query("CREATE FUNCTION make() RETURNS int LANGUAGE plpgsql AS "
          "$$BEGIN CREATE TEMP TABLE mine (n int); RETURN 1; END$$"), query("SELECT make()"), LOOK,
          query("DROP TABLE mine"), LOOK, pitfalls=(34,)),
    story("within a DO block", query("DO $$BEGIN CREATE TEMP TABLE mine (n int); END$$"), LOOK,
          pitfalls=(34,)),
    story("through search_path", query("SET search_path = pg_temp"), query("CREATE TABLE mine (n "
          "int)"), query("RESET search_path"), LOOK, query("DROP TABLE mine"), pitfalls=(34,)),
    story("a table of that name", query('CREATE TABLE "temp" (temporary int)'), query('INSERT INTO '
          '"temp" VALUES (1)'), query('SELECT temporary FROM "temp"'), query('DROP TABLE "temp"')),
    story("table and settings", TEMP, query("SET work_mem = '99kB'"), LOOK, query("DROP TABLE "
          "mine"), query("SHOW work_mem"), query("RESET work_mem"), query("SHOW work_mem"),
          pitfalls=(32, 34)),
    story("table and statements", TEMP, parse("SELECT * FROM mine", "s") + SYNC, rerun("s"),
          query("DROP TABLE mine"), rerun("s"), TEMP, rerun("s"), pitfalls=(14, 34)),
    story("tables, and again", *(part for _ in range(4) for part in (TEMP, query("INSERT INTO mine "
          "VALUES (1)"), LOOK, query("DROP TABLE mine"), ONE + SYNC)), pitfalls=(34,)),
]  # fmt: skip

CURSORS = [
    story("WITH HOLD", query("BEGIN"), query(HOLD), query("COMMIT"), query("FETCH 2 FROM c"),
          query("FETCH 2 FROM c"), query("CLOSE c"), query("FETCH c"), pitfalls=(34,)),
    story("WITH HOLD, outside", query(HOLD), query("FETCH 2 FROM c"), query("CLOSE ALL"),
          query("FETCH c"), pitfalls=(34,)),
    story("WITH HOLD, rolled back", query("BEGIN"), query(HOLD), query("ROLLBACK"), query("FETCH "
          "c"), pitfalls=(34,)),
    story("WITH HOLD by extended protocol", run(HOLD) + SYNC, whole("FETCH 2 FROM c"),
          whole("CLOSE c"), whole("FETCH c"), pitfalls=(34,)),
    story("WITHOUT HOLD", query("BEGIN; DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1"), query("FETCH "
          "c"), query("COMMIT"), query("FETCH c")),
    story("BINARY, SCROLL, WITH HOLD", query("DECLARE c BINARY SCROLL CURSOR WITH HOLD FOR SELECT "
          "generate_series(1, 3)"), query("FETCH LAST FROM c"), query("FETCH PRIOR FROM c"),
          query("CLOSE c"), pitfalls=(34,)),
    story("an error leaves it", query(HOLD), query("SELECT 1/0"), query("BEGIN; SELECT 1/0"),
          query("ROLLBACK"), query("FETCH c"), query("CLOSE c"), pitfalls=(34,)),
    story("an error when it is kept", query("BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1/(2-g) "
          "FROM generate_series(1, 3) g"), query("COMMIT"), query("FETCH c"), pitfalls=(34,)),
    story("two of one name", query(HOLD), query(HOLD), query("FETCH c"), query("CLOSE c"),
          pitfalls=(17, 34)),
    story("pg_cursors", query(HOLD), query("SELECT name, is_holdable FROM pg_cursors"),
          query("CLOSE c"), query("SELECT count(*) FROM pg_cursors"), pitfalls=(34,)),
    story("a refcursor", query("BEGIN"), query("SELECT open()"), query('FETCH ALL FROM "own"'),
          query("COMMIT"), setup="CREATE FUNCTION open() RETURNS refcursor LANGUAGE plpgsql AS "
          "$$DECLARE c refcursor := 'own'; BEGIN OPEN c FOR SELECT 1; RETURN c; END$$"),
]  # fmt: skip

# Every test has its own keys: locks are seen by all sessions of a database.
LOCKING = [
    story("lock and unlock", query("SELECT pg_advisory_lock(101)"), LOCKS, query("SELECT "
          "pg_advisory_unlock(101)"), LOCKS, query("SELECT pg_advisory_unlock(101)"),
          pitfalls=(34,)),
    story("twice", query("SELECT pg_advisory_lock(102)"), query("SELECT pg_advisory_lock(102)"),
          query("SELECT pg_advisory_unlock(102)"), LOCKS, query("SELECT pg_advisory_unlock(102)"),
          LOCKS, pitfalls=(34,)),
    story("tried, shared, with two keys", query("SELECT pg_try_advisory_lock(103, 1)"),
          query("SELECT pg_advisory_lock_shared(103, 2)"), query("SELECT "
          "pg_try_advisory_lock_shared(1033)"), LOCKS, query("SELECT pg_advisory_unlock_all()"),
          LOCKS, pitfalls=(34,)),
    story("of the transaction", query("BEGIN; SELECT pg_advisory_xact_lock(104)"), LOCKS,
          query("COMMIT"), LOCKS, query("SELECT pg_try_advisory_xact_lock(104)"), LOCKS),
    story("outlives a rollback", query("BEGIN; SELECT pg_advisory_lock(105); ROLLBACK"), LOCKS,
          query("SELECT pg_advisory_unlock(105)"), LOCKS, pitfalls=(34,)),
    story("by extended protocol", whole("SELECT pg_advisory_lock($1)", "106"), LOCKS,
          whole("SELECT pg_advisory_unlock($1)", "106"), LOCKS, pitfalls=(34,)),
    story("by function call", function_call(2880, struct.pack("!q", 107)), LOCKS,
          function_call(2885, struct.pack("!q", 107)), LOCKS, pitfalls=(29, 34)),
    story("in a function", query("CREATE FUNCTION hold() RETURNS void LANGUAGE sql AS 'SELECT "
          "pg_advisory_lock(108)'"), query("SELECT hold()"), LOCKS,
          query("SELECT pg_advisory_unlock(108)"), LOCKS, pitfalls=(34,)),
    story("by a quoted name", query('SELECT "pg_advisory_lock"(109)'), LOCKS,
          query("SELECT pg_catalog.pg_advisory_unlock(109)"), LOCKS, pitfalls=(34,)),
    story("of many rows", query("SELECT count(pg_advisory_lock(1100 + g)) FROM generate_series(1, "
          "5) g"), LOCKS, query("SELECT pg_advisory_unlock_all()"), LOCKS, pitfalls=(34,)),
    story("by a named statement", parse("SELECT pg_advisory_lock(111)", "s") + SYNC, rerun("s"),
          LOCKS, query("DISCARD ALL"), LOCKS, pitfalls=(20, 34)),
]  # fmt: skip

CHANNELS = [
    story("own notification", query("LISTEN news"), query("NOTIFY news, 'it rains'"),
          query("SELECT 1"), query("UNLISTEN news"), query("NOTIFY news, 'it pours'"),
          pitfalls=(8, 34)),
    story("several, once each", query("LISTEN news; LISTEN gossip"), query("NOTIFY news, 'a'; "
          "NOTIFY gossip; NOTIFY news, 'a'; NOTIFY news, 'b'"), query("UNLISTEN *"),
          pitfalls=(8, 34)),
    story("at the end of its transaction", query("LISTEN news"), query("BEGIN"), query("NOTIFY "
          "news, 'x'"), query("SELECT 1"), query("COMMIT"), pitfalls=(8, 34)),
    story("not of a failed one", query("LISTEN news"), query("BEGIN; NOTIFY news; SELECT 1/0"),
          query("ROLLBACK"), query("SELECT 1"), pitfalls=(8, 34)),
    story("LISTEN rolled back", query("BEGIN; LISTEN news"), query("ROLLBACK"), query("NOTIFY "
          "news"), LISTENS, pitfalls=(34,)),
    story("LISTEN by extended protocol", run("LISTEN news") + SYNC, run("NOTIFY news, 'x'") + SYNC,
          whole("SELECT pg_listening_channels()"), run("UNLISTEN *") + SYNC, pitfalls=(8, 34)),
    story("pg_notify", query("LISTEN news"), query("SELECT pg_notify('news', 'by function')"),
          LISTENS, query("UNLISTEN *"), LISTENS, pitfalls=(8, 34)),
    story("names in quotes", query('LISTEN "My News"'), query('NOTIFY "My News", \'x\''),
          query("NOTIFY my_news"), LISTENS, query('UNLISTEN "My News"'), LISTENS, pitfalls=(34,)),
    story("in a pipeline", Step(run("LISTEN news") + SYNC + run("NOTIFY news, 'x'") + SYNC + ONE
          + SYNC, count=3), query("UNLISTEN *"), pitfalls=(8, 34)),
    story("NOTIFY alone", query("NOTIFY news, 'x'"), query("SELECT pg_notify('news', 'y')"),
          LISTENS),
    story("DISCARD ALL ends it", query("LISTEN news"), query("DISCARD ALL"), LISTENS,
          query("NOTIFY news"), pitfalls=(20, 34)),
    story("too long a payload", query(f"NOTIFY news, '{'x' * 9000}'"), query("SELECT "
          f"pg_notify('{'n' * 70}', '')"), query("SELECT 1")),
    story("in a DO block", query("DO $$BEGIN LISTEN news; END$$"), LISTENS, query("NOTIFY news, "
          "'x'"), query("UNLISTEN *"), pitfalls=(34,)),
]  # fmt: skip

SEQUENCES = "CREATE SEQUENCE one; CREATE SEQUENCE two START 10; CREATE TABLE t (id serial, n int);"

VALUES = [
    story("currval and lastval", query("SELECT nextval('one')"), query("SELECT currval('one'), "
          "lastval()"), query("SELECT nextval('two')"), query("SELECT currval('one'), "
          "currval('two'), lastval()"), setup=SEQUENCES,
          exceptions=("passed_sequences",), pitfalls=(34,)),
    story("before any nextval", query("SELECT currval('one')"), query("SELECT lastval()"),
          query("SELECT 1"), setup=SEQUENCES, pitfalls=(34,)),
    story("after INSERT", query("INSERT INTO t (n) VALUES (5)"), query("SELECT "
          "currval('t_id_seq'), lastval()"), query("SELECT "
          "currval(pg_get_serial_sequence('t', 'id'))"), setup=SEQUENCES,
          exceptions=("passed_sequences",), pitfalls=(34,)),
    story("by extended protocol", whole("INSERT INTO t (n) VALUES ($1)", "5"), whole("SELECT "
          "lastval()"), whole("SELECT currval('t_id_seq')"), setup=SEQUENCES,
          exceptions=("passed_sequences",), pitfalls=(34,)),
    story("setval", query("SELECT setval('one', 40)"), query("SELECT currval('one')"),
          query("SELECT setval('one', 50, false)"), query("SELECT nextval('one')"),
          query("SELECT lastval()"), setup=SEQUENCES,
          exceptions=("passed_sequences",), pitfalls=(34,)),
    story("in one transaction", query("BEGIN; SELECT nextval('one')"), query("SELECT lastval()"),
          query("ROLLBACK"), query("SELECT lastval()"), setup=SEQUENCES, pitfalls=(34,)),
]  # fmt: skip

BLOCKS = [
    story("nothing", query("DO $$BEGIN NULL; END$$"), whole("DO $$BEGIN PERFORM 1; END$$")),
    story("rows and notices", query("DO $$DECLARE r record; BEGIN FOR r IN SELECT * FROM "
          "generate_series(1, 3) n LOOP RAISE NOTICE '%', r.n; INSERT INTO numbers VALUES (r.n); "
          "END LOOP; END$$"), query("SELECT * FROM numbers"), setup=NUMBERS, pitfalls=(8,)),
    story("dynamic SQL", query("DO $$BEGIN EXECUTE 'SET work_mem = ''99kB'''; EXECUTE 'CREATE TEMP "
          "TABLE mine (n int)'; END$$"), query("SHOW work_mem"), LOOK, pitfalls=(32, 34)),
    story("in another language", query("DO LANGUAGE plpgsql 'BEGIN NULL; END'"), query("DO "
          "LANGUAGE nothing 'x'"), query("SELECT 1")),
]  # fmt: skip

# pg_proc: large objects by function call, as drivers do.
LO_CREATE, LO_OPEN, LO_WRITE, LO_READ, LO_SEEK, LO_CLOSE, LO_UNLINK = (
    715, 952, 955, 954, 956, 953, 964,
)  # fmt: skip
RW = 0x20000 | 0x40000


def number(*values: int) -> tuple[bytes, ...]:
    return tuple(struct.pack("!i", value) for value in values)


LARGE = "SELECT lo_unlink(oid) FROM pg_largeobject_metadata WHERE oid = 424242;"

LARGE_OBJECTS = [
    story("by function calls", query("BEGIN"), function_call(LO_CREATE, *number(424242)),
          function_call(LO_OPEN, *number(424242, RW)), function_call(LO_WRITE, *number(0),
          b"some bytes"), function_call(LO_SEEK, *number(0, 5, 0)), function_call(LO_READ,
          *number(0, 99)), function_call(LO_CLOSE, *number(0)), query("COMMIT"),
          query("SELECT lo_get(424242)"), function_call(LO_UNLINK, *number(424242)), setup=LARGE,
          pitfalls=(29,)),
    story("by SQL", query("SELECT lo_from_bytea(424242, 'x')"), query("SELECT lo_put(424242, 1, "
          "'yz')"), query("SELECT lo_get(424242)"), query("BEGIN"), query("SELECT "
          "lo_open(424242, 262144)"), query("SELECT loread(0, 10)"), query("COMMIT"),
          query("SELECT lo_unlink(424242)"), setup=LARGE),
    story("a descriptor dies with its transaction", query("SELECT lo_create(424242)"),
          query("SELECT lo_open(424242, 262144)"), query("SELECT loread(0, 10)"),
          function_call(LO_READ, *number(0, 9)), query("SELECT lo_unlink(424242)"), setup=LARGE),
    story("that is not there", function_call(LO_UNLINK, *number(424242)), query("SELECT "
          "lo_get(424242)"), query("BEGIN"), function_call(LO_OPEN, *number(424242, RW)),
          query("ROLLBACK"), setup=LARGE, pitfalls=(29,)),
    story("much of it", query("BEGIN; SELECT lo_create(424242)"), function_call(LO_OPEN,
          *number(424242, RW)), *(function_call(LO_WRITE, *number(0), bytes(20000)) for _ in
          range(5)), query("COMMIT"), query("SELECT length(lo_get(424242))"), query("SELECT "
          "lo_unlink(424242)"), setup=LARGE, pitfalls=(29, 61)),
]  # fmt: skip
