"""Each event names the keys to look at, and nothing else."""

from typing import Any

import kopf
import pytest

from sluice_operator.decide.references import Key, ReferenceIndex
from sluice_operator.doors.handlers import Doors, owner_key, register
from sluice_operator.doors.settings import operator_settings
from sluice_operator.queue import WorkQueue
from sluice_testing.specs import manifest

ORDERS = ("shop", "orders")
OWNER = {"apiVersion": "sluice.dev/v1alpha1", "kind": "DatabaseProxy", "name": "orders"}
REPLICA_SET = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "orders-proxy-1"}
LABELS = {"app.kubernetes.io/managed-by": "sluice", "app.kubernetes.io/instance": "orders"}


class Recorder(WorkQueue[Key]):
    def __init__(self) -> None:
        async def work(_: Key) -> float | None:
            return None

        super().__init__(work)
        self.added: list[Key] = []

    def add(self, key: Key, after: float = 0.0) -> None:
        self.added.append(key)


@pytest.fixture
def queue() -> Recorder:
    return Recorder()


@pytest.fixture
def doors(queue: Recorder) -> Doors:
    return Doors(queue, ReferenceIndex())


def body(kind: str, name: str, **metadata: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name, "namespace": "shop", **metadata}}


async def test_a_proxy_names_itself(doors: Doors, queue: Recorder) -> None:
    await doors.on_proxy(manifest(), "ADDED")
    assert queue.added == [ORDERS]


async def test_a_secret_names_the_proxies_that_use_it(doors: Doors, queue: Recorder) -> None:
    await doors.on_proxy(manifest(), None)
    await doors.on_referable(body("Secret", "orders-app"))
    await doors.on_referable(body("Secret", "unrelated"))
    await doors.on_referable(body("Service", "orders-app"))
    assert queue.added == [ORDERS, ORDERS]


async def test_a_service_names_the_proxies_that_go_to_it(doors: Doors, queue: Recorder) -> None:
    await doors.on_proxy(manifest(), None)
    await doors.on_referable(body("Service", "db"))
    assert queue.added == [ORDERS, ORDERS]


async def test_a_deleted_proxy_is_forgotten(doors: Doors, queue: Recorder) -> None:
    await doors.on_proxy(manifest(), None)
    await doors.on_proxy(manifest(), "DELETED")
    queue.added.clear()
    await doors.on_referable(body("Secret", "orders-app"))
    assert queue.added == []


async def test_a_child_names_its_owner(doors: Doors, queue: Recorder) -> None:
    await doors.on_child(body("Deployment", "orders-proxy", ownerReferences=[OWNER]))
    await doors.on_referable(body("Secret", "orders-proxy-tls", ownerReferences=[OWNER]))
    assert queue.added == [ORDERS, ORDERS]


@pytest.mark.parametrize(
    ("metadata", "key"),
    [
        ({"ownerReferences": [REPLICA_SET], "labels": LABELS}, ORDERS),
        ({"ownerReferences": [OWNER], "labels": None}, ORDERS),
        ({"labels": {"app.kubernetes.io/instance": "orders"}}, None),
        ({}, None),
    ],
)
def test_whose_child_it_is(metadata: dict[str, Any], key: Key | None) -> None:
    assert owner_key(body("Pod", "p", **metadata)) == key


def test_kopf_is_given_nothing_that_needs_a_finalizer_or_an_annotation(doors: Doors) -> None:
    registry = register(doors)
    assert not registry._changing.get_all_handlers()
    assert not registry._spawning.get_all_handlers()
    assert not registry._indexing.get_all_handlers()
    assert len(registry._watching.get_all_handlers()) == 7


def test_kopf_posts_nothing_and_scans_nothing() -> None:
    settings = operator_settings()
    assert not settings.posting.enabled
    assert settings.scanning.disabled
    assert settings.peering.standalone
    assert isinstance(settings, kopf.OperatorSettings)
