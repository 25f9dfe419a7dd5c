"""COPY in both directions: data, failures on either side, and messages at the wrong moment."""

from sluice_testing.raw import (
    COPY_DONE,
    FLUSH,
    SYNC,
    bind,
    copy_data,
    copy_fail,
    describe,
    execute,
    function_call,
    message,
    parse,
    query,
)
from sluice_testing.stories import Step, story
from wirescripts.phrases import COPY_IN, INT4PL, NUMBERS, ONE, run

COUNT = query("SELECT count(*) FROM numbers")
DATA = copy_data(b"1\n2\n") + copy_data(b"3\n")
BEGUN = Step(query(COPY_IN), "G")
BEGUN_EXTENDED = Step(run(COPY_IN) + FLUSH, "G")
TWO_COLUMNS = "CREATE TABLE pairs (n int, t text);"
TELLS = (
    "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE 'row %', "
    "NEW.n; RETURN NEW; END$$; CREATE TRIGGER t BEFORE INSERT ON numbers FOR EACH ROW EXECUTE "
    "FUNCTION tell();"
)

IN = [
    story("data", BEGUN, DATA + COPY_DONE, COUNT, setup=NUMBERS, pitfalls=(1, 26)),
    story("all in one write", query(COPY_IN) + DATA + COPY_DONE, COUNT, setup=NUMBERS,
          pitfalls=(26,)),
    story("nothing", BEGUN, COPY_DONE, COUNT, setup=NUMBERS),
    story("the end mark", BEGUN, copy_data(b"1\n\\.\n") + COPY_DONE, COUNT, setup=NUMBERS),
    story("rows cut between messages", BEGUN, copy_data(b"1") + copy_data(b"2\n3") + copy_data(b"")
          + copy_data(b"4\n") + COPY_DONE, query("SELECT * FROM numbers"), setup=NUMBERS),
    story("many messages", BEGUN, b"".join(copy_data(b"%d\n" % n) for n in range(3000))
          + COPY_DONE, COUNT, setup=NUMBERS, pitfalls=(11,)),
    story("a long message", BEGUN, copy_data(b"".join(b"%d\n" % n for n in range(40000)))
          + COPY_DONE, COUNT, setup=NUMBERS, pitfalls=(61,)),
    story("as CSV with columns", Step(query("COPY pairs (t, n) FROM STDIN (FORMAT csv, HEADER)"),
          "G"), copy_data(b't,n\n"a, ""b""",1\n,2\n') + COPY_DONE,
          query("SELECT * FROM pairs"), setup=TWO_COLUMNS),
    story("binary", Step(query("COPY numbers FROM STDIN (FORMAT binary)"), "G"), copy_data(
          b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"\0\1\0\0\0\4\0\0\0\7" + b"\xff\xff") + COPY_DONE,
          query("SELECT * FROM numbers"), setup=NUMBERS),
    story("the client gives up", BEGUN, copy_data(b"1\n") + copy_fail("no more"), COUNT,
          setup=NUMBERS, pitfalls=(28,)),
    story("gives up at once", BEGUN, copy_fail(""), COUNT, setup=NUMBERS),
    story("bad data, late messages", BEGUN, copy_data(b"1\nx\n"),
          copy_data(b"2\n") * 5 + COPY_DONE + COUNT, query("SELECT 2"), setup=NUMBERS,
          pitfalls=(27,)),
    story("bad data, much of it late", BEGUN, copy_data(b"1\nx\n"),
          copy_data(b"2\n" * 5000) * 20 + COPY_DONE + COUNT, query("SELECT 2"), setup=NUMBERS,
          pitfalls=(11, 27)),
    story("bad data, late CopyFail", BEGUN, copy_data(b"x\n"), copy_fail("late")
          + query("SELECT 1"), setup=NUMBERS, pitfalls=(27,)),
    story("bad data, a query instead of CopyDone", BEGUN, copy_data(b"x\n"), query("SELECT 1"),
          query("SELECT 2"), setup=NUMBERS, pitfalls=(27,)),
    story("a duplicate at the end", BEGUN, copy_data(b"1\n1\n") + COPY_DONE, COUNT, setup=NUMBERS),
    story("an error at CopyDone", Step(query("COPY pairs FROM STDIN"), "G"), copy_data(b"1")
          + COPY_DONE, query("SELECT 1"), setup=TWO_COLUMNS),
    story("in a transaction", query("BEGIN"), BEGUN, copy_data(b"1\n") + COPY_DONE,
          query("ROLLBACK"), COUNT, setup=NUMBERS),
    story("fails in a transaction", query("BEGIN"), BEGUN, copy_data(b"x\n") + COPY_DONE,
          query("SELECT 1"), query("ROLLBACK"), COUNT, setup=NUMBERS, pitfalls=(27,)),
    story("after a savepoint", query("BEGIN; SAVEPOINT a"), BEGUN, copy_fail("x"),
          query("ROLLBACK TO a"), BEGUN, DATA + COPY_DONE, query("COMMIT"), COUNT, setup=NUMBERS),
    story("among statements", Step(query(f"SELECT 1; {COPY_IN}; SELECT 2"), "G"),
          copy_data(b"1\n") + COPY_DONE, COUNT, setup=NUMBERS, pitfalls=(4,)),
    story("twice in one string", Step(query(f"{COPY_IN}; {COPY_IN}"), "G"),
          Step(copy_data(b"1\n") + COPY_DONE, "G"), copy_data(b"2\n") + COPY_DONE, COUNT,
          setup=NUMBERS, pitfalls=(4,)),
    story("twice, the first fails", Step(query(f"{COPY_IN}; {COPY_IN}"), "G"),
          copy_data(b"x\n") + COPY_DONE, copy_data(b"2\n") + COPY_DONE + COUNT, setup=NUMBERS,
          pitfalls=(4, 27)),
    story("Sync and Flush during COPY", BEGUN, copy_data(b"1\n") + SYNC + FLUSH
          + copy_data(b"2\n") + COPY_DONE, COUNT, setup=NUMBERS, pitfalls=(26,)),
    story("no such table", query("COPY nowhere FROM STDIN"), query("SELECT 1"), pitfalls=(27,)),
    story("no such table, data sent ahead", query("COPY nowhere FROM STDIN") + DATA + COPY_DONE,
          query("SELECT 1"), pitfalls=(27,)),
    story("notices", BEGUN, DATA + COPY_DONE, COUNT, setup=NUMBERS + TELLS, pitfalls=(8,)),
    story("two clients' worth", *(part for n in range(4) for part in
          (BEGUN, copy_data(b"%d\n" % n) + COPY_DONE)), COUNT, setup=NUMBERS),
    story("a query during COPY", BEGUN, Step(query("SELECT 1"), until=""), setup=NUMBERS),
    story("another message during COPY", BEGUN, Step(copy_data(b"1\n") + parse("SELECT 1"),
          until=""), setup=NUMBERS),
]  # fmt: skip

IN_EXTENDED = [
    story("data", BEGUN_EXTENDED, copy_data(b"1\n") + COPY_DONE + SYNC, COUNT, setup=NUMBERS,
          pitfalls=(26,)),
    story("with Describe", Step(parse(COPY_IN) + describe("S") + bind() + describe("P") + execute()
          + FLUSH, "G"), DATA + COPY_DONE + SYNC, COUNT, setup=NUMBERS),
    story("Sync ahead of the data", Step(run(COPY_IN) + SYNC, "G"),
          copy_data(b"1\n") + COPY_DONE + SYNC, COUNT, setup=NUMBERS, pitfalls=(26,)),
    story("Sync ahead, given up", Step(run(COPY_IN) + SYNC, "G"), copy_fail("no") + SYNC, COUNT,
          setup=NUMBERS, pitfalls=(26,)),
    story("Sync ahead, bad data", Step(run(COPY_IN) + SYNC, "G"), copy_data(b"x\n") + COPY_DONE
          + SYNC, COUNT, setup=NUMBERS, pitfalls=(26, 27)),
    story("no Sync after CopyDone until later", Step(run(COPY_IN) + SYNC, "G"),
          Step(copy_data(b"1\n") + COPY_DONE + FLUSH, "C"), SYNC, COUNT, setup=NUMBERS,
          pitfalls=(26,)),
    story("all in one write", run(COPY_IN) + copy_data(b"1\n") + COPY_DONE + SYNC, COUNT,
          setup=NUMBERS, pitfalls=(26,)),
    story("all in one write, both Syncs", run(COPY_IN) + SYNC + copy_data(b"1\n") + COPY_DONE
          + SYNC, COUNT, setup=NUMBERS, pitfalls=(26,)),
    story("bad data", BEGUN_EXTENDED, copy_data(b"x\n") + copy_data(b"1\n") + COPY_DONE + SYNC,
          query("SELECT 1"), setup=NUMBERS, pitfalls=(27,)),
    story("bad data, more rounds behind", BEGUN_EXTENDED, Step(copy_data(b"x\n") + COPY_DONE + ONE
          + SYNC + ONE + SYNC, count=2), setup=NUMBERS, pitfalls=(27,)),
    story("given up", BEGUN_EXTENDED, copy_fail("no more") + SYNC, query("SELECT 1"),
          setup=NUMBERS, pitfalls=(28,)),
    story("given up, more behind", BEGUN_EXTENDED, Step(copy_fail("no") + ONE + SYNC + ONE + SYNC,
          count=2), setup=NUMBERS, pitfalls=(28,)),
    story("twice in one pipeline", run(COPY_IN) + copy_data(b"1\n") + COPY_DONE + bind()
          + execute() + copy_data(b"2\n") + COPY_DONE + SYNC, COUNT, setup=NUMBERS),
    story("among others", ONE + run(COPY_IN) + DATA + COPY_DONE + ONE + SYNC, COUNT, setup=NUMBERS),
    story("fails before it begins", run("COPY nowhere FROM STDIN") + DATA + COPY_DONE + ONE + SYNC,
          ONE + SYNC, pitfalls=(27,)),
    story("skipped", parse("SELECT nothing") + run(COPY_IN) + DATA + COPY_DONE + SYNC, COUNT,
          setup=NUMBERS, pitfalls=(2, 27)),
    story("of a named statement", parse(COPY_IN, "c") + SYNC, Step(bind(name="c") + execute()
          + SYNC, "G"), copy_data(b"1\n") + COPY_DONE + SYNC, Step(bind(name="c") + execute()
          + SYNC, "G"), copy_data(b"2\n") + COPY_DONE + SYNC, COUNT, setup=NUMBERS,
          pitfalls=(26,)),
    story("a simple query behind it", Step(run(COPY_IN) + FLUSH, "G"),
          Step(DATA + COPY_DONE + query("SELECT 1"), count=1), SYNC, COUNT, setup=NUMBERS,
          pitfalls=(3, 26)),
]  # fmt: skip

OUT = [
    story("rows", query("COPY (SELECT generate_series(1, 100)) TO STDOUT"), query("SELECT 1")),
    story("none", query("COPY numbers TO STDOUT"), setup=NUMBERS),
    story("many", query("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 2000)) TO STDOUT"),
          query("SELECT 1"), pitfalls=(11,)),
    story("a long row", query("COPY (SELECT repeat('x', 500000)) TO STDOUT"), query("SELECT 1"),
          pitfalls=(61,)),
    story("binary", query("COPY (SELECT 1, 'x'::text, NULL) TO STDOUT (FORMAT binary)")),
    story("as CSV", query("COPY (VALUES ('a,\"b', 1)) TO STDOUT (FORMAT csv, HEADER)")),
    story("fails half way", query("COPY (SELECT 1/(50-g) FROM generate_series(1,60) g) "
          "TO STDOUT"), query("SELECT 1"), pitfalls=(27,)),
    story("among statements", query("SELECT 1; COPY (VALUES (2)) TO STDOUT; SELECT 3"),
          query("SELECT 4"), pitfalls=(4,)),
    story("twice in one string", query("COPY (VALUES (1)) TO STDOUT; COPY (VALUES (2)) TO STDOUT")),
    story("out and in", Step(query(f"COPY (VALUES (1)) TO STDOUT; {COPY_IN}"), "G"),
          DATA + COPY_DONE, COUNT, setup=NUMBERS, pitfalls=(4,)),
    story("extended, then more", run("COPY (VALUES (1)) TO STDOUT") + ONE + SYNC),
    story("extended, with Describe and a row limit", parse("COPY (VALUES (1), (2)) TO STDOUT")
          + describe("S") + bind() + describe("P") + execute(rows=1) + SYNC, ONE + SYNC),
    story("extended, fails", Step(run("COPY (SELECT 1/(3-g) FROM generate_series(1, 5) g) TO "
          "STDOUT") + ONE + SYNC + ONE + SYNC, count=2), pitfalls=(27,)),
    story("extended, Flush", Step(run("COPY (VALUES (1)) TO STDOUT") + FLUSH, "C"), ONE + SYNC,
          pitfalls=(6,)),
    story("in a transaction that fails", query("BEGIN"), query("COPY (SELECT 1/0) TO STDOUT"),
          query("COPY (SELECT 1) TO STDOUT"), query("ROLLBACK")),
    story("to a file is not allowed", query("COPY numbers TO '/tmp/numbers'"), query("SELECT 1"),
          setup=NUMBERS),
]  # fmt: skip

STRAY = [
    story("outside COPY", copy_data(b"stray\n") + COPY_DONE + copy_fail("stray")
          + query("SELECT 1"), query("SELECT 2"), pitfalls=(27,)),
    story("first of all, and on their own", Step(copy_data(b"stray\n"), count=0),
          Step(COPY_DONE, count=0), Step(copy_fail("stray"), count=0), query("SELECT 2"),
          pitfalls=(27,)),
    story("in a transaction", query("BEGIN"), copy_data(b"stray\n") + COPY_DONE
          + query("SELECT 1"), query("COMMIT"), pitfalls=(27,)),
    story("in a pipeline", ONE + copy_data(b"stray\n") + COPY_DONE + copy_fail("x") + ONE + SYNC,
          pitfalls=(27,)),
    story("while it is skipped", parse("SELECT nothing") + copy_data(b"x") + COPY_DONE + ONE + SYNC,
          ONE + SYNC, pitfalls=(27,)),
    story("after CopyDone", BEGUN, DATA + COPY_DONE + DATA + COPY_DONE + COUNT, query("SELECT 1"),
          setup=NUMBERS, pitfalls=(27,)),
    story("during COPY out", query("COPY (VALUES (1)) TO STDOUT") + copy_data(b"x") + COPY_DONE
          + SYNC, query("SELECT 1"), pitfalls=(27,)),
    story("malformed", message("c", b"x") + message("f", b"no end") + query("SELECT 1"),
          query("SELECT 2"), pitfalls=(27, 61)),
    story("a function call behind COPY", BEGUN, Step(DATA + COPY_DONE
          + function_call(INT4PL, b"\0\0\0\1", b"\0\0\0\2"), count=2), setup=NUMBERS,
          pitfalls=(29,)),
]  # fmt: skip
