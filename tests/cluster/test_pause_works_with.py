"""What else writes to a proxy that sleeps, or takes the only pod of one that does not.

Autoscalers, upgrades of the release and manifests that are applied again leave it asleep. Where
the last pod goes, new clients are held by the activators until there is another.
"""

import json
import time
from collections.abc import Callable, Iterator

import pytest
from kube.client import Cluster

from sluice_testing import chart, fleet, pausing
from sluice_testing.api import Watch
from sluice_testing.kubernetes import Manifest, eventually
from sluice_testing.load import Load, at_work
from sluice_testing.pausing import (
    CLIENTS,
    Sleeper,
    is_ending,
    put_to_sleep,
    until_gone,
    until_serving,
)
from sluice_testing.streams import Stream, streaming, until_served

# The first test of a run may have to wait for the cluster and the images.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

GRACE_SECONDS = 40
"""Long enough that nobody is let go before his transaction is over."""
AUTOSCALER_SECONDS = 35
"""An autoscaler looks every 15 seconds."""
APPLIED_SECONDS = 10
SOME_CLIENTS = 40


@pytest.fixture(scope="module")
def built(operator: Cluster, database: str) -> Iterator[Sleeper]:
    grace = {"podTemplate__terminationGracePeriodSeconds": GRACE_SECONDS}
    with pausing.sleeper(operator, database, **grace) as sleeper:
        yield sleeper


@pytest.fixture
def sleeper(built: Sleeper) -> Sleeper:
    """With one pod, as it was built."""
    built.namespace.kubectl("delete", "hpa", "--all")
    give(built, 1)
    assert built.namespace.answers(CLIENTS)
    built.namespace.until("Progressing", "False", "Settled")
    with built.watched() as watch:
        watch.until(lambda there: len(there) == 1, "one pod and none that is ending", 120)
    return built


def give(sleeper: Sleeper, replicas: int) -> None:
    """Applies the manifest with this number of pods."""
    grace = {"podTemplate__terminationGracePeriodSeconds": GRACE_SECONDS}
    sleeper.namespace.apply(pausing.proxy(sleeper.namespace, replicas=replicas, **grace))


def appeared(watch: Watch) -> list[str]:
    """The names of all pods that there were at any time."""
    return sorted({event.object["metadata"]["name"] for event in watch.events})


def wake(sleeper: Sleeper, watch: Watch, replicas: int = 1) -> None:
    assert sleeper.namespace.answers(CLIENTS)
    until_serving(watch, replicas)


def test_two_pods_sleep_and_wake_together(sleeper: Sleeper) -> None:
    """States Paused and Waking: as many pods as the spec says."""
    give(sleeper, 2)
    with sleeper.watched() as watch:
        until_serving(watch, 2)
        put_to_sleep(sleeper, watch)
        wake(sleeper, watch, 2)
        assert sleeper.replicas() == 2


def autoscaler(namespace: str, least: int) -> Manifest:
    target = {"apiVersion": "sluice.dev/v1alpha1", "kind": "DatabaseProxy", "name": "orders"}
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "orders", "namespace": namespace},
        "spec": {
            "scaleTargetRef": target,
            "minReplicas": least,
            "maxReplicas": 3,
            "metrics": [{"type": "Resource", "resource": cpu}],
        },
    }


def wanted(sleeper: Sleeper) -> int:
    return int((sleeper.namespace.get("databaseproxy") or {})["spec"]["replicas"])


def test_an_autoscaler_does_not_wake_it(sleeper: Sleeper) -> None:
    """Race 17: it scales the DatabaseProxy, awake or asleep; how many pods wake is its say."""
    sleeper.namespace.apply(autoscaler(sleeper.namespace.name, 2))
    with sleeper.watched() as watch:
        until_serving(watch, 2, seconds=120)
        put_to_sleep(sleeper, watch)
        # What it does not see for the first time: it may need pods to look at anything.
        sleeper.namespace.apply(autoscaler(sleeper.namespace.name, 3))
        time.sleep(AUTOSCALER_SECONDS)
        assert sleeper.replicas() == 0
        assert watch.there() == {}
        wake(sleeper, watch, wanted(sleeper))
        until_serving(watch, 3, seconds=120)


def test_an_upgrade_of_the_release_does_not_wake_it(operator: Cluster, sleeper: Sleeper) -> None:
    """Race 17, and 12: the operator and the activators are new, the proxy sleeps on and wakes."""
    with sleeper.watched() as watch:
        put_to_sleep(sleeper, watch)
        chart.install(operator)
        chart.restart_activators(operator)
        fleet.look_again(sleeper.namespace)
        assert sleeper.replicas() == 0
        assert watch.there() == {}
        wake(sleeper, watch)


def test_a_manifest_that_is_applied_again_does_not_wake_it(sleeper: Sleeper) -> None:
    """Race 17: as GitOps tools do it every few minutes."""
    with sleeper.watched() as watch:
        put_to_sleep(sleeper, watch)
        sleeper.namespace.until_phase("Paused")
        before = sleeper.namespace.get("deployment", "orders-proxy")
        give(sleeper, 1)
        fleet.look_again(sleeper.namespace)
        time.sleep(APPLIED_SECONDS)
        after = sleeper.namespace.get("deployment", "orders-proxy")
        assert after == before
        assert watch.there() == {}
        wake(sleeper, watch)


def delete(sleeper: Sleeper) -> None:
    sleeper.namespace.kubectl("delete", "pod", only(sleeper), "--wait=false")


def evict(sleeper: Sleeper) -> None:
    """As `kubectl drain` does it."""
    name = only(sleeper)
    metadata = {"name": name, "namespace": sleeper.namespace.name}
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    path = f"/api/v1/namespaces/{sleeper.namespace.name}/pods/{name}/eviction"
    sleeper.namespace.kubectl("create", "--raw", path, "-f", "-", input=json.dumps(body))


def roll(sleeper: Sleeper) -> None:
    """By what a user may change of the pods."""
    template = {"metadata": {"annotations": {"example.com/rolled": str(time.time())}}}
    change = json.dumps({"spec": {"podTemplate": template}})
    sleeper.namespace.kubectl("patch", "databaseproxy", "orders", "--type=merge", "-p", change)


def only(sleeper: Sleeper) -> str:
    (pod,) = sleeper.namespace.pods().values()
    return str(pod["metadata"]["name"])


@pytest.mark.parametrize("take", [delete, evict, roll])
def test_the_only_pod_goes_in_the_midst_of_clients(
    operator: Cluster, sleeper: Sleeper, take: Callable[[Sleeper], None]
) -> None:
    """Race 22: new clients are held and served, and none that is in loses its connection."""
    load = Load(sleeper.namespace.name, CLIENTS, clients=10, ramp=1.0, work=2.0, hold=0.2)
    stream = Stream(sleeper.namespace.name, CLIENTS)
    with sleeper.watched() as watch:
        first = until_serving(watch, 1)
        with at_work(operator, load) as run, streaming(operator, stream) as told:
            until_served(told, SOME_CLIENTS)
            take(sleeper)
            until_serving(watch, 1, but=first)
            sleeper.until_direct()
            eventually(lambda: first.isdisjoint(watch.there()), "the old pod is gone", 90)
            until_served(told, SOME_CLIENTS)
        assert [str(failure) for failure in told.failures] == []
        assert run.errors() == {}
        assert not any(is_ending(pod) for pod in watch.there().values())


def test_the_only_pod_is_deleted_by_force(
    operator: Cluster, sleeper: Sleeper, capsys: pytest.CaptureFixture[str]
) -> None:
    """Race 22: who was connected may lose it; who comes when it is known is held and served."""
    with sleeper.watched() as watch:
        first = until_serving(watch, 1)
        with streaming(operator, Stream(sleeper.namespace.name, CLIENTS)) as told:
            until_served(told, SOME_CLIENTS)
            taken = time.time()
            force = ("--grace-period=0", "--force")
            sleeper.namespace.kubectl("delete", "pod", only(sleeper), *force)
            until_serving(watch, 1, but=first)
            sleeper.until_direct()
            until_served(told, SOME_CLIENTS)
    with capsys.disabled():
        late = [round(failure.begun - taken, 2) for failure in told.failures]
        print(f"\n  a pod deleted by force: {len(late)} clients failed, begun after {late} s")
    # The kubelet, and with it what the nodes know, learns of it within moments.
    assert [str(failure) for failure in told.failures if failure.begun > taken + 5] == []


def test_a_pod_more_does_not_wait_for_a_client(sleeper: Sleeper) -> None:
    """State Running: the spec's number is followed at once, up and down."""
    give(sleeper, 2)
    with sleeper.watched() as watch:
        until_serving(watch, 2)
        give(sleeper, 1)
        watch.until(lambda there: len(there) == 1, "one pod is left", 120)
        put_to_sleep(sleeper, watch)
        until_gone(watch)
        assert len(appeared(watch)) == 2
