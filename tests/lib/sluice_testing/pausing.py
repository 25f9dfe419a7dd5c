"""A DatabaseProxy that is put to sleep and woken, and those who see to it: pods, activators."""

import contextlib
import json
import time
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sluice_operator import names
from sluice_testing import pods, shop
from sluice_testing.api import Api, NoAnswer, Watch
from sluice_testing.chart import ACTIVATOR_PODS, SYSTEM
from sluice_testing.kubernetes import Kubectl, Manifest, eventually, listed, secret
from sluice_testing.load import Streaming
from sluice_testing.pods import Way
from sluice_testing.shop import SUPERUSER_PASSWORD, Namespace

ADMIN_PORT = 9127
GRACE_SECONDS = 30
"""Of the proxy's pods: who drains lingers for a quarter of it after the last client."""
NEVER_BY_ITSELF = {"enabled": True, "idleSeconds": 86400}
"""It is the test that puts it to sleep."""
CLIENTS = "clients"
_STILL = 3
_LOOK_SECONDS = 0.1


class Town(Streaming, Protocol):
    """What these helpers need of the fixture `cluster`."""

    @property
    def kubeconfig(self) -> Path: ...


@dataclass(frozen=True)
class Sleeper:
    """The DatabaseProxy `orders` of a namespace, and a pod `clients` that may log in."""

    namespace: Namespace
    api: Api

    @property
    def cluster(self) -> Kubectl:
        return self.namespace.cluster

    def scale(self, replicas: int) -> None:
        """As the operator and the activators do it, but whatever it was."""
        self.api.patch(self._scale, {"spec": {"replicas": replicas}})

    def replicas(self) -> int:
        """How many pods the Deployment shall have."""
        return int(self.api.get(self._scale)["spec"].get("replicas", 0))

    @property
    def _scale(self) -> str:
        workload = names.workload("orders")
        return f"/apis/apps/v1/namespaces/{self.namespace.name}/deployments/{workload}/scale"

    def watched(self) -> AbstractContextManager[Watch]:
        """The proxy's pods."""
        labels = ",".join(f"{key}={value}" for key, value in names.selector("orders").items())
        path = f"/api/v1/namespaces/{self.namespace.name}/pods?labelSelector={labels}"
        return self.api.watch(path)

    def activators(self) -> list[str]:
        """The activators' pods that are ready and there to stay."""
        found = listed(self.cluster, "pods", SYSTEM, ACTIVATOR_PODS)
        there = [pod for pod in found if is_ready(pod) and not is_ending(pod)]
        return [pod["metadata"]["name"] for pod in there]

    def wakes(self, activators: Collection[str]) -> list[dict[str, Any]]:
        """What each activator tells of this proxy; nothing of one that is gone."""
        told = (self._wakes(pod) for pod in activators)
        return [one for one in told if one is not None]

    def _wakes(self, pod: str) -> dict[str, Any] | None:
        where = f"/api/v1/namespaces/{SYSTEM}/pods/{pod}:{ADMIN_PORT}/proxy"
        try:
            return self.api.get(f"{where}/wakes/{self.namespace.name}/orders")
        except NoAnswer:
            return None

    def until_direct(self, seconds: float = 30.0) -> None:
        """Returns once no client has gone by the activators for some moments."""
        activators, still = self.activators(), 0
        deadline = time.monotonic() + seconds
        while still < _STILL:
            told = self.wakes(activators)
            still = still + 1 if not any(one["held"] + one["spliced"] for one in told) else 0
            if time.monotonic() > deadline:
                raise AssertionError(f"after {seconds} s clients still go by activators: {told}")
            time.sleep(_LOOK_SECONDS)

    def fallback(self) -> Manifest:
        """The EndpointSlice that lists the activators."""
        labels = f"kubernetes.io/service-name=orders,{_MANAGED_BY}"
        (found,) = listed(self.cluster, "endpointslices", self.namespace.name, labels)
        return found

    def ways(self, pod: str = CLIENTS) -> list[Way]:
        """From a pod of the namespace to its port at each activator."""
        found = self.fallback()
        (port,) = (entry["port"] for entry in found["ports"])
        addresses = (address for one in found["endpoints"] for address in one["addresses"])
        return [Way(self.namespace.name, pod, address, port) for address in addresses]

    def knock(self, words: bytes, wait: float = 0.5, pod: str = CLIENTS) -> dict[str, Any]:
        """What became of a client that says these words at the Service and then waits."""
        command = ("python3", "/clients/knock.py", "orders", "5432", words.hex(), f"--wait={wait}")
        answer = self.namespace.kubectl("exec", pod, "--", *command)
        found: dict[str, Any] = json.loads(answer)
        return found


_MANAGED_BY = f"endpointslice.kubernetes.io/managed-by={names.GROUP}"


def is_ending(pod: Manifest) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def is_ready(pod: Manifest) -> bool:
    conditions = pod["status"].get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def serving(there: dict[str, Manifest]) -> set[str]:
    """The uids of the pods that are ready and there to stay."""
    return {uid for uid, pod in there.items() if is_ready(pod) and not is_ending(pod)}


def until_serving(
    watch: Watch, replicas: int, but: Collection[str] = (), seconds: float = 60.0
) -> set[str]:
    """The uids of that many ready pods, none of which is in `but`."""

    def look(there: dict[str, Manifest]) -> set[str]:
        found = serving(there) - set(but)
        return found if len(found) == replicas else set()

    return watch.until(look, f"{replicas} pods are ready", seconds)


def until_gone(watch: Watch, seconds: float = 60.0) -> None:
    """Returns once there is no pod, nor one that is ending."""
    watch.until(lambda there: not there, "no pod is left", seconds)


@contextlib.contextmanager
def sleeper(cluster: Town, database: str, **changes: Any) -> Iterator[Sleeper]:
    """A DatabaseProxy that serves, and that none but the test puts to sleep; `changes` of it."""
    with shop.namespace(cluster, database) as namespace:
        uri = f"postgresql://postgres:{SUPERUSER_PASSWORD}@{database}/postgres?sslmode=disable"
        namespace.apply(
            secret("superuser", namespace.name, {"SERVER_URI": uri}), proxy(namespace, **changes)
        )
        status = namespace.until_ready()["status"]
        where = (CLIENTS, namespace.name, status["endpoint"], status["caSecretName"])
        pods.start(cluster, pods.Clients(*where, "orders-app", "superuser"))
        made = Sleeper(namespace, Api(cluster.kubeconfig))
        until_let_in(made)
        yield made


def proxy(namespace: Namespace, **changes: Any) -> Manifest:
    """It takes clients without TLS as well."""
    usual = {
        "requireTLS": False,
        "autoPause": NEVER_BY_ITSELF,
        "connectionPool__maxConnectionsPercent": 20,
        "podTemplate__terminationGracePeriodSeconds": GRACE_SECONDS,
    }
    return namespace.proxy(**{**usual, **changes})


def until_let_in(sleeper: Sleeper, pod: str = CLIENTS) -> None:
    """Returns once the activators take what comes from this pod: rules know it a moment late."""

    def look() -> bool:
        ways = sleeper.ways(pod)
        return bool(ways) and all(way.is_open(sleeper.cluster) for way in ways)

    eventually(look, "the activators take clients")


def put_to_sleep(sleeper: Sleeper, watch: Watch) -> None:
    """Scales it to 0; returns when no pod is left."""
    sleeper.scale(0)
    until_gone(watch)
