"""The server goes away: clients outside a transaction go on, those inside are told so."""

import concurrent.futures
import contextlib
import socketserver
import threading
from collections.abc import Iterator

import pytest

from sluice_proxy.config import TargetTLS
from sluice_testing.door import Door
from sluice_testing.fixtures import DoorOf, MakeConfig, StartProxy
from sluice_testing.postgres import Postgres
from sluice_testing.proxy import ProxyProcess, wait_until
from sluice_testing.raw import (
    SYNC,
    RawClient,
    Refused,
    bind,
    copy_data,
    execute,
    message,
    parse,
    query,
)

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
    """Pitfall 53: the client cannot know its state, so it is told and its connection ends."""
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
    """Pitfall 53: what was sent is never sent again.

    Whoever got an error may have had its effect or not; whoever got none had it once.
    """
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
    """Pitfall 53: who is in no transaction and has sent nothing is served by another."""
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


@pytest.mark.parametrize("how", ["stop", "crash"])
def test_health_follows_the_server_without_clients(
    server: Postgres, proxy: ProxyProcess, how: str
) -> None:
    """The connection of the proxy's own login ends: that tells."""
    proxy.wait_for_pool(open=1, clients=0)
    getattr(server, how)()
    proxy.wait_until(lambda: proxy.state()["targets"][0]["reason"] == "Unreachable", "it is gone")
    server.start()
    proxy.wait_until(lambda: proxy.health == ["Available"], "it is back")


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


@pytest.mark.parametrize(
    ("sqlstate", "text"),
    [
        ("57P03", "the database system is starting up"),
        ("57P03", "the database system is shutting down"),
        ("53300", "sorry, too many clients already"),
    ],
)
def test_a_server_that_refuses_for_now(
    server: Postgres,
    make_config: MakeConfig,
    start_proxy: StartProxy,
    door_of: DoorOf,
    sqlstate: str,
    text: str,
) -> None:
    """Pitfall 54: clients wait for it, those that come meanwhile too; nobody is told a stale no."""
    proxy = start_proxy(make_config(server, target_tls=TargetTLS("Disable")))
    door = door_of(proxy)
    with door.raw() as waiter:
        waiter.value("SELECT 1")
        server.stop()
        with refusing(server, sqlstate, text):
            waiter.send(query("SELECT 'at last'"))
            proxy.wait_until(lambda: text in proxy.state()["targets"][0]["message"], text)
            with door.raw() as newcomer:
                newcomer.send(query("SELECT 'me too'"))
                assert newcomer.silent_for(0.5)
                assert waiter.silent_for(0.1)
                # One attempt at a time, however many wait.
                assert proxy.state()["pool"]["open"] <= 1
        server.start()
        assert [m.row for m in waiter.read_until("Z") if m.kind == "D"] == [[b"at last"]]


@contextlib.contextmanager
def refusing(server: Postgres, sqlstate: str, text: str) -> Iterator[None]:
    """Where `server` was, something that says this to whoever comes."""
    fields = f"SFATAL\0VFATAL\0C{sqlstate}\0M{text}\0\0".encode()
    refusal = message("E", fields)

    class Refusing(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(refusal)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server((server.host, server.port), Refusing) as stand_in:
        threading.Thread(target=stand_in.serve_forever, args=(0.05,), daemon=True).start()
        yield
        stand_in.shutdown()


@pytest.mark.parametrize("farewell", ["close", "vanish"])
@pytest.mark.parametrize("inside", ["", "BEGIN; INSERT INTO effects VALUES (1); "])
def test_nothing_of_a_client_that_vanished_runs_on(
    server: Postgres, proxy: ProxyProcess, door: Door, inside: str, farewell: str
) -> None:
    """Pitfall 52: within 5 seconds its query is cancelled and its transaction rolled back."""
    client = door.raw()
    client.send(query(f"{inside}SELECT pg_sleep(600)"))
    wait_until(lambda: sleeping(server), "the query runs")
    getattr(client, farewell)()
    wait_until(lambda: not sleeping(server), "the query is cancelled", 5.0)
    wait_until(lambda: not in_transaction(server), "its transaction is over", 5.0)
    assert effects(server) == 0
    proxy.wait_for_pool(clients=0, borrowed=0)


class TestTerminate:
    """Pitfall 60: it may come in any state, and what is not flushed is of no interest."""

    @pytest.mark.parametrize(
        ("said", "rows"),
        [
            (b"", 0),
            (query("INSERT INTO effects VALUES (1)"), 1),
            (query("BEGIN; INSERT INTO effects VALUES (1)"), 0),
            (query("BEGIN; INSERT INTO effects VALUES (1); SELECT 1/0"), 0),
            (parse("INSERT INTO effects VALUES (1)") + bind() + execute(), 0),
            (parse("INSERT INTO effects VALUES (1)") + bind() + execute() + SYNC, 1),
            (query("COPY effects FROM STDIN") + copy_data(b"1\n"), 0),
            (query("COPY (SELECT repeat('x', 999) FROM generate_series(1, 9999)) TO STDOUT"), 0),
            (query("SELECT 1") * 100, 0),
        ],
        ids=[
            "at rest",
            "behind a query",
            "in a transaction",
            "in a failed transaction",
            "before a Sync",
            "behind a Sync",
            "in COPY",
            "amid rows that nobody reads",
            "behind a hundred queries",
        ],
    )
    def test_in_any_state(
        self, server: Postgres, proxy: ProxyProcess, door: Door, said: bytes, rows: int
    ) -> None:
        with door.raw() as client:
            client.send(said + message("X"))
            client.read_bytes()
        proxy.wait_for_pool(clients=0, borrowed=0)
        wait_until(lambda: not in_transaction(server), "no transaction is left open")
        assert effects(server) == rows
        with door.raw() as following:
            assert following.value("SELECT 'clean'") == "clean"


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
