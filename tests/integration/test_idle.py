"""A proxy without clients leaves its database alone, so that this may rest, too."""

import time
from dataclasses import replace

import pytest

from sluice_testing.fixtures import DoorOf, MakeConfig, StartProxy
from sluice_testing.postgres import Postgres
from sluice_testing.proxy import ProxyProcess

# The proxy with less patience: 2 seconds instead of 30.
HASTY = (
    "-c",
    "import sys; from sluice_proxy.session import hub; hub.REST_AFTER = 2.0; "
    "from sluice_proxy.__main__ import main; sys.exit(main())",
)
# Longer than anything that the proxy does again and again while it has connections.
QUIET = 7.0


@pytest.fixture
def server(own_server: Postgres) -> Postgres:
    """It tells of each connection, also of one that says nothing."""
    own_server.execute("ALTER SYSTEM SET log_connections = on", "SELECT pg_reload_conf()")
    return own_server


@pytest.fixture
def proxy(server: Postgres, make_config: MakeConfig, start_proxy: StartProxy) -> ProxyProcess:
    return start_proxy(make_config(server), program=HASTY)


def test_nothing_comes_to_the_database_until_a_client_does(
    server: Postgres, proxy: ProxyProcess, door_of: DoorOf
) -> None:
    door = door_of(proxy)
    with door.raw() as client:
        client.value("SELECT 1")
        time.sleep(3)
        assert proxy.state()["pool"]["open"] == 1
    proxy.wait_for_pool(open=0)
    proxy.wait_until(lambda: server.sample_connections() == 0, "the server has let go of them")
    before = len(server.log)
    time.sleep(QUIET)
    assert "connection received" not in server.log[before:]
    # What it closed itself is no cause to look whether the server is there.
    assert proxy.health == ["Available"]
    with door.raw() as client:
        assert client.value("SELECT 'served'") == "served"
    assert "connection received" in server.log[before:]


def test_who_never_had_a_client_lets_go_too(server: Postgres, proxy: ProxyProcess) -> None:
    """It logs in at its start, to tell whether it can."""
    proxy.wait_for_pool(open=0)
    before = len(server.log)
    time.sleep(QUIET)
    assert "connection received" not in server.log[before:]


def test_probes_wake_nobody(server: Postgres, proxy: ProxyProcess, door_of: DoorOf) -> None:
    proxy.wait_for_pool(open=0)
    proxy.wait_until(lambda: server.sample_connections() == 0, "the server has let go of them")
    before = len(server.log)
    for _ in range(5):
        door_of(proxy).knock().close()
        proxy.metrics()
        assert proxy.get("/readyz").status == 200
        time.sleep(0.5)
    assert "connection received" not in server.log[before:]
    assert proxy.state()["acceptedTotal"] == 0


def test_a_changed_configuration_is_tried_once(server: Postgres, proxy: ProxyProcess) -> None:
    """Whether a new password is right is to be told, though no client may come for hours."""
    proxy.wait_for_pool(open=0)
    before = len(server.log)
    user = replace(proxy.config.users[0], previous_password="another", previous_until=1.0)
    proxy.reload(replace(proxy.config, users=(user,)))
    proxy.wait_until(lambda: "connection authorized" in server.log[before:], "it is tried")
    proxy.wait_for_pool(open=0)
    before = len(server.log)
    time.sleep(QUIET)
    assert "connection received" not in server.log[before:]
