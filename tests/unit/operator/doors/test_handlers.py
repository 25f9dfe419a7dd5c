"""Each event names the keys to look at, and nothing else."""

from typing import Any

import kopf
import pytest

from sluice_operator.cluster.store import Store
from sluice_operator.decide.overcommit import Claims
from sluice_operator.decide.references import Key, ReferenceIndex
from sluice_operator.doors.handlers import Books, Doors, owner_key, register
from sluice_operator.doors.settings import operator_settings
from sluice_operator.doors.watches import Watches
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
def store() -> Store:
    return Store()


@pytest.fixture
def doors(queue: Recorder, store: Store) -> Doors:
    return Doors(queue, Books(ReferenceIndex(), Claims(), store))


def body(kind: str, name: str, **metadata: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name, "namespace": "shop", **metadata}}


async def test_a_proxy_names_itself(doors: Doors, queue: Recorder) -> None:
    await doors.on_proxy(manifest(), "ADDED")
    assert queue.added == [ORDERS]


async def test_a_secret_names_the_proxies_that_use_it(doors: Doors, queue: Recorder) -> None:
    await doors.on_proxy(manifest(), None)
    await doors.on_referable(body("Secret", "orders-app"), None)
    await doors.on_referable(body("Secret", "unrelated"), None)
    await doors.on_referable(body("Service", "orders-app"), None)
    assert queue.added == [ORDERS, ORDERS]


async def test_a_service_names_the_proxies_that_go_to_it(doors: Doors, queue: Recorder) -> None:
    await doors.on_proxy(manifest(), None)
    await doors.on_referable(body("Service", "db"), None)
    assert queue.added == [ORDERS, ORDERS]


async def test_a_deleted_proxy_is_forgotten(doors: Doors, queue: Recorder) -> None:
    await doors.on_proxy(manifest(), None)
    await doors.on_proxy(manifest(), "DELETED")
    queue.added.clear()
    await doors.on_referable(body("Secret", "orders-app"), None)
    assert queue.added == []


async def test_who_asks_too_much_names_those_who_share_the_database(
    doors: Doors, queue: Recorder
) -> None:
    await doors.on_proxy(manifest(), None)
    await doors.on_proxy(manifest({"metadata.name": "bills"}), None)
    assert queue.added == [ORDERS, ("shop", "bills"), ORDERS]


async def test_what_the_model_refuses_is_looked_at_all_the_same(
    doors: Doors, queue: Recorder
) -> None:
    await doors.on_proxy(manifest({"spec.replicas": "two"}), None)
    assert queue.added == [ORDERS]


async def test_what_events_show_is_kept_until_it_is_gone(doors: Doors, store: Store) -> None:
    made = body("Deployment", "orders-proxy", labels=LABELS, resourceVersion="1")
    await doors.on_proxy(manifest(), None)
    await doors.on_child(made, "ADDED")
    assert len(store) == 2
    await doors.on_child(made, "DELETED")
    await doors.on_proxy(manifest(), "DELETED")
    assert len(store) == 0


async def test_a_child_names_its_owner(doors: Doors, queue: Recorder) -> None:
    await doors.on_child(body("Deployment", "orders-proxy", ownerReferences=[OWNER]), None)
    await doors.on_referable(body("Secret", "orders-proxy-tls", ownerReferences=[OWNER]), None)
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
    registry = register(doors, Watches().login)
    assert not registry._changing.get_all_handlers()
    assert not registry._spawning.get_all_handlers()
    assert not registry._indexing.get_all_handlers()
    assert len(registry._watching.get_all_handlers()) == 9


def test_kopf_posts_nothing_and_scans_nothing() -> None:
    settings = operator_settings()
    assert not settings.posting.enabled
    assert settings.scanning.disabled
    assert settings.peering.standalone
    assert isinstance(settings, kopf.OperatorSettings)


def test_of_endpoint_slices_only_ours_are_watched() -> None:
    """Those of the EndpointSlice controller carry the labels of our Services, too."""
    selectors = operator_settings().watching.label_selectors
    assert selectors["endpointslices"] == "endpointslice.kubernetes.io/managed-by=sluice.dev"
    assert selectors["deployments"] == "app.kubernetes.io/managed-by=sluice"
