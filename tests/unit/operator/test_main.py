"""When the process is to be restarted, and whom it looks at though nothing happened."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from sluice_operator.__main__ import (
    Parts,
    _is_alive,
    _look_at_all,
    _look_at_leftovers,
    _sweep,
)
from sluice_operator.cluster.errors import ApiError, Unavailable
from sluice_operator.cluster.store import Store
from sluice_operator.decide.references import Key
from sluice_operator.desired.activator_policy import CLIENTS_LABELS


@dataclass
class Part:
    alive: bool
    is_leader: bool = False

    def is_alive(self) -> bool:
        return self.alive

    are_alive = is_alive


@pytest.mark.parametrize(
    ("leads", "lease", "queue", "watches", "alive"),
    [
        (True, True, True, True, True),
        (True, False, True, True, False),
        (True, True, False, True, False),
        (True, True, True, False, False),
        # A standby watches, but its queue does not turn yet.
        (False, True, False, True, True),
        (False, False, False, True, False),
        (False, True, False, False, False),
    ],
)
def test_all_that_is_at_work_has_to_go_on(
    leads: bool, lease: bool, queue: bool, watches: bool, alive: bool
) -> None:
    nothing: Any = None
    election: Any = Part(lease, is_leader=leads)
    working: Any = Part(queue)
    watching: Any = Part(watches)
    parts = Parts(nothing, nothing, working, nothing, watching, election, nothing, nothing)
    # It still waits for the API server.
    assert _is_alive(parts)
    parts.at_work.set()
    assert _is_alive(parts) is alive


class Queue:
    """When each key is due."""

    def __init__(self) -> None:
        self.due: dict[Key, float] = {}

    def add(self, key: Key, after: float = 0.0) -> None:
        self.due[key] = after


def store_of(**replicas: int) -> Store:
    """Proxies whose Deployments shall have so many pods."""
    store = Store()
    for name, wanted in replicas.items():
        metadata = {"namespace": "shop", "name": name}
        store.put({"kind": "DatabaseProxy", "metadata": metadata})
        workload = {**metadata, "name": f"{name}-proxy"}
        store.put({"kind": "Deployment", "metadata": workload, "spec": {"replicas": wanted}})
    store.put({"kind": "DatabaseProxy", "metadata": {"namespace": "shop", "name": "new"}})
    return store


def test_who_sleeps_is_looked_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda _, most: most)
    queue: Any = Queue()
    _look_at_all(queue, store_of(a=2, b=0), 5.0, asleep=0.0)
    assert queue.due == {("shop", "a"): 5.0, ("shop", "b"): 0.0, ("shop", "new"): 5.0}


class Policies:
    """The API server, which knows these labels of policies."""

    def __init__(self, *labels: dict[str, str], error: ApiError | None = None) -> None:
        self.labels = labels
        self.error = error

    async def list(self, kind: str, namespace: str, labels: Mapping[str, str]) -> list[Any]:
        assert (kind, namespace, labels) == ("NetworkPolicy", "sluice-system", CLIENTS_LABELS)
        if self.error is not None:
            raise self.error
        return [{"metadata": {"labels": {**CLIENTS_LABELS, **item}}} for item in self.labels]


def parts_with(client: Any, queue: Any) -> Parts:
    nothing: Any = None
    return Parts(client, nothing, queue, nothing, nothing, nothing, nothing, nothing)


async def test_proxies_of_which_a_policy_is_left_are_looked_at() -> None:
    """One that lost its labels tells of nobody; its proxy gives them back, if there is one."""
    told = {"sluice.dev/proxy-namespace": "shop", "sluice.dev/proxy-name": "orders"}
    client, queue = Policies(told, {}, {"sluice.dev/proxy-name": "bills"}), Queue()
    await _look_at_leftovers(parts_with(client, queue), "sluice-system")
    assert queue.due == {("shop", "orders"): 0.0}


async def test_policies_that_cannot_be_listed_stop_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client, queue = Policies(error=Unavailable(503, "ServiceUnavailable", "later")), Queue()
    await _look_at_leftovers(parts_with(client, queue), "sluice-system")
    assert queue.due == {}
    assert "the policies of the activators cannot be listed: 503" in caplog.text


async def test_those_who_wait_for_events_alone_are_looked_at_twice_a_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else certificates of one that sleeps would not be renewed."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) > 1:
            raise asyncio.CancelledError

    monkeypatch.setattr("asyncio.sleep", sleep)
    queue = Queue()
    parts = replace(parts_with(None, queue), store=store_of(a=0))
    with pytest.raises(asyncio.CancelledError):
        await _sweep(parts)
    assert waited == [12 * 3600.0] * 2
    assert {*queue.due} == {("shop", "a"), ("shop", "new")}
    assert all(0.0 <= after <= 6 * 3600.0 for after in queue.due.values())
