"""What a session leaves in its server connection: its own client finds it, no other does."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from sluice_proxy.config import User
from sluice_testing.door import Door
from sluice_testing.fixtures import DoorOf, MakeConfig, StartProxy
from sluice_testing.postgres import Postgres
from sluice_testing.proxy import ProxyProcess, wait_until
from sluice_testing.raw import (
    SYNC,
    RawClient,
    Refused,
    bind,
    describe,
    execute,
    function_call,
    parse,
    query,
)
from sluice_testing.stories import every_major

TEMPORARY = "SELECT coalesce(to_regclass('mine')::text, 'none')"
LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"

# What is said, the question that shows the difference, and its answer in a fresh session.
MARKS: dict[str, tuple[bytes, str, str]] = {
    "SET": (query("SET work_mem = '99kB'"), "SHOW work_mem", "4MB"),
    "SET, among other statements": (
        query("SELECT 1; SET work_mem = '99kB'; SELECT 2"),
        "SHOW work_mem",
        "4MB",
    ),
    "SET after a comment": (
        query("/* why /* not */ */ -- so\n\tSeT/**/work_mem TO '99kB'"),
        "SHOW work_mem",
        "4MB",
    ),
    "SET by extended query": (
        parse("SET work_mem = '99kB'") + bind() + execute() + SYNC,
        "SHOW work_mem",
        "4MB",
    ),
    "SET SESSION": (query("SET SESSION work_mem = '99kB'"), "SHOW work_mem", "4MB"),
    "SET TIME ZONE": (query("SET TIME ZONE 'Asia/Tokyo'"), "SHOW TimeZone", "UTC"),
    "SET SESSION CHARACTERISTICS": (
        query("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"),
        "SHOW default_transaction_read_only",
        "off",
    ),
    "SET in a transaction that commits": (
        query("BEGIN; SET work_mem = '99kB'; COMMIT"),
        "SHOW work_mem",
        "4MB",
    ),
    "an own setting": (
        query("SET shop.owner = 'ann'"),
        "SELECT coalesce(current_setting('shop.owner', true), '')",
        "",
    ),
    "set_config": (
        query("SELECT set_config('work_mem', '99kB', false)"),
        "SHOW work_mem",
        "4MB",
    ),
    "set_config with a parameter": (
        parse("SELECT pg_catalog.set_config('work_mem', $1, $2::bool)")
        + bind("99kB", "false")
        + execute()
        + SYNC,
        "SHOW work_mem",
        "4MB",
    ),
    "a quoted set_config": (
        query("SELECT \"set_config\"('work_mem', '99kB', false)"),
        "SHOW work_mem",
        "4MB",
    ),
    "update pg_settings": (
        query("UPDATE pg_settings SET setting = '99' WHERE name = 'work_mem'"),
        "SHOW work_mem",
        "4MB",
    ),
    "set_config in a DO block": (
        query("DO $$BEGIN PERFORM set_config('work_mem', '99kB', false); END$$"),
        "SHOW work_mem",
        "4MB",
    ),
    "a temporary table": (
        query("CREATE TEMP TABLE mine (n int)"),
        TEMPORARY,
        "none",
    ),
    "a temporary table as a query": (
        query("SELECT 1 AS n INTO TEMPORARY mine"),
        TEMPORARY,
        "none",
    ),
    "a temporary table through its schema": (
        query("CREATE TABLE pg_temp.mine (n int)"),
        TEMPORARY,
        "none",
    ),
    "a temporary view": (
        query("CREATE OR REPLACE TEMP VIEW mine AS SELECT 1"),
        TEMPORARY,
        "none",
    ),
    "LISTEN": (query("LISTEN news"), "SELECT count(*) FROM pg_listening_channels()", "0"),
    "an advisory lock": (query("SELECT pg_advisory_lock(7)"), LOCKS, "0"),
    "an advisory lock, tried": (query("SELECT pg_try_advisory_lock(7, 8)"), LOCKS, "0"),
    "an advisory lock, shared": (
        query("SELECT pg_catalog.pg_advisory_lock_shared(7)"),
        LOCKS,
        "0",
    ),
    "an advisory lock in a transaction": (
        query("BEGIN; SELECT pg_advisory_lock(7); COMMIT"),
        LOCKS,
        "0",
    ),
    "an advisory lock by name in quotes": (query('SELECT "pg_advisory_lock"(7)'), LOCKS, "0"),
    "an advisory lock by function call": (
        function_call(2880, (7).to_bytes(8, "big")),  # pg_proc: pg_advisory_lock(int8)
        LOCKS,
        "0",
    ),
    "a WITH HOLD cursor": (
        query("BEGIN; DECLARE mine CURSOR WITH HOLD FOR SELECT 1; COMMIT"),
        "SELECT count(*) FROM pg_cursors WHERE is_holdable",
        "0",
    ),
    "SET ROLE": (query("SET ROLE pg_monitor"), "SELECT current_user", "app"),
}


@pytest.fixture(autouse=True)
def role_that_may(server: Postgres) -> None:
    server.execute("GRANT pg_monitor TO app")


@pytest.fixture
def proxy(server: Postgres, make_config: MakeConfig, start_proxy: StartProxy) -> ProxyProcess:
    """Two connections: the one that is marked, and the one that proves the difference."""
    return start_proxy(make_config(server, budget=2))


@pytest.fixture
def others(door: Door) -> Iterator[list[RawClient]]:
    with door.crowd(4) as clients:
        yield clients


@every_major
def test_every_mark_stays_with_its_client(door: Door, others: list[RawClient]) -> None:
    """Others ask at every free connection, while the marked session lives and after it."""
    wrong = {}
    for name, (mark, question, untouched) in MARKS.items():
        everywhere = question == LOCKS  # a lock is seen from every session, while it is held
        with door.raw() as client:
            assert "E" not in [message.kind for message in client.ask(mark)], name
            during = [other.value(question) for other in others]
            if client.value(question) == untouched:
                wrong[name] = "its own client does not see it"
        if everywhere:
            wait_until(lambda: others[0].value(LOCKS) == "0", f"released: {name}")
        elif {other.value(question) for other in others} != {untouched}:
            wrong[name] = "others see it after its client left"
        if not everywhere and set(during) != {untouched}:
            wrong[name] = "others see it while its client is there"
    assert wrong == {}


def test_a_loaded_library_goes_with_its_client(
    server: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
) -> None:
    """DISCARD ALL does not unload it."""
    superuser = User("postgres", server.superuser_password)
    proxy = start_proxy(make_config(server, budget=1, users=(superuser,)))
    door = door_of(proxy).as_user("postgres", server.superuser_password)
    loaded = "SELECT count(*) FROM pg_settings WHERE name LIKE 'auto_explain.%'"
    with door.raw(database="postgres") as client:
        client.ask(query("LOAD 'auto_explain'"))
        assert client.value(loaded) != "0"
        proxy.wait_for_pool(pinned=1)
    with door.raw(database="postgres") as client:
        assert client.value(loaded) == "0"


NO_PIN = {
    "a query": query("SELECT 1"),
    "a transaction": query("BEGIN; SELECT 1; COMMIT"),
    "SET LOCAL": query("BEGIN; SET LOCAL work_mem = '99kB'; COMMIT"),
    "SET TRANSACTION": query("BEGIN; SET TRANSACTION READ ONLY; COMMIT"),
    "SET CONSTRAINTS": query("BEGIN; SET CONSTRAINTS ALL DEFERRED; COMMIT"),
    "set_config, local": query("SELECT set_config('work_mem', '99kB', true)"),
    "a lock of the transaction": query("SELECT pg_advisory_xact_lock(7)"),
    "a cursor of the transaction": query("BEGIN; DECLARE c CURSOR FOR SELECT 1; COMMIT"),
    "a table": query("CREATE TABLE IF NOT EXISTS settings (temp int, listen int)"),
    "words in a string": query("SELECT 'SET x = 1; LISTEN y; CREATE TEMP TABLE z'"),
    "words in a dollar string": query("SELECT $a$ SET x = 1; LISTEN y $a$"),
    "words in a comment": query("SELECT 1 /* SET x; LISTEN y */ -- PREPARE z"),
    "UPDATE … SET": query("UPDATE settings SET temp = 1"),
    "the unnamed statement": parse("SELECT 1") + SYNC,
    "NOTIFY": query("NOTIFY news"),
    "an error": query("SELECT 1/0"),
    "EXPLAIN": query("EXPLAIN SELECT 1"),
    "a harmless DO block": query("DO $$BEGIN PERFORM 1; END$$"),
    "SHOW": query("SHOW work_mem"),
}


def test_what_does_not_pin(proxy: ProxyProcess, door: Door) -> None:
    pinned = {}
    for name, said in NO_PIN.items():
        with door.raw() as client:
            client.ask(query("CREATE TABLE IF NOT EXISTS settings (temp int, listen int)"))
            client.ask(said)
            if proxy.state()["pool"]["pinned"]:
                pinned[name] = said
        proxy.wait_for_pool(clients=0, borrowed=0)
    assert pinned == {}


def test_a_pin_is_seen_with_its_reason(proxy: ProxyProcess, door: Door) -> None:
    with door.raw() as client:
        before = sum_of(proxy, "sluice_pins_total")
        client.ask(query("LISTEN news"))
        proxy.wait_for_pool(pinned=1, borrowed=1)
        assert sum_of(proxy, "sluice_pins_total") == before + 1
        reasons = [name for name in proxy.metrics() if name.startswith("sluice_pins_total{")]
        assert any("LISTEN" in name.upper() for name in reasons)
        assert "LISTEN" in proxy.log.upper()
    proxy.wait_for_pool(pinned=0, borrowed=0, clients=0)


def sum_of(proxy: ProxyProcess, name: str) -> float:
    return sum(value for key, value in proxy.metrics().items() if key.partition("{")[0] == name)


def test_a_listener_hears(door: Door) -> None:
    with door.raw() as listener, door.raw() as speaker:
        listener.ask(query("LISTEN news"))
        speaker.ask(query("NOTIFY news, 'it rains'"))
        heard = listener.read()
        assert (heard.kind, heard.body[4:]) == ("A", b"news\0it rains\0")


def test_a_listener_does_not_bequeath_its_channel(
    proxy: ProxyProcess, door: Door, server: Postgres
) -> None:
    with door.raw() as listener:
        listener.ask(query("LISTEN news"))
    proxy.wait_for_pool(clients=0, borrowed=0)
    with door.raw() as one, door.raw() as two:
        one.ask(query("BEGIN"))
        two.ask(query("BEGIN"))
        server.execute("NOTIFY news, 'too late'", database="app")
        assert [m.kind for m in one.ask(query("COMMIT"))] == ["C", "Z"]
        assert [m.kind for m in two.ask(query("COMMIT"))] == ["C", "Z"]


def test_pins_use_up_the_budget_and_free_it_again(proxy: ProxyProcess, door: Door) -> None:
    with door.raw() as waiter, door.crowd(2) as pinned:
        for client in pinned:
            client.ask(query("LISTEN news"))
        waiter.send(query("SHOW work_mem"))
        proxy.wait_for_pool(pinned=2, waiting=1)
        pinned[0].close()
        assert [m.row for m in waiter.read_until("Z") if m.kind == "D"] == [[b"4MB"]]


@every_major
def test_startup_parameters_are_each_clients_own(proxy: ProxyProcess, door: Door) -> None:
    """Interleaved on two server connections."""
    wishes: list[tuple[dict[str, Any], str, str]] = [
        ({"TimeZone": "Asia/Tokyo"}, "SHOW TimeZone", "Asia/Tokyo"),
        ({"application_name": "mine"}, "SHOW application_name", "mine"),
        ({"options": "-c work_mem=123kB -c shop.owner=ann"}, "SHOW work_mem", "123kB"),
        ({"client_encoding": "LATIN1"}, "SHOW client_encoding", "LATIN1"),
        ({"DateStyle": "German"}, "SHOW DateStyle", "German, DMY"),
        ({}, "SHOW work_mem", "4MB"),
        ({}, "SHOW TimeZone", "UTC"),
    ]
    for _ in range(2):
        for parameters, question, wish in wishes:
            with door.raw(**parameters) as client:
                assert client.value(question) == wish
            proxy.wait_for_pool(clients=0, borrowed=0)


def test_the_parameter_status_says_what_was_asked_for(door: Door) -> None:
    with door.raw(TimeZone="Asia/Tokyo", application_name="mine") as client:
        assert client.parameters["TimeZone"] == "Asia/Tokyo"
        assert client.parameters["application_name"] == "mine"


def test_a_startup_parameter_that_the_server_refuses(door: Door) -> None:
    with pytest.raises(Refused) as refused, door.raw(work_mem="much") as client:
        client.value("SELECT 1")
    assert refused.value.fields["C"] == "22023"
    with door.raw() as client:
        assert client.value("SHOW work_mem") == "4MB"


class TestUnnamedStatement:
    """Parsed in one round and bound in the next, with others between: as asyncpg does."""

    @pytest.fixture
    def proxy(
        self, server: Postgres, make_config: MakeConfig, start_proxy: StartProxy
    ) -> ProxyProcess:
        return start_proxy(make_config(server, budget=1))

    def test_raw(self, proxy: ProxyProcess, door: Door) -> None:
        with door.raw() as one, door.raw() as two:
            for client, word in ((one, "one"), (two, "two")):
                client.ask(parse(f"SELECT '{word}' || $1", types=(25,)), describe("S"), SYNC)
            for _ in range(3):
                for client, text in ((one, b"one!"), (two, b"two!")):
                    answers = client.ask(bind("!"), execute(), SYNC)
                    assert [m.kind for m in answers] == ["2", "D", "C", "Z"]
                    assert answers[1].row == [text]
        proxy.wait_for_pool(pinned=0)

    def test_a_bare_bind_never_runs_anothers_statement(self, door: Door) -> None:
        with door.raw() as one, door.raw() as two:
            one.ask(parse("SELECT 'secret of one'"), SYNC)
            answers = two.ask(bind(), execute(), SYNC)
            assert [m.kind for m in answers] == ["E", "Z"]
            assert answers[0].fields["C"] == "26000"

    async def test_asyncpg(self, proxy: ProxyProcess, door: Door) -> None:
        async def client(number: int) -> None:
            connection = await door.connect_asyncpg(statement_cache_size=0)
            try:
                for turn in range(20):
                    value = await connection.fetchval("SELECT $1::int * 1000 + $2", number, turn)
                    assert value == number * 1000 + turn
            finally:
                await connection.close()

        await asyncio.gather(*(client(number) for number in range(8)))
        assert proxy.state()["pool"]["pinned"] == 0


def test_discard_all_of_a_leaver_does_not_reach_the_next(
    quiet: None, proxy: ProxyProcess, door: Door, server: Postgres
) -> None:
    """A connection is cleaned or closed before anybody gets it: never more than two open."""
    for _ in range(10):
        with door.raw() as client:
            client.ask(query("SET work_mem = '99kB'"))
            client.ask(query("CREATE TEMP TABLE mine (n int)"))
        with door.raw() as client:
            assert client.value("SHOW work_mem") == "4MB"
            assert client.value("SELECT to_regclass('pg_temp.mine')") is None
    assert server.sample_connections() <= 2


@pytest.fixture
def quiet(server: Postgres) -> None:
    wait_until(lambda: server.sample_connections() == 0, "no connections of earlier tests")
