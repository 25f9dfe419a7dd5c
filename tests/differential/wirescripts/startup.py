"""Logins: startup parameters, options, what PostgreSQL refuses; and protocol abuse after it."""

import struct

from sluice_testing.raw import FLUSH, SYNC, bind, execute, message, parse, query, startup, string
from sluice_testing.stories import Step, story
from wirescripts.phrases import ONE, rerun

SHOWN = query("SHOW work_mem; SHOW TimeZone; SHOW DateStyle; SHOW search_path; SHOW "
              "application_name")  # fmt: skip


def opening(protocol: int, **more: str) -> bytes:
    """The startup packet of `app`."""
    return startup(protocol, user="app", database="differential", **more)


def length(packet: bytes) -> bytes:
    """A startup packet with its length put right."""
    return struct.pack("!i", len(packet)) + packet[4:]


PARAMETERS = [
    story("options", query("SHOW work_mem"), query("SET work_mem = '99kB'"), query("RESET "
          "work_mem"), query("SHOW work_mem"), parameters={"options": "-c work_mem=123kB"},
          pitfalls=(31, 32)),
    story("options in other words", SHOWN, query("SHOW enable_seqscan; SHOW my.own"), parameters={
          "options": "--work-mem=123kB -c my.own=x  -cTimeZone=Asia/Tokyo -f s --search_path=a"},
          pitfalls=(31, 32)),
    story("options with blanks", SHOWN, query("SHOW my.own"), parameters={"options":
          "-c search_path=a,\\ b -c my.own=it's\\ \\\\ok"}, pitfalls=(31, 33)),
    story("many parameters", SHOWN, query("RESET ALL"), SHOWN, parameters={"work_mem": "99kB",
          "TimeZone": "Asia/Tokyo", "DateStyle": "German", "search_path": "pg_catalog, app",
          "application_name": "mine"}, pitfalls=(31, 32)),
    story("parameters, then SET", query("SET TimeZone = 'Asia/Seoul'"), query("SHOW TimeZone"),
          query("SET TimeZone TO DEFAULT"), query("SHOW TimeZone"), query("SET LOCAL TimeZone = "
          "'UTC'"), query("BEGIN; SET TimeZone = 'UTC'; ROLLBACK"), query("SHOW TimeZone"),
          query("DISCARD ALL"), query("SHOW TimeZone"), parameters={"TimeZone": "Asia/Tokyo"},
          pitfalls=(20, 31, 32)),
    story("parameters in letters of both sizes", SHOWN, parameters={"timezone": "asia/tokyo",
          "DATESTYLE": "german", "Application_Name": "mine"}, pitfalls=(31,)),
    story("parameters and options", SHOWN, parameters={"options": "-c work_mem=123kB -c "
          "TimeZone=Asia/Seoul", "TimeZone": "Asia/Tokyo", "work_mem": "99kB"}, pitfalls=(31,)),
    story("an own setting", query("SHOW my.own"), query("SET my.own = 'y'; RESET my.own; SHOW "
          "my.own"), query("DISCARD ALL"), query("SHOW my.own"), parameters={"my.own": "it's, "
          '"x"'}, exceptions=("reset_and_shown",), pitfalls=(31, 33)),
    story("search_path with quotes", query("SHOW search_path"), query("SELECT "
          "current_schemas(false)::text"), query("SET search_path = a"), query("RESET "
          "search_path"), query("SHOW search_path"), parameters={"search_path": '"weird, name", '
          "public"}, pitfalls=(31, 33)),
    story("a transaction setting", query("SHOW default_transaction_read_only"), query("CREATE "
          "TABLE t (n int)"), query("BEGIN"), query("SHOW transaction_read_only"),
          query("ROLLBACK"), parameters={"default_transaction_read_only": "on"}, pitfalls=(31,)),
    story("a statement_timeout", query("SELECT pg_sleep(9)"), query("SHOW statement_timeout"),
          parameters={"statement_timeout": "40"}, pitfalls=(31,)),
    story("a client_connection_check_interval", query("SHOW client_connection_check_interval"),
          query("RESET ALL"), query("SHOW client_connection_check_interval"), parameters={
          "Client_connection_check_interval": "2s"}, pitfalls=(31,)),
    story("the proxy's own client_connection_check_interval", query("SHOW "
          "client_connection_check_interval"), query("DISCARD ALL"), query("SHOW "
          "client_connection_check_interval"), parameters={"client_connection_check_interval":
          "1s"}, pitfalls=(31,)),
    story("a client_connection_check_interval in options", query("SHOW "
          "client_connection_check_interval"), query("SET client_connection_check_interval = 0"),
          query("SHOW client_connection_check_interval"), parameters={"options":
          "--client-connection-check-interval=2s"}, pitfalls=(31,)),
    story("extra_float_digits", query("SELECT 0.1::float8 + 0.2"), query("SHOW "
          "extra_float_digits"), parameters={"extra_float_digits": "0"}, pitfalls=(31,)),
    story("a role", query("SELECT current_user, session_user"), query("RESET ROLE"), query("SELECT "
          "current_user"), query("SET ROLE NONE"), query("SELECT current_user"), parameters={
          "options": "-c role=teller"}, pitfalls=(31, 34)),
    story("an application_name", query("SHOW application_name"), query("SELECT application_name "
          "FROM pg_stat_activity WHERE pid = pg_backend_pid()"), parameters={"application_name":
          "ö'x\\"}, pitfalls=(31, 35)),
    story("a long application_name", query("SHOW application_name"), parameters={
          "application_name": "x" * 100}, exceptions=("truncated_names",), pitfalls=(31,)),
    story("an encoding", query(b"SELECT '\xe9'"), query("SET client_encoding = 'UTF8'"),
          query("RESET client_encoding"), query(b"SELECT '\xe9'"), parameters={"client_encoding":
          "latin-1"}, pitfalls=(31, 35)),
    story("as lib/pq and pgjdbc do", SHOWN, parameters={"client_encoding": "UTF8", "DateStyle":
          "ISO, MDY", "TimeZone": "UTC", "extra_float_digits": "2", "application_name": ""},
          pitfalls=(31,)),
    story("replication that is none", query("SELECT 1"), parameters={"replication": "false"},
          pitfalls=(31,)),
    story("a superuser", query("SHOW is_superuser"), parameters={"application_name": "root"},
          user="postgres", pitfalls=(31,)),
    story("statements under other parameters", parse("SELECT '2026-01-01 12:00Z'::timestamptz", "s")
          + SYNC, rerun("s"), query("SET TimeZone = 'UTC'"), rerun("s"), query("RESET TimeZone"),
          rerun("s"), parameters={"TimeZone": "Asia/Tokyo"}, pitfalls=(13, 31)),
]  # fmt: skip

# What PostgreSQL makes of it is a FATAL error after AuthenticationOk.
WRONG: dict[str, dict[str, str]] = {
    "an unknown parameter": {"nothing": "x"},
    "an invalid value": {"work_mem": "much"},
    "a value out of range": {"work_mem": "1"},
    "an invalid time zone": {"TimeZone": "Nowhere"},
    "an invalid encoding": {"client_encoding": "nonsense"},
    "a parameter of the server's start": {"shared_buffers": "1"},
    "a superuser's parameter": {"log_statement": "all"},
    "a read-only parameter": {"server_version": "1"},
    "a role that one may not be": {"options": "-c role=auditor"},
    "an invalid own name": {"my.": "x"},
    "an unknown option": {"options": "-c nothing=1"},
    "an option without a value": {"options": "-c work_mem"},
    "an option that is none": {"options": "-Z"},
    "options that are no options": {"options": "nonsense"},
    "the second of two": {"work_mem": "99kB", "TimeZone": "Nowhere"},
}
REFUSED = [
    *(
        story(name, ONE + SYNC, parameters=wrong, exceptions=("refused_sooner",), pitfalls=(33,))
        for name, wrong in WRONG.items()
    ),
    story("no such database", ONE + SYNC, opening=startup(user="app", database="nowhere"),
          exceptions=("refused_sooner",)),
    story("no such role", ONE + SYNC, user="nobody", exceptions=("rds_texts",)),
    story("a role that may not log in", ONE + SYNC, user="teller", exceptions=("rds_texts",)),
    story("no user", opening=startup(database="differential"), exceptions=("rds_texts",)),
    story("an empty user", opening=startup(user="", database="differential"),
          exceptions=("rds_texts",)),
]  # fmt: skip

VERSIONS = [
    story("an unknown protocol option", ONE + SYNC, opening=opening(
          3 << 16, **{"_pq_.nonsense": "x", "_pq_.other": "y"})),
    story("a newer minor version", ONE + SYNC, opening=opening(3 << 16 | 99), since=18),
    story("3.2", ONE + SYNC, opening=opening(3 << 16 | 2), since=18),
    story("3.1", ONE + SYNC, opening=opening(3 << 16 | 1), since=18),
    story("3.2 with an unknown option", ONE + SYNC, opening=opening(3 << 16 | 2, **{
          "_pq_.nonsense": "x"}), since=18),
    story("4.0", opening=opening(4 << 16), exceptions=("rds_texts",)),
    story("no database", query("SELECT 1"), opening=startup(user="postgres"), user="postgres"),
    story("a name twice", query("SHOW work_mem"), opening=length(opening(3 << 16, work_mem="99kB")[
          :-1] + string("work_mem") + string("88kB") + b"\0")),
]  # fmt: skip


def raw(kind: str, size: int, body: bytes = b"") -> bytes:
    """A message that lies about its length."""
    return kind.encode("latin-1") + struct.pack("!i", size) + body


ENDS = [
    story(
        f"message type {kind!r}",
        query("SELECT 1"),
        Step(message(kind), until=""),
        exceptions=("source_places",),
        pitfalls=(61,),
    )
    for kind in ("y", "0", "~", "p", "R", "Z", "v")
]
ABUSE = [
    *ENDS,
    story("an unknown type in a transaction", query("BEGIN"), Step(message("y"), until=""),
          exceptions=("source_places",), pitfalls=(61,)),
    story("an unknown type in a pipeline", Step(ONE + SYNC + message("y"), until=""),
          exceptions=("source_places",), pitfalls=(61,)),
    story("an unknown type while skipping", Step(parse("SELECT nothing") + message("y"), until=""),
          exceptions=("source_places",), pitfalls=(61,)),
    *(
        story(f"length {size} of {kind}", query("SELECT 1"), Step(raw(kind, size), until=""),
              exceptions=("silent_ends",), pitfalls=(61,))
        for kind, size in (("Q", 3), ("Q", 0), ("Q", -1), ("S", 3), ("P", -(1 << 31)),
                           ("S", 20000), ("X", 3), ("d", 2), ("C", 1 << 30), ("H", 10001))
    ),
    story("a length beyond all bounds", query("SELECT 1"), Step(raw("Q", (1 << 31) - 1), until=""),
          exceptions=("silent_ends",), pitfalls=(61,)),
    story("a bad length in a transaction", query("BEGIN"), Step(raw("Q", 3), until=""),
          exceptions=("silent_ends",), pitfalls=(61,)),
    story("a bad length behind results", Step(ONE + SYNC + raw("Q", 1), until=""),
          exceptions=("silent_ends",), pitfalls=(61,)),
    story("a query without its end", message("Q", b"SELECT 1"), ONE + SYNC, pitfalls=(61,)),
    story("a query with more behind its end", message("Q", b"SELECT 1\0SELECT 2\0"), ONE + SYNC,
          message("Q", b"SELECT 1\0x"), ONE + SYNC, pitfalls=(61,)),
    story("an empty body of a query", message("Q"), ONE + SYNC, pitfalls=(61,)),
    story("bodies where none belong", Step(message("S", b"x"), "Z"), ONE + SYNC, message("H", b"x")
          + SYNC, ONE + SYNC, pitfalls=(61,)),
    story("Terminate with a body", Step(message("X", b"x"), until=""), pitfalls=(60, 61)),
    story("malformed function calls", message("F"), message("F", b"\0\0\0\1"), message("F",
          struct.pack("!ihhihh", 177, 0, 1, 99, 0, 0)), message("F", struct.pack("!ihhh", 177, 0,
          -1, 0)), ONE + SYNC, pitfalls=(29, 61)),
    story("too many parameters by count", parse("SELECT 1") + message("B", b"\0\0", struct.pack(
          "!hh", 0, 3)) + SYNC, ONE + SYNC, pitfalls=(61,)),
    story("a negative size of a parameter", parse("SELECT $1::text") + message("B", b"\0\0",
          struct.pack("!hhih", 0, 1, -7, 0)) + execute() + SYNC, ONE + SYNC, pitfalls=(61,)),
    story("a negative count of types", message("P", b"\0SELECT 1\0", struct.pack("!h", -1)) + bind()
          + execute() + SYNC, ONE + SYNC, pitfalls=(61,)),
    story("an invalid type", parse("SELECT $1", types=(999999,)) + SYNC, parse("SELECT $1",
          types=(-1,)) + SYNC, ONE + SYNC, pitfalls=(61,)),
    story("zeros instead of a message", query("SELECT 1"), Step(bytes(12), until=""),
          exceptions=("source_places",), pitfalls=(61,)),
    story("text instead of a message", query("SELECT 1"), Step(b"GET / HTTP/1.1\r\n\r\n", until=""),
          exceptions=("source_places",), pitfalls=(61,)),
    story("Flush and Sync in numbers", Step((FLUSH * 5 + SYNC) * 20, count=20), pitfalls=(1, 6)),
]  # fmt: skip
