"""SQL's PREPARE, EXECUTE, DEALLOCATE and DISCARD, mixed with statements by protocol."""

from sluice_testing.raw import SYNC, bind, close, describe, execute, parse, query
from sluice_testing.stories import Step, story
from wirescripts.phrases import NUMBERS, ONE, rerun, run, whole

Q = query("PREPARE q AS SELECT 'q'")
S = parse("SELECT 's'", "s") + SYNC
EXECUTE_Q = query("EXECUTE q")
ABORTED = (query("BEGIN"), query("SELECT 1/0"))

SCRIPTS = [
    story("by simple query", query("PREPARE q (int) AS SELECT $1 + 1"), query("EXECUTE q (1)"),
          query("EXECUTE q (2)"), query("DEALLOCATE q"), query("EXECUTE q (3)"), pitfalls=(22,)),
    story("by extended query", run("PREPARE q (int) AS SELECT $1 + 1") + SYNC,
          run("EXECUTE q (1)") + SYNC, whole("EXECUTE q (2)"), run("DEALLOCATE q") + SYNC,
          run("EXECUTE q (3)") + SYNC, pitfalls=(22,)),
    story("EXECUTE as a named statement", Q, parse("EXECUTE q", "e") + SYNC, rerun("e"),
          rerun("e"), query("DEALLOCATE q"), rerun("e"), pitfalls=(22,)),
    story("PREPARE as a named statement", parse("PREPARE q AS SELECT 1", "p") + SYNC, rerun("p"),
          EXECUTE_Q, rerun("p"), query("DEALLOCATE q"), rerun("p"), EXECUTE_Q, pitfalls=(22,)),
    story("types are found out", query("PREPARE q AS SELECT $1 || 'x', $2 + 1"),
          query("EXECUTE q ('a', 1)"), describe("S", "q") + SYNC, pitfalls=(22,)),
    story("any statement", query("PREPARE i (int) AS INSERT INTO numbers VALUES ($1)"),
          query("PREPARE u AS UPDATE numbers SET n = n + 1 RETURNING n"), query("EXECUTE i (1)"),
          query("EXECUTE i (1)"), query("EXECUTE u"), query("PREPARE d AS DELETE FROM numbers"),
          query("EXECUTE d"), query("PREPARE v AS VALUES (1), (2)"), query("EXECUTE v"),
          setup=NUMBERS, pitfalls=(22,)),
    story("not any statement", query("PREPARE q AS SHOW work_mem"), query("PREPARE q AS CREATE "
          "TABLE t (n int)"), EXECUTE_Q, pitfalls=(22,)),
    story("name twice", Q, query("PREPARE q AS SELECT 'another'"), EXECUTE_Q, pitfalls=(17, 22)),
    story("unknown name", EXECUTE_Q, query("DEALLOCATE q"), query("SELECT 1"), pitfalls=(17, 22)),
    story("unknown name in a transaction", query("BEGIN"), query("EXECUTE nobody"),
          query("ROLLBACK"), query("BEGIN"), query("DEALLOCATE nobody"), query("ROLLBACK"),
          pitfalls=(17, 22)),
    story("names in letters of both sizes", query("PREPARE Name AS SELECT 1"),
          query("EXECUTE NAME"), query('EXECUTE "name"'), query('EXECUTE "Name"'),
          query("DEALLOCATE nAmE"), pitfalls=(22,)),
    story("names in quotes", query('PREPARE "my ""own"" name" AS SELECT 1'),
          query('EXECUTE "my ""own"" name"'), rerun('my "own" name'),
          query('DEALLOCATE PREPARE "my ""own"" name"'), pitfalls=(22,)),
    story("names by unicode escapes", query('PREPARE U&"d\\0061t" AS SELECT 1'),
          query("EXECUTE dat"), query('EXECUTE U&"d!0061t" UESCAPE \'!\''),
          query("DEALLOCATE dat"), exceptions=("spelled_names",), pitfalls=(22,)),
    story("names that are words", query("PREPARE all_ AS SELECT 1"), query('PREPARE "all" AS '
          "SELECT 'all'"), query('EXECUTE "all"'), query('DEALLOCATE "all"'),
          query("EXECUTE all_"), query("PREPARE prepare AS SELECT 2"), query("EXECUTE prepare"),
          query("DEALLOCATE prepare"), query("PREPARE execute AS SELECT 3"),
          query("EXECUTE execute"), query("DEALLOCATE PREPARE execute"), pitfalls=(22,)),
    story("long names", *(part for size in (62, 63, 64, 100) for part in (
          query(f"PREPARE {'n' * size} AS SELECT {size}"), query(f"EXECUTE {'n' * size}"),
          rerun("n" * size), rerun("n" * 63), query(f"DEALLOCATE {'n' * size}"))),
          exceptions=("truncated_names",), pitfalls=(22, 23)),
    story("with comments and blanks", query("/* a */ PREPARE/**/q\n--x\n(int) AS SELECT $1"),
          query("  EXECUTE\t\n q ( 1 ) ; "), query("-- c\nDEALLOCATE /* d */ PREPARE q"),
          pitfalls=(22,)),
    story("positions in errors of PREPARE", query("PREPARE q AS SELECT nothing"),
          query("PREPARE a_rather_long_name (int) AS SELECT nothing"),
          query("PREPARE q AS SELECT 1 FROM FROM"), query("SELECT 1; PREPARE q AS SELECT nothing"),
          pitfalls=(22,)),
    story("positions in errors of EXECUTE", query("PREPARE q (int) AS SELECT $1"),
          query("EXECUTE q (nothing)"), query("EXECUTE q ('x')"), query("EXECUTE q"),
          query("EXECUTE q (1, 2)"), query("EXECUTE q ('x'::date)"),
          query("EXECUTE q (1) nonsense"), run("EXECUTE q (nothing)") + SYNC, pitfalls=(22,)),
    story("positions after other letters", query("PREPARE \"ö\" AS SELECT 'ä', nothing"),
          query("PREPARE \"ö\" (int) AS SELECT $1"), query("SELECT 'äöü'; EXECUTE \"ö\" (nothing)"),
          pitfalls=(22, 35)),
    story("an error when it runs", query("PREPARE q (int) AS SELECT 1/$1"), query("EXECUTE q (0)"),
          query("EXECUTE q (1)"), query("BEGIN; EXECUTE q (0)"), query("ROLLBACK"),
          query("EXECUTE q (1)"), pitfalls=(22,)),
    story("in a string of statements", query("PREPARE q AS SELECT 1; EXECUTE q; DEALLOCATE q; "
          "EXECUTE q"), EXECUTE_Q, pitfalls=(4, 22)),
    story("prepared anew in a string", query("PREPARE q AS SELECT 1; EXECUTE q; DEALLOCATE q; "
          "PREPARE q AS SELECT 2; EXECUTE q"), EXECUTE_Q, pitfalls=(4, 22)),
    story("after an error in a string", query("PREPARE a AS SELECT 'a'; SELECT 1/0; PREPARE b AS "
          "SELECT 'b'"), query("EXECUTE a"), query("EXECUTE b"), pitfalls=(4, 22)),
    story("DEALLOCATE before an error in a string", Q, query("DEALLOCATE q; SELECT 1/0"), EXECUTE_Q,
          pitfalls=(4, 20, 22)),
    story("a syntax error in a string", query("PREPARE q AS SELECT 1; SELECT FROM FROM"),
          EXECUTE_Q, pitfalls=(4, 22)),
    story("outlives rollback", query("BEGIN"), Q, query("ROLLBACK"), EXECUTE_Q, pitfalls=(20, 22)),
    story("DEALLOCATE outlives rollback", Q, query("BEGIN; DEALLOCATE q; ROLLBACK"), EXECUTE_Q,
          pitfalls=(20, 22)),
    story("in a failed transaction", Q, *ABORTED, EXECUTE_Q, query("PREPARE r AS SELECT 1"),
          query("DEALLOCATE q"), query("ROLLBACK"), EXECUTE_Q, query("EXECUTE r"), pitfalls=(22,)),
    story("EXPLAIN EXECUTE", query("PREPARE q (int) AS SELECT * FROM numbers WHERE n = $1"),
          query("EXPLAIN (COSTS OFF) EXECUTE q (1)"), query("EXPLAIN (ANALYZE, COSTS OFF, TIMING "
          "OFF, SUMMARY OFF, BUFFERS OFF) EXECUTE q (1)"), setup=NUMBERS, pitfalls=(22,)),
    story("CREATE TABLE AS EXECUTE", query("PREPARE q AS SELECT 1 AS n"), query("CREATE TABLE t AS "
          "EXECUTE q"), query("CREATE TEMP TABLE u AS EXECUTE q"), query("TABLE t"), query("TABLE "
          "u"), query("DROP TABLE t, u"), pitfalls=(22,)),
    story("EXECUTE of a trigger is none", query("CREATE FUNCTION f() RETURNS trigger LANGUAGE "
          "plpgsql AS $$BEGIN EXECUTE 'SELECT 1'; RETURN NEW; END$$"), query("CREATE TRIGGER t "
          "BEFORE INSERT ON numbers FOR EACH ROW EXECUTE FUNCTION f()"), query("INSERT INTO "
          "numbers VALUES (1)"), query("DO $$BEGIN EXECUTE 'SELECT 1'; END$$"), setup=NUMBERS),
    story("a cursor for it", query("PREPARE q AS SELECT generate_series(1, 4)"), query("BEGIN"),
          query("EXECUTE q"), query("COMMIT"), parse("EXECUTE q") + bind() + execute(rows=2)
          + execute() + SYNC, pitfalls=(22,)),
    story("a changed result", query("PREPARE q AS SELECT * FROM numbers"), EXECUTE_Q,
          query("ALTER TABLE numbers ADD COLUMN m int"), EXECUTE_Q, EXECUTE_Q, setup=NUMBERS,
          exceptions=("healed_plans",), pitfalls=(13, 22)),
    story("many of them", query("; ".join(f"PREPARE q{n} AS SELECT {n}" for n in range(40))),
          *(query(f"EXECUTE q{n}") for n in range(0, 40, 3)), pitfalls=(22,)),
    story("a long text", query(f"PREPARE q AS SELECT length('{'x' * 50000}')"), EXECUTE_Q,
          EXECUTE_Q, pitfalls=(22, 23)),
    story("a dollar quote within", query("PREPARE q AS SELECT $a$it's; DEALLOCATE q$a$"),
          EXECUTE_Q, EXECUTE_Q, pitfalls=(22,)),
    story("in a function", query("DO $$BEGIN EXECUTE 'PREPARE q AS SELECT 1'; END$$"), EXECUTE_Q,
          query("DO $$BEGIN EXECUTE 'DEALLOCATE q'; END$$"), EXECUTE_Q, pitfalls=(22,)),
    story("with parameters of the protocol", query("PREPARE q (int) AS SELECT $1 + 1"),
          parse("EXECUTE q ($1)") + bind("3") + execute() + SYNC, pitfalls=(22,)),
    story("EXECUTE within a query is no command", query("SELECT 1 AS execute, 'EXECUTE q' AS "
          "prepare"), query('CREATE TABLE "execute q" (prepare int); DROP TABLE "execute q"')),
]  # fmt: skip

SHARED_NAMES = [
    story("PREPARE, then protocol", query("PREPARE q AS SELECT 1"), parse("SELECT 2", "q") + SYNC,
          rerun("q"), describe("S", "q") + SYNC, close("S", "q") + SYNC, EXECUTE_Q,
          pitfalls=(17, 22)),
    story("protocol, then PREPARE", S, query("PREPARE s AS SELECT 2"), query("EXECUTE s"),
          query("DEALLOCATE s"), rerun("s"), pitfalls=(17, 22)),
    story("EXECUTE of a protocol statement", parse("SELECT $1::int + 1", "s") + SYNC,
          query("EXECUTE s (1)"), query("EXECUTE s"), query("EXPLAIN (COSTS OFF) EXECUTE s (1)"),
          rerun("s", "2"), pitfalls=(22,)),
    story("DEALLOCATE of a protocol statement", S, rerun("s"), query("DEALLOCATE s"), rerun("s"),
          S, rerun("s"), pitfalls=(20, 22)),
    story("DEALLOCATE by extended protocol", S, run("DEALLOCATE s") + SYNC, rerun("s"), S,
          rerun("s"), pitfalls=(20, 22)),
    story("Close of a prepared one", Q, close("S", "q") + SYNC, EXECUTE_Q, Q, EXECUTE_Q,
          pitfalls=(18, 22)),
    story("in one pipeline", Step(run("PREPARE q AS SELECT 1") + SYNC + rerun("q")
          + run("EXECUTE q") + SYNC + close("S", "q") + SYNC + run("EXECUTE q") + SYNC, count=5),
          pitfalls=(16, 22)),
    story("in one round", run("PREPARE q AS SELECT 1") + bind(name="q") + execute()
          + run("DEALLOCATE q") + run("PREPARE q AS SELECT 2") + bind(name="q") + execute() + SYNC,
          EXECUTE_Q, pitfalls=(22,)),
    story("simple query in a pipeline", Step(parse("SELECT 1", "s") + query("EXECUTE s; DEALLOCATE "
          "s") + parse("SELECT 2", "s") + bind(name="s") + execute() + SYNC, count=2), rerun("s"),
          pitfalls=(3, 22)),
    story("skipped in a pipeline", Step(parse("SELECT nothing") + query("PREPARE q AS SELECT 1")
          + SYNC), EXECUTE_Q, pitfalls=(16, 22)),
]  # fmt: skip

WIPES = [
    story("DEALLOCATE ALL", S, Q, query("DEALLOCATE ALL"), rerun("s"), EXECUTE_Q, S, rerun("s"),
          pitfalls=(20,)),
    story("DEALLOCATE PREPARE ALL", S, query("DEALLOCATE PREPARE ALL"), rerun("s"), S, rerun("s"),
          pitfalls=(20,)),
    story("DEALLOCATE ALL by extended protocol", S, Q, whole("DEALLOCATE ALL"), rerun("s"),
          EXECUTE_Q, S, pitfalls=(20,)),
    story("DEALLOCATE ALL as a named statement", parse("DEALLOCATE ALL", "d") + SYNC, S,
          rerun("d"), rerun("d"), rerun("s"), pitfalls=(20,)),
    story("DEALLOCATE ALL in one round", parse("SELECT 1", "a") + run("DEALLOCATE ALL")
          + parse("SELECT 2", "a") + bind(name="a") + execute() + SYNC, rerun("a"), pitfalls=(20,)),
    story("DEALLOCATE ALL in a pipeline", S, Step(run("DEALLOCATE ALL") + SYNC + rerun("s") + S
          + rerun("s"), count=4), rerun("s"), pitfalls=(16, 20)),
    story("DEALLOCATE ALL in a transaction that rolls back", S, query("BEGIN"),
          query("DEALLOCATE ALL"), rerun("s"), query("ROLLBACK"), rerun("s"), S, rerun("s"),
          pitfalls=(20,)),
    story("DEALLOCATE ALL in a failed transaction", S, *ABORTED, query("DEALLOCATE ALL"),
          query("ROLLBACK"), rerun("s"), pitfalls=(20,)),
    story("DEALLOCATE ALL in a string", S, query("SELECT 1; DEALLOCATE ALL; SELECT 2"), rerun("s"),
          pitfalls=(4, 20)),
    story("DEALLOCATE ALL before an error", S, query("DEALLOCATE ALL; SELECT 1/0"), rerun("s"),
          pitfalls=(4, 20)),
    story("DEALLOCATE ALL in a function", S, query("DO $$BEGIN EXECUTE 'DEALLOCATE ALL'; END$$"),
          rerun("s"), S, rerun("s"), pitfalls=(20,)),
    story("DISCARD ALL", Q, query("DISCARD ALL"), EXECUTE_Q, query("PREPARE q AS SELECT 2"),
          EXECUTE_Q, pitfalls=(20,)),
    story("DISCARD ALL and the protocol's", S, query("DISCARD ALL"), rerun("s"), S, rerun("s"),
          pitfalls=(20,)),
    story("DISCARD ALL by extended protocol", S, Q, whole("DISCARD ALL"), rerun("s"), EXECUTE_Q,
          S, rerun("s"), pitfalls=(20,)),
    story("DISCARD ALL in a transaction", S, query("BEGIN"), query("DISCARD ALL"),
          query("ROLLBACK"), rerun("s"), query("SELECT 1; DISCARD ALL"), rerun("s"),
          pitfalls=(20,)),
    story("DISCARD ALL in a pipeline", S, Step(ONE + run("DISCARD ALL") + SYNC + rerun("s"),
          count=2), pitfalls=(20,)),
    story("DISCARD ALL as a named statement", parse("DISCARD ALL", "d") + SYNC, S, rerun("d"),
          rerun("d"), rerun("s"), pitfalls=(20,)),
    story("DISCARD ALL and everything", query("SET work_mem = '99kB'; SET my.own = 'x'; SET "
          "DateStyle = 'German'; SET ROLE teller"), query("CREATE TEMP TABLE mine (n int)"),
          query("LISTEN news"), query("SELECT pg_advisory_lock(991)"), query("BEGIN; DECLARE c "
          "CURSOR WITH HOLD FOR SELECT 1; COMMIT"), Q, query("DISCARD ALL"),
          query("SHOW work_mem; SHOW my.own; SHOW DateStyle"), query("SELECT current_user"),
          query("SELECT * FROM mine"), query("FETCH c"), EXECUTE_Q, query("NOTIFY news"),
          query("SELECT pg_advisory_unlock(991)"), pitfalls=(20, 34)),
    story("DISCARD PLANS", S, Q, query("DISCARD PLANS"), rerun("s"), EXECUTE_Q, pitfalls=(20,)),
    story("DISCARD SEQUENCES", query("CREATE SEQUENCE c"), query("SELECT nextval('c')"),
          query("DISCARD SEQUENCES"), query("SELECT currval('c')"), query("SELECT lastval()"), S,
          query("DISCARD SEQUENCES"), rerun("s"), pitfalls=(20, 34)),
    story("DISCARD TEMP", query("CREATE TEMP TABLE mine (n int)"), S, query("DISCARD TEMP"),
          query("SELECT * FROM mine"), rerun("s"), query("DISCARD TEMPORARY"), pitfalls=(20, 34)),
    story("DISCARD of nonsense", query("DISCARD NOTHING"), query("DISCARD"), S, rerun("s")),
]  # fmt: skip
