"""A proxy falls asleep and wakes again and again, and not one of its clients notices.

Four kinds of clients come at an even rate, one of each every 50 ms, whatever the proxy does.
"""

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from kube.client import Cluster

from sluice_testing import pausing, shop
from sluice_testing.api import Watch
from sluice_testing.api_metrics import of_operator, samples, writes_at_server
from sluice_testing.cycles import Tally, run_cycle
from sluice_testing.kubernetes import Manifest, eventually, listed
from sluice_testing.pausing import (
    CLIENTS,
    SYSTEM,
    Sleeper,
    put_to_sleep,
    serving,
    until_gone,
    until_serving,
)
from sluice_testing.shop import Namespace
from sluice_testing.streams import KINDS, Stream, Told, streaming

# The first test of a run may have to wait for the cluster and the images.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

IDLE_SECONDS = 60
SETTLE_SECONDS = 70
"""The pool's figures are written a minute after the last change; then there is rest."""
REST_SECONDS = 60
LINGER_SECONDS = pausing.GRACE_SECONDS / 4
MOMENTS = [LINGER_SECONDS - 2 + 0.5 * number for number in range(10)]
"""Seconds after the scale-down: from before the pod's end until after it."""
SERVER_CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'"


@pytest.mark.parametrize(("replicas", "cycles"), [(1, 20), (2, 4)])
def test_no_client_notices(
    operator: Cluster,
    database: str,
    capsys: pytest.CaptureFixture[str],
    replicas: int,
    cycles: int,
) -> None:
    """States Running, Draining, Paused and Waking; Races 1, 2, 4, 5, 7, 8, 9 and 11.

    The edges fall in the midst of clients: some reach pods that drain, some the activators.
    """
    tally = Tally()
    with pausing.sleeper(operator, database, replicas=replicas) as sleeper:
        with sleeper.watched() as watch:
            put_to_sleep(sleeper, watch)
        for _ in range(cycles):
            tally.add(run_cycle(operator, sleeper, replicas))
    with capsys.disabled():
        print(f"\n  {replicas} replicas\n{tally.table()}")
    assert tally.broken == []
    assert tally.errors == 0, tally.document()["by_error"]
    # All kinds were there all the time.
    assert all(kind.ok > cycles * 50 for kind in tally.kinds.values())


def test_a_client_may_come_at_any_moment(operator: Cluster, database: str) -> None:
    """States Draining and Paused; Races 1, 2, 3 and 4: nobody came for a while, then somebody.

    Each time a little later after the scale-down: while pods linger, as they end, when none is
    left, while the nodes' rules still name one that has gone.
    """
    told = Told()
    with pausing.sleeper(operator, database) as sleeper, sleeper.watched() as watch:
        for moment in MOMENTS:
            until_serving(watch, 1)
            sleeper.scale(0)
            time.sleep(moment)
            with streaming(operator, Stream(sleeper.namespace.name, CLIENTS), told):
                watch.until(serving, "a pod serves again", 60)
    assert [str(failure) for failure in told.failures] == []
    assert all(told.ok[kind] >= len(MOMENTS) for kind in KINDS)


@dataclass(frozen=True)
class Napper:
    """A proxy that pauses by itself, and the namespace of its database, which nobody shares."""

    sleeper: Sleeper
    server: str

    @property
    def namespace(self) -> Namespace:
        return self.sleeper.namespace

    def status(self) -> Manifest:
        found: Manifest = (self.namespace.get("databaseproxy") or {})["status"]
        return found

    def events(self, reason: str) -> list[Manifest]:
        found = listed(self.sleeper.cluster, "events", self.namespace.name)
        return [event for event in found if event["reason"] == reason]

    def server_connections(self) -> int:
        return int(shop.sql(self.sleeper.cluster, self.server, SERVER_CONNECTIONS))


@pytest.fixture
def napper(operator: Cluster) -> Iterator[Napper]:
    pause = {"enabled": True, "idleSeconds": IDLE_SECONDS}
    with (
        shop.database(operator) as host,
        pausing.sleeper(operator, host, autoPause=pause) as sleeper,
    ):
        yield Napper(sleeper, host.split(".")[1])


def phases(watch: Watch) -> list[str]:
    """Of the one DatabaseProxy, in their order."""
    told = [event.object["status"].get("phase") for event in watch.events]
    return [phase for phase, _ in itertools.groupby(told)]


def patches_of_activators(sleeper: Sleeper) -> float:
    """Writes of all activators, by their own count."""
    total = 0.0
    for pod in sleeper.activators():
        path = f"/api/v1/namespaces/{SYSTEM}/pods/{pod}:{pausing.ADMIN_PORT}/proxy/metrics"
        for name, labels, value in samples(sleeper.api.text(path)):
            is_write = name == "sluice_activator_api_requests_total" and "PATCH" in labels.values()
            total += value if is_write else 0.0
    return total


def test_it_falls_asleep_by_itself_and_rests(operator: Cluster, napper: Napper) -> None:
    """States Running, Draining and Paused: who pauses it, what is told, and that it is silent."""
    sleeper, namespace = napper.sleeper, napper.namespace
    path = f"/apis/sluice.dev/v1alpha1/namespaces/{namespace.name}/databaseproxies"
    with sleeper.watched() as pods, sleeper.api.watch(path) as proxies:
        eventually(lambda: napper.status().get("whyAwake"), "it tells why it is awake", 90)
        until_gone(pods, 4 * IDLE_SECONDS)
        namespace.until_phase("Paused")
        namespace.until("Paused", "True")
        assert "Running Draining Paused" in " ".join(phases(proxies))
        status = napper.status()
        assert status["pausedAt"]
        assert not status.get("whyAwake")
        assert napper.server_connections() == 0
        (paused,) = napper.events("Paused")
        assert paused["type"] == "Normal"

        time.sleep(SETTLE_SECONDS)
        rest(operator, sleeper)
        assert sleeper.replicas() == 0

        assert namespace.answers(CLIENTS)
        until_serving(pods, 1)
        namespace.until_phase("Running")
        assert "pausedAt" not in napper.status()
        eventually(lambda: napper.events("Woken"), "who woke it is told")
        (woken,) = napper.events("Woken")
        client = namespace.get("pod", CLIENTS) or {}
        assert client["status"]["podIP"] in woken["message"]


def rest(cluster: Cluster, sleeper: Sleeper) -> None:
    """Nobody writes anything for REST_SECONDS: not by the API server's count, nor by their own."""
    operator, server = of_operator(cluster), writes_at_server(cluster)
    activators = patches_of_activators(sleeper)
    time.sleep(REST_SECONDS)
    assert of_operator(cluster).since(operator).writes == 0
    assert patches_of_activators(sleeper) == activators
    assert writes_at_server(cluster) == server
