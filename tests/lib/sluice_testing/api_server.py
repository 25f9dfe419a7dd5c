"""The API server and the pods of one DatabaseProxy in memory, which fail on demand."""

import base64
import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sluice_operator.cluster.errors import ApiError, Conflict
from sluice_operator.cluster.store import Store, object_key
from sluice_operator.decide.observed import Pod
from sluice_operator.decide.pause import Wakers
from sluice_operator.decide.references import Key
from sluice_operator.decide.state import PoolState, ProxyState, TargetState
from sluice_operator.decide.wake import Wake
from sluice_operator.desired.inputs import Activator
from sluice_testing.specs import manifest

KEY = ("shop", "orders")
Manifest = dict[str, Any]


class Api:
    """The API server's objects in memory; `refuse` raises for a kind instead of writing it."""

    def __init__(self, *objects: Manifest):
        self.objects = {object_key(item): item for item in objects}
        self.refuse: dict[str, ApiError] = {}
        self.written: list[str] = []
        self.reads = 0
        self.versions = 0

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        self.reads += 1
        return copy.deepcopy(self.objects.get((kind, namespace, name)))

    async def list(self, kind: str, namespace: str, labels: Mapping[str, str]) -> list[Manifest]:
        self.reads += 1
        return [
            copy.deepcopy(item)
            for key, item in self.objects.items()
            if key[:2] == (kind, namespace)
            and labels.items() <= (item["metadata"].get("labels") or {}).items()
        ]

    async def apply(self, item: Manifest) -> Manifest:
        self._refuse(item["kind"])
        self.written.append(f"{item['kind']} {item['metadata']['name']}")
        made, live = copy.deepcopy(item), self.objects.get(object_key(item))
        if item["kind"] == "Deployment":
            made["spec"]["replicas"] = 1 if live is None else live["spec"]["replicas"]
            made["status"] = {} if live is None else live.get("status", {})
        return self._keep(made)

    async def scale(self, deployment: Mapping[str, Any], replicas: int) -> Manifest:
        self._refuse("scale")
        live = copy.deepcopy(self.objects[object_key(deployment)])
        seen = deployment["metadata"]["resourceVersion"]
        if replicas == 0 and live["metadata"]["resourceVersion"] != seen:
            raise Conflict(409, "Conflict", "the object has been modified")
        self.written.append(f"scale {live['metadata']['name']} {replicas}")
        live["spec"]["replicas"] = replicas
        return self._keep(live)

    def _keep(self, item: Manifest) -> Manifest:
        self.versions += 1
        item["metadata"]["resourceVersion"] = str(self.versions)
        self.objects[object_key(item)] = copy.deepcopy(item)
        return item

    async def create(self, item: Manifest) -> Manifest:
        self._refuse(item["kind"])
        self.objects[object_key(item)] = copy.deepcopy(item)
        return item

    async def apply_status(self, item: Manifest) -> Manifest:
        self._refuse("status")
        self.written.append("status")
        live = self.objects[object_key(item)]
        live["status"] = copy.deepcopy(item["status"])
        return copy.deepcopy(live)

    async def delete(self, item: Manifest) -> None:
        self._refuse("delete")
        self.written.append(f"-{item['kind']} {item['metadata']['name']}")
        del self.objects[object_key(item)]

    async def merge(self, kind: str, namespace: str, name: str, change: Manifest) -> Manifest:
        self._refuse("merge")
        live = self.objects[kind, namespace, name]
        if kind == "Event":
            live.update(change)
        elif kind == "EndpointSlice":
            self.written.append(f"{kind} {name}")
            return self._keep({**copy.deepcopy(live), **copy.deepcopy(change)})
        else:
            self.written.append(f"annotate {name}")
            annotations = change["metadata"]["annotations"]
            live["metadata"].setdefault("annotations", {}).update(annotations)
        return copy.deepcopy(live)

    def _refuse(self, what: str) -> None:
        if what in self.refuse:
            raise self.refuse[what]

    def condition(self, kind: str) -> Manifest:
        found: Manifest = next(
            c
            for c in self.objects["DatabaseProxy", *KEY]["status"]["conditions"]
            if c["type"] == kind
        )
        return found

    def told(self) -> set[str]:
        return {item["reason"] for key, item in self.objects.items() if key[0] == "Event"}


class Pods:
    """Pods that serve the document `config_hash`, to so many `clients` each.

    Before the answer to each question, `on_question` is called with its number.
    """

    def __init__(self) -> None:
        self.config_hash = ""
        self.config_error = ""
        self.target = TargetState("db", 5432, "Available")
        self.clients = 0
        self.idle_seconds: float | None = 0.0
        self.woken: Wake | None = None
        self.budget: int | None = None
        self.asked = 0
        self.on_question: Callable[[int], None] = lambda _: None

    async def of(self, pods: Iterable[Pod]) -> Mapping[str, ProxyState]:
        self.asked += 1
        self.on_question(self.asked)
        state = ProxyState(
            self.config_hash,
            self.config_error,
            (self.target,),
            PoolState(clients=self.clients),
            fleet_budget=self.budget,
            idle_seconds=self.idle_seconds,
        )
        return {pod.name: state for pod in pods}

    async def wake(self, key: Key, activators: Iterable[Activator]) -> Wake | None:
        return self.woken


class Standins:
    """The activators, as the reconciler asks for them."""

    def __init__(self, *ips: str) -> None:
        self.ips = ips
        self.gone_for = 0.0

    def listed(self) -> tuple[Activator, ...]:
        return tuple(Activator(ip, "node-1") for ip in self.ips)

    ready = listed

    def wakers(self) -> Wakers:
        return Wakers(installed=True, ready=len(self.ips), gone_for=self.gone_for)


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


PROXY = manifest({"metadata.uid": "uid-1", "metadata.generation": 1})
LOGIN = {
    "kind": "Secret",
    "metadata": {"name": "orders-app", "namespace": "shop"},
    "data": {
        "username": base64.b64encode(b"app").decode(),
        "password": base64.b64encode(b"pw").decode(),
    },
}


def config_hash(api: Api) -> str:
    secret = api.objects["Secret", "shop", "orders-proxy-config"]
    found: str = secret["metadata"]["annotations"]["sluice.dev/config-hash"]
    return found


def add_pod(api: Api, store: Store, name: str = "p") -> None:
    labels = {
        "app.kubernetes.io/name": "sluice-proxy",
        "app.kubernetes.io/instance": "orders",
        "app.kubernetes.io/managed-by": "sluice",
    }
    pod: Manifest = {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "status": {"podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]},
    }
    api.objects["Pod", "shop", name] = pod
    store.see(pod, deleted=False)


def roll_out(api: Api, store: Store) -> None:
    """What the controllers make of the Deployment: it has the pods that it shall have."""
    deployment = api.objects["Deployment", "shop", "orders-proxy"]
    wanted = deployment["spec"]["replicas"]
    for key in [key for key in api.objects if key[0] == "Pod"]:
        store.see(api.objects.pop(key), deleted=True)
    for name in ("p", "q", "r")[:wanted]:
        add_pod(api, store, name)
    counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), wanted)
    deployment["status"] = counts
    written_by_another(api)
    store.see(deployment, deleted=False)


def written_by_another(api: Api, replicas: int | None = None) -> None:
    """Somebody else writes the Deployment; no watch has told of it yet."""
    deployment = api.objects["Deployment", "shop", "orders-proxy"]
    if replicas is not None:
        deployment["spec"]["replicas"] = replicas
    api.versions += 1
    deployment["metadata"]["resourceVersion"] = str(api.versions)
