"""ParameterStatus, roles, encodings: what a client is told of its session as that changes."""

from sluice_testing.raw import (
    COPY_DONE,
    FLUSH,
    SYNC,
    bind,
    copy_data,
    describe,
    execute,
    parse,
    query,
)
from sluice_testing.stories import Step, story
from wirescripts.phrases import ONE, rerun, run, whole

SUPERUSER = "postgres"
ROLES = "CREATE TABLE IF NOT EXISTS numbers (n int); GRANT SELECT ON numbers TO teller;"
WHO = query("SELECT current_user, session_user, current_setting('role')")

REPORTS = [
    story("of every reported setting", *(query(text) for text in (
          "SET application_name = 'renamed'", "SET DateStyle = 'German'", "SET IntervalStyle = "
          "'iso_8601'", "SET TimeZone = 'Asia/Tokyo'", "SET standard_conforming_strings = off",
          "SET client_encoding = 'LATIN1'", "SET search_path = 'elsewhere'", "SET "
          "default_transaction_read_only = on", "RESET ALL")), pitfalls=(8, 31)),
    story("only of changes", query("SET DateStyle = 'German'"), query("SET DateStyle = 'German'"),
          query("SET DateStyle = 'ISO'"), query("SET DateStyle = 'ISO, MDY'"), pitfalls=(31,)),
    story("several in one string", query("SET DateStyle = 'German'; SET TimeZone = 'Asia/Tokyo'; "
          "SET DateStyle = 'ISO'"), query("SELECT 1"), pitfalls=(31,)),
    story("of what was undone at once", query("BEGIN; SET TimeZone = 'Asia/Tokyo'; ROLLBACK"),
          query("SELECT 1"), pitfalls=(31, 32)),
    story("in a pipeline", Step(run("SET TimeZone = 'Asia/Tokyo'") + ONE + SYNC + ONE + SYNC
          + run("RESET TimeZone") + SYNC, count=3), pitfalls=(8, 31)),
    story("before Sync", Step(run("SET TimeZone = 'Asia/Tokyo'") + FLUSH, "C"), SYNC,
          pitfalls=(6, 31)),
    story("within an aborted transaction", query("BEGIN"), query("SET TimeZone = 'Asia/Tokyo'"),
          query("SELECT 1/0"), query("ROLLBACK"), pitfalls=(31, 32)),
    story("of a function with SET", query("SELECT f()"), query("SHOW TimeZone"), setup="CREATE "
          "FUNCTION f() RETURNS text LANGUAGE sql SET TimeZone = 'Asia/Tokyo' AS $$SELECT "
          "current_setting('TimeZone')$$", pitfalls=(31, 32)),
    story("of set_config", query("SELECT set_config('TimeZone', 'Asia/Tokyo', false)"),
          query("SELECT set_config('TimeZone', 'Asia/Seoul', true)"), query("SHOW TimeZone"),
          pitfalls=(31, 32)),
    story("of names in other letters", query("SET timezone = 'asia/tokyo'"), query("SHOW "
          "TIMEZONE"), query("SET datestyle = german"), query("RESET timezone"), pitfalls=(31,)),
    story("of application_name", query("SET application_name = 'a'"), query("SELECT "
          "application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()"), query("SET "
          "application_name = 'tab\there'"), query("RESET application_name"), query("SHOW "
          "application_name"), parameters={"application_name": "first"}, pitfalls=(31, 35)),
]  # fmt: skip

AUTHORITIES = [
    story("SET ROLE", query("SET ROLE teller"), WHO, query("SELECT * FROM numbers"), query("INSERT "
          "INTO numbers VALUES (1)"), query("RESET ROLE"), WHO, setup=ROLES, pitfalls=(31, 34)),
    story("SET ROLE in other words", *(part for text in ("SET ROLE 'teller'", "SET ROLE NONE",
          "SET SESSION ROLE teller", "SET role TO DEFAULT", 'SET ROLE "teller"', "RESET ROLE",
          "SET role = teller", "SET ROLE app", "SET ROLE TO none") for part in (query(text), WHO)),
          setup=ROLES, pitfalls=(34,)),
    story("SET LOCAL ROLE", query("BEGIN; SET LOCAL ROLE teller"), WHO, query("COMMIT"), WHO,
          query("SET LOCAL ROLE teller"), WHO, pitfalls=(32, 34)),
    story("SET ROLE rolls back", query("BEGIN; SET ROLE teller"), WHO, query("ROLLBACK"), WHO,
          query("SET ROLE teller"), query("BEGIN; RESET ROLE"), WHO, query("ROLLBACK"), WHO,
          pitfalls=(32, 34)),
    story("SET ROLE by set_config", query("SELECT set_config('role', 'teller', false)"), WHO,
          query("SELECT set_config('role', 'none', false)"), WHO, pitfalls=(32, 34)),
    story("SET ROLE by extended protocol", whole("SET ROLE teller"), whole("SELECT current_user"),
          whole("RESET ROLE"), whole("SELECT current_user"), pitfalls=(34,)),
    story("a role that one may not be", query("SET ROLE auditor"), WHO, query("SET ROLE nobody"),
          WHO, query("SET ROLE postgres"), WHO, pitfalls=(33, 34)),
    story("RESET ALL leaves the role", query("SET ROLE teller"), query("RESET ALL"), WHO,
          query("DISCARD ALL"), WHO, pitfalls=(20, 34)),
    story("a role and settings", query("SET ROLE teller"), query("SET work_mem = '99kB'"),
          query("SET search_path = pg_catalog"), WHO, query("SHOW work_mem; SHOW search_path"),
          pitfalls=(32, 34)),
    story("a role and prepared statements", parse("SELECT current_user", "s") + SYNC, rerun("s"),
          query("SET ROLE teller"), rerun("s"), query("RESET ROLE"), rerun("s"),
          pitfalls=(13, 34)),
    story("a role that lost its member", query("SET ROLE teller"), query("SELECT 1"),
          query("RESET ROLE"), query("SELECT 1"), setup=ROLES, pitfalls=(33, 34)),
    story("SESSION AUTHORIZATION of another", query("SET SESSION AUTHORIZATION teller"), WHO,
          query("SET SESSION AUTHORIZATION app"), WHO, query("RESET SESSION AUTHORIZATION"), WHO,
          query("SET SESSION AUTHORIZATION DEFAULT"), pitfalls=(33, 34)),
    story("SESSION AUTHORIZATION by a superuser", query("SET SESSION AUTHORIZATION app"), WHO,
          query("CREATE ROLE other"), query("SET ROLE teller"), WHO, query("RESET ROLE"), WHO,
          query("RESET SESSION AUTHORIZATION"), WHO, user=SUPERUSER, pitfalls=(31, 34)),
    story("SESSION AUTHORIZATION, within", query("BEGIN; SET LOCAL SESSION AUTHORIZATION app"), WHO,
          query("COMMIT"), WHO, query("BEGIN; SET SESSION AUTHORIZATION app; ROLLBACK"), WHO,
          user=SUPERUSER, pitfalls=(31, 32, 34)),
    story("SESSION AUTHORIZATION and DISCARD ALL", query("SET SESSION AUTHORIZATION app"),
          query("DISCARD ALL"), WHO, user=SUPERUSER, pitfalls=(20, 34)),
    story("a superuser's SET ROLE", query("SET ROLE auditor"), WHO, query("SHOW is_superuser"),
          query("SET ROLE NONE"), query("SHOW is_superuser"), user=SUPERUSER, pitfalls=(31, 34)),
    story("a superuser's settings", query("SET log_statement = 'none'"), query("SET "
          "session_replication_role = replica"), query("SHOW session_replication_role"),
          query("SET log_min_messages = error"), query("SHOW log_min_messages"),
          query("RESET ALL"), query("SHOW session_replication_role"), user=SUPERUSER,
          pitfalls=(32, 34)),
    story("LOAD", query("LOAD 'auto_explain'"), query("SHOW auto_explain.log_min_duration"),
          query("SET auto_explain.log_min_duration = 5"), query("SHOW "
          "auto_explain.log_min_duration"), user=SUPERUSER, pitfalls=(34,)),
    story("LOAD is not allowed", query("LOAD 'auto_explain'"), query("LOAD 'nothing'"),
          query("SELECT 1"), pitfalls=(34,)),
    story("settings of the role", query("SHOW work_mem; SHOW DateStyle; SHOW search_path; SHOW "
          "my.colour"), query("SET work_mem = '99kB'; SET my.colour = 'own'"), query("SHOW "
          "work_mem; SHOW my.colour"), query("RESET work_mem; RESET my.colour"), query("SHOW "
          "work_mem; SHOW my.colour"), query("SET search_path = public"), query("RESET ALL"),
          query("SHOW search_path; SHOW work_mem"), query("SELECT DATE '2026-01-31'"),
          user="setter", pitfalls=(31, 32)),
    story("settings of the role and of the login", query("SHOW work_mem; SHOW DateStyle"),
          query("SET work_mem = '99kB'"), query("RESET work_mem"), query("SHOW work_mem"),
          query("SET work_mem TO DEFAULT"), query("SHOW work_mem"), user="setter",
          parameters={"options": "-c work_mem=123kB", "DateStyle": "SQL"}, pitfalls=(31, 32)),
]  # fmt: skip

KANJI = "表ソ能予"  # their second bytes in Shift-JIS are a backslash

ENCODINGS = [
    story("LATIN1 from the start", query(b"SELECT '\xe9\xe8', length('\xe9')"), query("SHOW "
          "client_encoding"), query(b"SELECT \xe9"), parameters={"client_encoding": "LATIN1"},
          pitfalls=(31, 35)),
    story("LATIN1 by SET", query("SET client_encoding = 'LATIN1'"), query(b"SELECT '\xe9\xe8'"),
          query("SELECT U&'\\00e9'"), query("SELECT U&'\\6f22'"), query("RESET client_encoding"),
          query("SELECT 'é'"), pitfalls=(31, 35)),
    story("SET NAMES", query("SET NAMES 'LATIN1'"), query(b"SELECT '\xe9'"), query("SET NAMES"),
          query("SHOW client_encoding"), query("SET NAMES DEFAULT"), query("SELECT 'é'"),
          query("SET NAMES 'nonsense'"), pitfalls=(31, 35)),
    story("LATIN1 in a transaction", query("BEGIN; SET client_encoding = 'LATIN1'"),
          query(b"SELECT '\xe9'"), query("ROLLBACK"), query("SELECT 'é'"), query("BEGIN; SET LOCAL "
          "client_encoding = 'LATIN1'"), query(b"SELECT '\xe9'"), query("COMMIT"),
          query("SELECT 'é'"), pitfalls=(32, 35)),
    story("parameters in LATIN1", query("SET client_encoding = 'LATIN1'"), parse("SELECT $1::text, "
          "length($1)") + describe("S") + bind(b"\xe9\xe8") + execute() + SYNC, parse(b"SELECT "
          b"'\xe9' || $1", "s") + SYNC, rerun("s", b"\xe8"), pitfalls=(13, 35)),
    story("one text in two encodings", query("SET client_encoding = 'LATIN1'"),
          parse(b"SELECT '\xc3\xa9', length('\xc3\xa9')", "a") + SYNC, rerun("a"),
          query("RESET client_encoding"), parse(b"SELECT '\xc3\xa9', length('\xc3\xa9')", "b")
          + SYNC, rerun("b"), rerun("a"), pitfalls=(13, 35)),
    story("names of statements in LATIN1", query("SET client_encoding = 'LATIN1'"),
          query(b"PREPARE \xe9 AS SELECT '\xe8'"), query(b"EXECUTE \xe9"), query("RESET "
          "client_encoding"), query("EXECUTE é"), query("DEALLOCATE é"),
          exceptions=("spelled_names",), pitfalls=(22, 35)),
    story("settings in LATIN1", query("SET client_encoding = 'LATIN1'"), query(b"SET my.own = "
          b"'\xe9'"), query("SHOW my.own"), ONE + SYNC, query("RESET client_encoding"),
          query("SHOW my.own"), ONE + SYNC, query("SHOW my.own"), pitfalls=(32, 35)),
    story("an error in LATIN1", query("SET client_encoding = 'LATIN1'"), query(b"SELECT \xe9"),
          query(b"DO $$BEGIN RAISE NOTICE '\xe9'; END$$"), query(b"SELECT '\xe9"), pitfalls=(35,)),
    story("COPY in LATIN1", query("SET client_encoding = 'LATIN1'"), Step(query("COPY words FROM "
          "STDIN"), "G"), copy_data(b"\xe9\n") + COPY_DONE, query("COPY words TO STDOUT"),
          query("RESET client_encoding"), query("SELECT * FROM words"), setup="CREATE TABLE words "
          "(w text)", pitfalls=(35,)),
    *(
        story(f"{name}, with bytes like ASCII's", query(f"SET client_encoding = '{name}'"),
              query(f"SELECT '{text}', length('{text}')".encode(codec)),
              query(f"SELECT '{text}'; SET work_mem = '99kB'; SELECT '{text}'".encode(codec)),
              query("SHOW work_mem"), query(f"SET my.own = '{text}'".encode(codec)),
              query("SHOW my.own"), query(f"PREPARE q AS SELECT '{text}'".encode(codec)),
              query("EXECUTE q"), parse(f"SELECT '{text}' || $1".encode(codec), "s") + SYNC,
              rerun("s", text.encode(codec)), query("RESET client_encoding"), query("SHOW my.own"),
              query("EXECUTE q"), rerun("s", text), pitfalls=(33, 35))
        for name, codec, text in (
            ("SJIS", "shift_jis", KANJI), ("BIG5", "big5", "功許蓋"), ("EUC_JP", "euc_jp", KANJI),
            ("GBK", "gbk", "漢誠"), ("WIN1252", "cp1252", "€é"), ("KOI8R", "koi8_r", "ж"),
        )
    ),
    *(
        story(f"{name}, a text that looks unfinished", query(f"SET client_encoding = '{name}'"),
              query(f"SELECT E'{text}'; SET work_mem = '99kB'; SELECT E'x'".encode(codec)),
              query("SHOW work_mem"), query(f"SELECT \"{text}\" FROM (SELECT 1 AS \"{text}\") t; "
              "CREATE TEMP TABLE mine (n int)".encode(codec)), query("SELECT * FROM mine"),
              pitfalls=(33, 35))
        for name, codec, text in (("SJIS", "shift_jis", "表"), ("BIG5", "big5", "功"))
    ),
    story("SJIS from the start", query("SELECT '表'".encode("shift_jis")), query("SELECT E'表'; "
          "SET work_mem = '99kB'".encode("shift_jis")), query("SHOW work_mem"),
          parameters={"client_encoding": "SJIS"}, pitfalls=(31, 35)),
    story("SQL_ASCII", query("SET client_encoding = 'SQL_ASCII'"), query("SELECT 'é'"),
          query(b"SELECT '\xe9'"), query("SHOW client_encoding"), pitfalls=(35,)),
    story("no such encoding", query("SET client_encoding = 'nonsense'"), query("SELECT 'é'"),
          query("SET client_encoding = 'MULE_INTERNAL'"), query("SHOW client_encoding"),
          pitfalls=(33, 35)),
    story("names of encodings", *(part for name in ("latin1", "utf-8", "UNICODE", "iso-8859-1",
          "Windows1252") for part in (query(f"SET client_encoding = '{name}'"), query("SHOW "
          "client_encoding"))), pitfalls=(31, 35)),
]  # fmt: skip
