"""What was made for a DatabaseProxy stays as it was made, and no more is written than that takes.

Whatever others take away or change of it comes back; whatever they add stays.
"""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from kube import appimages
from kube.client import Cluster

from sluice_operator import names
from sluice_operator.reconcile import DUE_SECONDS
from sluice_proxy.config import CONFIG_KEY
from sluice_testing import chart, fleet, shop
from sluice_testing.api_metrics import writes_at_server
from sluice_testing.chart import OPERATOR, OPERATOR_PODS, SYSTEM
from sluice_testing.kubernetes import Manifest, eventually, listed
from sluice_testing.shop import Namespace

# The first test of a run may have to wait for the cluster and the images.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

REST_SECONDS = 2 * DUE_SECONDS + 10
"""Long enough to see twice what would be written as often as the pool's figures may be."""
CHILDREN = names.children("orders")

LABEL = {"metadata": {"labels": {names.LABEL_INSTANCE: None}}}
EDITS: Mapping[fleet.Child, Manifest] = {
    ("EndpointSlice", "orders-activator"): {"endpoints": []},
    ("Secret", "orders-proxy-ca-key"): LABEL,
    ("Secret", "orders-proxy-tls"): LABEL,
    ("Secret", "orders-proxy-ca"): {"data": {names.CA_CRT: "e30="}},
    ("Secret", "orders-proxy-config"): {"data": {CONFIG_KEY: "e30="}},
    ("ServiceAccount", "orders-proxy"): {"automountServiceAccountToken": True},
    ("NetworkPolicy", "orders-proxy"): {"spec": {"ingress": [{}]}},
    ("Service", "orders"): {"spec": {"selector": {names.LABEL_NAME: "elsewhere"}}},
    ("Service", "orders-peers"): {"spec": {"publishNotReadyAddresses": False}, **LABEL},
    ("PodDisruptionBudget", "orders-proxy"): {"spec": {"maxUnavailable": 2}},
    ("Deployment", "orders-proxy"): {
        "spec": {"strategy": {"rollingUpdate": {"maxSurge": 2}}},
        **LABEL,
    },
}
"""Changes to what is ours, as `kubectl edit` makes them."""

NOTE = {
    "metadata": {
        "annotations": {"example.com/note": "mine"},
        "labels": {"example.com/team": "shop"},
    }
}
ADDITIONS: Mapping[fleet.Child, Manifest] = {
    **dict.fromkeys(CHILDREN, NOTE),
    ("Secret", "orders-proxy-ca"): {**NOTE, "data": {"note": "bWluZQ=="}},
    ("Service", "orders"): {**NOTE, "spec": {"sessionAffinity": "ClientIP"}},
    ("Deployment", "orders-proxy"): {**NOTE, "spec": {"revisionHistoryLimit": 3}},
}
"""Fields that nobody has set, and somebody wants."""


@pytest.fixture(scope="module", autouse=True)
def resting(operator: Cluster, database: str) -> Iterator[Namespace]:
    """A proxy that nobody touches: it has come to rest by the time that it is asked about."""
    with shop.namespace(operator, database) as made:
        made.apply(made.proxy(replicas=2))
        made.until_ready()
        yield made


def until_settled(namespace: Namespace) -> None:
    namespace.until("Progressing", "False", "Settled")


def test_every_child_that_is_deleted_comes_back(namespace: Namespace) -> None:
    namespace.apply(namespace.proxy(replicas=2))
    until_settled(namespace)
    for child in CHILDREN:
        await_another(namespace, child, "delete", *child, "--wait=false")
    until_settled(namespace)


def await_another(namespace: Namespace, child: fleet.Child, *command: str) -> None:
    """Runs kubectl; returns when another object is in the place of this one."""
    old = namespace.get(*child)
    assert old is not None, child
    namespace.kubectl(*command)

    def is_there() -> bool:
        found = namespace.get(*child)
        return found is not None and found["metadata"]["uid"] != old["metadata"]["uid"]

    eventually(is_there, f"{child} is back")


def test_edits_are_undone_and_additions_stay(namespace: Namespace) -> None:
    namespace.apply(namespace.proxy(replicas=2))
    until_settled(namespace)
    before, restarts = fleet.children(namespace), fleet.restarts(namespace)
    for child in CHILDREN:
        patch(namespace, child, ADDITIONS[child])
        patch(namespace, child, EDITS[child])

    def ours(found: fleet.Children) -> dict[fleet.Child, Any]:
        return {child: picked(found.get(child), EDITS[child]) for child in CHILDREN}

    fleet.until_equal(lambda: ours(fleet.children(namespace)), ours(before))
    until_settled(namespace)
    fleet.look_again(namespace)
    after = fleet.children(namespace)
    for child in CHILDREN:
        assert picked(after[child], ADDITIONS[child]) == ADDITIONS[child]
    # Not replaced by other ones, which would have been as good.
    for name in ("orders-proxy-ca-key", "orders-proxy-tls"):
        assert after["Secret", name]["data"] == before["Secret", name]["data"]
    assert restarts.items() <= fleet.restarts(namespace).items()


def patch(namespace: Namespace, child: fleet.Child, change: Manifest) -> None:
    how = ("--type=merge", "--field-manager=somebody", "-p", json.dumps(change))
    namespace.kubectl("patch", *child, *how)


def picked(manifest: Any, change: Any) -> Any:
    """The part of `manifest` that `change` is about."""
    if not isinstance(change, Mapping):
        return manifest
    return {key: picked((manifest or {}).get(key), value) for key, value in change.items()}


def test_a_suspended_proxy_is_left_alone(namespace: Namespace) -> None:
    namespace.apply(namespace.proxy(replicas=2))
    until_settled(namespace)
    namespace.apply(namespace.proxy(replicas=2, suspend=True))
    namespace.until("Progressing", "False", "Suspended")
    # Until then the shares of its pods may still have changed.
    served = fleet.until_served(namespace)
    namespace.kubectl("delete", "service", "orders-peers")
    patch(namespace, ("Service", "orders"), LABEL)
    before = written(namespace)
    changed = {"replicas": 1, "connectionPool": {"maxConnectionsPercent": 7}}
    namespace.apply(namespace.proxy(suspend=True, **changed))
    namespace.until("Progressing", "False", "Suspended")
    fleet.look_again(namespace)
    assert written(namespace) == before
    assert fleet.until_served(namespace) == served
    namespace.apply(namespace.proxy(**changed))
    until_settled(namespace)
    fleet.until_served(namespace, before=served)
    after = fleet.children(namespace)
    one_pod_has_no_budget = ("PodDisruptionBudget", "orders-proxy")
    assert set(after) == set(CHILDREN) - {one_pod_has_no_budget}
    assert after["Service", "orders"]["metadata"]["labels"][names.LABEL_INSTANCE] == "orders"
    assert after["Deployment", "orders-proxy"]["spec"]["replicas"] == 1


def written(namespace: Namespace) -> dict[fleet.Child, str]:
    """What tells of a write to anything that the operator may write."""
    pods = namespace.pods().values()
    return fleet.versions(
        {**fleet.children(namespace), **{("Pod", pod["metadata"]["name"]): pod for pod in pods}}
    )


def test_a_proxy_is_made_again_under_its_name(namespace: Namespace) -> None:
    """While there are still objects of the one before it."""
    namespace.apply(namespace.proxy())
    until_settled(namespace)
    manifest = json.dumps(namespace.proxy())
    namespace.kubectl("replace", "--force", "-f", "-", input=manifest)
    owner = namespace.until_ready()["metadata"]["uid"]
    for child, found in fleet.children(namespace).items():
        assert found["metadata"]["ownerReferences"][0]["uid"] == owner, child


def test_nothing_is_written_at_rest(operator: Cluster, resting: Namespace) -> None:
    """By the API server's own count of what the operator writes, whoever wrote it.

    The time begins anew with each write: what other tests left may take a while to go.
    """
    until_settled(resting)
    writes: list[dict[str, float]] = []
    begin = since = time.monotonic()
    known = writes_at_server(operator)
    while time.monotonic() - since < REST_SECONDS:
        time.sleep(5)
        count = writes_at_server(operator)
        if count != known:
            writes.append({what: n - known.get(what, 0) for what, n in count.items()})
            known, since = count, time.monotonic()
        assert time.monotonic() - begin < 4 * REST_SECONDS, writes


def test_without_an_operator_all_goes_with_the_proxy(
    operator: Cluster, namespace: Namespace
) -> None:
    namespace.apply(namespace.proxy(replicas=2))
    until_settled(namespace)
    assert set(fleet.children(namespace)) == set(CHILDREN)
    with nobody_operates(operator):
        namespace.kubectl("delete", "databaseproxy", "orders")
        eventually(lambda: not fleet.children(namespace), "all objects are gone", 120)
        eventually(lambda: not namespace.pods(), "all pods are gone")


@contextlib.contextmanager
def nobody_operates(cluster: Cluster) -> Iterator[None]:
    here = ("-n", SYSTEM)
    cluster.kubectl(*here, "scale", OPERATOR, "--replicas=0")
    try:
        gone = ("wait", "--for=delete", "pod", "-l", OPERATOR_PODS)
        cluster.kubectl(*here, *gone, "--timeout=60s")
        yield
    finally:
        cluster.kubectl(*here, "scale", OPERATOR, "--replicas=2")
        chart.until_rolled_out(cluster)


def test_another_image_of_the_operator_restarts_no_proxy(
    operator: Cluster, namespace: Namespace
) -> None:
    """The same program by another name is another image to Kubernetes."""
    namespace.apply(namespace.proxy(replicas=2))
    until_settled(namespace)
    before, restarts = written(namespace), fleet.restarts(namespace)
    with upgraded(operator, f"{appimages.version()}-next"):
        peers = ("Service", "orders-peers")
        await_another(namespace, peers, "delete", "service", "orders-peers", "--wait=false")
        after = written(namespace)
    assert {child for child in before if after[child] != before[child]} == {peers}
    assert fleet.restarts(namespace) == restarts


@contextlib.contextmanager
def upgraded(cluster: Cluster, tag: str) -> Iterator[None]:
    """The operator's image has this tag."""
    name = "docker.io/sluice/operator"
    ctr = ("ctr", "--namespace", "k8s.io", "images")
    cluster.on_node(*ctr, "tag", "--force", f"{name}:{appimages.version()}", f"{name}:{tag}")
    try:
        chart.install(cluster, values={"image": {"tag": tag}})
        fleet.until_equal(lambda: images(cluster), {f"sluice/operator:{tag}"})
        yield
    finally:
        chart.install(cluster)
        cluster.on_node(*ctr, "rm", f"{name}:{tag}")


def images(cluster: Cluster) -> set[str]:
    """What the pods of the operator run, those included that are about to end."""
    found = listed(cluster, "pods", SYSTEM, OPERATOR_PODS)
    return {container["image"] for pod in found for container in pod["spec"]["containers"]}
