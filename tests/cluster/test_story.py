"""What happens to a proxy over time: what its Events tell, hands kept off it, an autoscaler."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sluice_testing import shop
from sluice_testing.kubernetes import Manifest, eventually, listed, login
from sluice_testing.shop import PASSWORD, Namespace

# The first test of a run may have to wait for the cluster and the images.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

WRONG, NEW = "unspeakable-wrong", "unspeakable-new"


def events(place: Namespace, reason: str = "") -> list[Manifest]:
    """Those of the DatabaseProxy; of one reason only, if one is given."""
    return [
        event
        for event in listed(place.cluster, "events", place.name)
        if event["involvedObject"]["kind"] == "DatabaseProxy" and reason in ("", event["reason"])
    ]


def count(place: Namespace, reason: str) -> int:
    return sum(event["count"] for event in events(place, reason))


@pytest.fixture
def server(namespace: Namespace) -> Iterator[str]:
    """The namespace of the server, whose role `app` has its password back in the end."""
    space = namespace.database.split(".")[1]
    yield space
    shop.sql(namespace.cluster, space, f"ALTER ROLE app PASSWORD '{PASSWORD}'")


def test_the_events_tell_the_story(namespace: Namespace, server: str) -> None:
    def give(password: str) -> None:
        namespace.apply(login("orders-app", namespace.name, "app", password))

    def suspend(value: bool) -> None:
        namespace.apply(namespace.proxy(suspend=value, auth__0__rotationGraceSeconds=0))

    give(WRONG)
    suspend(False)
    namespace.until("TargetsAvailable", "False", "AuthFailure")
    give(PASSWORD)
    namespace.until("Ready", "True")
    shop.sql(namespace.cluster, server, f"ALTER ROLE app PASSWORD '{NEW}'")
    give(NEW)
    eventually(lambda: count(namespace, "CredentialsRotated") == 2, "two rotations")
    namespace.until("Ready", "True")
    suspend(True)
    namespace.until("Progressing", "False", "Suspended")
    suspend(False)
    namespace.until("Progressing", "False", "Settled")
    give(WRONG)
    namespace.until("TargetsAvailable", "False", "AuthFailure")

    eventually(lambda: count(namespace, "AuthFailure") == 2, "the second failure is counted")
    kinds = {event["reason"]: event["type"] for event in events(namespace)}
    wanted = {
        "AuthFailure": "Warning",
        "Available": "Normal",
        "Serving": "Normal",
        "CredentialsRotated": "Normal",
        "Suspended": "Normal",
        "Resumed": "Normal",
    }
    assert {reason: kinds.get(reason) for reason in wanted} == wanted
    # What comes again is counted, not written anew.
    assert len({event["reason"] for event in events(namespace)}) == len(events(namespace))
    shown = json.dumps(events(namespace))
    assert "unspeakable" not in shown
    assert PASSWORD not in shown


CHILDREN = "deployment,service,networkpolicy,serviceaccount,secret"


def versions(place: Namespace) -> dict[str, str]:
    """resourceVersion of each child by kind and name; a Deployment's without its status."""
    found = json.loads(
        place.kubectl("get", CHILDREN, "-l", "app.kubernetes.io/instance=orders", "-o", "json")
    )["items"]
    return {
        f"{item['kind']} {item['metadata']['name']}": str(
            item["metadata"].get("generation") or item["metadata"]["resourceVersion"]
        )
        for item in found
    }


def test_hands_are_kept_off_while_it_is_suspended(namespace: Namespace) -> None:
    namespace.apply(namespace.proxy(suspend=True))
    namespace.until("Progressing", "False", "Suspended", "set spec.suspend to false to go on")
    assert versions(namespace) == {}

    namespace.apply(namespace.proxy())
    namespace.until("Progressing", "False", "Settled")
    namespace.apply(namespace.proxy(suspend=True))
    namespace.until("Progressing", "False", "Suspended")
    before = versions(namespace)
    namespace.kubectl("delete", "service", "orders")
    namespace.kubectl("scale", "deployment/orders-proxy", "--replicas=0")
    eventually(lambda: not namespace.pods(), "the pods are gone")
    # It is looked at all the same: this is told of the newest spec.
    percent = {"maxConnectionsPercent": 7}
    namespace.apply(namespace.proxy(suspend=True, connectionPool=percent))
    # Activators would wake it; what they need is not looked for either.
    namespace.until("Ready", "True", "Paused")
    after = versions(namespace)
    assert after.pop("Deployment orders-proxy") != before.pop("Deployment orders-proxy")
    assert before.pop("Service orders")
    assert after == before

    namespace.apply(namespace.proxy(connectionPool=percent))
    namespace.until("Progressing", "False", "Settled")
    namespace.until("Ready", "True")
    assert "Service orders" in versions(namespace)
    config = "Secret orders-proxy-config"
    assert versions(namespace)[config] != before[config]


def autoscaler(namespace: str) -> Manifest:
    target = {"apiVersion": "sluice.dev/v1alpha1", "kind": "DatabaseProxy", "name": "orders"}
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "orders", "namespace": namespace},
        "spec": {
            "scaleTargetRef": target,
            "minReplicas": 2,
            "maxReplicas": 3,
            "metrics": [{"type": "Resource", "resource": cpu}],
        },
    }


def test_an_autoscaler_scales_it(namespace: Namespace) -> None:
    """To its minimum, for which it needs no metrics: there are none here."""
    namespace.apply(namespace.proxy())
    namespace.until_ready()
    namespace.apply(autoscaler(namespace.name))

    def scaled() -> bool:
        return bool((namespace.get("databaseproxy") or {})["status"]["replicas"] == 2)

    def conditions() -> dict[str, Any]:
        found = namespace.get("horizontalpodautoscaler") or {}
        listing = found.get("status", {}).get("conditions") or ()
        return {item["type"]: item for item in listing}

    eventually(scaled, "2 pods")
    assert (namespace.get("databaseproxy") or {})["spec"]["replicas"] == 2
    # Only with the pods in hand does it look for their metrics: the selector has led it there.
    eventually(lambda: "ScalingActive" in conditions(), "the autoscaler looked for metrics")
    found = conditions()
    assert found["AbleToScale"]["status"] == "True", found
    assert found["ScalingActive"]["reason"] == "FailedGetResourceMetric", found
