"""How many connections a proxy may take from its server, and that it takes no more."""

from dataclasses import replace

import pytest

from sluice_proxy.config import POD_NAME, Fleet, PodShare, Target
from sluice_testing.door import Door
from sluice_testing.fixtures import DoorOf, MakeConfig, StartProxy
from sluice_testing.postgres import Postgres
from sluice_testing.proxy import ProxyProcess, wait_until
from sluice_testing.raw import Refused, query

SETTINGS = {"max_connections": 20, "superuser_reserved_connections": 5, "reserved_connections": 0}

OPENED = "sluice_server_connections_opened_total"


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
        proxy.wait_for_pool(open=budget, borrowed=budget, waiting=clients - budget)
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
            proxy.wait_for_pool(open=6, borrowed=6, waiting=2)
        assert small.sample_connections() == 12


class TestShares:
    """Of the 15 that are 75 % of 20."""

    @staticmethod
    def fleet(**shares: int) -> Fleet:
        pods = tuple(PodShare(pod, share) for pod, share in shares.items())
        return Fleet(total=15, shares=pods, others=2)

    @pytest.mark.parametrize(("pod", "share"), [("a", 4), ("b", 9), ("new", 2)])
    def test_a_pod_takes_what_is_under_its_name(
        self,
        small: Postgres,
        make_config: MakeConfig,
        start_proxy: StartProxy,
        door_of: DoorOf,
        pod: str,
        share: int,
    ) -> None:
        config = make_config(small, budget=75, fleet=self.fleet(a=4, b=9))
        proxy = start_proxy(config, environment={POD_NAME: pod})
        state = proxy.state()
        assert (state["pod"], state["fleetBudget"]) == (pod, 15)
        assert taken(proxy, door_of(proxy), small, share + 2) == share

    def test_a_pod_without_one_opens_nothing_until_it_gets_one(
        self, small: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
    ) -> None:
        config = make_config(small, budget=75, borrow=1, fleet=self.fleet(a=0))
        proxy = start_proxy(config, ready=False, environment={POD_NAME: "a"})
        assert (proxy.get("/readyz").status, proxy.get("/readyz").text.strip()) == (
            503,
            "no share of the connection budget yet",
        )
        with pytest.raises(Refused) as refused:
            door_of(proxy).raw()
        assert refused.value.fields["C"] == "08000"
        assert proxy.state()["fleetBudget"] is None
        assert proxy.metrics()["sluice_server_connections_requested_total"] == 0
        proxy.reload(replace(config, fleet=self.fleet(a=3)))
        proxy.wait_until_ready()
        assert taken(proxy, door_of(proxy), small, 4) == 3

    def test_it_keeps_one_connection_until_it_is_told_by_name(
        self, small: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
    ) -> None:
        """Whoever wrote the second document did not know of it yet, and its clients are in."""
        config = make_config(small, budget=75, fleet=self.fleet(a=13))
        proxy = start_proxy(config, environment={POD_NAME: "new"})
        assert taken(proxy, door_of(proxy), small, 3) == 2
        unknown = replace(self.fleet(a=13), others=0)
        for again in (unknown, replace(unknown, total=14)):
            proxy.reload(replace(config, fleet=again))
            proxy.wait_for_pool(budget=1)
            with door_of(proxy).raw() as client:
                assert client.value("SELECT 'served'") == "served"
        proxy.reload(replace(config, fleet=replace(self.fleet(a=13, new=0), others=0)))
        proxy.wait_for_pool(budget=0)
        assert proxy.get("/readyz").status == 503

    def test_a_smaller_one_closes_what_is_idle_and_lets_transactions_end(
        self, small: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
    ) -> None:
        config = make_config(small, budget=75, fleet=self.fleet(a=6))
        proxy = start_proxy(config, environment={POD_NAME: "a"})
        with door_of(proxy).crowd(6) as crowd:
            for client in crowd:
                client.ask(query("BEGIN"))
            for client in crowd[2:]:
                client.ask(query("COMMIT"))
            proxy.wait_for_pool(open=6, borrowed=2)
            proxy.reload(replace(config, fleet=self.fleet(a=1)))
            proxy.wait_for_pool(open=2, borrowed=2, budget=1)
            assert small.sample_connections() == 2
            crowd[5].send(query("SELECT 'after the others'"))
            for client in crowd[:2]:
                client.ask(query("COMMIT"))
            assert [m.text for m in crowd[5].read_until("Z") if m.kind == "C"] == ["SELECT 1"]
            proxy.wait_for_pool(open=1)
            assert small.sample_connections() == 1

    def test_a_server_that_comes_back_smaller_is_not_flooded(
        self, small: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
    ) -> None:
        """The first login tells, before a second one is tried: 10 of 15 are 4 of 7."""
        config = make_config(small, budget=75, fleet=self.fleet(a=10))
        proxy = start_proxy(config, environment={POD_NAME: "a"})
        with door_of(proxy).crowd(12) as crowd:
            for client in crowd:
                client.value("SELECT 1")
            configure(small, max_connections=12)
            before = proxy.metrics()[OPENED]
            for client in crowd:
                client.send(query("BEGIN"))
            proxy.wait_for_pool(open=4, borrowed=4, waiting=8, budget=4)
            assert small.sample_connections() == 4
            assert proxy.state()["fleetBudget"] == 7
            assert proxy.metrics()[OPENED] - before == 4


def test_another_target_is_asked_before_it_is_crowded(
    server: Postgres,
    small: Postgres,
    make_config: MakeConfig,
    start_proxy: StartProxy,
    door_of: DoorOf,
) -> None:
    """75 of 100 are 15 of 20; what a transaction still holds on the old one is among them."""
    config = make_config(server, budget=75)
    proxy = start_proxy(config)
    with door_of(proxy).crowd(21) as crowd:
        crowd[0].ask(query("BEGIN"))
        before = proxy.metrics()[OPENED]
        proxy.reload(replace(config, targets=(Target(small.host, small.port),)))
        for client in crowd[1:]:
            client.send(query("BEGIN"))
        proxy.wait_for_pool(open=15, borrowed=15, waiting=6, budget=15)
        assert small.sample_connections() == 14
        assert proxy.metrics()[OPENED] - before == 14
