"""SIGTERM: what runs may finish, nothing new begins, and the process ends with 0.

Pitfall 56: connections are closed at the end of a transaction, with 57P01.
"""

import signal
from dataclasses import replace

from sluice_proxy.config import PoolSettings
from sluice_testing.door import Door
from sluice_testing.fixtures import DoorOf, MakeConfig, StartProxy
from sluice_testing.postgres import Postgres
from sluice_testing.proxy import ProxyProcess
from sluice_testing.raw import RawClient, Refused, query


def draining(proxy: ProxyProcess) -> None:
    proxy.terminate()
    proxy.wait_until(lambda: proxy.state()["draining"], "it drains")


def test_nobody_there(proxy: ProxyProcess) -> None:
    proxy.terminate()
    assert proxy.wait() == 0


def test_sigint_ends_it_too(proxy: ProxyProcess) -> None:
    proxy.send_signal(signal.SIGINT)
    assert proxy.wait() == 0


def test_a_transaction_finishes(server: Postgres, proxy: ProxyProcess, door: Door) -> None:
    server.execute("DROP TABLE IF EXISTS kept", "CREATE TABLE kept (n int)", database="app")
    server.execute("GRANT ALL ON kept TO app", database="app")
    with door.raw() as client:
        client.ask(query("BEGIN"))
        draining(proxy)
        client.ask(query("INSERT INTO kept VALUES (1)"))
        assert [m.kind for m in client.ask(query("COMMIT"))] == ["C", "Z"]
        assert farewell(client) == ("FATAL", "57P01")
    assert proxy.wait() == 0
    assert server.fetch("SELECT n FROM kept", database="app") == [1]


def test_a_query_finishes(proxy: ProxyProcess, door: Door) -> None:
    with door.raw() as client:
        client.send(query("SELECT 'done' FROM pg_sleep(1)"))
        proxy.wait_for_pool(borrowed=1)
        draining(proxy)
        assert [m.row for m in client.read_until("Z") if m.kind == "D"] == [[b"done"]]
    assert proxy.wait() == 0


def test_a_waiting_client_is_served_first(
    server: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
) -> None:
    """Its query came before the signal: an error for it would be one too many."""
    proxy = start_proxy(make_config(server, budget=1))
    door = door_of(proxy)
    with door.raw() as holder, door.raw() as waiter:
        holder.ask(query("BEGIN"))
        waiter.send(query("SELECT 'served'"))
        proxy.wait_for_pool(waiting=1)
        draining(proxy)
        holder.ask(query("COMMIT"))
        assert [m.row for m in waiter.read_until("Z") if m.kind == "D"] == [[b"served"]]
    assert proxy.wait() == 0


def test_idle_clients_are_told(proxy: ProxyProcess, door: Door) -> None:
    with door.raw() as idle:
        idle.value("SELECT 1")
        proxy.terminate()
        assert farewell(idle) == ("FATAL", "57P01")
    assert proxy.wait() == 0


def test_new_clients_are_refused(proxy: ProxyProcess, door: Door) -> None:
    """At once: the pod was let go of by every node before it got the signal."""
    with door.raw() as client:
        client.ask(query("BEGIN"))
        draining(proxy)
        assert proxy.get("/readyz").status == 503
        assert proxy.get("/healthz").status == 200
        proxy.wait_until(lambda: refused(door), "new clients are refused", 1.0)
        client.ask(query("COMMIT"))
    assert proxy.wait() == 0


def test_its_share_of_the_budget_only_falls(
    server: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
) -> None:
    """What it does not need any more is for the pods that take its place."""
    config = make_config(server, budget=9)
    proxy = start_proxy(config)
    with door_of(proxy).crowd(5) as crowd:
        for client in crowd:
            client.ask(query("BEGIN"))
        for client in crowd[3:]:
            client.ask(query("COMMIT"))
        assert proxy.state()["pool"]["budget"] == 9
        draining(proxy)
        for left in (3, 2, 1):
            proxy.wait_for_pool(budget=left, open=left)
            assert server.sample_connections() == left
            proxy.reload(replace(config, pool=PoolSettings(90 + left)))
            assert proxy.state()["pool"]["budget"] == left
            crowd[left - 1].ask(query("COMMIT"))
    assert proxy.wait() == 0


def refused(door: Door) -> bool:
    """Nobody listens, or whoever came in just before is told."""
    try:
        with door.raw() as client:
            return client.value("SELECT 'served'") != "served"
    except ConnectionError:
        return True
    except Refused as error:
        return error.fields["C"] == "57P01"


def test_its_patience_ends(
    server: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
) -> None:
    """Whoever stays in a transaction beyond drain_seconds is told and cut."""
    proxy = start_proxy(make_config(server, drain_seconds=1))
    with door_of(proxy).raw() as client:
        client.ask(query("BEGIN"))
        proxy.terminate()
        assert farewell(client) == ("FATAL", "57P01")
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


def farewell(client: RawClient) -> tuple[str, str]:
    [error] = [message for message in client.read_until("E") if message.kind == "E"]
    return error.fields["S"], error.fields["C"]
