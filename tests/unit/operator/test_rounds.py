"""Whom a leader looks at though no event of a DatabaseProxy told it to, and what it sees first."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from sluice_operator import rounds as module
from sluice_operator.cluster.errors import ApiError, Unavailable
from sluice_operator.cluster.objects import Objects
from sluice_operator.cluster.store import Store
from sluice_operator.decide.ports import Ports
from sluice_operator.decide.references import Key
from sluice_operator.decide.resolve import Installation
from sluice_operator.desired.activator_policy import CLIENTS_LABELS
from sluice_operator.desired.inputs import ProxyImage
from sluice_operator.rounds import Rounds, look_at_all
from sluice_testing.api_server import Api

Manifest = dict[str, Any]


class Queue:
    """When each key is due; it turns until a test lets it end."""

    def __init__(self) -> None:
        self.due: dict[Key, float] = {}
        self.turns = asyncio.Event()
        self.ends = asyncio.Event()

    def add(self, key: Key, after: float = 0.0) -> None:
        self.due[key] = after

    async def run(self) -> None:
        self.turns.set()
        await self.ends.wait()


class Known:
    """The activators, which are known when a test says so."""

    def __init__(self) -> None:
        self.told = asyncio.Event()

    async def known(self) -> None:
        await self.told.wait()


def store_of(**replicas: int) -> Store:
    """Proxies whose Deployments shall have so many pods, and one that has none yet."""
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
    look_at_all(queue, store_of(a=2, b=0), 5.0, asleep=0.0)
    assert queue.due == {("shop", "a"): 5.0, ("shop", "b"): 0.0, ("shop", "new"): 5.0}


class Cluster(Api):
    """An API server that may be away; without a namespace it lists those of all."""

    away: ApiError | None = None

    async def list(self, kind: str, namespace: str, labels: Mapping[str, str]) -> list[Manifest]:
        if self.away is not None:
            raise self.away
        wanted = [namespace] if namespace else sorted({key[1] for key in self.objects})
        found = [await Api.list(self, kind, place, labels) for place in wanted]
        return [item for items in found for item in items]


def rounds(
    api: Api, *namespaces: str, queue: Any = None, known: Any = None, **installation: Any
) -> Rounds:
    objects = Objects(api, Store())  # type: ignore[arg-type]
    installed = Installation(ProxyImage("sluice/proxy:1"), "sluice-system", **installation)
    told = known or Known()
    if known is None:
        told.told.set()
    return Rounds(
        api,  # type: ignore[arg-type]
        objects,
        store_of(a=0),
        queue or Queue(),
        Ports(),
        told,
        installed,
        namespaces,
    )


def port_of(namespace: str, proxy: str, port: int) -> Manifest:
    labels = {
        "app.kubernetes.io/managed-by": "sluice",
        "endpointslice.kubernetes.io/managed-by": "sluice.dev",
        "app.kubernetes.io/instance": proxy,
    }
    return {
        "kind": "EndpointSlice",
        "metadata": {"namespace": namespace, "name": f"{proxy}-activator", "labels": labels},
        "ports": [{"name": "postgres", "port": port}],
    }


@pytest.mark.parametrize(
    ("namespaces", "seen"),
    [((), {("shop", "a"): 12345, ("till", "b"): 23456}), (("till",), {("till", "b"): 23456})],
)
async def test_all_ports_are_known_before_one_is_given_out(
    namespaces: tuple[str, ...], seen: dict[Key, int]
) -> None:
    stranger = port_of("shop", "c", 11111)
    del stranger["metadata"]["labels"]["app.kubernetes.io/instance"]
    api = Cluster(port_of("shop", "a", 12345), port_of("till", "b", 23456), stranger)
    made = rounds(api, *namespaces)
    await made._see_ports()
    assert made.ports._port == seen


async def begin(made: Rounds) -> asyncio.Task[None]:
    running = asyncio.create_task(made.run())
    for _ in range(20):
        await asyncio.sleep(0)
    return running


async def end(running: asyncio.Task[None]) -> None:
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_nobody_is_looked_at_before_the_activators_are_known() -> None:
    queue, known = Queue(), Known()
    running = await begin(rounds(Cluster(), queue=queue, known=known))
    assert not queue.turns.is_set()
    known.told.set()
    await queue.turns.wait()
    await end(running)


async def test_who_the_activators_are_is_not_awaited_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "ACTIVATORS_SECONDS", 0.0)
    queue = Queue()
    running = await begin(rounds(Cluster(), queue=queue, known=Known()))
    await queue.turns.wait()
    await end(running)


async def test_ports_that_cannot_be_listed_stop_nothing(caplog: pytest.LogCaptureFixture) -> None:
    api, queue = Cluster(), Queue()
    api.away = Unavailable(503, "ServiceUnavailable", "later")
    running = await begin(rounds(api, queue=queue))
    assert queue.turns.is_set()
    assert "the ports of proxies cannot be listed: 503" in caplog.text
    await end(running)


CLIENTS = {
    "kind": "NetworkPolicy",
    "metadata": {"namespace": "sluice-system", "name": "shop.a", "labels": CLIENTS_LABELS},
}


@pytest.mark.parametrize(
    ("installation", "kept"),
    [
        ({"activators": "sluice-activator.sluice-system.svc"}, False),
        # Where no activators are, it stands before nobody.
        ({}, True),
    ],
)
async def test_where_none_stands_before_the_activators_policies_of_before_go(
    installation: dict[str, Any], *, kept: bool
) -> None:
    api = Cluster(CLIENTS)
    running = await begin(rounds(api, **installation))
    assert bool(api.objects) is kept
    await end(running)


async def test_those_who_wait_for_events_alone_are_looked_at_twice_a_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else certificates of one that sleeps would not be renewed."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) > 1:
            raise asyncio.CancelledError

    queue = Queue()
    made = rounds(Cluster(), queue=queue)
    monkeypatch.setattr("asyncio.sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await made._sweep()
    assert waited == [12 * 3600.0] * 2
    assert {*queue.due} == {("shop", "a"), ("shop", "new")}
    assert all(0.0 <= after <= 6 * 3600.0 for after in queue.due.values())
