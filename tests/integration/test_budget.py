"""How many connections a proxy may take from its server, and that it takes no more."""

import pytest

from sluice_proxy.config import Fleet
from sluice_testing.door import Door
from sluice_testing.fixtures import DoorOf, MakeConfig, StartProxy
from sluice_testing.postgres import Postgres
from sluice_testing.proxy import ProxyProcess, wait_until
from sluice_testing.raw import query

SETTINGS = {"max_connections": 20, "superuser_reserved_connections": 5, "reserved_connections": 0}


@pytest.fixture
def small(own_server: Postgres) -> Postgres:
    """max_connections 20, of which 5 are for superusers."""
    configure(own_server, **SETTINGS)
    wait_until(lambda: own_server.sample_connections() == 0, "no connections of earlier tests")
    return own_server


def configure(server: Postgres, **settings: int) -> None:
    """Restarts only for a change."""
    if server.settings != {**server.settings, **settings}:
        server.settings.update(settings)
        server.restart()


@pytest.mark.parametrize(
    ("percent", "fleet", "share"),
    [
        (100, 1, 15),  # never more than what is not reserved
        (75, 1, 15),
        (74, 1, 14),  # 14.8
        (50, 1, 10),
        (50, 3, 3),
        (33, 2, 3),  # floor(6.6) / 2
        (1, 1, 1),  # at least one
        (10, 5, 1),
    ],
)
def test_shares(
    small: Postgres,
    make_config: MakeConfig,
    start_proxy: StartProxy,
    door_of: DoorOf,
    percent: int,
    fleet: int,
    share: int,
) -> None:
    proxy = start_proxy(make_config(small, budget=percent, fleet=Fleet(parts=fleet)))
    [target] = proxy.state()["targets"]
    assert target["maxConnections"] == 20
    assert proxy.state()["pool"]["budget"] == share
    assert taken(proxy, door_of(proxy), small, share + 2) == share


def taken(proxy: ProxyProcess, door: Door, server: Postgres, clients: int) -> int:
    """The app's connections on the server when so many clients want one at once."""
    budget = proxy.state()["pool"]["budget"]
    with door.crowd(clients) as crowd:
        for client in crowd:
            client.send(query("BEGIN"))
        proxy.wait_for_pool(open=budget, waiting=clients - budget)
        return server.sample_connections()


def test_reserved_connections_of_16_and_later(
    small: Postgres, make_config: MakeConfig, start_proxy: StartProxy
) -> None:
    """`reserved_connections` are for pg_use_reserved_connections: not for the app either."""
    configure(small, reserved_connections=4)
    proxy = start_proxy(make_config(small, budget=100))
    assert proxy.state()["pool"]["budget"] == 20 - 5 - 4


def test_a_changed_max_connections_is_noticed(
    small: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
) -> None:
    """After the restart that such a change needs, with the next login."""
    proxy = start_proxy(make_config(small, budget=50))
    configure(small, max_connections=30)
    with door_of(proxy).raw() as client:
        assert client.value("SHOW max_connections") == "30"
    proxy.wait_until(lambda: proxy.state()["pool"]["budget"] == 15, "half of 30")


def test_two_of_a_fleet_share_the_budget(
    small: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
) -> None:
    fleet = [start_proxy(make_config(small, budget=60, fleet=Fleet(parts=2))) for _ in range(2)]
    one, other = (door_of(proxy) for proxy in fleet)
    with one.crowd(8) as ours, other.crowd(8) as theirs:
        for client in ours + theirs:
            client.send(query("BEGIN"))
        for proxy in fleet:
            proxy.wait_for_pool(open=6, waiting=2)
        assert small.sample_connections() == 12
