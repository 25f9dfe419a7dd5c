"""The funnel where the real API server cannot be made to fail on demand.

Everything else about it is shown on a real cluster.
"""

import base64
import copy
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from sluice_operator import names
from sluice_operator.cluster.errors import ApiError, Forbidden, Gone, Rejected, Unavailable
from sluice_operator.cluster.objects import Objects
from sluice_operator.cluster.recorder import Recorder
from sluice_operator.cluster.store import Store, object_key
from sluice_operator.decide.observed import Pod
from sluice_operator.decide.overcommit import Claims
from sluice_operator.decide.resolve import Installation
from sluice_operator.decide.state import PoolState, ProxyState, TargetState
from sluice_operator.desired.inputs import ProxyImage
from sluice_operator.reconcile import SOON, Reconciler, Surroundings
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
        self.objects[object_key(item)] = copy.deepcopy(item)
        return copy.deepcopy(item)

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
        self.written.append(f"-{item['kind']} {item['metadata']['name']}")
        del self.objects[object_key(item)]

    async def merge(self, kind: str, namespace: str, name: str, change: Manifest) -> Manifest:
        self._refuse("merge")
        live = self.objects[kind, namespace, name]
        if kind == "Event":
            live.update(change)
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
    """Pods that serve whatever `hash_of` says."""

    def __init__(self) -> None:
        self.config_hash = ""

    async def of(self, pods: Iterable[Pod]) -> Mapping[str, ProxyState]:
        target = TargetState("db", 5432, "Available")
        return {pod.name: ProxyState(self.config_hash, "", (target,), PoolState()) for pod in pods}


PROXY = manifest({"metadata.uid": "uid-1", "metadata.generation": 1})
LOGIN = {
    "kind": "Secret",
    "metadata": {"name": "orders-app", "namespace": "shop"},
    "data": {
        "username": base64.b64encode(b"app").decode(),
        "password": base64.b64encode(b"pw").decode(),
    },
}


@pytest.fixture
def api() -> Api:
    return Api(copy.deepcopy(PROXY), copy.deepcopy(LOGIN))


@pytest.fixture
def pods() -> Pods:
    return Pods()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def reconciler(api: Api, pods: Pods, store: Store) -> Reconciler:
    installation = Installation(ProxyImage("sluice/proxy:1"), "sluice-system")
    clock = lambda: 1_800_000_000.0  # noqa: E731
    surroundings = Surroundings(
        Objects(api, store),  # type: ignore[arg-type]
        pods,  # type: ignore[arg-type]
        Claims(),
        Recorder(api, clock),  # type: ignore[arg-type]
    )
    return Reconciler(surroundings, installation, clock)


def config_hash(api: Api) -> str:
    secret = api.objects["Secret", "shop", "orders-proxy-config"]
    found: str = secret["metadata"]["annotations"]["sluice.dev/config-hash"]
    return found


def add_pod(api: Api, store: Store) -> None:
    labels = {
        "app.kubernetes.io/name": "sluice-proxy",
        "app.kubernetes.io/instance": "orders",
        "app.kubernetes.io/managed-by": "sluice",
    }
    pod: Manifest = {
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "shop", "labels": labels},
        "status": {"podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]},
    }
    api.objects["Pod", "shop", "p"] = pod
    store.see(pod, deleted=False)


async def test_the_first_look_writes_all_and_the_second_nothing(
    api: Api, reconciler: Reconciler
) -> None:
    await reconciler.reconcile(KEY)
    assert len(api.written) == 11
    api.written.clear()
    await reconciler.reconcile(KEY)
    assert api.written == []


async def test_a_proxy_that_is_gone_is_not_looked_at_again(
    api: Api, store: Store, reconciler: Reconciler
) -> None:
    api.objects["DatabaseProxy", *KEY]["metadata"]["deletionTimestamp"] = "now"
    assert await reconciler.reconcile(KEY) is None
    del api.objects["DatabaseProxy", *KEY]
    store.forget([("DatabaseProxy", *KEY)])
    assert await reconciler.reconcile(KEY) is None
    assert api.written == []


async def test_a_manifest_of_an_older_schema_is_told(api: Api, reconciler: Reconciler) -> None:
    api.objects["DatabaseProxy", *KEY]["spec"]["replicas"] = "two"
    await reconciler.reconcile(KEY)
    assert api.written == ["status"]
    told = api.condition("Accepted")
    assert told["reason"] == "Invalid"
    assert told["message"].startswith("spec.replicas: ")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Rejected(422, "Invalid", "Deployment is invalid: spec"), "Rejected"),
        (Forbidden(403, "Forbidden", "exceeded quota"), "Forbidden"),
    ],
)
async def test_what_the_api_server_refuses_is_told(
    api: Api, reconciler: Reconciler, error: ApiError, reason: str
) -> None:
    api.refuse["Deployment"] = error
    await reconciler.reconcile(KEY)
    assert api.condition("Accepted")["reason"] == reason
    assert error.message in api.condition("Ready")["message"]


async def test_a_server_that_does_not_answer_is_the_queues_affair(
    api: Api, reconciler: Reconciler
) -> None:
    api.refuse["Service"] = Unavailable(503, "ServiceUnavailable", "later")
    with pytest.raises(Unavailable):
        await reconciler.reconcile(KEY)
    assert "status" not in api.written


async def test_a_look_at_rest_asks_the_api_server_nothing(api: Api, reconciler: Reconciler) -> None:
    await reconciler.reconcile(KEY)
    api.reads = 0
    await reconciler.reconcile(KEY)
    assert api.reads == 0


async def test_a_child_that_only_the_store_forgot_is_not_written_again(
    api: Api, store: Store, reconciler: Reconciler
) -> None:
    await reconciler.reconcile(KEY)
    store.forget([("Service", "shop", "orders")])
    api.written.clear()
    await reconciler.reconcile(KEY)
    assert api.written == []


async def test_secrets_that_lost_their_labels_get_them_back_and_are_not_made_anew(
    api: Api, store: Store, reconciler: Reconciler
) -> None:
    await reconciler.reconcile(KEY)
    remembered = [("Secret", "shop", name) for name in names.remembered("orders")]
    before = copy.deepcopy([api.objects[key] for key in remembered])
    for key in remembered:
        del api.objects[key]["metadata"]["labels"]
        store.see(api.objects[key], deleted=False)
    await reconciler.reconcile(KEY)
    assert [api.objects[key] for key in remembered] == before


async def test_a_pod_with_an_old_document_is_poked_and_looked_at_soon(
    api: Api, pods: Pods, store: Store, reconciler: Reconciler
) -> None:
    await reconciler.reconcile(KEY)
    add_pod(api, store)
    api.written.clear()
    assert await reconciler.reconcile(KEY) == SOON
    assert api.written[0] == "annotate p"
    pods.config_hash = config_hash(api)
    await reconciler.reconcile(KEY)
    assert api.condition("TargetsAvailable")["status"] == "True"


async def test_a_pod_that_ends_meanwhile_is_no_error(
    api: Api, store: Store, reconciler: Reconciler
) -> None:
    await reconciler.reconcile(KEY)
    add_pod(api, store)
    api.refuse["merge"] = Gone(404, "NotFound", "p")
    api.refuse["status"] = Gone(404, "NotFound", "orders")
    assert await reconciler.reconcile(KEY) is not None


async def test_what_happened_is_told_by_events(api: Api, reconciler: Reconciler) -> None:
    await reconciler.reconcile(KEY)
    del api.objects["Secret", "shop", "orders-app"]
    reconciler._objects._store.forget([("Secret", "shop", "orders-app")])
    await reconciler.reconcile(KEY)
    assert "SecretNotFound" in api.told()


async def test_an_event_that_cannot_be_written_stops_nothing(
    api: Api, reconciler: Reconciler, caplog: pytest.LogCaptureFixture
) -> None:
    del api.objects["Secret", "shop", "orders-app"]
    api.refuse["Event"] = Forbidden(403, "Forbidden", "no events here")
    await reconciler.reconcile(KEY)
    assert api.condition("CredentialsReady")["reason"] == "SecretNotFound"
    assert "was not written" in caplog.text


async def test_while_suspended_nothing_but_the_status_is_written(
    api: Api, store: Store, reconciler: Reconciler
) -> None:
    await reconciler.reconcile(KEY)
    spec = api.objects["DatabaseProxy", *KEY]["spec"]
    spec["suspend"], spec["replicas"] = True, 5
    store.put(api.objects["DatabaseProxy", *KEY])
    del api.objects["Service", "shop", "orders"]
    store.forget([("Service", "shop", "orders")])
    api.written.clear()
    await reconciler.reconcile(KEY)
    assert api.written == ["status"]
    assert api.condition("Progressing")["reason"] == "Suspended"
    spec["suspend"] = False
    store.put(api.objects["DatabaseProxy", *KEY])
    await reconciler.reconcile(KEY)
    assert "Service orders" in api.written


async def test_nothing_is_deleted_while_the_spec_is_not_whole(
    api: Api, store: Store, reconciler: Reconciler
) -> None:
    await reconciler.reconcile(KEY)
    api.objects["DatabaseProxy", *KEY]["spec"]["tls"] = {"secretRef": {"name": "missing"}}
    store.put(api.objects["DatabaseProxy", *KEY])
    api.written.clear()
    await reconciler.reconcile(KEY)
    assert api.written == ["status"]
    assert api.condition("CredentialsReady")["message"].startswith("spec.tls.secretRef.name")
