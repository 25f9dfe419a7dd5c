"""Waiting beats failing, up to the timeouts; and who stops waiting is gone.

Pitfall 56: there are timeouts on both sides, and each is told by whoever it belongs to.
"""

from collections.abc import Callable, Iterator

import psycopg
import pytest

from sluice_testing.door import Door
from sluice_testing.fixtures import DoorOf, MakeConfig, StartProxy
from sluice_testing.postgres import Postgres
from sluice_testing.proxy import ProxyProcess
from sluice_testing.raw import Message, RawClient, query

BORROW = ("08000", "Timed-out waiting to acquire database connection.")


def error(messages: list[Message]) -> tuple[str, str]:
    """SQLSTATE and text of the one error among them."""
    [fields] = [message.fields for message in messages if message.kind == "E"]
    return fields["C"], fields["M"]


def holding(door: Door) -> RawClient:
    client = door.raw()
    client.ask(query("BEGIN"))
    return client


@pytest.mark.parametrize("seconds", [0, 1])
def test_borrow_timeout(
    server: Postgres,
    make_config: MakeConfig,
    start_proxy: StartProxy,
    door_of: DoorOf,
    seconds: int,
) -> None:
    proxy = start_proxy(make_config(server, budget=1, borrow=seconds))
    door = door_of(proxy)
    with holding(door), door.raw() as waiter:
        assert error(waiter.ask(query("SELECT 1"))) == BORROW
    proxy.wait_for_pool(clients=0, waiting=0, borrowed=0)
    with door.raw() as client:
        assert client.value("SELECT 1") == "1"


def test_a_timeout_of_zero_fails_only_when_nothing_is_free(
    server: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
) -> None:
    """RDS Proxy: 0 = error at once where no connection is free."""
    proxy = start_proxy(make_config(server, budget=1, borrow=0))
    door = door_of(proxy)
    with door.raw() as client:
        client.value("SELECT 1")
        assert client.value("SELECT 1") == "1"


def test_borrow_timeout_through_psycopg(
    server: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
) -> None:
    door = door_of(start_proxy(make_config(server, budget=1, borrow=1)))
    with holding(door), door.connect() as waiter:
        with pytest.raises(psycopg.errors.ConnectionException) as raised:
            waiter.execute("SELECT 1")
        assert raised.value.sqlstate == "08000"


class TestIdleClients:
    @pytest.fixture
    def proxy(
        self, server: Postgres, make_config: MakeConfig, start_proxy: StartProxy
    ) -> ProxyProcess:
        return start_proxy(make_config(server, idle_client_timeout_seconds=1))

    def test_an_idle_client_is_told_and_closed(self, proxy: ProxyProcess, door: Door) -> None:
        with door.raw() as client:
            client.value("SELECT 1")
            [farewell] = client.read_until("E")
            assert farewell.fields["S"] == "FATAL"
            assert farewell.fields["C"] == "57P05"
            assert client.read_bytes() == b""
        proxy.wait_for_pool(clients=0)

    def test_a_query_that_runs_is_not_idle(self, door: Door) -> None:
        with door.raw() as client:
            assert client.value("SELECT 'done' FROM pg_sleep(2.5)") == "done"

    def test_each_request_starts_it_anew(self, door: Door) -> None:
        with door.raw() as client:
            for _ in range(5):
                assert client.silent_for(0.5)
                assert client.value("SELECT 1") == "1"

    def test_an_idle_transaction_ends_with_its_client(
        self, proxy: ProxyProcess, door: Door
    ) -> None:
        with holding(door) as client:
            client.read_bytes()
        proxy.wait_for_pool(clients=0, borrowed=0)


class TestTimeoutsOfTheServer:
    """Set for the role, as an administrator would; the server tells them itself."""

    @pytest.fixture
    def limit(self, server: Postgres) -> Iterator[Callable[[str], None]]:
        yield lambda setting: server.execute(f"ALTER ROLE app SET {setting}")
        server.execute("ALTER ROLE app RESET ALL")

    @pytest.fixture
    def proxy(
        self,
        server: Postgres,
        limit: Callable[[str], None],
        request: pytest.FixtureRequest,
        make_config: MakeConfig,
        start_proxy: StartProxy,
    ) -> ProxyProcess:
        limit(request.param)
        return start_proxy(make_config(server, budget=1))

    @pytest.mark.parametrize(
        ("proxy", "sqlstate"),
        [
            ("idle_in_transaction_session_timeout = '300ms'", "25P03"),
            ("transaction_timeout = '300ms'", "25P04"),
        ],
        indirect=["proxy"],
    )
    def test_a_transaction_that_lasts_too_long(
        self, proxy: ProxyProcess, door: Door, sqlstate: str
    ) -> None:
        with door.raw() as inside, door.raw() as waiter:
            inside.ask(query("BEGIN"))
            waiter.send(query("SELECT 'next'"))
            [farewell] = inside.read_until("E")
            assert (farewell.fields["S"], farewell.fields["C"]) == ("FATAL", sqlstate)
            assert inside.read_bytes() == b""
            assert [m.row for m in waiter.read_until("Z") if m.kind == "D"] == [[b"next"]]

    @pytest.mark.parametrize("proxy", ["statement_timeout = '300ms'"], indirect=True)
    def test_a_statement_that_lasts_too_long(self, proxy: ProxyProcess, door: Door) -> None:
        with door.raw() as client:
            assert error(client.ask(query("SELECT pg_sleep(30)")))[0] == "57014"
            assert client.value("SELECT 'goes on'") == "goes on"

    @pytest.mark.parametrize("proxy", ["idle_session_timeout = '300ms'"], indirect=True)
    def test_a_connection_that_nobody_uses_hurts_nobody(
        self, proxy: ProxyProcess, door: Door
    ) -> None:
        with door.raw() as client:
            pid = client.value("SELECT pg_backend_pid()")
            proxy.wait_for_pool(open=0)
            assert client.silent_for(0.1)
            assert client.value("SELECT pg_backend_pid()") != pid


@pytest.mark.parametrize("farewell", ["close", "vanish"])
def test_who_gives_up_waiting_is_gone_at_once(
    server: Postgres,
    make_config: MakeConfig,
    start_proxy: StartProxy,
    door_of: DoorOf,
    farewell: str,
) -> None:
    """Pitfall 58: a client's end is seen while it waits, though nothing is read from it.

    Pitfall 57: fifty that gave up cost those behind them nothing.
    """
    proxy = start_proxy(make_config(server, budget=1))
    door = door_of(proxy)
    with holding(door) as holder, door.raw() as patient:
        crowd = [door.raw() for _ in range(50)]
        for client in crowd:
            client.send(query("SELECT pg_sleep(60)"))
        proxy.wait_for_pool(waiting=50)
        patient.send(query("SELECT 'served'"))
        proxy.wait_for_pool(waiting=51)
        for client in crowd:
            getattr(client, farewell)()
        proxy.wait_for_pool(waiting=1, clients=2, seconds=3.0)
        before = proxy.metrics()["sluice_borrow_wait_seconds_count"]
        holder.ask(query("COMMIT"))
        assert [m.row for m in patient.read_until("Z") if m.kind == "D"] == [[b"served"]]
        assert proxy.metrics()["sluice_borrow_wait_seconds_count"] == before + 1


def test_who_leaves_over_tls_while_it_waits_is_gone_too(
    server: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
) -> None:
    """Pitfall 58: with and without close_notify."""
    proxy = start_proxy(make_config(server, budget=1))
    door = door_of(proxy)
    with holding(door):
        for farewell in ("close", "vanish"):
            client = door.raw(tls=True)
            client.send(query("SELECT 1"))
            proxy.wait_for_pool(waiting=1)
            getattr(client, farewell)()
            proxy.wait_for_pool(waiting=0, clients=1, seconds=3.0)


def test_a_client_that_gives_up_waiting_vanishes(
    server: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
) -> None:
    proxy = start_proxy(make_config(server, budget=1))
    door = door_of(proxy)
    server.execute("DROP TABLE IF EXISTS visits", "CREATE TABLE visits (n int)", database="app")
    server.execute("GRANT ALL ON visits TO app", database="app")
    with holding(door) as holder:
        gone, patient = door.raw(), door.raw()
        gone.send(query("INSERT INTO visits VALUES (1)"))
        proxy.wait_for_pool(waiting=1)
        patient.send(query("SELECT count(*) FROM visits"))
        proxy.wait_for_pool(waiting=2)
        gone.vanish()
        proxy.wait_for_pool(waiting=1, clients=2)
        holder.ask(query("COMMIT"))
        answers = patient.read_until("Z")
        patient.close()
    assert [message.row for message in answers if message.kind == "D"] == [[b"0"]]
    proxy.wait_for_pool(clients=0, borrowed=0, waiting=0)
