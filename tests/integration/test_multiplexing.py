"""Many clients, few server connections: nobody waits for ever, nobody sees another."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from sluice_testing.door import Door
from sluice_testing.fixtures import DoorOf, MakeConfig, StartProxy
from sluice_testing.postgres import Postgres
from sluice_testing.proxy import ProxyProcess, wait_until
from sluice_testing.raw import RawClient, query
from sluice_testing.stories import every_major

CLIENTS, BUDGET = 50, 3


@pytest.fixture
def proxy(server: Postgres, make_config: MakeConfig, start_proxy: StartProxy) -> ProxyProcess:
    return start_proxy(make_config(server, budget=BUDGET))


class Sampler:
    """Counts the app's connections on the server all the while, as the server sees them."""

    def __init__(self, server: Postgres):
        self._server = server
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.counts: list[int] = []

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(0.02):
            self.counts.append(self._server.sample_connections())


@pytest.fixture
def quiet(server: Postgres) -> None:
    """The connections of earlier tests are gone."""
    wait_until(lambda: server.sample_connections() == 0, "no connections of earlier tests")


@every_major
async def test_fifty_clients_on_three_connections(
    quiet: None, proxy: ProxyProcess, door: Door, server: Postgres
) -> None:
    async def client(number: int) -> list[object]:
        connection = await door.connect_async()
        async with connection:
            rows: list[object] = []
            for turn in range(10):
                cursor = await connection.execute("SELECT %s::int", [number * 100 + turn])
                rows.append(await cursor.fetchone())
            return rows

    with Sampler(server) as sampler:
        answers = await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    assert answers == [[(n * 100 + turn,) for turn in range(10)] for n in range(CLIENTS)]
    assert 0 < max(sampler.counts) <= BUDGET


def test_the_events_of_many_are_looked_at_together(
    server: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
) -> None:
    """Forty clients ask at once, again and again: until the proxy's looks are apart."""
    proxy = start_proxy(make_config(server, budget=20))

    def look_interval() -> float:
        return proxy.metrics()["sluice_look_interval_seconds"]

    assert look_interval() == 0
    with door_of(proxy).crowd(40) as clients, Asking(clients):
        proxy.wait_until(lambda: look_interval() > 0, "looks are apart", 60.0)
    proxy.wait_until(lambda: look_interval() == 0, "each event is taken as it comes")


class Asking:
    """Clients that all ask, and all have their answers, and ask again; each its own question."""

    def __init__(self, clients: list[RawClient]):
        self._clients = clients
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.wrong: list[list[bytes | None]] = []

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        assert self.wrong == []

    def _ask(self) -> None:
        questions = [query(f"SELECT {number}") for number in range(len(self._clients))]
        while not self._stop.is_set():
            for client, question in zip(self._clients, questions, strict=True):
                client.send(question)
            for number, client in enumerate(self._clients):
                [row] = [found.row for found in client.read_until("Z") if found.kind == "D"]
                if row != [b"%d" % number]:
                    self.wrong.append(row)


async def test_transactions_of_fifty_clients(
    quiet: None, proxy: ProxyProcess, door: Door, server: Postgres
) -> None:
    async def client() -> set[object]:
        connection = await door.connect_async()
        backends: set[object] = set()
        async with connection, connection.transaction():
            for _ in range(5):
                cursor = await connection.execute("SELECT pg_backend_pid()")
                backends.add(await cursor.fetchone())
                await asyncio.sleep(0.01)
        return backends

    with Sampler(server) as sampler:
        backends = await asyncio.gather(*(client() for _ in range(CLIENTS)))
    assert {len(of_one_client) for of_one_client in backends} == {1}
    assert 0 < max(sampler.counts) <= BUDGET


def test_connections_are_shared_and_kept(proxy: ProxyProcess, door: Door) -> None:
    backends = set()
    for _ in range(20):
        with door.raw() as client:
            backends.add(client.value("SELECT pg_backend_pid()"))
    assert len(backends) == 1


def test_connecting_alone_borrows_nothing(proxy: ProxyProcess, door: Door) -> None:
    with door.raw() as holder, door.raw(), door.raw(), door.raw(), door.raw():
        holder.ask(query("BEGIN"))
        pool = proxy.state()["pool"]
        assert (pool["clients"], pool["borrowed"]) == (5, 1)


@pytest.fixture
def holders(proxy: ProxyProcess, door: Door) -> Iterator[list[RawClient]]:
    """As many open transactions as there are server connections."""
    with door.crowd(BUDGET) as clients:
        for client in clients:
            client.ask(query("BEGIN"))
        yield clients


def test_an_idle_transaction_keeps_its_connection(
    holders: list[RawClient], proxy: ProxyProcess, door: Door
) -> None:
    with door.raw() as waiter:
        waiter.send(query("SELECT 'served'"))
        proxy.wait_for_pool(borrowed=BUDGET, waiting=1)
        assert waiter.silent_for(0.3)
        holders[0].ask(query("COMMIT"))
        assert [m.row for m in waiter.read_until("Z") if m.kind == "D"] == [[b"served"]]


def test_a_failed_transaction_keeps_its_connection(
    holders: list[RawClient], proxy: ProxyProcess, door: Door
) -> None:
    with door.raw() as waiter:
        holders[1].ask(query("SELECT 1/0"))
        waiter.send(query("SELECT 'served'"))
        proxy.wait_for_pool(borrowed=BUDGET, waiting=1)
        assert waiter.silent_for(0.3)
        holders[1].ask(query("ROLLBACK"))
        assert waiter.read_until("Z")[-1].kind == "Z"


def test_waiters_are_served_in_their_order(
    holders: list[RawClient], proxy: ProxyProcess, door: Door
) -> None:
    times: list[bytes | None] = []
    with door.crowd(5) as queue:
        for place, client in enumerate(queue, 1):
            client.send(query("SELECT clock_timestamp()"))
            proxy.wait_for_pool(waiting=place)
        holders[0].ask(query("COMMIT"))
        for client in queue:
            times += [m.row[0] for m in client.read_until("Z") if m.kind == "D"]
    assert times == sorted(times, key=str)
    assert len(times) == 5


def test_databases_and_users_share_the_budget(
    quiet: None,
    server: Postgres,
    make_config: MakeConfig,
    start_proxy: StartProxy,
    door_of: DoorOf,
) -> None:
    """Three connections in all, and an idle one of another database makes room."""
    door = door_of(start_proxy(make_config(server, budget=BUDGET)))
    with Sampler(server) as sampler:
        for _ in range(5):
            for database in ("app", "postgres", "template1"):
                with door.raw(database=database) as one, door.raw(database=database) as two:
                    one.ask(query("BEGIN"))
                    assert two.value("SELECT current_database()") == database
                    assert one.value("SELECT current_database()") == database
                    one.ask(query("ROLLBACK"))
    assert 0 < max(sampler.counts) <= BUDGET
