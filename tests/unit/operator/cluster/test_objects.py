"""What a look makes of Services that it may not read, and of what is no child of a proxy.

The rest: on a real cluster.
"""

from typing import Any

import pytest

from sluice_operator.api.manifest import parse
from sluice_operator.cluster.errors import Forbidden
from sluice_operator.cluster.objects import Objects
from sluice_operator.cluster.store import Store
from sluice_operator.decide.observed import Observed
from sluice_testing.api_server import Api, add_pod
from sluice_testing.specs import manifest

PROXY = parse(manifest({"spec.targets": [{"host": "db.data"}]}))
SERVICE = {"metadata": {"namespace": "data", "name": "db"}, "spec": {"selector": {"a": "b"}}}


class Client:
    """Has one Service at most, in a namespace that may be `closed`; knows nothing else."""

    def __init__(self, *, closed: bool, service: dict[str, Any] | None = None):
        self.closed = closed
        self.service = service

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        if kind == "Service" and self.closed:
            raise Forbidden(403, "Forbidden", "services in the namespace data")
        return self.service if kind == "Service" else None

    async def list(self, *_: Any) -> list[dict[str, Any]]:
        return []


async def look(objects: Objects, *, fresh: bool = False) -> Observed:
    return await objects.around(PROXY, fresh=fresh)


@pytest.mark.parametrize("closed", [True, False])
async def test_what_may_not_be_read_is_told_from_what_is_not_there(closed: bool) -> None:
    objects = Objects(Client(closed=closed), Store())  # type: ignore[arg-type]
    expected = {("data", "db")} if closed else frozenset()
    for _ in range(2):  # the second by what is remembered
        observed = await look(objects)
        assert observed.services == {}
        assert observed.unreadable == expected


async def test_a_fresh_look_sees_that_it_may_read() -> None:
    client = Client(closed=True, service=SERVICE)
    objects = Objects(client, Store())  # type: ignore[arg-type]
    assert (await look(objects)).unreadable == {("data", "db")}
    client.closed = False
    observed = await look(objects, fresh=True)
    assert observed.unreadable == frozenset()
    assert set(observed.services) == {("data", "db")}


DEPLOYMENT: dict[str, Any] = {
    "kind": "Deployment",
    "metadata": {"namespace": "shop", "name": "orders-proxy", "resourceVersion": "0"},
    "spec": {"replicas": 2, "paused": False},
}
POLICY: dict[str, Any] = {
    "kind": "NetworkPolicy",
    "metadata": {"namespace": "sluice-system", "name": "shop.orders"},
}


async def test_a_scaled_deployment_is_known_as_it_is_now() -> None:
    """Else the next look would write over what it has just written, and be refused."""
    api, store = Api(DEPLOYMENT), Store()
    objects = Objects(api, store)  # type: ignore[arg-type]
    scaled = await objects.scale(DEPLOYMENT, 0)
    assert scaled["spec"] == {"replicas": 0, "paused": False}
    assert scaled == api.objects["Deployment", "shop", "orders-proxy"]
    assert store.get(("Deployment", "shop", "orders-proxy")) == scaled
    await objects.scale(scaled, 2)
    assert DEPLOYMENT["spec"]["replicas"] == 2


async def test_what_is_no_child_is_read_once() -> None:
    api = Api(POLICY)
    objects = Objects(api, Store())  # type: ignore[arg-type]
    for _ in range(2):
        assert await objects.beside(POLICY, fresh=False) == POLICY
    assert api.reads == 1
    del api.objects["NetworkPolicy", "sluice-system", "shop.orders"]
    assert await objects.beside(POLICY, fresh=True) is None


async def test_what_is_no_child_is_withdrawn_if_it_is_there() -> None:
    api = Api(POLICY)
    objects = Objects(api, Store())  # type: ignore[arg-type]
    for _ in range(2):
        await objects.withdraw("NetworkPolicy", "sluice-system", "shop.orders")
    assert api.written == ["-NetworkPolicy shop.orders"]


async def test_what_was_not_there_before_is_withdrawn_as_well() -> None:
    """Its namespace may be one that is not watched: nobody told that it was made."""
    api = Api()
    objects = Objects(api, Store())  # type: ignore[arg-type]
    assert await objects.beside(POLICY, fresh=False) is None
    api.objects["NetworkPolicy", "sluice-system", "shop.orders"] = POLICY
    await objects.withdraw("NetworkPolicy", "sluice-system", "shop.orders")
    assert api.objects == {}


async def test_of_endpoint_slices_only_ours_are_children() -> None:
    """The EndpointSlice controller gives its own the labels of the Service."""
    labels = {"app.kubernetes.io/managed-by": "sluice", "app.kubernetes.io/instance": "orders"}
    managers = {"ours": "sluice.dev", "theirs": "endpointslice-controller.k8s.io"}
    slices = [
        {
            "kind": "EndpointSlice",
            "metadata": {
                "namespace": "shop",
                "name": name,
                "labels": {**labels, "endpointslice.kubernetes.io/managed-by": manager},
            },
        }
        for name, manager in managers.items()
    ]
    objects = Objects(Api(*slices), Store())  # type: ignore[arg-type]
    made = await objects.made(("shop", "orders"), fresh=True)
    assert [*made.children] == [("EndpointSlice", "ours")]


async def test_pods_that_ended_are_told_from_those_that_are_there() -> None:
    """One of them is gone already, and holds nothing either."""
    store = Store()
    for name, phase in (("runs", "Running"), ("ended", "Succeeded"), ("gone", "Failed")):
        add_pod(Api(), store, name)
        pod = store.get(("Pod", "shop", name)) or {}
        store.see({**pod, "status": {**pod["status"], "phase": phase}}, deleted=name == "gone")
    observed = await look(Objects(Client(closed=False), store))  # type: ignore[arg-type]
    assert [pod.name for pod in observed.pods] == ["runs"]
    assert observed.finished == {"ended", "gone"}
