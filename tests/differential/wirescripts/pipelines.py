"""Pipelines: several Syncs in flight, Flush, simple queries among them, errors that skip."""

from sluice_testing.raw import (
    FLUSH,
    SYNC,
    TERMINATE,
    bind,
    close,
    describe,
    execute,
    parse,
    query,
)
from sluice_testing.stories import Step, story
from wirescripts.phrases import BAD, NUMBERS, ONE, TEN, run

TWO = run("SELECT 2")
INSERT = "INSERT INTO numbers VALUES ($1)"
ALL = query("SELECT * FROM numbers ORDER BY n")

SCRIPTS = [
    story("three rounds in one write", Step((ONE + SYNC) * 3, count=3), pitfalls=(1, 62)),
    story("a hundred rounds in one write", Step((ONE + SYNC) * 100, count=100), pitfalls=(1, 11)),
    story("two thousand rounds, half of them errors", Step((ONE + SYNC + BAD + SYNC) * 1000,
          count=2000), pitfalls=(1, 2, 11)),
    story("many messages and one Sync", (ONE + TWO) * 200 + SYNC, pitfalls=(1, 5)),
    story("big rounds", Step((run("SELECT repeat('x', 50000)") + SYNC) * 20, count=20),
          pitfalls=(11,)),
    story("big questions", Step((run("SELECT length($1)", "x" * 50000) + SYNC) * 20, count=20),
          pitfalls=(11,)),
    story("an error skips to its Sync",
          Step(ONE + SYNC + BAD + ONE + query("SELECT 2") + SYNC + ONE + SYNC, count=3),
          pitfalls=(2,)),
    story("errors in a row", Step((BAD + ONE + SYNC) * 4, count=4), query("SELECT 1"),
          pitfalls=(2,)),
    story("an error in the first of three", Step(BAD + SYNC + ONE + SYNC + TWO + SYNC, count=3),
          pitfalls=(2,)),
    story("an error in the last of three", Step(ONE + SYNC + TWO + SYNC + BAD + SYNC, count=3),
          pitfalls=(2,)),
    story("skipped Syncs count", Step(BAD + SYNC + SYNC + ONE + SYNC, count=3), pitfalls=(1, 2)),
    story("a simple query among extended", Step(ONE + query("SELECT 2") + ONE + SYNC, count=2),
          pitfalls=(3,)),
    story("a failing simple query among extended", Step(ONE + query("SELECT 1/0") + ONE + SYNC,
          count=2), pitfalls=(2, 3)),
    story("a simple query ends an implicit transaction", Step(run(INSERT, "1")
          + query("SELECT 2") + run(INSERT, "2") + BAD + SYNC, count=2), ALL, setup=NUMBERS,
          pitfalls=(3,)),
    story("a simple query takes the unnamed portal", Step(TEN + bind() + query("SELECT 2")
          + execute() + SYNC, count=2), pitfalls=(3,)),
    story("a skipped simple query", Step(BAD + query("SELECT 2") + query("SELECT 3") + SYNC),
          query("SELECT 4"), pitfalls=(2, 3)),
    story("simple and extended by turns", Step((query("SELECT 1") + ONE + SYNC) * 5, count=10),
          pitfalls=(3, 62)),
    story("BEGIN and COMMIT in one pipeline", run("BEGIN") + ONE + run("COMMIT") + SYNC,
          pitfalls=(7,)),
    story("BEGIN and COMMIT, each with its Sync", Step(run("BEGIN") + SYNC + run(INSERT, "1")
          + SYNC + run("COMMIT") + SYNC, count=3), ALL, setup=NUMBERS, pitfalls=(1, 7)),
    story("a failed transaction goes on after Sync", Step(run("BEGIN") + SYNC + BAD + SYNC + ONE
          + SYNC + run("ROLLBACK") + SYNC + ONE + SYNC, count=5), pitfalls=(2, 7)),
    story("a transaction over several writes", Step(run("BEGIN") + SYNC),
          Step(run(INSERT, "1") + SYNC + run(INSERT, "2") + SYNC, count=2),
          Step(run("COMMIT") + SYNC + ONE + SYNC, count=2), ALL, setup=NUMBERS),
    story("a transaction ends in mid pipeline", Step(run("BEGIN") + run(INSERT, "1")
          + run("COMMIT") + run(INSERT, "2") + BAD + SYNC), ALL, setup=NUMBERS, pitfalls=(7,)),
    story("COMMIT of an implicit transaction", run(INSERT, "1") + run("COMMIT")
          + run(INSERT, "2") + BAD + SYNC, ALL, setup=NUMBERS, pitfalls=(7,)),
    story("ROLLBACK of an implicit transaction", run(INSERT, "1") + run("ROLLBACK")
          + run(INSERT, "2") + SYNC, ALL, setup=NUMBERS, pitfalls=(7,)),
    story("BEGIN within an implicit transaction", run(INSERT, "1") + run("BEGIN")
          + run(INSERT, "2") + SYNC, query("ROLLBACK"), ALL, setup=NUMBERS, pitfalls=(7,)),
    story("SET LOCAL in an implicit transaction", run("SET LOCAL work_mem = '99kB'")
          + run("SHOW work_mem") + SYNC, query("SHOW work_mem")),
    story("SAVEPOINT in an implicit transaction", run("SAVEPOINT a") + ONE + SYNC, ONE + SYNC),
    story("an implicit transaction is undone", run(INSERT, "1") + run(INSERT, "1") + SYNC, ALL,
          setup=NUMBERS, pitfalls=(2,)),
    story("rounds are transactions of their own", Step(run(INSERT, "1") + SYNC + run(INSERT, "1")
          + SYNC + run(INSERT, "2") + SYNC, count=3), ALL, setup=NUMBERS, pitfalls=(1, 2)),
    story("no Sync between two writes", Step(ONE, count=0), TWO + SYNC, pitfalls=(1,)),
    story("half a message waits", Step(ONE[:20], count=0), ONE[20:] + SYNC, pitfalls=(62,)),
    story("half a Sync waits", Step(ONE + SYNC[:3], count=0), Step(SYNC[3:] + ONE + SYNC, count=2),
          pitfalls=(62,)),
    story("a Sync and the beginning of the next", Step(ONE + SYNC + ONE[:9]), ONE[9:] + SYNC,
          pitfalls=(62,)),
    story("results while more is being sent", Step(ONE + SYNC + TWO), SYNC, pitfalls=(1, 62)),
    story("Terminate in mid pipeline", Step(ONE + SYNC + BAD + TERMINATE, until=""),
          pitfalls=(60,)),
    story("Terminate after a Parse", Step(parse("SELECT 1") + TERMINATE, until=""),
          pitfalls=(60,)),
    story("Terminate in a transaction", query("BEGIN"), Step(TERMINATE, until=""), pitfalls=(60,)),
    story("Terminate at once", Step(TERMINATE, until=""), pitfalls=(60,)),
]  # fmt: skip

FLUSHES = [
    story("alone", Step(FLUSH, count=0), FLUSH + SYNC, pitfalls=(6,)),
    story("shows early", Step(parse("SELECT 1") + describe("S") + FLUSH, "T"),
          Step(bind() + execute() + FLUSH, "C"), SYNC, pitfalls=(6,)),
    story("after every message", Step(parse("SELECT 1") + FLUSH, "1"), Step(bind() + FLUSH, "2"),
          Step(describe("P") + FLUSH, "T"), Step(execute() + FLUSH, "C"), SYNC, pitfalls=(6,)),
    story("after an error", Step(BAD + FLUSH, "E"), ONE + SYNC, pitfalls=(2, 6)),
    story("after an error, more is skipped", Step(BAD + FLUSH, "E"), Step(ONE + FLUSH, count=0),
          ONE + SYNC, ONE + SYNC, pitfalls=(2, 6)),
    story("keeps an implicit transaction", Step(run(INSERT, "1") + FLUSH, "C"),
          Step(run(INSERT, "2") + FLUSH, "C"), BAD + SYNC, ALL, setup=NUMBERS, pitfalls=(6,)),
    story("of a named Parse", Step(parse("SELECT 1", "s") + FLUSH, "1"),
          Step(bind(name="s") + execute() + FLUSH, "C"), SYNC, bind(name="s") + execute() + SYNC,
          pitfalls=(6, 14)),
    story("of Close", Step(close("S", "nobody") + FLUSH, "3"), SYNC, pitfalls=(6, 18)),
    story("a simple query after it", Step(ONE + FLUSH, "C"), query("SELECT 2"), ONE + SYNC,
          pitfalls=(3, 6)),
    story("in a transaction", query("BEGIN"), Step(ONE + FLUSH, "C"), Step(TWO + FLUSH, "C"), SYNC,
          query("COMMIT"), pitfalls=(6,)),
    story("BEGIN, flushed", Step(run("BEGIN") + FLUSH, "C"), Step(ONE + FLUSH, "C"), SYNC,
          query("ROLLBACK"), pitfalls=(6, 7)),
    story("goes on for long", *(Step(run("SELECT 1") + FLUSH, "C") for _ in range(10)), SYNC,
          pitfalls=(6,)),
    story("notices come early", Step(run("DO $$BEGIN RAISE NOTICE 'n'; END$$") + FLUSH, "C"), SYNC,
          pitfalls=(6, 8)),
]  # fmt: skip

STRINGS = [
    story("three statements", query("SELECT 1; SELECT 2; SELECT 3"), pitfalls=(4,)),
    story("fifty statements", query("; ".join(f"SELECT {n}" for n in range(50))), pitfalls=(4,)),
    story("an error in the middle", query("SELECT 1; SELECT 1/0; SELECT 3"), query("SELECT 4"),
          pitfalls=(2, 4)),
    story("an error in the middle undoes the first", query("INSERT INTO numbers VALUES (1); "
          "SELECT 1/0"), ALL, setup=NUMBERS, pitfalls=(4,)),
    story("a syntax error at the end", query("INSERT INTO numbers VALUES (1); SELECT FROM FROM"),
          ALL, setup=NUMBERS, pitfalls=(4,)),
    story("an unknown table at the end", query("INSERT INTO numbers VALUES (1); SELECT * FROM "
          "nothing"), ALL, setup=NUMBERS, pitfalls=(4,)),
    story("a transaction in a string", query("BEGIN; INSERT INTO numbers VALUES (1); COMMIT"), ALL,
          setup=NUMBERS, pitfalls=(4, 7)),
    story("all in one string", query("BEGIN; INSERT INTO numbers VALUES (1); COMMIT; BEGIN"),
          query("SELECT * FROM numbers"), query("ROLLBACK"), setup=NUMBERS, pitfalls=(4, 7)),
    story("BEGIN in the middle", query("INSERT INTO numbers VALUES (1); BEGIN; INSERT INTO numbers "
          "VALUES (2)"), query("ROLLBACK"), ALL, setup=NUMBERS, pitfalls=(4, 7)),
    story("COMMIT in the middle", query("INSERT INTO numbers VALUES (1); COMMIT; INSERT INTO "
          "numbers VALUES (2); SELECT 1/0"), ALL, setup=NUMBERS, pitfalls=(4, 7)),
    story("ROLLBACK in the middle", query("INSERT INTO numbers VALUES (1); ROLLBACK; INSERT INTO "
          "numbers VALUES (2)"), ALL, setup=NUMBERS, pitfalls=(4, 7)),
    story("an error before COMMIT", query("BEGIN; SELECT 1/0; COMMIT"), query("COMMIT"),
          query("SELECT 1"), pitfalls=(4, 7)),
    story("an error after COMMIT", query("BEGIN; INSERT INTO numbers VALUES (1); COMMIT; SELECT "
          "1/0; SELECT 1"), ALL, setup=NUMBERS, pitfalls=(4, 7)),
    story("a string in a failed transaction", query("BEGIN; SELECT 1/0"), query("ROLLBACK; SELECT "
          "1"), query("SELECT 2"), pitfalls=(4, 7)),
    story("ROLLBACK, then an error", query("BEGIN; SELECT 1/0"), query("SELECT 1; ROLLBACK"),
          query("ROLLBACK; SELECT 1/0"), query("SELECT 2"), pitfalls=(4, 7)),
    story("savepoints in a string", query("BEGIN; SAVEPOINT a; INSERT INTO numbers VALUES (1); "
          "ROLLBACK TO a; INSERT INTO numbers VALUES (2); COMMIT"), ALL, setup=NUMBERS),
    story("a savepoint in an implicit transaction", query("SELECT 1; SAVEPOINT a; SELECT 2"),
          query("SELECT 3"), pitfalls=(4,)),
    story("SET LOCAL in an implicit transaction", query("SET LOCAL work_mem = '99kB'; SHOW "
          "work_mem"), query("SHOW work_mem"), pitfalls=(4,)),
    story("SET, then an error", query("SET work_mem = '99kB'; SELECT 1/0"), query("SHOW work_mem"),
          pitfalls=(4, 32)),
    story("SET, COMMIT, then an error", query("SET work_mem = '99kB'; COMMIT; SELECT 1/0"),
          query("SHOW work_mem"), pitfalls=(4, 32)),
    story("SET in a transaction, rolled back", query("BEGIN; SET work_mem = '99kB'; ROLLBACK; SHOW "
          "work_mem"), query("SHOW work_mem"), pitfalls=(4, 32)),
    story("COMMIT AND CHAIN in the middle", query("BEGIN; SELECT 1; COMMIT AND CHAIN; SELECT 2"),
          query("ROLLBACK"), pitfalls=(4, 7)),
    story("not allowed in a string", query("SELECT 1; VACUUM numbers"), query("CREATE DATABASE x; "
          "SELECT 1"), query("SELECT 1"), setup=NUMBERS, pitfalls=(4,)),
    story("a cursor in a string", query("DECLARE c CURSOR FOR SELECT generate_series(1, 3); FETCH "
          "2 FROM c; CLOSE c"), query("SELECT 1"), pitfalls=(4,)),
    story("semicolons in strings and names", query("SELECT ';'; SELECT 1 AS \";\"; SELECT $$;$$; "
          "/* ; */ SELECT 4 -- ;\n; SELECT 5"), pitfalls=(4,)),
    story("a function body with semicolons", query("CREATE FUNCTION f() RETURNS int LANGUAGE sql "
          "BEGIN ATOMIC SELECT 1; SELECT 2; END; SELECT f()"), query("DROP FUNCTION f()"),
          pitfalls=(4,)),
    story("a rule with several commands", query("CREATE RULE r AS ON INSERT TO numbers DO ALSO "
          "(NOTIFY news; NOTIFY news); INSERT INTO numbers VALUES (1)"), ALL, setup=NUMBERS),
    story("strings in one write", Step(query("SELECT 1; SELECT 2") + query("SELECT 3; SELECT 1/0")
          + query("BEGIN; SELECT 4") + query("COMMIT; SELECT 5"), count=4), pitfalls=(1, 4)),
]  # fmt: skip
