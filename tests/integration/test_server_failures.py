"""The server goes away: clients outside a transaction go on, those inside are told so."""

import concurrent.futures
from collections.abc import Iterator

import pytest

from sluice_testing.door import Door
from sluice_testing.fixtures import DoorOf, MakeConfig, StartProxy
from sluice_testing.postgres import Postgres
from sluice_testing.proxy import ProxyProcess, wait_until
from sluice_testing.raw import SYNC, RawClient, Refused, bind, copy_data, execute, parse, query

# What PostgreSQL or the proxy says when a connection is lost under a client.
HONEST = {"57P01", "57P02", "08006", "57P03"}


@pytest.fixture
def server(own_server: Postgres) -> Postgres:
    if not own_server.running:
        own_server.start()
    own_server.execute(
        "ALTER ROLE app CONNECTION LIMIT -1",
        "DROP TABLE IF EXISTS effects",
        "CREATE TABLE effects (n int)",
        "GRANT ALL ON effects TO app",
        "CHECKPOINT",  # synchronous_commit is off: a crash must not take this with it
        database="app",
    )
    return own_server


@pytest.fixture
def proxy(server: Postgres, make_config: MakeConfig, start_proxy: StartProxy) -> ProxyProcess:
    return start_proxy(make_config(server, budget=3))


@pytest.fixture
def clients(proxy: ProxyProcess, door: Door) -> Iterator[list[RawClient]]:
    """Three that have asked something and are idle."""
    with door.crowd(3) as clients:
        for client in clients:
            client.value("SELECT 1")
        yield clients


def effects(server: Postgres) -> int:
    [count] = server.fetch("SELECT count(*) FROM effects", database="app")
    return int(count)


def last_words(client: RawClient) -> str:
    """The SQLSTATE of the error that ends the client's connection or its transaction."""
    errors = [message for message in client.read_until("Z") if message.kind == "E"]
    return errors[0].fields["C"]


def test_terminated_while_idle(server: Postgres, clients: list[RawClient]) -> None:
    server.terminate_connections()
    for client in clients:
        assert client.value("SELECT 1") == "1"


def test_terminated_in_a_transaction(
    server: Postgres, clients: list[RawClient], proxy: ProxyProcess
) -> None:
    inside, outside, _ = clients
    inside.ask(query("BEGIN"))
    inside.ask(query("INSERT INTO effects VALUES (1)"))
    server.terminate_connections()
    inside.send(query("INSERT INTO effects VALUES (2)"))
    assert last_words(inside) in HONEST
    assert outside.value("SELECT 1") == "1"
    assert effects(server) == 0


def test_terminated_while_a_query_runs(server: Postgres, clients: list[RawClient]) -> None:
    inside, outside, _ = clients
    inside.send(query("INSERT INTO effects SELECT 1 FROM pg_sleep(30)"))
    wait_until(lambda: sleeping(server), "the query runs")
    server.terminate_connections()
    assert last_words(inside) in HONEST
    assert outside.value("SELECT 1") == "1"
    assert effects(server) == 0


def sleeping(server: Postgres) -> list[int]:
    return server.fetch("SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'")


def test_nothing_is_sent_twice(server: Postgres, proxy: ProxyProcess, door: Door) -> None:
    """Whoever got an error may have had its effect or not; whoever got none had it once."""
    for turn in range(30):
        before = effects(server)
        with door.raw() as client:
            client.value("SELECT 1")
            client.send(query("INSERT INTO effects VALUES (1)"))
            if turn % 2:
                server.terminate_connections()
            failed = any(message.kind == "E" for message in client.read_until("Z"))
        added = effects(server) - before
        assert added in ((0, 1) if failed else (1,)), f"turn {turn}: {added} rows"


@pytest.mark.parametrize("how", ["restart", "crash"])
def test_a_restart_of_the_server(server: Postgres, clients: list[RawClient], how: str) -> None:
    inside, outside, asks_meanwhile = clients
    inside.ask(query("BEGIN"))
    inside.ask(query("INSERT INTO effects VALUES (1)"))
    server.crash() if how == "crash" else server.stop()
    asks_meanwhile.send(query("INSERT INTO effects VALUES (7)"))
    assert asks_meanwhile.silent_for(0.5), "it waits for the server"
    server.start()
    assert [m.text for m in asks_meanwhile.read_until("Z")] == ["INSERT 0 1", "I"]
    assert outside.value("SELECT 1") == "1"
    inside.send(query("COMMIT"))
    assert last_words(inside) in HONEST
    assert server.fetch("SELECT n FROM effects", database="app") == [7]


def test_readiness_and_health_follow_the_server(
    server: Postgres, proxy: ProxyProcess, door: Door
) -> None:
    server.stop()
    with door.raw() as waiter:
        waiter.send(query("SELECT 'late'"))
        proxy.wait_until(lambda: proxy.health == ["Unavailable"], "the target is Unavailable")
        assert proxy.get("/healthz").status == 200
        server.start()
        assert [m.row for m in waiter.read_until("Z") if m.kind == "D"] == [[b"late"]]
        assert proxy.health == ["Available"]


def test_a_server_that_is_not_there_yet(
    server: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
) -> None:
    server.stop()
    proxy = start_proxy(make_config(server), ready=False)
    with concurrent.futures.ThreadPoolExecutor() as threads:
        client = threads.submit(door_of(proxy).raw)
        proxy.wait_until(lambda: proxy.health == ["Unavailable"], "the target is Unavailable")
        server.start()
        with client.result() as early:
            assert early.value("SELECT 1") == "1"


def test_a_wrong_password_needs_no_server(
    server: Postgres, proxy: ProxyProcess, door: Door
) -> None:
    """Failing at once beats waiting where waiting cannot help."""
    server.stop()
    with pytest.raises(Refused) as refused:
        door.as_user("app", "wrong").raw()
    assert refused.value.fields["C"] == "28P01"


def test_too_many_connections_on_the_server(
    server: Postgres, proxy: ProxyProcess, door: Door, door_of: DoorOf
) -> None:
    """Others took them all: clients wait, and go on when there is room."""
    server.execute("ALTER ROLE app CONNECTION LIMIT 0")
    server.terminate_connections()
    with door.raw() as waiter:
        waiter.send(query("SELECT 'at last'"))
        proxy.wait_for_pool(waiting=1)
        assert waiter.silent_for(0.5)
        server.execute("ALTER ROLE app CONNECTION LIMIT -1")
        assert [m.row for m in waiter.read_until("Z") if m.kind == "D"] == [[b"at last"]]


class TestClientsThatDie:
    """In the middle of things: rolled back, and never handed on dirty."""

    @pytest.fixture
    def proxy(
        self, server: Postgres, make_config: MakeConfig, start_proxy: StartProxy
    ) -> ProxyProcess:
        return start_proxy(make_config(server, budget=1))

    @pytest.mark.parametrize("farewell", ["close", "vanish"])
    @pytest.mark.parametrize(
        "said",
        [
            query("BEGIN; INSERT INTO effects VALUES (1)"),
            query("BEGIN; INSERT INTO effects VALUES (1); SELECT 1/0"),
            query("INSERT INTO effects SELECT 1 FROM pg_sleep(1)") + b"Q\0\0",
            query("BEGIN; INSERT INTO effects VALUES (1); SELECT pg_sleep(30)"),
            query("COPY effects FROM STDIN") + copy_data(b"1\n"),
            query("BEGIN; COPY effects FROM STDIN") + copy_data(b"1\n") + copy_data(b"2\n")[:3],
            parse("INSERT INTO effects VALUES (1)") + bind() + execute(),
            query("BEGIN") + parse("INSERT INTO effects VALUES (1)") + bind() + execute() + SYNC,
            query("COPY (SELECT repeat('x', 999) FROM generate_series(1, 99999)) TO STDOUT"),
        ],
        ids=[
            "idle in a transaction",
            "idle in a failed transaction",
            "while a query runs, half a message behind it",
            "while a query in a transaction runs",
            "in COPY",
            "in COPY, half a message sent",
            "before its Sync",
            "after a Sync in a transaction",
            "reading COPY",
        ],
    )
    def test_killed(
        self, server: Postgres, proxy: ProxyProcess, door: Door, said: bytes, farewell: str
    ) -> None:
        client = door.raw()
        client.send(said)
        proxy.wait_for_pool(borrowed=1)
        wait_until(lambda: busy(server), "the server has got it")
        getattr(client, farewell)()
        with door.raw() as following:
            assert following.value("SELECT count(*) FROM effects") in ("0", "1")
            assert following.ask(query("SELECT 'mine'"))[-1].body == b"I"
        proxy.wait_for_pool(clients=0, borrowed=0)
        wait_until(lambda: not in_transaction(server), "no transaction is left open")
        if b"pg_sleep(1)" not in said:  # that one was a whole statement and may have run
            assert effects(server) == 0


def busy(server: Postgres) -> list[int]:
    return server.fetch(
        "SELECT pid FROM pg_stat_activity WHERE usename = 'app' AND query <> '' AND state <> 'idle'"
    )


def in_transaction(server: Postgres) -> list[int]:
    return server.fetch(
        "SELECT pid FROM pg_stat_activity WHERE usename = 'app' AND xact_start IS NOT NULL"
    )
