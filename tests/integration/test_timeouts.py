"""Waiting beats failing, up to the timeouts; and who stops waiting is gone."""

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
