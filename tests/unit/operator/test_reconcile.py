"""The funnel where the real API server cannot be made to fail on demand.

Everything else about it is shown on a real cluster.
"""

import base64
import copy
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from sluice_operator.cluster.errors import ApiError, Forbidden, Gone, Rejected, Unavailable
from sluice_operator.decide.observed import Pod
from sluice_operator.decide.resolve import Installation
from sluice_operator.decide.state import PoolState, ProxyState, TargetState
from sluice_operator.reconcile import Reconciler
from sluice_testing.specs import manifest

KEY = ("shop", "orders")
Manifest = dict[str, Any]


class Api:
    """Objects in memory; `refuse` raises for a kind instead of applying it."""

    def __init__(self, *objects: Manifest):
        self.objects = {self._key(item): item for item in objects}
        self.refuse: dict[str, ApiError] = {}
        self.written: list[str] = []

    @staticmethod
    def _key(item: Mapping[str, Any]) -> tuple[str, str, str]:
        return item["kind"], item["metadata"]["namespace"], item["metadata"]["name"]

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        return copy.deepcopy(self.objects.get((kind, namespace, name)))

    async def list(self, kind: str, namespace: str, labels: Mapping[str, str]) -> list[Manifest]:
        return [
            copy.deepcopy(item)
            for key, item in self.objects.items()
            if key[:2] == (kind, namespace)
            and labels.items() <= (item["metadata"].get("labels") or {}).items()
        ]

    async def apply(self, item: Manifest) -> Manifest:
        if item["kind"] in self.refuse:
            raise self.refuse[item["kind"]]
        self.written.append(f"{item['kind']} {item['metadata']['name']}")
        self.objects[self._key(item)] = copy.deepcopy(item)
        return item

    async def apply_status(self, item: Manifest) -> Manifest:
        if "status" in self.refuse:
            raise self.refuse["status"]
        self.written.append("status")
        self.objects[self._key(item)]["status"] = copy.deepcopy(item["status"])
        return item

    async def delete(self, item: Manifest) -> None:
        self.written.append(f"-{item['kind']} {item['metadata']['name']}")
        del self.objects[self._key(item)]

    async def annotate(
        self, kind: str, namespace: str, name: str, annotations: Mapping[str, str]
    ) -> None:
        if "annotate" in self.refuse:
            raise self.refuse["annotate"]
        self.written.append(f"annotate {name}")
        metadata = self.objects[kind, namespace, name]["metadata"]
        metadata.setdefault("annotations", {}).update(annotations)

    def condition(self, kind: str) -> Manifest:
        found: Manifest = next(
            c
            for c in self.objects["DatabaseProxy", *KEY]["status"]["conditions"]
            if c["type"] == kind
        )
        return found


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
def reconciler(api: Api, pods: Pods) -> Reconciler:
    installation = Installation("sluice/proxy:1", "sluice-system")
    return Reconciler(api, pods, installation, lambda: 1_800_000_000.0)  # type: ignore[arg-type]


def config_hash(api: Api) -> str:
    secret = api.objects["Secret", "shop", "orders-proxy-config"]
    found: str = secret["metadata"]["annotations"]["sluice.dev/config-hash"]
    return found


def add_pod(api: Api) -> None:
    labels = {"app.kubernetes.io/name": "sluice-proxy", "app.kubernetes.io/instance": "orders"}
    api.objects["Pod", "shop", "p"] = {
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "shop", "labels": labels},
        "status": {"podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]},
    }


async def test_the_first_look_writes_all_and_the_second_nothing(
    api: Api, reconciler: Reconciler
) -> None:
    await reconciler.reconcile(KEY)
    assert len(api.written) == 10
    api.written.clear()
    await reconciler.reconcile(KEY)
    assert api.written == []


async def test_a_proxy_that_is_gone_is_not_looked_at_again(
    api: Api, reconciler: Reconciler
) -> None:
    api.objects["DatabaseProxy", *KEY]["metadata"]["deletionTimestamp"] = "now"
    assert await reconciler.reconcile(KEY) is None
    del api.objects["DatabaseProxy", *KEY]
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


async def test_a_pod_with_an_old_document_is_poked_and_waited_for(
    api: Api, pods: Pods, reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    await reconciler.reconcile(KEY)
    add_pod(api)
    api.written.clear()
    monkeypatch.setattr("sluice_operator.reconcile.SETTLE_STEP", 0.001)
    annotate = api.annotate

    async def takes_it(*arguments: Any) -> None:
        await annotate(*arguments)
        pods.config_hash = config_hash(api)

    monkeypatch.setattr(api, "annotate", takes_it)
    await reconciler.reconcile(KEY)
    assert api.written[0] == "annotate p"
    assert api.condition("TargetsAvailable")["status"] == "True"


async def test_a_pod_that_ends_meanwhile_is_no_error(
    api: Api, reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice_operator.reconcile.SETTLE_SECONDS", 0.0)
    await reconciler.reconcile(KEY)
    add_pod(api)
    api.refuse["annotate"] = Gone(404, "NotFound", "p")
    api.refuse["status"] = Gone(404, "NotFound", "orders")
    assert await reconciler.reconcile(KEY) is not None


async def test_nothing_is_deleted_while_the_spec_is_not_whole(
    api: Api, reconciler: Reconciler
) -> None:
    await reconciler.reconcile(KEY)
    api.objects["DatabaseProxy", *KEY]["spec"]["tls"] = {"secretRef": {"name": "missing"}}
    api.written.clear()
    await reconciler.reconcile(KEY)
    assert api.written == ["status"]
    assert api.condition("CredentialsReady")["message"].startswith("spec.tls.secretRef.name")
