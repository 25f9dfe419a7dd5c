"""One operator leads at a time, and when it goes, however it goes, another goes on.

While leaders come and go every pod of the operator is asked whether it leads, and clients
work through the proxy, which none of this concerns.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from kube.client import Cluster

from sluice_testing import chart, fleet, leaders, pods, shop
from sluice_testing.chart import SYSTEM
from sluice_testing.kubernetes import Manifest, condition, eventually, secret
from sluice_testing.leaders import contested
from sluice_testing.load import Load, at_work
from sluice_testing.shop import SUPERUSER_PASSWORD, Namespace

# The first test of a run may have to wait for the cluster and the images.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

CRASH_SECONDS = 15
STOP_SECONDS = 2
CHILD = ("poddisruptionbudget", "orders-proxy")


@dataclass(frozen=True)
class Town:
    """A DatabaseProxy of two pods with clients at work, and two pods of the operator."""

    cluster: Cluster
    namespace: Namespace

    @contextlib.contextmanager
    def undisturbed(self) -> Iterator[None]:
        """No client sees an error in this context, no pod restarts, no two operators lead."""
        load = Load(self.namespace.name, "clients", clients=20, ramp=1.0, work=2.0, hold=0.2)
        before = fleet.restarts(self.namespace)
        with at_work(self.cluster, load) as run, leaders.watched(self.cluster) as claims:
            yield
        assert run.errors() == {}
        assert fleet.restarts(self.namespace) == before
        assert contested(claims) == []
        # Each of both has led, and was seen to.
        assert len({claim.pod for claim in claims if claim.leads}) == 2

    def until_repaired(self) -> None:
        """Deletes an object that was made for the proxy; returns when it is there again."""
        old = self.namespace.get(*CHILD)
        assert old is not None
        self.namespace.kubectl("delete", *CHILD, "--wait=false")

        def is_back() -> bool:
            found = self.namespace.get(*CHILD)
            return found is not None and found["metadata"]["uid"] != old["metadata"]["uid"]

        eventually(is_back, "the operator is at work", 30)


@pytest.fixture(scope="module")
def built(operator: Cluster, database: str) -> Iterator[Town]:
    with shop.namespace(operator, database) as namespace:
        uri = f"postgresql://postgres:{SUPERUSER_PASSWORD}@{database}/postgres?sslmode=disable"
        percent = {"maxConnectionsPercent": 20}
        namespace.apply(
            secret("superuser", namespace.name, {"SERVER_URI": uri}),
            namespace.proxy(replicas=2, connectionPool=percent),
        )
        status = namespace.until_ready()["status"]
        where = ("clients", namespace.name, status["endpoint"], status["caSecretName"])
        pods.start(operator, pods.Clients(*where, "orders-app", "superuser"))
        namespace.until("Progressing", "False", "Settled")
        yield Town(operator, namespace)


@pytest.fixture
def town(built: Town) -> Town:
    chart.until_rolled_out(built.cluster)
    leaders.until_alone(built.cluster)
    return built


def show(capsys: pytest.CaptureFixture[str], what: str, seconds: float, limit: int) -> None:
    with capsys.disabled():
        print(f"\n  {what:<32}another has acted after {seconds:4.1f} s (aim: {limit} s)")


def test_a_leader_that_crashes(town: Town, capsys: pytest.CaptureFixture[str]) -> None:
    with town.undisturbed():
        before = leaders.leading(town.cluster)
        begin = time.monotonic()
        leaders.signal(town.cluster, before.pod, "KILL")
        held = leaders.lease(town.cluster)
        town.until_repaired()
        show(capsys, "the leader is killed", time.monotonic() - begin, CRASH_SECONDS)
        after = leaders.lease(town.cluster)
    assert held.holder == before.holder
    assert after.holder != before.holder
    assert after.acquired - held.renewed <= CRASH_SECONDS


def test_a_leader_that_is_stopped(town: Town, capsys: pytest.CaptureFixture[str]) -> None:
    with town.undisturbed():
        before = leaders.leading(town.cluster)
        begin = time.monotonic()
        stopped = leaders.stop(town.cluster, before.pod)
        town.until_repaired()
        show(capsys, "the leader's pod is deleted", time.monotonic() - begin, STOP_SECONDS)
        after = leaders.lease(town.cluster)
    assert after.holder != before.holder
    # What tells when it was stopped has no more than whole seconds.
    assert after.acquired - stopped <= STOP_SECONDS + 1


def test_a_leader_that_hangs_writes_nothing_when_it_wakes(
    town: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    """What changed meanwhile it learns as soon as it runs on; but it leads no more."""
    cluster, before = town.cluster, leaders.leading(town.cluster)
    log = ("-n", SYSTEM, "logs", before.pod)
    with town.undisturbed():
        known = cluster.kubectl(*log)
        begin = time.monotonic()
        leaders.signal(cluster, before.pod, "STOP")
        town.until_repaired()
        show(capsys, "the leader hangs", time.monotonic() - begin, CRASH_SECONDS)
        leaders.signal(cluster, before.pod, "CONT")
        whole = eventually(lambda: log_of_a_loss(town, before.pod), "it has ended", 30)
    assert whole.startswith(known)
    assert " applied " not in whole.removeprefix(known)


def log_of_a_loss(town: Town, pod: str) -> str:
    """Of the pod's container before the present one, which lost the Lease; empty if it did not."""
    try:
        told = town.cluster.kubectl("-n", SYSTEM, "logs", pod, "--previous")
    except Exception:
        return ""
    return told if "the Lease is lost" in told else ""


def test_proxies_of_near_names_leave_each_other_alone(namespace: Namespace) -> None:
    """What is made for `orders` and for `orders-proxy` differs in kind or name."""
    both = ("orders", "orders-proxy")
    namespace.apply(*(named(namespace.proxy(), name) for name in both))
    settled = ("--for=condition=Progressing=False", *(f"databaseproxy/{name}" for name in both))
    namespace.kubectl("wait", *settled, "--timeout=60s")
    with pytest.raises(Exception, match="must not end in -peers"):
        namespace.apply(named(namespace.proxy(), "orders-peers"))

    def versions() -> dict[fleet.Child, str]:
        found = [fleet.children(namespace, name) for name in both]
        assert [len(children) for children in found] == [10, 10]
        return fleet.versions(found[0] | found[1])

    def rests() -> bool:
        before = versions()
        for _ in range(3):
            fleet.look_again(namespace, proxies=2)
        return versions() == before

    eventually(rests, "nobody writes")


def test_what_another_proxy_owns_is_not_taken(namespace: Namespace) -> None:
    namespace.apply(namespace.proxy())
    owner = namespace.until_ready()
    service = named(namespace.get("service") or {}, "report")
    del service["spec"]["clusterIP"], service["spec"]["clusterIPs"]
    del service["metadata"]["labels"]
    assert service["metadata"]["ownerReferences"][0]["uid"] == owner["metadata"]["uid"]
    namespace.apply(service, named(namespace.proxy(), "report"))

    def refused() -> bool:
        found = condition(namespace.get("databaseproxy", "report"), "Accepted")
        return found.get("reason") == "NameTaken"

    before = namespace.get("service", "report")
    eventually(refused, "the name is taken")
    assert namespace.get("service", "report") == before


def named(manifest: Manifest, name: str) -> Manifest:
    metadata = {**manifest["metadata"], "name": name}
    for given in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
        metadata.pop(given, None)
    return {**manifest, "metadata": metadata}
