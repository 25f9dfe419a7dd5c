"""How many connections a proxy may take from its server, and that it takes no more."""

import pytest

from sluice_testing.door import Door
from sluice_testing.fixtures import DoorOf, MakeConfig, StartProxy
from sluice_testing.postgres import Postgres
from sluice_testing.proxy import ProxyProcess, wait_until
from sluice_testing.raw import RawClient, query


@pytest.fixture(scope="module")
def small(own_server: Postgres) -> Postgres:
    """max_connections 20, of which 5 are for superusers."""
    own_server.settings |= {"max_connections": 20, "superuser_reserved_connections": 5}
    own_server.restart()
    return own_server


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
    wait_until(lambda: small.sample_connections() == 0, "no connections of earlier tests")
    proxy = start_proxy(make_config(small, budget=percent, fleet_size=fleet))
    [target] = proxy.state()["targets"]
    assert target["maxConnections"] == 20
    assert proxy.state()["pool"]["budget"] == share
    assert taken(proxy, door_of(proxy), small, share + 2) == share


def taken(proxy: ProxyProcess, door: Door, server: Postgres, clients: int) -> int:
    """The app's connections on the server when so many clients want one at once."""
    crowd: list[RawClient] = [door.raw() for _ in range(clients)]
    for client in crowd:
        client.send(query("BEGIN"))
    budget = proxy.state()["pool"]["budget"]
    proxy.wait_for_pool(open=budget, waiting=clients - budget)
    count = server.sample_connections()
    for client in crowd:
        client.close()
    return count


def test_reserved_connections_of_16_and_later(
    small: Postgres, make_config: MakeConfig, start_proxy: StartProxy
) -> None:
    """`reserved_connections` are for pg_use_reserved_connections: not for the app either."""
    small.settings["reserved_connections"] = 4
    small.restart()
    proxy = start_proxy(make_config(small, budget=100))
    assert proxy.state()["pool"]["budget"] == 20 - 5 - 4
    del small.settings["reserved_connections"]
    small.restart()


def test_a_changed_max_connections_is_noticed(
    small: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
) -> None:
    """After the restart that such a change needs, with the next login."""
    proxy = start_proxy(make_config(small, budget=50))
    small.settings["max_connections"] = 30
    small.restart()
    with door_of(proxy).raw() as client:
        assert client.value("SHOW max_connections") == "30"
    proxy.wait_until(lambda: proxy.state()["pool"]["budget"] == 15, "half of 30")
    small.settings["max_connections"] = 20
    small.restart()


def test_two_of_a_fleet_share_the_budget(
    small: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
) -> None:
    fleet = [start_proxy(make_config(small, budget=60, fleet_size=2)) for _ in range(2)]
    crowd = [door_of(proxy).raw() for proxy in fleet for _ in range(8)]
    for client in crowd:
        client.send(query("BEGIN"))
    for proxy in fleet:
        proxy.wait_for_pool(open=6, waiting=2)
    assert small.sample_connections() == 12
    for client in crowd:
        client.close()
