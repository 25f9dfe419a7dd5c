"""Prepared statements by protocol: names, errors in stream, transactions, changed plans."""

from sluice_testing.raw import FLUSH, SYNC, bind, close, describe, execute, parse, query
from sluice_testing.stories import Step, story
from wirescripts.phrases import BAD, INT4, NUMBERS, ONE, TEXT, rerun, run

S = parse("SELECT 's'", "s")
OTHER_S = parse("SELECT 'another s'", "s")
ABORTED = (query("BEGIN"), query("SELECT 1/0"))


def used(name: str, *values: str | bytes | None) -> bytes:
    """Bind and Execute, without Sync."""
    return bind(*values, name=name) + execute()


SCRIPTS = [
    story("over several rounds", parse("SELECT $1::int", "s") + SYNC, rerun("s", "1"),
          describe("S", "s") + SYNC, rerun("s", "2"), pitfalls=(12, 14)),
    story("in one round", S + describe("S", "s") + used("s") + SYNC, rerun("s"), pitfalls=(12,)),
    story("as pgjdbc does", parse("SELECT $1::int", "S_1", (INT4,)) + bind("1", name="S_1")
          + describe("P") + execute() + SYNC, *(bind(str(n), name="S_1") + describe("P")
          + execute() + SYNC for n in range(4)), pitfalls=(12, 14)),
    story("as asyncpg does", Step(parse("SELECT $1::int", "__asyncpg_stmt_1__") + describe("S",
          "__asyncpg_stmt_1__") + FLUSH, "T"), SYNC, rerun("__asyncpg_stmt_1__", "4"),
          close("S", "__asyncpg_stmt_1__") + SYNC, pitfalls=(6, 12, 29)),
    story("Describe alone", S + SYNC, describe("S", "s") + SYNC, describe("S", "s") + SYNC,
          pitfalls=(14, 29)),
    story("Describe twice in one round", S + SYNC, describe("S", "s") * 2 + SYNC, pitfalls=(5, 14)),
    story("Describe with parameters", parse("SELECT $1::int, $2 || 'x'", "s") + SYNC,
          describe("S", "s") + SYNC, pitfalls=(5, 29)),
    story("types are declared", parse("SELECT $1, $2", "s", (INT4, TEXT)) + SYNC,
          describe("S", "s") + SYNC, rerun("s", "1", "x"), pitfalls=(13,)),
    story("one text, other types", parse("SELECT $1 AS v", "a", (INT4,)) + parse("SELECT $1 AS v",
          "b", (TEXT,)) + parse("SELECT $1 AS v", "c") + SYNC, *(describe("S", name) + SYNC
          for name in "abc"), *(rerun(name, "7") for name in "abc"), pitfalls=(13,)),
    story("one text, several names", parse("SELECT 1", "a") + parse("SELECT 1", "b") + SYNC,
          rerun("a"), close("S", "a") + SYNC, rerun("b"), rerun("a"), pitfalls=(13, 18)),
    story("almost one text", parse("SELECT 1", "a") + parse("SELECT 1 ", "b")
          + parse("select 1", "c") + parse("SELECT 1 -- x", "d") + SYNC, rerun("a"), rerun("b"),
          rerun("c"), rerun("d"), pitfalls=(13,)),
    story("texts of one length", *(parse(f"SELECT {n}", f"s{n}") + SYNC for n in range(10, 30)),
          *(rerun(f"s{n}") for n in range(29, 9, -1)), pitfalls=(13,)),
    story("the same as the unnamed one", parse("SELECT 1") + SYNC, parse("SELECT 1", "s") + SYNC,
          bind() + execute() + SYNC, rerun("s"), pitfalls=(13, 21)),
    story("two hundred of them", *(parse(f"SELECT {n}, $1::int", f"s{n}") + SYNC
          for n in range(200)), *(rerun(f"s{n}", "0") for n in range(0, 200, 7)), pitfalls=(12,)),
    story("many in one pipeline", b"".join(parse(f"SELECT {n}", f"s{n}") for n in range(60)) + SYNC,
          b"".join(used(f"s{n}") for n in range(60)) + SYNC, pitfalls=(5, 12)),
    story("many of them in one pipeline, by turns", b"".join(parse(f"SELECT {n}", f"s{n}")
          + used(f"s{n}") for n in range(60)) + SYNC, b"".join(used(f"s{n}") + describe("S",
          f"s{n}") for n in range(59, -1, -1)) + SYNC, pitfalls=(5, 12)),
    story("a long text", parse(f"SELECT length('{'x' * 100000}')", "s") + SYNC, rerun("s"),
          rerun("s"), describe("S", "s") + SYNC, pitfalls=(14, 23)),
    story("long values", parse("SELECT length($1)", "s") + SYNC, rerun("s", "x" * 100000),
          rerun("s", "y" * 200000), pitfalls=(23,)),
    story("not UTF-8", parse(b"SELECT '\xe9'", "s") + SYNC, rerun("s"), ONE + SYNC,
          pitfalls=(16, 35)),
    story("the empty text", parse("", "s") + SYNC, describe("S", "s") + rerun("s"), rerun("s"),
          pitfalls=(4, 5)),
    story("a utility", parse("SHOW work_mem", "s") + SYNC, rerun("s"), describe("S", "s") + SYNC),
    story("a query goes on", parse("INSERT INTO numbers VALUES ($1) RETURNING n", "i") + SYNC,
          rerun("i", "1"), rerun("i", "2"), rerun("i", "1"), rerun("i", "3"),
          query("SELECT * FROM numbers"), setup=NUMBERS, pitfalls=(2, 14)),
    story("by simple and extended turns", S + SYNC, query("SELECT 1"), rerun("s"),
          query("SELECT 2"), rerun("s"), pitfalls=(14,)),
    story("a portal of it, row by row", parse("SELECT generate_series(1, 5)", "s") + SYNC,
          query("BEGIN"), bind(name="s", portal="p") + SYNC, execute("p", 2) + SYNC,
          execute("p", 9) + SYNC, query("COMMIT"), rerun("s"), pitfalls=(12,)),
    story("Flush after each", Step(S + FLUSH, "1"), Step(describe("S", "s") + FLUSH, "T"),
          Step(bind(name="s") + FLUSH, "2"), Step(execute() + FLUSH, "C"), SYNC, rerun("s"),
          pitfalls=(5, 6)),
]  # fmt: skip

NAMES = [
    story("of every length", *(part for size in (1, 2, 31, 62, 63, 64, 65, 127, 128, 200)
          for part in (parse(f"SELECT {size}", "n" * size) + SYNC, rerun("n" * size),
          describe("S", "n" * size) + SYNC)), pitfalls=(12, 23)),
    story("that differ after 63 bytes", parse("SELECT 1", "n" * 63 + "a")
          + parse("SELECT 2", "n" * 63 + "b") + SYNC, rerun("n" * 63 + "a"), rerun("n" * 63 + "b"),
          rerun("n" * 63), pitfalls=(12, 23)),
    story("with signs", *(part for name in ("S_1", "a b", 'q"', "ö", "P0", "__sluice", "; DROP",
          "pgbouncer_1", "s'") for part in (parse("SELECT 1", name) + SYNC, rerun(name),
          close("S", name) + SYNC)), pitfalls=(12,)),
    story("small and large letters", parse("SELECT 1", "Name") + SYNC, rerun("name"),
          rerun("Name"), query("EXECUTE Name"), query('EXECUTE "Name"'), pitfalls=(12, 22)),
    story("unknown, in Bind", bind(name="nobody") + ONE + SYNC, ONE + SYNC, pitfalls=(17,)),
    story("unknown, in Describe", describe("S", "nobody") + ONE + SYNC, ONE + SYNC,
          pitfalls=(17, 29)),
    story("unknown, with signs", *(bind(name=name) + SYNC for name in ('q"', "ö", "n" * 100, "%s",
          "a b")), pitfalls=(17,)),
    story("unknown, in a transaction", query("BEGIN"), bind(name="nobody") + SYNC, ONE + SYNC,
          query("ROLLBACK"), pitfalls=(17,)),
    story("unknown, in a pipeline", Step(bind(name="nobody") + ONE + SYNC + ONE + SYNC
          + describe("S", "nobody") + SYNC + ONE + SYNC, count=4), pitfalls=(2, 17)),
    story("twice", S + SYNC, OTHER_S + ONE + SYNC, rerun("s"), pitfalls=(17,)),
    story("twice, the same text", S + SYNC, S + SYNC, rerun("s"), pitfalls=(17,)),
    story("twice in one round", S + OTHER_S + used("s") + SYNC, rerun("s"), pitfalls=(17,)),
    story("twice in one pipeline", Step(S + SYNC + OTHER_S + SYNC + used("s") + SYNC, count=3),
          pitfalls=(17,)),
    story("twice, in a transaction", query("BEGIN"), S + SYNC, OTHER_S + SYNC, query("ROLLBACK"),
          rerun("s"), pitfalls=(17,)),
    story("twice, the second does not parse", S + SYNC, parse("SELECT nothing", "s") + SYNC,
          parse("SELECT FROM FROM", "s") + SYNC, rerun("s"), pitfalls=(16, 17)),
    story("known to the neighbours only", bind(name="q") + SYNC, describe("S", "s") + SYNC,
          rerun("s"), rerun("mark"), pitfalls=(17,)),
]  # fmt: skip

CLOSES = [
    story("of an unknown name", close("S", "nobody") + close("P", "nobody") + SYNC, ONE + SYNC,
          pitfalls=(18,)),
    story("and again", S + SYNC, close("S", "s") + SYNC, OTHER_S + SYNC, rerun("s"),
          pitfalls=(18,)),
    story("then nothing", S + SYNC, close("S", "s") + SYNC, rerun("s"), describe("S", "s") + SYNC,
          pitfalls=(17, 18)),
    story("twice", S + SYNC, close("S", "s") + SYNC, close("S", "s") + SYNC, pitfalls=(18,)),
    story("and Parse in one round", S + SYNC, close("S", "s") + OTHER_S + used("s") + SYNC,
          rerun("s"), pitfalls=(5, 18)),
    story("Parse, Close, Parse in one round", S + close("S", "s") + OTHER_S + used("s") + SYNC,
          rerun("s"), pitfalls=(5, 18)),
    story("between uses in one round", S + SYNC, used("s") + close("S", "s") + used("s") + SYNC,
          rerun("s"), pitfalls=(5, 17, 18)),
    story("skipped", S + SYNC, bind(name="nobody") + close("S", "s") + SYNC, rerun("s"),
          pitfalls=(16, 18)),
    story("skipped, and Parse", S + SYNC, bind(name="nobody") + close("S", "s") + OTHER_S + SYNC,
          rerun("s"), OTHER_S + SYNC, pitfalls=(16, 17, 18)),
    story("in a failed transaction", S + SYNC, *ABORTED, close("S", "s") + SYNC, query("ROLLBACK"),
          rerun("s"), pitfalls=(18,)),
    story("in a transaction that rolls back", S + SYNC, query("BEGIN"), close("S", "s") + SYNC,
          query("ROLLBACK"), rerun("s"), pitfalls=(18,)),
    story("alone", Step(close("S", "s") + FLUSH, "3"), SYNC, pitfalls=(6, 18)),
    story("of many", b"".join(parse(f"SELECT {n}", f"s{n}") for n in range(20)) + SYNC,
          b"".join(close("S", f"s{n}") for n in range(0, 20, 2)) + SYNC, rerun("s1"), rerun("s2"),
          pitfalls=(5, 18)),
    story("before an error in one round", S + SYNC, close("S", "s") + BAD + SYNC, rerun("s"),
          pitfalls=(16, 18)),
]  # fmt: skip

FAILED = [
    story("Parse leaves nothing", parse("SELECT nothing", "s") + SYNC, rerun("s"),
          parse("SELECT 1", "s") + SYNC, rerun("s"), pitfalls=(16,)),
    story("Parse of bad syntax leaves nothing", parse("SELECT FROM FROM", "s") + SYNC,
          rerun("s"), S + SYNC, rerun("s"), pitfalls=(16,)),
    story("a skipped Parse leaves nothing", BAD + S + SYNC, rerun("s"), S + SYNC, rerun("s"),
          pitfalls=(16,)),
    story("a Parse before the error stays", S + BAD + SYNC, rerun("s"), pitfalls=(16,)),
    story("pipelined, the first round fails", Step(BAD + S + SYNC + used("s") + SYNC + OTHER_S
          + SYNC + used("s") + SYNC, count=4), rerun("s"), pitfalls=(2, 16, 17)),
    story("pipelined, the first Parse fails", Step(parse("SELECT nothing", "s") + used("s") + SYNC
          + S + used("s") + SYNC + used("s") + SYNC, count=3), pitfalls=(2, 16)),
    story("pipelined Close and Parse, the first round fails", S + SYNC, Step(BAD + close("S", "s")
          + SYNC + OTHER_S + SYNC + used("s") + SYNC, count=3), rerun("s"), pitfalls=(16, 17, 18)),
    story("outlives rollback", query("BEGIN"), parse("SELECT 5", "s") + SYNC,
          query("ROLLBACK"), rerun("s"), pitfalls=(20,)),
    story("outlives ROLLBACK TO", query("BEGIN; SAVEPOINT a"), S + SYNC, query("ROLLBACK TO a"),
          rerun("s"), query("COMMIT"), rerun("s")),
    story("of a table of the transaction", query("BEGIN; CREATE TABLE t (n int)"),
          parse("SELECT * FROM t", "s") + SYNC, rerun("s"), query("ROLLBACK"), rerun("s"),
          ONE + SYNC, pitfalls=(14,)),
    story("Parse in a failed transaction", *ABORTED, S + SYNC, rerun("s"), query("ROLLBACK"),
          rerun("s"), S + SYNC, rerun("s"), pitfalls=(15, 16)),
    story("Bind in a failed transaction", S + SYNC, *ABORTED, rerun("s"), describe("S", "s")
          + SYNC, query("ROLLBACK"), rerun("s"), exceptions=("source_places",), pitfalls=(14, 15)),
    story("ROLLBACK prepared before", parse("ROLLBACK", "r") + SYNC, *ABORTED, rerun("r"),
          ONE + SYNC, pitfalls=(15,)),
    story("ROLLBACK prepared within", query("BEGIN"), parse("ROLLBACK", "r") + SYNC,
          query("SELECT 1/0"), rerun("r"), rerun("r"), pitfalls=(15,)),
    story("ROLLBACK prepared in failure", *ABORTED, parse("ROLLBACK", "r") + SYNC, rerun("r"),
          pitfalls=(15,)),
    story("COMMIT in failure", parse("COMMIT", "c") + SYNC, *ABORTED, describe("S", "c")
          + rerun("c"), ONE + SYNC, pitfalls=(7, 15)),
    story("BEGIN, COMMIT and ROLLBACK prepared", parse("BEGIN", "b") + parse("COMMIT", "c")
          + parse("ROLLBACK", "r") + S + SYNC, rerun("b"), rerun("s"), rerun("c"), rerun("b"),
          BAD + SYNC, rerun("s"), rerun("r"), rerun("s"),
          exceptions=("source_places",), pitfalls=(7, 15)),
    story("SAVEPOINT and ROLLBACK TO prepared", parse("SAVEPOINT a", "p")
          + parse("ROLLBACK TO a", "t") + SYNC, query("BEGIN"), rerun("p"), BAD + SYNC, rerun("t"),
          ONE + SYNC, query("COMMIT"), pitfalls=(7, 15)),
    story("an error in Bind's value", parse("SELECT $1::int", "s", (INT4,)) + SYNC,
          rerun("s", "x"), rerun("s", "1"), pitfalls=(2, 14)),
    story("the wrong number of values", parse("SELECT $1::int", "s", (INT4,)) + SYNC, rerun("s"),
          rerun("s", "1", "2"), rerun("s", "1"), pitfalls=(2, 14)),
]  # fmt: skip

STAR = parse("SELECT * FROM numbers", "s") + SYNC
ALTERED = "ALTER TABLE numbers ADD COLUMN more int DEFAULT 7"

PLANS = [
    story("a result that changed", STAR, rerun("s"), query(ALTERED), rerun("s"), rerun("s"),
          describe("S", "s") + SYNC, setup=NUMBERS, exceptions=("healed_plans",), pitfalls=(13,)),
    story("a result that changed, in a transaction", STAR, query("BEGIN"), rerun("s"),
          query(ALTERED), rerun("s"), query("ROLLBACK"), rerun("s"), setup=NUMBERS, pitfalls=(13,)),
    story("changed and prepared anew", STAR, rerun("s"), query(ALTERED), rerun("s"),
          close("S", "s") + STAR, rerun("s"), setup=NUMBERS,
          exceptions=("healed_plans",), pitfalls=(13,)),
    story("changed between two of one text", parse("SELECT * FROM numbers", "a") + SYNC,
          rerun("a"), query(ALTERED), parse("SELECT * FROM numbers", "b") + SYNC, rerun("b"),
          rerun("a"), setup=NUMBERS, exceptions=("healed_plans",), pitfalls=(13,)),
    story("a table that is gone and back", STAR, rerun("s"), query("DROP TABLE numbers"),
          rerun("s"), query("CREATE TABLE numbers (n int)"), rerun("s"), setup=NUMBERS,
          pitfalls=(13, 14)),
    story("a column that is gone", parse("SELECT n FROM numbers", "s") + SYNC,
          query("ALTER TABLE numbers RENAME n TO m"), rerun("s"), query("ALTER TABLE numbers "
          "RENAME m TO n"), rerun("s"), setup=NUMBERS, pitfalls=(14,)),
    story("another search_path", query("CREATE SCHEMA IF NOT EXISTS elsewhere; CREATE TABLE IF NOT "
          "EXISTS elsewhere.numbers (n int)"), STAR, query("INSERT INTO numbers VALUES (1)"),
          rerun("s"), query("SET search_path = elsewhere"), rerun("s"),
          query("RESET search_path"), rerun("s"), query("DROP SCHEMA elsewhere CASCADE"),
          setup=NUMBERS, pitfalls=(13, 32)),
    story("another search_path, another result", query("CREATE SCHEMA IF NOT EXISTS elsewhere; "
          "CREATE TABLE IF NOT EXISTS elsewhere.numbers (n text, m int)"), STAR, rerun("s"),
          query("SET search_path = elsewhere"), rerun("s"),
          query("RESET search_path; DROP SCHEMA elsewhere CASCADE"), rerun("s"),
          setup=NUMBERS, exceptions=("healed_plans",), pitfalls=(13,)),
    story("another role", query("REVOKE ALL ON SCHEMA public FROM PUBLIC"), STAR, rerun("s"),
          query("SET ROLE teller"), rerun("s"), query("RESET ROLE"), rerun("s"), setup=NUMBERS,
          pitfalls=(13, 34)),
    story("another time zone", parse("SELECT '2026-01-01 12:00Z'::timestamptz", "s") + SYNC,
          rerun("s"), query("SET TimeZone = 'Asia/Tokyo'"), rerun("s"), query("RESET TimeZone"),
          rerun("s"), pitfalls=(13, 32)),
    story("plan_cache_mode", query("SET plan_cache_mode = force_generic_plan"),
          parse("SELECT $1::int + 1", "s") + SYNC, rerun("s", "1"), rerun("s", "2"),
          query("SHOW plan_cache_mode"), pitfalls=(34,)),
    story("a temporary table in the way", STAR, rerun("s"), query("CREATE TEMP TABLE numbers "
          "(n int)"), query("INSERT INTO pg_temp.numbers VALUES (77)"), rerun("s"),
          query("DROP TABLE pg_temp.numbers"), rerun("s"), setup=NUMBERS, pitfalls=(13, 34)),
    story("a named statement's own rows", query("SELECT name, statement, parameter_types, from_sql "
          "FROM pg_prepared_statements"), S + SYNC,
          query("SELECT count(*) > 0 FROM pg_prepared_statements"), query("SELECT name, statement "
          "FROM pg_prepared_statements"), exceptions=("statement_names",), pitfalls=(24,)),
    story("the unnamed statement after a change", parse("SELECT * FROM numbers") + SYNC,
          bind() + execute() + SYNC, run(ALTERED) + SYNC, parse("SELECT * FROM numbers") + SYNC,
          bind() + execute() + SYNC, setup=NUMBERS, pitfalls=(13, 21)),
]  # fmt: skip
