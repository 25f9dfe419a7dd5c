"""The same bytes, told to PostgreSQL and to the proxy, get the same answers to the byte.

Between two steps a neighbour takes whatever server connection is free, leaves its own
unnamed statement there and keeps it in a transaction: what a story needs of an earlier
step must follow it to another server connection, or keep it where it was.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sluice_testing.door import Door
from sluice_testing.fixtures import DoorOf
from sluice_testing.postgres import Postgres
from sluice_testing.raw import (
    COPY_DONE,
    FLUSH,
    SYNC,
    Message,
    bind,
    close,
    copy_data,
    copy_fail,
    describe,
    execute,
    function_call,
    parse,
    query,
)
from sluice_testing.stories import Between, Step, Story, every_major, nobody, play, story

INT4PL, INT4DIV = 177, 154  # pg_proc: integer + and /
NUMBERS = "DROP TABLE IF EXISTS numbers; CREATE TABLE numbers (n int PRIMARY KEY)"
DEFERRED = (
    "DROP TABLE IF EXISTS numbers;"
    "CREATE TABLE numbers (n int, UNIQUE (n) DEFERRABLE INITIALLY DEFERRED)"
)
ONE = parse("SELECT 1") + bind() + execute()
BAD = parse("SELECT nothing") + bind() + execute()
TEN = parse("SELECT * FROM generate_series(1, 10)")
COPY_IN = "COPY numbers FROM STDIN"


@pytest.fixture
def door(local_doors: Callable[[Postgres], Door], server: Postgres) -> Door:
    """The stories go through `sluice run`, one process for all of them."""
    return local_doors(server)


SIMPLE = [
    story("one row", query("SELECT 1 AS one, 'x' AS letter, NULL AS nothing")),
    story("many rows", query("SELECT g, repeat('x', g) FROM generate_series(1, 500) g")),
    story("empty", query("")),
    story("only a comment", query("-- nothing")),
    story("several statements", query("SELECT 1; SELECT 2; SELECT 3")),
    story("an error among several", query("SELECT 1; SELECT 1/0; SELECT 3"), query("SELECT 4")),
    story("syntax error", query("SELECT 1 FROM FROM"), query("SELECT 1")),
    story("notices", query("DO $$BEGIN RAISE NOTICE 'n1'; RAISE WARNING 'n2'; END$$")),
    story("two in one write", Step(query("SELECT 1") + query("SELECT 2"), count=2)),
    story("error then query in one write", Step(query("SELECT 1/0") + query("SELECT 2"), count=2)),
    story("own function", function_call(INT4PL, b"\0\0\0\2", b"\0\0\0\3"), query("SELECT 1")),
    story("function fails", function_call(INT4DIV, b"\0\0\0\2", b"\0\0\0\0"), query("SELECT 1")),
    story("LATIN1", query(b"SELECT '\xe9\xe8'"), parameters={"client_encoding": "LATIN1"}),
    story("invalid UTF-8", query(b"SELECT '\xe9'"), query("SELECT 1")),
]

TRANSACTIONS = [
    story("commit", query("BEGIN"), query("INSERT INTO numbers VALUES (1)"), query("COMMIT"),
          query("SELECT * FROM numbers"), setup=NUMBERS),
    story("rollback", query("BEGIN"), query("INSERT INTO numbers VALUES (1)"), query("ROLLBACK"),
          query("SELECT * FROM numbers"), setup=NUMBERS),
    story("failed", query("BEGIN"), query("SELECT 1/0"), query("SELECT 1"), query("COMMIT"),
          query("SELECT 1")),
    story("savepoint", query("BEGIN"), query("SAVEPOINT a"), query("SELECT 1/0"),
          query("ROLLBACK TO a"), query("SELECT 1"), query("COMMIT")),
    story("chain", query("BEGIN"), query("COMMIT AND CHAIN"), query("SELECT 1"), query("ROLLBACK")),
    story("all in one string", query("BEGIN; INSERT INTO numbers VALUES (1); COMMIT; BEGIN"),
          query("SELECT * FROM numbers"), query("ROLLBACK"), setup=NUMBERS),
    story("SET LOCAL", query("BEGIN"), query("SET LOCAL work_mem = '77kB'"),
          query("SHOW work_mem"), query("COMMIT"), query("SHOW work_mem")),
    story("SET TRANSACTION", query("BEGIN"), query("SET TRANSACTION READ ONLY"),
          query("INSERT INTO numbers VALUES (1)"), query("ROLLBACK"), setup=NUMBERS),
    story("COMMIT outside", query("COMMIT"), query("ROLLBACK"), query("SELECT 1")),
    story("BEGIN and COMMIT in one pipeline",
          parse("BEGIN") + bind() + execute() + ONE + parse("COMMIT") + bind() + execute() + SYNC),
    story("deferred error at COMMIT", query("BEGIN"), query("INSERT INTO numbers VALUES (1), (1)"),
          query("COMMIT"), query("SELECT count(*) FROM numbers"), setup=DEFERRED),
]  # fmt: skip

EXTENDED = [
    story("one round", parse("SELECT $1::int + 1", types=(23,)) + describe("S") + bind("41")
          + describe("P") + execute() + SYNC),
    story("no row description", parse("CREATE TABLE IF NOT EXISTS numbers (n int)") + describe("S")
          + bind() + describe("P") + execute() + SYNC, setup=NUMBERS),
    story("empty", parse("") + bind() + describe("P") + execute() + SYNC),
    story("Sync alone", SYNC),
    story("three Syncs", Step(SYNC * 3, count=3)),
    story("Flush alone", FLUSH + SYNC),
    story("three rounds in one write", Step((ONE + SYNC) * 3, count=3)),
    story("an error skips to its Sync",
          Step(ONE + SYNC + BAD + ONE + query("SELECT 2") + SYNC + ONE + SYNC, count=3)),
    story("errors in a row", Step((BAD + ONE + SYNC) * 4, count=4), query("SELECT 1")),
    story("an error in bind", parse("SELECT $1::int", types=(23,)) + bind("x") + execute() + SYNC),
    story("an error in execute", parse("SELECT 1/0") + bind() + execute() + ONE + SYNC),
    story("a simple query among extended", Step(ONE + query("SELECT 2") + ONE + SYNC, count=2)),
    story("Flush shows early", Step(parse("SELECT 1") + describe("S") + FLUSH, "T"),
          Step(bind() + execute() + FLUSH, "C"), SYNC),
    story("Flush after an error", Step(BAD + FLUSH, "E"), ONE + SYNC),
    story("row limits", TEN + bind() + execute(rows=3) + execute(rows=3) + execute() + SYNC),
    story("portal over two rounds", query("BEGIN"), TEN + bind(portal="p") + SYNC,
          execute("p", 4) + SYNC, execute("p", 4) + SYNC, execute("p", 4) + SYNC, query("COMMIT")),
    story("portal suspended by Flush", Step(TEN + bind() + execute(rows=2) + FLUSH, "s"),
          Step(execute(rows=2) + FLUSH, "s"), SYNC),
    story("portal dies with its transaction", TEN + bind(portal="p") + SYNC, execute("p") + SYNC),
    story("unknown portal", execute("nobody") + SYNC, describe("P", "nobody") + SYNC),
    story("close what is not there", close("S", "nobody") + close("P", "nobody") + SYNC),
    story("the unnamed statement outlives its round", parse("SELECT 7") + SYNC,
          bind() + execute() + SYNC, describe("S") + SYNC, bind() + execute() + SYNC),
    story("the unnamed statement's types outlive it too", parse("SELECT $1 || 'b'", types=(25,))
          + describe("S") + SYNC, bind("a") + describe("P") + execute() + SYNC),
    story("a failed Parse leaves no unnamed statement", parse("SELECT 7") + SYNC,
          parse("SELECT nothing") + SYNC, bind() + execute() + SYNC),
    story("a simple query ends the unnamed statement", parse("SELECT 7") + SYNC,
          query("SELECT 8"), bind() + execute() + SYNC),
    story("a skipped Parse leaves the earlier statement", parse("SELECT 7") + SYNC,
          BAD[:0] + bind("too many") + parse("SELECT 8") + SYNC, bind() + execute() + SYNC),
    story("a bare Bind", bind() + execute() + SYNC, describe("S") + SYNC),
    story("a bare Bind after a skipped Parse",
          Step(execute("nobody") + parse("SELECT 8") + SYNC + bind() + execute() + SYNC, count=2)),
    story("a bare Bind after a skipped query",
          Step(execute("nobody") + query("SELECT 8") + SYNC + bind() + execute() + SYNC, count=2)),
    story("a bare Bind after a Parse that failed",
          Step(parse("SELECT nothing") + SYNC + bind() + execute() + SYNC, count=2)),
    story("the earlier statement after a skipped Parse", parse("SELECT 7") + SYNC, Step(
          execute("nobody") + parse("SELECT 8") + SYNC + bind() + execute() + SYNC, count=2)),
    story("closing the unnamed statement", parse("SELECT 7") + SYNC, close("S") + SYNC,
          bind() + execute() + SYNC),
    story("unnamed statement inside a failed transaction", query("BEGIN"), parse("ROLLBACK") + SYNC,
          query("SELECT 1/0"), query("ROLLBACK"), query("SELECT 1")),
    story("wrong number of parameters", parse("SELECT $1::int") + SYNC, bind() + SYNC, ONE + SYNC),
]  # fmt: skip

NAMED = [
    story("named", parse("SELECT $1::int", "s") + SYNC, bind("1", name="s") + execute() + SYNC,
          describe("S", "s") + SYNC, bind("2", name="s") + execute() + SYNC),
    story("name twice", parse("SELECT 1", "s") + SYNC, parse("SELECT 2", "s") + ONE + SYNC,
          bind(name="s") + execute() + SYNC),
    story("unknown name", bind(name="nobody") + ONE + SYNC, describe("S", "nobody") + SYNC),
    story("close and again", parse("SELECT 1", "s") + SYNC, close("S", "s") + SYNC,
          parse("SELECT 2", "s") + SYNC, bind(name="s") + execute() + SYNC),
    story("PREPARE", query("PREPARE q (int) AS SELECT $1 + 1"), query("EXECUTE q (1)"),
          query("EXECUTE q (2)"), query("DEALLOCATE q"), query("EXECUTE q (3)")),
    story("PREPARE shares the names", query("PREPARE q AS SELECT 1"), parse("SELECT 2", "q") + SYNC,
          bind(name="q") + execute() + SYNC),
    story("DISCARD ALL", query("PREPARE q AS SELECT 1"), query("DISCARD ALL"), query("EXECUTE q"),
          query("PREPARE q AS SELECT 2"), query("EXECUTE q")),
    story("statement outlives rollback", query("BEGIN"), parse("SELECT 5", "s") + SYNC,
          query("ROLLBACK"), bind(name="s") + execute() + SYNC),
    story("failed named Parse", parse("SELECT nothing", "s") + SYNC, parse("SELECT 1", "s") + SYNC,
          bind(name="s") + execute() + SYNC),
]  # fmt: skip

SETTINGS = [
    story("SET shows", query("SET work_mem = '99kB'"), query("SHOW work_mem"),
          query("RESET work_mem"), query("SHOW work_mem")),
    story("SET reports", query("SET DateStyle = 'German'"), query("SELECT DATE '2026-01-31'"),
          query("SET application_name = 'renamed'"), query("RESET ALL")),
    story("SET rolls back", query("BEGIN"), query("SET work_mem = '99kB'"), query("ROLLBACK"),
          query("SHOW work_mem")),
    story("WITH HOLD cursor", query("BEGIN"), query("DECLARE c CURSOR WITH HOLD FOR SELECT "
          "generate_series(1, 5)"), query("COMMIT"), query("FETCH 2 FROM c"), query("CLOSE c")),
    story("temporary table", query("CREATE TEMP TABLE mine (n int)"),
          query("INSERT INTO mine VALUES (1)"), query("SELECT * FROM mine"),
          query("DROP TABLE mine")),
    story("options", query("SHOW work_mem"), parameters={"options": "-c work_mem=123kB"}),
    story("TimeZone", query("SHOW TimeZone"), query("SELECT '2026-01-01 00:00Z'::timestamptz"),
          parameters={"TimeZone": "Asia/Tokyo"}),
    story("search_path", query("SHOW search_path"), parameters={"search_path": "pg_catalog, app"}),
]  # fmt: skip

COPY = [
    story("out", query("COPY (SELECT generate_series(1, 100)) TO STDOUT"), query("SELECT 1")),
    story("out fails half way", query("COPY (SELECT 1/(50-g) FROM generate_series(1,60) g) "
          "TO STDOUT"), query("SELECT 1")),
    story("in", Step(query(COPY_IN), "G"), copy_data(b"1\n2\n") + copy_data(b"3\n") + COPY_DONE,
          query("SELECT count(*) FROM numbers"), setup=NUMBERS),
    story("in, all in one write", query(COPY_IN) + copy_data(b"1\n2\n") + COPY_DONE,
          query("SELECT count(*) FROM numbers"), setup=NUMBERS),
    story("in, the client gives up", Step(query(COPY_IN), "G"), copy_data(b"1\n")
          + copy_fail("no more"), query("SELECT count(*) FROM numbers"), setup=NUMBERS),
    story("in, bad data, late messages", Step(query(COPY_IN), "G"), copy_data(b"1\nx\n"),
          copy_data(b"2\n") * 5 + COPY_DONE + query("SELECT count(*) FROM numbers"),
          query("SELECT 2"), setup=NUMBERS),
    story("in, bad data, late CopyFail", Step(query(COPY_IN), "G"), copy_data(b"x\n"),
          copy_fail("late") + query("SELECT 1"), setup=NUMBERS),
    story("in a transaction", query("BEGIN"), Step(query(COPY_IN), "G"), copy_data(b"1\n")
          + COPY_DONE, query("ROLLBACK"), query("SELECT count(*) FROM numbers"), setup=NUMBERS),
    story("among statements", Step(query(f"SELECT 1; {COPY_IN}; SELECT 2"), "G"),
          copy_data(b"1\n") + COPY_DONE, query("SELECT count(*) FROM numbers"), setup=NUMBERS),
    story("twice in one string", Step(query(f"{COPY_IN}; {COPY_IN}"), "G"),
          Step(copy_data(b"1\n") + COPY_DONE, "G"), copy_data(b"2\n") + COPY_DONE,
          query("SELECT count(*) FROM numbers"), setup=NUMBERS),
    story("extended", Step(parse(COPY_IN) + bind() + execute() + FLUSH, "G"),
          copy_data(b"1\n") + COPY_DONE + SYNC, query("SELECT count(*) FROM numbers"),
          setup=NUMBERS),
    story("extended, Sync ahead of the data", Step(parse(COPY_IN) + bind() + execute() + SYNC, "G"),
          copy_data(b"1\n") + COPY_DONE + SYNC, query("SELECT count(*) FROM numbers"),
          setup=NUMBERS),
    story("extended, all in one write", parse(COPY_IN) + bind() + execute() + copy_data(b"1\n")
          + COPY_DONE + SYNC, query("SELECT count(*) FROM numbers"), setup=NUMBERS),
    story("extended, bad data", Step(parse(COPY_IN) + bind() + execute() + FLUSH, "G"),
          copy_data(b"x\n") + copy_data(b"1\n") + COPY_DONE + SYNC, query("SELECT 1"),
          setup=NUMBERS),
    story("extended, given up", Step(parse(COPY_IN) + bind() + execute() + FLUSH, "G"),
          copy_fail("no more") + SYNC, query("SELECT 1"), setup=NUMBERS),
    story("Sync and Flush during COPY", Step(query(COPY_IN), "G"), copy_data(b"1\n") + SYNC + FLUSH
          + copy_data(b"2\n") + COPY_DONE, query("SELECT count(*) FROM numbers"), setup=NUMBERS),
    story("extended, twice in one pipeline", parse(COPY_IN) + bind() + execute() + copy_data(b"1\n")
          + COPY_DONE + bind() + execute() + copy_data(b"2\n") + COPY_DONE + SYNC,
          query("SELECT count(*) FROM numbers"), setup=NUMBERS),
    story("out, extended, then more", parse("COPY (VALUES (1)) TO STDOUT") + bind() + execute()
          + ONE + SYNC),
    story("no such table", query("COPY nowhere FROM STDIN") , query("SELECT 1")),
    story("copy messages outside COPY", copy_data(b"stray\n") + COPY_DONE + copy_fail("stray")
          + query("SELECT 1"), query("SELECT 2")),
]  # fmt: skip

STORIES = [*SIMPLE, *TRANSACTIONS, *EXTENDED, *NAMED, *SETTINGS, *COPY]
SHORT = [tale for tale in STORIES if sum(len(step.send) for step in tale.steps) < 400]


def name(tale: Story) -> str:
    return tale.name


def told(door: Door, tale: Story, cut: int = 0, between: Between = nobody) -> list[list[Message]]:
    if tale.setup:
        with door.connect() as connection:
            connection.execute(tale.setup.encode())
    parameters: dict[str, Any] = dict(tale.parameters)
    with door.raw(**parameters) as client:
        return play(client, tale.steps, cut, between)


@pytest.fixture
def neighbour(door: Door) -> Iterator[Callable[[], None]]:
    """Takes turns: holds a server connection in a transaction until called again."""
    with door.raw() as client:

        def move_over() -> None:
            client.ask(query("ROLLBACK"))
            client.ask(query("BEGIN"))
            client.ask(parse("SELECT 'neighbour'") + bind() + execute() + SYNC)

        yield move_over


def differences(
    direct: Door, through: Door, tales: list[Story], cut: int = 0, between: Between = nobody
) -> dict[str, str]:
    """By story: the first step whose answers differ."""
    found = {}
    for tale in tales:
        wanted, got = told(direct, tale), told(through, tale, cut, between)
        for number, (right, given) in enumerate(zip(wanted, got, strict=True), 1):
            if right != given:
                found[tale.name] = f"step {number}: PostgreSQL {right}, here {given}"
                break
    return found


@every_major
def test_every_story(
    door: Door, server: Postgres, door_of: DoorOf, neighbour: Callable[[], None]
) -> None:
    assert differences(door_of(server), door, STORIES, between=neighbour) == {}


@pytest.mark.parametrize("cut", [1, 3, 7])
def test_bytes_cut_anywhere(door: Door, server: Postgres, door_of: DoorOf, cut: int) -> None:
    assert differences(door_of(server), door, SHORT, cut=cut) == {}


def test_a_client_that_sends_all_before_it_reads(
    door: Door, server: Postgres, door_of: DoorOf
) -> None:
    rounds = 2000
    ahead = story("ahead", Step((ONE + SYNC + BAD + SYNC) * (rounds // 2), count=rounds))
    assert differences(door_of(server), door, [ahead]) == {}
