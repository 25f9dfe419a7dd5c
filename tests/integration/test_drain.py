"""SIGTERM: who is in is served until it leaves, or until the grace is over; SIGINT: less patient.

Pitfall 56: connections are closed at the end of a transaction, with 57P01.
"""

import signal
import time
from dataclasses import replace

import pytest

from sluice_proxy.config import PoolSettings
from sluice_testing.door import Door
from sluice_testing.fixtures import DoorOf, MakeConfig, StartProxy
from sluice_testing.postgres import Postgres
from sluice_testing.proxy import ProxyProcess
from sluice_testing.raw import RawClient, Refused, query

BYE = ("FATAL", "57P01")


@pytest.fixture
def proxy(server: Postgres, make_config: MakeConfig, start_proxy: StartProxy) -> ProxyProcess:
    """Its grace is longer than any test waits: nothing here ends because of that."""
    return start_proxy(make_config(server, drain_seconds=120))


def draining(proxy: ProxyProcess, number: signal.Signals = signal.SIGTERM) -> None:
    proxy.terminate(number)
    proxy.wait_until(lambda: proxy.state()["draining"], "it drains")


def farewell(client: RawClient) -> tuple[str, str]:
    [error] = [message for message in client.read_until("E") if message.kind == "E"]
    return error.fields["S"], error.fields["C"]


def refused(door: Door) -> bool:
    """Nobody listens, or whoever came in just before is told."""
    try:
        with door.raw() as client:
            return client.value("SELECT 'served'") != "served"
    except ConnectionError:
        return True
    except Refused as error:
        return error.fields["C"] == "57P01"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_nobody_there(proxy: ProxyProcess, number: signal.Signals) -> None:
    proxy.terminate(number)
    assert proxy.wait() == 0


class TestPatience:
    """SIGTERM, as Kubernetes sends it: a client that is in has done nothing wrong."""

    def test_who_is_in_is_served_until_it_leaves(self, proxy: ProxyProcess, door: Door) -> None:
        with door.raw() as client:
            client.value("SELECT 1")
            draining(proxy)
            for pause in (0.1, 0.5, 1.5):
                assert client.silent_for(pause)
                assert client.value("SELECT 'served'") == "served"
            assert proxy.running
        assert proxy.wait() == 0

    def test_who_comes_first_when_the_limit_has_fallen(
        self, proxy: ProxyProcess, door: Door
    ) -> None:
        """It had no transaction before: its server connection is opened for it now."""
        with door.raw() as client:
            proxy.wait_for_pool(clients=1)
            draining(proxy)
            proxy.wait_for_pool(budget=1)
            assert client.value("SELECT 'served'") == "served"
        assert proxy.wait() == 0

    def test_who_holds_one_for_long_takes_it_from_nobody(
        self, proxy: ProxyProcess, door: Door
    ) -> None:
        with door.raw() as pinned, door.raw() as busy, door.raw() as other:
            pinned.ask(query("LISTEN news"))
            busy.ask(query("BEGIN"))
            draining(proxy)
            proxy.wait_for_pool(budget=3)
            assert other.value("SELECT 'served'") == "served"
            other.ask(query("NOTIFY news"))
            assert [m.kind for m in pinned.read_until("A")] == ["A"]
        assert proxy.wait() == 0

    def test_new_clients_are_refused(self, proxy: ProxyProcess, door: Door) -> None:
        """At once, where it is not to linger; test_lame_duck.py is about where it is."""
        with door.raw():
            draining(proxy)
            assert proxy.get("/readyz").status == 503
            assert proxy.get("/healthz").status == 200
            proxy.wait_until(lambda: refused(door), "new clients are refused", 1.0)
        assert proxy.wait() == 0

    def test_the_limit_only_falls(
        self, server: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
    ) -> None:
        """What clients do not need any more is for the pods that take this one's place."""
        config = make_config(server, budget=9, drain_seconds=120)
        proxy = start_proxy(config)
        with door_of(proxy).crowd(5) as crowd:
            for client in crowd:
                client.ask(query("BEGIN"))
            assert proxy.state()["pool"]["budget"] == 9
            draining(proxy)
            for left in (4, 3, 2, 1, 0):
                crowd[left].ask(query("COMMIT"))
                # One is left beside those in a transaction for those who are in none.
                proxy.wait_for_pool(budget=left + 1, open=left + 1)
                assert server.sample_connections() == left + 1
                proxy.reload(replace(config, pool=PoolSettings(90 + left)))
                assert proxy.state()["pool"]["budget"] == left + 1
            assert [client.value("SELECT 'served'") for client in crowd] == ["served"] * 5
        assert proxy.wait() == 0


class TestTheEndOfTheGrace:
    """The last half of a short one, the last 10 seconds of a long one."""

    def test_who_rests_is_ended_then(
        self, server: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
    ) -> None:
        proxy = start_proxy(make_config(server, drain_seconds=6))
        door = door_of(proxy)
        with door.raw() as idle, door.raw() as pinned, door.raw() as busy:
            pinned.ask(query("LISTEN news"))
            busy.ask(query("BEGIN"))
            began = time.monotonic()
            proxy.terminate()
            assert farewell(idle) == BYE
            assert time.monotonic() - began >= 3
            assert farewell(pinned) == BYE
            assert busy.value("SELECT 'served'") == "served"
            assert [m.kind for m in busy.ask(query("COMMIT"))] == ["C", "Z"]
            assert farewell(busy) == BYE
        assert proxy.wait() == 0

    def test_whoever_outlasts_it_is_told_and_cut(
        self, server: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
    ) -> None:
        proxy = start_proxy(make_config(server, drain_seconds=1))
        with door_of(proxy).raw() as client:
            client.ask(query("BEGIN"))
            proxy.terminate()
            assert farewell(client) == BYE
        assert proxy.wait() == 0


class TestHaste:
    """SIGINT is somebody's Ctrl-C: what runs may finish, nothing new begins."""

    def test_a_transaction_finishes(
        self, server: Postgres, proxy: ProxyProcess, door: Door
    ) -> None:
        server.execute("DROP TABLE IF EXISTS kept", "CREATE TABLE kept (n int)", database="app")
        server.execute("GRANT ALL ON kept TO app", database="app")
        with door.raw() as client:
            client.ask(query("BEGIN"))
            draining(proxy, signal.SIGINT)
            client.ask(query("INSERT INTO kept VALUES (1)"))
            assert [m.kind for m in client.ask(query("COMMIT"))] == ["C", "Z"]
            assert farewell(client) == BYE
        assert proxy.wait() == 0
        assert server.fetch("SELECT n FROM kept", database="app") == [1]

    def test_a_query_finishes(self, proxy: ProxyProcess, door: Door) -> None:
        with door.raw() as client:
            client.send(query("SELECT 'done' FROM pg_sleep(1)"))
            proxy.wait_for_pool(borrowed=1)
            draining(proxy, signal.SIGINT)
            assert [m.row for m in client.read_until("Z") if m.kind == "D"] == [[b"done"]]
            assert farewell(client) == BYE
        assert proxy.wait() == 0

    def test_a_waiting_client_is_served_first(
        self, server: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
    ) -> None:
        """Its query came before the signal: an error for it would be one too many."""
        proxy = start_proxy(make_config(server, budget=1))
        door = door_of(proxy)
        with door.raw() as holder, door.raw() as waiter:
            holder.ask(query("BEGIN"))
            waiter.send(query("SELECT 'served'"))
            proxy.wait_for_pool(waiting=1)
            draining(proxy, signal.SIGINT)
            holder.ask(query("COMMIT"))
            assert [m.row for m in waiter.read_until("Z") if m.kind == "D"] == [[b"served"]]
        assert proxy.wait() == 0

    def test_who_rests_is_told_at_once(self, proxy: ProxyProcess, door: Door) -> None:
        with door.raw() as idle, door.raw() as pinned:
            pinned.ask(query("LISTEN news"))
            proxy.terminate(signal.SIGINT)
            assert farewell(idle) == BYE
            assert farewell(pinned) == BYE
        assert proxy.wait() == 0

    @pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
    def test_so_it_is_by_a_second_signal(
        self, proxy: ProxyProcess, door: Door, second: signal.Signals
    ) -> None:
        with door.raw() as idle, door.raw() as busy:
            busy.ask(query("BEGIN"))
            draining(proxy)
            assert idle.value("SELECT 'served'") == "served"
            proxy.terminate(second)
            assert farewell(idle) == BYE
            assert busy.value("SELECT 'served'") == "served"
            busy.ask(query("COMMIT"))
            assert farewell(busy) == BYE
        assert proxy.wait() == 0


def test_no_server_connection_stays(server: Postgres, proxy: ProxyProcess, door: Door) -> None:
    with door.raw() as client:
        client.value("SELECT 1")
    proxy.terminate()
    assert proxy.wait() == 0
    proxy.finish()
    assert goodbye_in_order(server)


def goodbye_in_order(server: Postgres) -> bool:
    return "unexpected EOF on client connection" not in server.log[-500:]
