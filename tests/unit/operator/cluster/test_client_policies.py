"""Policies beside the activators have no owner: their proxies are looked at when they change."""

from typing import Any

import pytest

from sluice_operator.cluster.client_policies import ClientPolicies, withdraw_all
from sluice_operator.cluster.objects import Objects
from sluice_operator.cluster.store import Store
from sluice_operator.decide.references import Key
from sluice_operator.desired.activator_policy import CLIENTS_LABELS
from sluice_testing.api_server import Api

ORDERS, BILLS = ("shop", "orders"), ("shop", "bills")
NAMESPACE, NAME = "sluice.dev/proxy-namespace", "sluice.dev/proxy-name"


def policy(key: Key, version: int = 1, **labels: str) -> dict[str, Any]:
    told = labels or {NAMESPACE: key[0], NAME: key[1]}
    return {
        "kind": "NetworkPolicy",
        "metadata": {
            "namespace": "sluice-system",
            "name": ".".join(key),
            "resourceVersion": str(version),
            "labels": {**CLIENTS_LABELS, **told},
        },
    }


class World:
    def __init__(self) -> None:
        self.store = Store()
        for key in (ORDERS, BILLS):
            self.store.want(self.object_key(key))
        self.looked_at: list[Key] = []
        self.policies = ClientPolicies(self.store, self.looked_at.append)

    @staticmethod
    def object_key(key: Key) -> tuple[str, str, str]:
        return "NetworkPolicy", "sluice-system", ".".join(key)

    def news(self) -> list[Key]:
        """Who is to be looked at since this was asked last."""
        found, self.looked_at[:] = list(self.looked_at), []
        return found

    def knows(self, key: Key) -> bool:
        return self.store.get(self.object_key(key)) is not None


@pytest.fixture
def world() -> World:
    """Both policies were listed."""
    made = World()
    made.policies.on_list([policy(ORDERS), policy(BILLS)])
    assert made.news() == [ORDERS, BILLS]
    return made


def test_what_was_listed_before_is_no_news(world: World) -> None:
    world.policies.on_list([policy(ORDERS), policy(BILLS, 2)])
    assert world.news() == [BILLS]


def test_one_that_went_unseen_is_missed_at_the_next_list(world: World) -> None:
    world.policies.on_list([policy(BILLS)])
    assert world.news() == [ORDERS]
    assert (world.knows(ORDERS), world.knows(BILLS)) == (False, True)


def test_one_that_is_changed_or_deleted_is_put_right(world: World) -> None:
    world.policies.on_event(policy(ORDERS, 2), deleted=False)
    assert world.news() == [ORDERS]
    assert world.knows(ORDERS)
    world.policies.on_event(policy(ORDERS, 3), deleted=True)
    assert world.news() == [ORDERS]
    assert not world.knows(ORDERS)
    world.policies.on_list([policy(BILLS)])
    assert world.news() == []


def test_one_that_lost_its_labels_tells_of_nobody(world: World) -> None:
    """Its proxy gives them back when it is looked at."""
    world.policies.on_event(policy(ORDERS, 2, other="label"), deleted=False)
    assert world.news() == []


async def test_all_are_withdrawn() -> None:
    api = Api(policy(ORDERS), policy(BILLS))
    objects = Objects(api, Store())  # type: ignore[arg-type]
    other: Any = api
    await withdraw_all(other, objects, "sluice-system")
    assert api.objects == {}
