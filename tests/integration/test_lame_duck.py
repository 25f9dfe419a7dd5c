"""SIGTERM where others may not know yet that the pod leaves: it serves whoever still comes."""

import contextlib
import os
import signal
import time

import pytest

from sluice_proxy.config import Fleet
from sluice_testing.door import Door
from sluice_testing.fixtures import DoorOf, MakeConfig, StartProxy
from sluice_testing.postgres import APP_DATABASE, APP_USER, Postgres
from sluice_testing.proxy import ProxyProcess
from sluice_testing.raw import SSL_REQUEST, Refused, startup

LINGER = 3


@pytest.fixture
def proxy(server: Postgres, make_config: MakeConfig, start_proxy: StartProxy) -> ProxyProcess:
    """Nothing here ends because its grace is over."""
    return start_proxy(make_config(server, drain_seconds=120, linger_seconds=LINGER))


def draining(proxy: ProxyProcess) -> None:
    proxy.terminate()
    proxy.wait_until(lambda: proxy.state()["draining"], "it drains")
    assert proxy.get("/readyz").status == 503


def test_who_comes_is_served(proxy: ProxyProcess, door: Door) -> None:
    """One after the other, each within the time that it lingers, and all of it without a queue."""
    draining(proxy)
    proxy.wait_for_pool(budget=1)
    for _ in range(4):
        with door.raw() as client:
            assert client.value("SELECT 'served'") == "served"
        time.sleep(1)
    assert proxy.state()["acceptedTotal"] == 4
    assert proxy.wait() == 0


def test_who_comes_is_served_with_tls_and_in_transactions(proxy: ProxyProcess, door: Door) -> None:
    draining(proxy)
    with door.connect() as one, door.connect(autocommit=False) as other:
        assert one.execute("SELECT 1").fetchone() == (1,)
        other.execute("SELECT 1")
        other.commit()
        assert one.execute("SELECT 2").fetchone() == (2,)
    assert proxy.wait() == 0


def test_it_waits_for_who_is_there_however_long_nobody_came(
    proxy: ProxyProcess, door: Door
) -> None:
    with door.raw() as client:
        draining(proxy)
        assert client.silent_for(LINGER + 1)
        assert client.value("SELECT 'served'") == "served"
        with door.raw() as late:
            assert late.value("SELECT 'served'") == "served"
    assert proxy.wait() == 0


def test_a_server_connection_that_was_let_go_of_is_opened_anew(
    server: Postgres, proxy: ProxyProcess, door: Door
) -> None:
    draining(proxy)
    server.terminate_connections()
    proxy.wait_for_pool(open=0)
    with door.raw() as client:
        assert client.value("SELECT 'served'") == "served"
    assert proxy.wait() == 0


def test_whoever_the_system_let_in_is_served(proxy: ProxyProcess, door: Door) -> None:
    """They are connected, for all they know, though the proxy only looks when its time is up."""
    draining(proxy)
    os.kill(proxy.pid, signal.SIGSTOP)
    with contextlib.ExitStack() as stack:
        # More than it accepts at one time.
        crowd = [stack.enter_context(door.knock()) for _ in range(100)]
        time.sleep(LINGER + 0.5)
        os.kill(proxy.pid, signal.SIGCONT)
        for client in crowd:
            client.send(startup(user=APP_USER, database=APP_DATABASE))
        assert [client.read().kind for client in crowd] == ["R"] * 100
        crowd[-1].close()
    assert proxy.wait() == 0


def test_probes_do_not_keep_it(proxy: ProxyProcess, door: Door) -> None:
    draining(proxy)
    began = time.monotonic()
    while proxy.running:
        try:
            door.knock().close()
        except ConnectionError:
            break
        time.sleep(0.1)
    assert proxy.wait() == 0
    # It would not end at all if they did.
    assert time.monotonic() - began >= LINGER


def test_who_is_about_to_log_in_is_waited_for(proxy: ProxyProcess, door: Door) -> None:
    with door.knock() as client:
        client.send(SSL_REQUEST)
        assert client.read_byte() == b"S"
        proxy.wait_until(lambda: proxy.state()["acceptedTotal"] == 1, "it is seen to be one")
        draining(proxy)
        time.sleep(LINGER + 1)
        assert proxy.state()["idleSeconds"] == 0
    assert proxy.wait() == 0


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it(proxy: ProxyProcess, door: Door, second: signal.Signals) -> None:
    draining(proxy)
    with door.raw() as client:
        assert client.value("SELECT 'served'") == "served"
        proxy.terminate(second)
        [error] = [message for message in client.read_until("E") if message.kind == "E"]
        assert error.fields["C"] == "57P01"
    assert proxy.wait() == 0


def test_the_end_of_the_grace_comes_all_the_same(
    server: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
) -> None:
    proxy = start_proxy(make_config(server, drain_seconds=4, linger_seconds=3))
    door = door_of(proxy)
    with door.raw() as client:
        proxy.terminate()
        assert client.value("SELECT 'served'") == "served"
        [error] = [message for message in client.read_until("E") if message.kind == "E"]
        assert error.fields["C"] == "57P01"
    assert proxy.wait() == 0


def test_a_pod_without_a_share_serves_nobody_then_either(
    server: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
) -> None:
    """The limit of a pod that drains never rises; who comes is told at once, not in two minutes."""
    fleet = Fleet(total=5, others=0)
    config = make_config(server, fleet=fleet, drain_seconds=120, linger_seconds=LINGER)
    proxy = start_proxy(config, ready=False)
    draining(proxy)
    with pytest.raises(Refused) as refusal, door_of(proxy).raw():
        pass
    assert refusal.value.fields["C"] == "57P01"
    assert proxy.wait() == 0
