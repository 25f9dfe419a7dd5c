"""What the admin port tells, from a hub on a stage."""

from dataclasses import dataclass, field

from sluice_proxy.config import Fleet, PodShare, Target
from sluice_proxy.metrics import Counters
from sluice_proxy.report import Report
from sluice_proxy.session.hub import Hub
from sluice_proxy.targets.capacity import Budget, Capacity
from sluice_proxy.targets.health import TargetHealth
from sluice_proxy.transport.coalescing import Coalescing
from sluice_testing.stage import DONE, Stage, query, ready


@dataclass
class Facts:
    hub: Hub
    health: TargetHealth
    counters: Counters
    pod: str = "orders-1"
    config_hash: str = "abc"
    config_error: str = ""
    draining: bool = False
    ready: bool = True
    coalescing: Coalescing = field(default_factory=lambda: Coalescing(0.0))


def report_of(stage: Stage) -> Report:
    return Report(Facts(stage.hub, TargetHealth(Target("db")), stage.hub.counters))


def test_bytes_and_queries_of_the_living_and_the_gone_add_up() -> None:
    stage = Stage()
    report = report_of(stage)
    server, client = stage.server(), stage.client()
    client.sends(query(b"SELECT 1"))
    server.sends(DONE, ready())
    client.peer.received, server.peer.received = 14, 25

    def counted() -> tuple[int, int, int]:
        counters = report.counters
        return counters.bytes_from_clients, counters.bytes_from_servers, counters.queries

    assert counted() == (14, 25, 1)
    client.hangs_up()
    assert counted() == (14, 25, 1)
    server.hangs_up()
    assert counted() == (14, 25, 1)
    stage.server().peer.received = 5
    assert counted() == (14, 30, 1)


def test_state_and_gauges_of_a_pinned_client() -> None:
    stage = Stage(limit=3)
    server, client = stage.server(), stage.client()
    client.sends(query(b"LISTEN c"))
    server.sends(DONE, ready())
    other = stage.client()
    other.sends(query(b"BEGIN"))
    state = report_of(stage).state()
    assert (state["pod"], state["fleetBudget"]) == ("orders-1", None)
    assert state["pool"] == {
        "budget": 3, "open": 2, "borrowed": 1, "waiting": 1, "pinned": 1, "clients": 2,
    }  # fmt: skip
    assert state["pins"] == [
        {"client": "client:1", "user": "app", "database": "shop", "reasons": ["LISTEN"]}
    ]
    [pool] = report_of(stage).gauges().pools
    assert (pool.user, pool.open, pool.borrowed, pool.waiting, pool.pinned) == ("app", 2, 1, 1, 1)


def test_whether_it_is_ready() -> None:
    report = report_of(Stage())
    facts = report._facts
    assert report.ready() == ""
    facts.hub.pools.set_limit(0)
    assert report.ready() == "no share of the connection budget yet"
    assert not report.state()["ready"]
    facts.ready = False
    assert report.ready() == "starting"
    facts.draining = True
    assert report.ready() == "draining"


def test_the_fleets_budget_is_told_once_it_is_known() -> None:
    stage = Stage()
    report = report_of(stage)
    stage.hub.set_budget(Budget(percent=90, fleet=Fleet(90, (PodShare("orders-1", 30),))))
    stage.hub.learn_capacity(Capacity(100, 3))
    assert report.state()["fleetBudget"] == 90
    stage.hub.forget_capacity()
    assert report.state()["fleetBudget"] is None


def test_for_how_long_nobody_has_been_there() -> None:
    stage = Stage()
    report = report_of(stage)
    stage.tick(7)
    assert (report.state()["idleSeconds"], report.state()["acceptedTotal"]) == (7, 0)
    stage.hub.activity.came()
    client = stage.newcomer()
    stage.tick(7)
    assert (report.state()["idleSeconds"], report.state()["acceptedTotal"]) == (0, 1)
    assert report.gauges().idle_seconds == 0
    client.hangs_up()
    stage.tick(2)
    assert report.gauges().idle_seconds == 2
