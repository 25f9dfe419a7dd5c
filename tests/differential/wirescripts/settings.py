"""Settings: every way to set one, what undoes it, lists and quoting, reports to the client."""

from sluice_testing.raw import FLUSH, SYNC, bind, describe, execute, parse, query
from sluice_testing.stories import Step, story
from wirescripts.phrases import NUMBERS, ONE, rerun, run, whole

SET = query("SET work_mem = '99kB'")
SHOW = query("SHOW work_mem")
PATH = query("SHOW search_path")
FAIL = query("SELECT 1/0")
CHECKS = "client_connection_check_interval"
QUOTED = "SELECT current_setting('search_path'), current_schemas(false)::text"


def kept(*statements: str, show: str = "SHOW work_mem") -> tuple[bytes, ...]:
    """Each statement, then twice what came of it."""
    return (*(query(text) for text in statements), query(show), query(show))


SCRIPTS = [
    story("SET", SET, SHOW, query("RESET work_mem"), SHOW, pitfalls=(32,)),
    story("SET in other words", *kept("SET work_mem TO '99kB'"), *kept("SET SESSION work_mem = "
          "98"), *kept("set WORK_MEM to '97kB'"), *kept('SET "work_mem" = \'96kB\''),
          *kept("SET work_mem = 0x5F"), *kept("SET work_mem TO DEFAULT"), pitfalls=(32,)),
    story("SET among comments", *kept("/* why /* not */ */ -- so\n\tSeT/**/work_mem\nTO--\n'99kB'"),
          *kept("/**/RESET/**/ALL"), pitfalls=(32,)),
    story("SET in the middle", *kept("SELECT 1; SET work_mem = '99kB'; SELECT 2"), pitfalls=(32,)),
    story("SET by extended query", run("SET work_mem = '99kB'") + SYNC, SHOW,
          whole("SET work_mem TO '98kB'"), SHOW, run("RESET work_mem") + SYNC, SHOW,
          pitfalls=(32,)),
    story("SET as a named statement", parse("SET work_mem = '99kB'", "set") + SYNC, SHOW,
          rerun("set"), SHOW, query("RESET work_mem"), rerun("set"), SHOW, pitfalls=(32,)),
    story("SET in a pipeline", Step(run("SET work_mem = '99kB'") + SYNC + run("SHOW work_mem")
          + SYNC + run("RESET work_mem") + SYNC + run("SHOW work_mem") + SYNC, count=4), SHOW,
          pitfalls=(1, 32)),
    story("SET, then a failed round", run("SET work_mem = '99kB'") + run("SELECT 1/0") + SYNC, SHOW,
          pitfalls=(2, 32)),
    story("SET, flushed, then failed", Step(run("SET work_mem = '99kB'") + FLUSH, "C"),
          run("SELECT 1/0") + SYNC, SHOW, pitfalls=(6, 32)),
    story("SET, skipped", parse("SELECT nothing") + run("SET work_mem = '99kB'") + SYNC, SHOW,
          pitfalls=(2, 32)),
    story("set_config", *kept("SELECT set_config('work_mem', '99kB', false)"),
          *kept("SELECT set_config('work_mem', '88kB', true)"),
          *kept("SELECT pg_catalog.set_config('work_mem', NULL, false)"), pitfalls=(32,)),
    story("set_config with parameters", parse("SELECT set_config($1, $2, $3)")
          + bind("work_mem", "99kB", "false") + execute() + SYNC, SHOW, bind("work_mem", "77kB",
          "true") + execute() + SYNC, SHOW, parse("SELECT set_config($1, $2, $3)", "c") + SYNC,
          rerun("c", "work_mem", "66kB", "f"), SHOW, pitfalls=(32,)),
    story("set_config by quoted name", *kept("SELECT \"set_config\"('work_mem', '99kB', false)"),
          pitfalls=(32,)),
    story("set_config in a condition", *kept("SELECT 1 WHERE set_config('work_mem', '99kB', false) "
          "IS NOT NULL"), pitfalls=(32,)),
    story("set_config of many", *kept("SELECT set_config(n, v, false) FROM (VALUES ('work_mem', "
          "'99kB'), ('my.own', 'x'), ('DateStyle', 'German')) AS t (n, v)", show="SELECT "
          "current_setting('work_mem'), current_setting('my.own'), DATE '2026-01-31'"),
          pitfalls=(32,)),
    story("set_config in a function", query("CREATE FUNCTION f() RETURNS text LANGUAGE sql AS "
          "$$SELECT set_config('work_mem', '99kB', false)$$"), query("SELECT f()"), SHOW,
          query("RESET work_mem"), SHOW, pitfalls=(32,)),
    story("SET in a DO block", *kept("DO $$BEGIN SET work_mem = '99kB'; END$$"), pitfalls=(32,)),
    story("set_config in a DO block", *kept("DO $$BEGIN PERFORM set_config('work_mem', '99kB', "
          "false); END$$"), pitfalls=(32,)),
    story("SET in a procedure", query("CREATE PROCEDURE p() LANGUAGE plpgsql AS $$BEGIN SET "
          "work_mem = '99kB'; END$$"), query("CALL p()"), SHOW, pitfalls=(32,)),
    story("a function with SET", query("SELECT f()"), SHOW, setup="CREATE FUNCTION f() RETURNS "
          "text LANGUAGE sql SET work_mem = '99kB' AS $$SELECT current_setting('work_mem')$$",
          pitfalls=(32,)),
    story("UPDATE pg_settings", *kept("UPDATE pg_settings SET setting = '99' WHERE name = "
          "'work_mem'"), pitfalls=(32,)),
    story("several at once", query("SET work_mem = '99kB'; SET statement_timeout = '9s'; SET "
          "enable_seqscan = off; SET extra_float_digits = 0"), query("SHOW work_mem; SHOW "
          "statement_timeout; SHOW enable_seqscan; SHOW extra_float_digits"),
          query("RESET statement_timeout"), query("SHOW work_mem; SHOW statement_timeout"),
          query("RESET ALL"), query("SHOW work_mem; SHOW enable_seqscan; SHOW extra_float_digits"),
          pitfalls=(32,)),
    story("many", *(query(f"SET my.s{n} = '{n}'") for n in range(40)), query("SELECT " + ", ".join(
          f"current_setting('my.s{n}')" for n in range(40))), pitfalls=(32,)),
    story("of every type", query("SET enable_sort = off; SET work_mem = 123456; SET "
          "seq_page_cost = 1.25; SET client_min_messages = warning; SET statement_timeout = '2h'; "
          "SET bytea_output = 'escape'; SET vacuum_cost_delay = 1.5"), query("SHOW enable_sort; "
          "SHOW work_mem; SHOW seq_page_cost; SHOW client_min_messages; SHOW statement_timeout; "
          "SHOW bytea_output; SHOW vacuum_cost_delay"), query("SELECT 'a\\\\b'::bytea")),
    story("that change results", query("SET extra_float_digits = 0; SET bytea_output = escape; SET "
          "IntervalStyle = iso_8601; SET xmlbinary = hex; SET lc_monetary = 'C'"),
          query("SELECT 0.1::float8 + 0.2, '\\x0102'::bytea, interval '1 day 2 hours', 3::money"),
          whole("SELECT 0.1::float8 + 0.2, '\\x0102'::bytea, interval '1 day 2 hours'"),
          pitfalls=(34,)),
    story("a value out of range", query("SET work_mem = '1kB'"), query("SET work_mem = 'much'"),
          query("SET enable_sort = 'perhaps'"), query("SET client_min_messages = 'shout'"), SHOW,
          pitfalls=(33,)),
    story("an unknown name", query("SET nothing = 1"), query("SHOW nothing"), query("RESET "
          "nothing"), query("SELECT set_config('nothing', 'x', false)"), query("SELECT 1"),
          pitfalls=(33,)),
    story("not to be changed", query("SET max_connections = 5"), query("SET server_version = 'x'"),
          query("SET shared_buffers = 5"), query("SET log_statement = 'all'"),
          query("SET fsync = off"), query("SET block_size = 1"), query("SELECT 1"), pitfalls=(33,)),
    story("SHOW ALL's lines", SET, query("SELECT setting, unit FROM pg_settings WHERE name = "
          "'work_mem'"), query("SELECT current_setting('work_mem'), current_setting('nothing', "
          "true)"), pitfalls=(32,)),
    story("sources in pg_settings", SET, query("SELECT setting, source, reset_val FROM pg_settings "
          "WHERE name IN ('work_mem', 'DateStyle', 'application_name')"), parameters={"options":
          "-c work_mem=123kB"}, exceptions=("setting_sources",), pitfalls=(31, 32)),
    story("how often the server looks after its client", query(f"SHOW {CHECKS}"), query("SELECT "
          f"setting, source, reset_val FROM pg_settings WHERE name = '{CHECKS}'"),
          query(f"SET {CHECKS} = '5s'; RESET {CHECKS}"), query(f"SHOW {CHECKS}"),
          exceptions=("looked_after",), pitfalls=(32,)),
    story("how often by the client's own choice", *kept(f"SET {CHECKS} = '5s'", show=f"SHOW "
          f"{CHECKS}"), *kept("SET work_mem = '99kB'", f"SET {CHECKS} = 0", show=f"SHOW {CHECKS}"),
          pitfalls=(32,)),
    story("RESET ALL", query("SET work_mem = '99kB'; SET my.own = 'x'; SET TimeZone = 'Asia/Tokyo'"
          "; SET application_name = 'n'"), query("RESET ALL"), query("SHOW work_mem; SHOW my.own; "
          "SHOW TimeZone; SHOW application_name"), pitfalls=(32,)),
    story("RESET ALL in a transaction that rolls back", SET, query("BEGIN; RESET ALL"), SHOW,
          query("ROLLBACK"), SHOW, pitfalls=(32,)),
    story("RESET ALL, committed", SET, query("BEGIN; RESET ALL; SET work_mem = '98kB'; COMMIT"),
          SHOW, pitfalls=(32,)),
    story("sets the same twice", SET, SET, SHOW, query("SET work_mem = '4MB'"), SHOW),
]  # fmt: skip

# What happens after SET in a transaction: whether it stays.
FATES = {
    "COMMIT": ("COMMIT",),
    "ROLLBACK": ("ROLLBACK",),
    "an error": ("SELECT 1/0", "COMMIT"),
    "COMMIT AND CHAIN": ("COMMIT AND CHAIN", "ROLLBACK"),
    "ROLLBACK AND CHAIN": ("ROLLBACK AND CHAIN", "COMMIT"),
    "a savepoint kept": ("SAVEPOINT b", "RELEASE b", "COMMIT"),
    "a later savepoint rolled back": ("SAVEPOINT b", "SET work_mem = '88kB'", "SHOW work_mem",
                                      "ROLLBACK TO b", "SHOW work_mem", "COMMIT"),
    "its savepoint rolled back": ("ROLLBACK TO a", "SHOW work_mem", "COMMIT"),
    "its savepoint rolled back after an error": ("SELECT 1/0", "ROLLBACK TO a", "COMMIT"),
    "its savepoint released": ("RELEASE a", "COMMIT"),
    "its savepoint released, then rolled back": ("RELEASE a", "ROLLBACK"),
}  # fmt: skip
WAYS = {
    "SET": "SET work_mem = '99kB'",
    "SET LOCAL": "SET LOCAL work_mem = '99kB'",
    "set_config": "SELECT set_config('work_mem', '99kB', false)",
    "RESET": "RESET work_mem",
}

UNDONE = [
    *(
        story(f"{way}, then {fate}", query("SET work_mem = '77kB'"), query("BEGIN; SAVEPOINT a"),
              query(text), SHOW, *(query(after) for after in fates), SHOW, pitfalls=(32,))
        for way, text in WAYS.items()
        for fate, fates in FATES.items()
    ),
    *(
        story(f"SET by extended protocol, then {fate}", run("BEGIN") + run("SAVEPOINT a") + SYNC,
              run("SET work_mem = '99kB'") + SYNC, run("SHOW work_mem") + SYNC,
              *(run(after) + SYNC for after in fates), SHOW, pitfalls=(32,))
        for fate, fates in FATES.items()
    ),
    story("in one string", query("BEGIN; SET work_mem = '99kB'; ROLLBACK"), SHOW,
          query("BEGIN; SET work_mem = '99kB'; COMMIT"), SHOW, query("BEGIN; SET work_mem = "
          "'88kB'; SELECT 1/0; COMMIT"), SHOW, query("ROLLBACK"), SHOW, pitfalls=(4, 32)),
    story("SET, then SET LOCAL", query("BEGIN; SET work_mem = '99kB'; SET LOCAL work_mem = '88kB'"),
          SHOW, query("COMMIT"), SHOW, pitfalls=(32,)),
    story("SET LOCAL, then SET", query("BEGIN; SET LOCAL work_mem = '99kB'; SET work_mem = '88kB'"),
          SHOW, query("COMMIT"), SHOW, pitfalls=(32,)),
    story("SET LOCAL outside", query("SET LOCAL work_mem = '99kB'"), SHOW, query("SELECT "
          "set_config('work_mem', '99kB', true)"), SHOW, pitfalls=(32,)),
    story("several savepoints", query("BEGIN; SET work_mem = '91kB'; SAVEPOINT a; SET work_mem = "
          "'92kB'; SAVEPOINT b; SET work_mem = '93kB'"), query("ROLLBACK TO b"), SHOW,
          query("ROLLBACK TO a"), SHOW, query("COMMIT"), SHOW, pitfalls=(32,)),
    story("before its transaction", SET, query("BEGIN"), query("SET work_mem = '88kB'"), FAIL,
          query("ROLLBACK"), SHOW, pitfalls=(32,)),
    story("own settings roll back", query("SET my.own = 'before'"), query("BEGIN; SET my.own = "
          "'within'; SET my.other = 'x'"), query("ROLLBACK"), query("SHOW my.own"), query("SELECT "
          "coalesce(current_setting('my.other', true), '')"), pitfalls=(32,)),
    story("a reported one rolls back", query("BEGIN"), query("SET DateStyle = 'German'"),
          query("ROLLBACK"), query("SELECT DATE '2026-01-31'"), pitfalls=(31, 32)),
    story("a reported one rolls back to a savepoint", query("BEGIN; SET TimeZone = 'Asia/Tokyo'"),
          query("SAVEPOINT a; SET TimeZone = 'Asia/Seoul'"), query("ROLLBACK TO a"),
          query("COMMIT"), query("SHOW TimeZone"), pitfalls=(31, 32)),
    story("SET LOCAL of a reported one", query("BEGIN; SET LOCAL TimeZone = 'Asia/Tokyo'"),
          query("COMMIT"), query("SHOW TimeZone"), pitfalls=(31, 32)),
    story("a deferred error undoes it", query("BEGIN; SET work_mem = '99kB'; INSERT INTO numbers "
          "VALUES (1), (1)"), query("COMMIT"), SHOW, setup="CREATE TABLE numbers (n int, UNIQUE "
          "(n) DEFERRABLE INITIALLY DEFERRED)", pitfalls=(32,)),
    story("a procedure that commits", query("CREATE PROCEDURE p() LANGUAGE plpgsql AS $$BEGIN SET "
          "work_mem = '99kB'; COMMIT; SET work_mem = '88kB'; ROLLBACK; END$$"), query("CALL p()"),
          SHOW, pitfalls=(7, 32)),
    story("an exception block undoes it", query("DO $$BEGIN SET work_mem = '99kB'; BEGIN SET "
          "work_mem = '88kB'; PERFORM 1/0; EXCEPTION WHEN others THEN NULL; END; END$$"), SHOW,
          pitfalls=(32,)),
]  # fmt: skip

VALUES = [
    story("an own setting", query("SET my.tenant = 'ann'"), query("SHOW my.tenant"),
          query("SELECT current_setting('my.tenant')"), query("RESET my.tenant"), query("SHOW "
          "my.tenant"), pitfalls=(32,)),
    story("an own setting that was never set", query("SELECT current_setting('my.tenant', true)"),
          query("SELECT 1"), exceptions=("unset_is_empty",), pitfalls=(32,)),
    story("own settings in letters of both sizes", query("SET My.Tenant = 'ann'"), query("SHOW "
          "my.tenant"), query('SET "MY".tenant = \'bob\''), query("SHOW my.TENANT"),
          pitfalls=(32,)),
    story("strange names", query("SET \"my\".\"own\" = 'x'"), query("SHOW my.own"), query("SET "
          "my.own.deep = 'y'"), query("SHOW my.own.deep"), query("SET my.ö = 'z'"), query("SHOW "
          "my.ö"), query("SET \"my own\".x = '1'"), query("SET my.x$y = 1"), query("SHOW my.x$y"),
          pitfalls=(32, 35)),
    story("numbers and words as values", query("SET my.own = 5"), query("SHOW my.own"), query("SET "
          "my.own = -1.5"), query("SHOW my.own"), query("SET my.own = on"), query("SHOW my.own"),
          query("SET my.own = Word"), query("SHOW my.own"), query("SET my.own = a, b"),
          query("SHOW my.own"), query("SET my.own = true"), query("SHOW my.own"), pitfalls=(33,)),
    story("quotes and backslashes", *(part for value in ("it''s", "a\\b", "\\", "''", '"', '"x"',
          "a''; SET work_mem = 1 --", "$$", "%s $1", "line\nbreak", "\t") for part in
          (query(f"SET my.own = '{value}'"), query("SHOW my.own"), ONE + SYNC)), pitfalls=(33,)),
    story("escape strings", query("SET my.own = E'it\\'s \\\\ \\x41\\n'"), query("SHOW my.own"),
          query("SET my.own = U&'d\\0061t'"), query("SHOW my.own"), query("SET application_name = "
          "E'\\'\\\\'"), query("SHOW application_name"), pitfalls=(33,)),
    story("other letters", query("SET my.own = 'äöü € 漢字 😀'"), query("SHOW my.own"), ONE + SYNC,
          query("SET application_name = 'äöü'"), query("SHOW application_name"), pitfalls=(33, 35)),
    story("long values", query(f"SET my.own = '{'x' * 3000}'"), query("SHOW my.own"),
          query("SELECT length(current_setting('my.own'))"), query(f"SET application_name = "
          f"'{'y' * 100}'"), query("SHOW application_name"), pitfalls=(33,)),
    story("an empty value", query("SET my.own = ''"), query("SHOW my.own"), query("SET "
          "application_name = ''"), query("SHOW application_name"), query("SET search_path = ''"),
          PATH, query("SELECT current_schemas(false)::text"), pitfalls=(33,)),
    story("standard strings off", query("SET standard_conforming_strings = off"), query("SET "
          "escape_string_warning = off"), query("SELECT 'it\\'s; SET work_mem = 1', 'a\\\\b'"),
          query("SET my.own = 'it\\'s'; SHOW my.own"), SHOW, query("SELECT 'x\\'; SET work_mem = "
          "''99kB''; --'"), SHOW, query("RESET standard_conforming_strings"), query("SELECT "
          "'a\\b'"), pitfalls=(33, 35)),
    story("search_path", query("SET search_path = a, public"), PATH, query(QUOTED), query("SET "
          "search_path TO public"), PATH, query("RESET search_path"), PATH, pitfalls=(33,)),
    story("search_path with quotes", query('SET search_path = "weird, name", public, "It""s"'),
          PATH, query(QUOTED), ONE + SYNC, PATH, pitfalls=(33,)),
    story("search_path with strings", query("SET search_path = 'weird, name', 'quoted', '$user'"),
          PATH, query(QUOTED), PATH, pitfalls=(33,)),
    story("search_path as one string", query("SELECT set_config('search_path', 'a, \"b c\", "
          "public', false)"), PATH, query(QUOTED), query("SET search_path = 'a, b'"), PATH,
          query(QUOTED), pitfalls=(33,)),
    story("search_path with schemas", query('CREATE SCHEMA IF NOT EXISTS "weird, name"'),
          query('SET search_path = "weird, name", public'), query(QUOTED), query("CREATE TABLE t "
          "(n int)"), query("SELECT schemaname FROM pg_tables WHERE tablename = 't'"),
          query('DROP SCHEMA "weird, name" CASCADE'), query(QUOTED), pitfalls=(33,)),
    story("search_path and what is before it", query("SET search_path = public"), query("SELECT "
          "current_schemas(true)::text"), exceptions=("temporary_schemas",), pitfalls=(33,)),
    story("search_path, malformed", query("SELECT set_config('search_path', 'a,,b', false)"),
          query("SELECT set_config('search_path', '\"a', false)"), PATH, pitfalls=(33,)),
    story("temp_tablespaces", query("SET temp_tablespaces = pg_default, ''"), query("SHOW "
          "temp_tablespaces"), query("SET temp_tablespaces = 'pg_default', \"pg_default\""),
          query("SHOW temp_tablespaces"), query("SET temp_tablespaces = nowhere"), ONE + SYNC,
          query("SHOW temp_tablespaces"), query("SET temp_tablespaces = ''"), query("SHOW "
          "temp_tablespaces"), pitfalls=(33,)),
    story("SET SCHEMA", query("SET SCHEMA 'pg_catalog'"), PATH, query("SET SCHEMA 'weird, name'"),
          PATH, pitfalls=(33,)),
    story("DateStyle in parts", query("SET DateStyle = German"), query("SET DateStyle = 'MDY'"),
          query("SHOW DateStyle"), query("SET DateStyle = SQL, DMY"), query("SHOW DateStyle"),
          query("SELECT DATE '2026-01-31'"), query("SET DateStyle TO DEFAULT"), query("SELECT "
          "DATE '2026-01-31'"), pitfalls=(31, 32)),
    story("IntervalStyle", query("SET IntervalStyle = sql_standard"), query("SELECT interval '1 "
          "day 2 hours'"), query("RESET IntervalStyle"), query("SELECT interval '1 day'"),
          pitfalls=(31, 32)),
    story("TIME ZONE", *(part for zone in ("'Asia/Tokyo'", "'UTC'", "-7", "5.5", "INTERVAL "
          "'-08:00' HOUR TO MINUTE", "LOCAL", "'<+03>-03'", "DEFAULT") for part in (query(
          f"SET TIME ZONE {zone}"), query("SHOW TimeZone"), query("SELECT '2026-01-01 "
          "12:00Z'::timestamptz"))), pitfalls=(31, 33)),
    story("TIME ZONE LOCAL, within", query("SET LOCAL TIME ZONE 'Asia/Tokyo'"), query("BEGIN; SET "
          "LOCAL TIME ZONE 'Asia/Tokyo'; SHOW TIME ZONE"), query("COMMIT"), query("SHOW TimeZone"),
          pitfalls=(31, 32)),
    story("no such time zone", query("SET TIME ZONE 'Nowhere'"), query("SHOW TimeZone"),
          query("SET TIME ZONE 99"), pitfalls=(33,)),
    story("XML OPTION and seed", query("SET XML OPTION DOCUMENT"), query("SHOW xmloption"),
          query("SET XML OPTION CONTENT"), pitfalls=(34,)),
    story("seed", query("SELECT setseed(0.5), random() > 0"), query("SELECT 1"), query("SET SEED "
          "TO 0.25"), query("SELECT random() BETWEEN 0 AND 1"), pitfalls=(34,)),
    story("SESSION CHARACTERISTICS", query("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"),
          query("SHOW default_transaction_read_only"), query("CREATE TABLE t (n int)"),
          query("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE, ISOLATION LEVEL "
          "SERIALIZABLE"), query("BEGIN"), query("SHOW transaction_isolation"), query("COMMIT"),
          query("SHOW default_transaction_isolation"), pitfalls=(34,)),
    story("transaction settings", query("SET default_transaction_deferrable = on"),
          query("SET transaction_isolation = 'serializable'"), query("SHOW transaction_isolation"),
          query("BEGIN; SET transaction_isolation = 'repeatable read'; SHOW "
          "transaction_isolation"), query("COMMIT"), query("SHOW transaction_deferrable"),
          query("SET transaction_read_only = on"), query("SHOW transaction_read_only"),
          pitfalls=(32, 34)),
    story("statement_timeout", query("SET statement_timeout = '40ms'"), query("SELECT "
          "pg_sleep(9)"), query("SHOW statement_timeout"), query("SELECT pg_sleep(9)"),
          query("RESET statement_timeout"), query("SELECT pg_sleep(0.1)"), pitfalls=(32,)),
    story("lc_messages and friends", query("SET lc_numeric = 'C'; SET lc_time = 'C'"), query("SHOW "
          "lc_numeric"), query("SET lc_messages = 'C'"), query("SET lc_time = 'nowhere'"),
          pitfalls=(33,)),
    story("session_replication_role is not allowed", query("SET session_replication_role = "
          "replica"), query("SHOW session_replication_role"), pitfalls=(33,)),
    story("row_security and check_function_bodies", query("SET row_security = off; SET "
          "check_function_bodies = off"), query("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS "
          "'SELECT nothing'"), query("SHOW row_security"), query("DROP FUNCTION f()"),
          pitfalls=(34,)),
    story("default_with settings", query("SET default_table_access_method = heap; SET "
          "default_tablespace = ''; SET array_nulls = off"), query("SELECT '{a,NULL}'::text[]"),
          query("SHOW default_table_access_method; SHOW default_tablespace")),
    story("the unnamed statement and SET", parse("SELECT current_setting('work_mem')") + SYNC,
          bind() + execute() + SYNC, run("SET work_mem = '99kB'") + SYNC,
          parse("SELECT current_setting('work_mem')") + describe("S") + SYNC,
          bind() + execute() + SYNC, pitfalls=(21, 32)),
    story("settings and rows", SET, query("INSERT INTO numbers SELECT generate_series(1, 50)"),
          query("SET enable_seqscan = off"), query("SELECT count(*) FROM numbers"), SHOW,
          query("SHOW enable_seqscan"), setup=NUMBERS, pitfalls=(32,)),
]  # fmt: skip
