"""Who can stand in for proxies, by what the API server lists and tells; the clock is the test's."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest

from sluice_operator import names
from sluice_operator.cluster import following as module
from sluice_operator.cluster.activators import Activators
from sluice_operator.cluster.errors import ApiError, Unavailable
from sluice_operator.decide.pause import FORSAKEN_SECONDS, Wakers
from sluice_operator.desired.inputs import Activator

Manifest = dict[str, Any]
AWAY = Unavailable(503, "ServiceUnavailable", "later")


class Client:
    """Lists `pods`; then tells what a test puts in. An error is raised instead of an answer."""

    def __init__(self, *pods: Manifest) -> None:
        self.pods = list(pods)
        self.events: asyncio.Queue[Manifest | ApiError | None] = asyncio.Queue()
        self.fails = 0
        self.lists = 0
        self.versions: list[str] = []

    async def list_at(
        self, kind: str, namespace: str, labels: Mapping[str, str]
    ) -> tuple[list[Manifest], str]:
        assert (kind, namespace, labels) == ("Pod", "sluice-system", names.ACTIVATOR_LABELS)
        if self.fails:
            self.fails -= 1
            raise AWAY
        self.lists += 1
        return self.pods, f"list-{self.lists}"

    async def watch(
        self, kind: str, namespace: str, labels: Mapping[str, str], version: str, seconds: int
    ) -> AsyncIterator[Manifest]:
        assert (kind, namespace, labels) == ("Pod", "sluice-system", names.ACTIVATOR_LABELS)
        self.versions.append(version)
        while (event := await self.events.get()) is not None:
            if isinstance(event, ApiError):
                raise event
            yield event


class World:
    """The activators at work, and how often they said that something changed."""

    def __init__(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        self.client = client
        self.now = 1000.0
        self.changes = 0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "call_later", self._set_timer)
        monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
        self.activators = Activators(
            client,  # type: ignore[arg-type]
            "sluice-system",
            installed=True,
            clock=lambda: self.now,
        )
        self.activators.on_change = self._count
        self.running = asyncio.create_task(self.activators.run())

    def _set_timer(self, after: float, call: Callable[[], None]) -> None:
        self.timers.append((self.now + after, call))

    def _count(self) -> None:
        self.changes += 1

    @property
    def ips(self) -> list[str]:
        return [item.ip for item in self.activators.ready()]

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def tell(self, kind: str, manifest: Manifest) -> None:
        self.client.events.put_nowait({"type": kind, "object": manifest})
        await self.settle()

    async def end_watch(self) -> None:
        self.client.events.put_nowait(None)
        await self.settle()

    async def list_again(self) -> None:
        await self.tell("ERROR", {"kind": "Status", "code": 410})

    def pass_seconds(self, seconds: float) -> None:
        """Time goes by, and timers with it."""
        self.now += seconds
        due = [call for at, call in self.timers if at <= self.now]
        self.timers = [timer for timer in self.timers if timer[0] > self.now]
        for call in due:
            call()


def pod(name: str, ip: str, *, ready: bool = True, **metadata: str) -> Manifest:
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    return {
        "metadata": {"name": name, "resourceVersion": f"event-{name}", **metadata},
        "spec": {"nodeName": f"node-of-{name}"},
        "status": {"podIP": ip, "conditions": [condition]},
    }


A, B = pod("a", "10.9.0.2"), pod("b", "10.9.0.1")


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """Two activators are there, and known."""
    made = World(Client(A, B), monkeypatch)
    await made.settle()
    yield made
    made.running.cancel()


@pytest.fixture
async def empty(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """There has been no activator yet."""
    made = World(Client(), monkeypatch)
    await made.settle()
    yield made
    made.running.cancel()


async def test_those_that_take_clients_are_told_by_address(world: World) -> None:
    assert world.activators.ready() == (
        Activator("10.9.0.1", "node-of-b"),
        Activator("10.9.0.2", "node-of-a"),
    )
    assert world.activators.wakers() == Wakers(installed=True, ready=2)
    assert world.changes == 1


@pytest.mark.parametrize(
    "other",
    [
        pod("c", "10.9.0.3", ready=False),
        pod("c", ""),
    ],
    ids=["not ready", "without an address"],
)
async def test_who_takes_no_clients_is_none(world: World, other: Manifest) -> None:
    await world.tell("ADDED", other)
    assert world.ips == ["10.9.0.1", "10.9.0.2"]
    assert world.changes == 1


ENDING = pod("c", "10.9.0.3", deletionTimestamp="now")


async def test_who_ends_is_listed_and_sent_nobody(world: World) -> None:
    """It still carries clients."""
    await world.tell("MODIFIED", ENDING)
    assert world.ips == ["10.9.0.1", "10.9.0.2"]
    listed = [(item.ip, item.serving) for item in world.activators.listed()]
    assert listed == [("10.9.0.1", True), ("10.9.0.2", True), ("10.9.0.3", False)]
    assert world.changes == 2
    await world.tell("MODIFIED", {**ENDING, "status": {**ENDING["status"], "phase": "Succeeded"}})
    assert len(world.activators.listed()) == 2


async def test_where_all_end_they_take_clients_and_can_wake_nobody_for_long(world: World) -> None:
    world.client.pods = [ENDING]
    await world.list_again()
    assert [(item.ip, item.serving) for item in world.activators.listed()] == [("10.9.0.3", True)]
    assert world.ips == []
    assert world.activators.wakers().ready == 0
    world.pass_seconds(FORSAKEN_SECONDS + 1)
    assert world.activators.wakers().forsake


async def test_who_comes_and_goes_is_told(world: World) -> None:
    await world.tell("ADDED", pod("c", "10.9.0.3"))
    assert (world.ips, world.changes) == (["10.9.0.1", "10.9.0.2", "10.9.0.3"], 2)
    await world.tell("MODIFIED", pod("a", "10.9.0.2", ready=False))
    assert (world.ips, world.changes) == (["10.9.0.1", "10.9.0.3"], 3)
    await world.tell("DELETED", B)
    assert (world.ips, world.changes) == (["10.9.0.3"], 4)


async def test_news_that_change_nothing_are_none(world: World) -> None:
    await world.tell("MODIFIED", A)
    await world.tell("DELETED", pod("never-seen", "10.9.0.9"))
    assert world.changes == 1


async def test_when_the_watch_ends_another_goes_on_from_there(world: World) -> None:
    await world.end_watch()
    await world.tell("ADDED", pod("c", "10.9.0.3"))
    await world.end_watch()
    assert world.client.versions == ["list-1", "list-1", "event-c"]
    assert world.client.lists == 1
    assert world.ips == ["10.9.0.1", "10.9.0.2", "10.9.0.3"]


async def test_a_version_that_is_too_old_leads_to_another_list(world: World) -> None:
    world.client.pods = [B]
    await world.list_again()
    assert world.client.versions == ["list-1", "list-2"]
    assert (world.ips, world.changes) == (["10.9.0.1"], 2)
    await world.tell("ADDED", A)
    assert (world.ips, world.changes) == (["10.9.0.1", "10.9.0.2"], 3)


async def test_a_watch_that_fails_leads_to_another_list(world: World) -> None:
    """Nobody knows what was not told."""
    world.client.pods = [B]
    world.client.events.put_nowait(AWAY)
    await world.settle()
    assert world.client.versions == ["list-1", "list-2"]
    assert world.ips == ["10.9.0.1"]


async def test_while_the_api_server_is_away_what_was_known_stays(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.client.fails = 3
    world.client.pods = []
    world.client.events.put_nowait({"type": "ERROR", "object": {}})
    for _ in range(100):
        if not world.client.fails:
            break
        assert world.ips == ["10.9.0.1", "10.9.0.2"]
        await asyncio.sleep(0)
    await world.settle()
    assert world.ips == []
    assert caplog.text.count("Pod cannot be watched in sluice-system: 503 ServiceUnavailable") == 3


async def test_before_the_first_list_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(A)
    client.fails = 1
    world = World(client, monkeypatch)
    knowing = asyncio.create_task(world.activators.known())
    await asyncio.sleep(0)
    assert not knowing.done()
    await world.settle()
    assert knowing.done()
    assert world.ips == ["10.9.0.2"]
    world.running.cancel()


async def test_where_none_are_installed_there_is_nothing_to_know() -> None:
    client: Any = None
    activators = Activators(client, "sluice-system", installed=False)
    running = asyncio.create_task(activators.run())
    await activators.known()
    await asyncio.sleep(0)
    assert not running.done()
    running.cancel()
    assert activators.ready() == ()
    assert not activators.wakers().installed


async def lose_all(world: World) -> None:
    await world.tell("DELETED", A)
    await world.tell("DELETED", B)
    assert (world.ips, world.changes) == ([], 3)


async def test_who_sleeps_is_looked_at_when_there_has_been_no_activator_for_long(
    world: World,
) -> None:
    world.pass_seconds(500.0)
    await lose_all(world)
    assert world.activators.wakers() == Wakers(installed=True, ready=0, gone_for=0.0)
    world.pass_seconds(FORSAKEN_SECONDS - 1)
    assert not world.activators.wakers().forsake
    assert world.changes == 3
    world.pass_seconds(2.0)
    assert world.activators.wakers().forsake
    assert world.changes == 4


async def test_they_are_gone_since_the_last_one_went(world: World) -> None:
    await lose_all(world)
    world.pass_seconds(40.0)
    world.client.pods = []
    await world.list_again()
    assert world.activators.wakers().gone_for == 40.0


async def test_nobody_is_looked_at_if_one_has_come_back_in_time(world: World) -> None:
    await lose_all(world)
    await world.tell("ADDED", A)
    assert world.changes == 4
    world.pass_seconds(FORSAKEN_SECONDS + 1)
    assert world.activators.wakers() == Wakers(installed=True, ready=1, gone_for=0.0)
    assert world.changes == 4


async def test_an_activator_that_never_came_is_as_one_that_went(empty: World) -> None:
    """The operator was started anew; who slept before has no other to wake it."""
    assert (empty.ips, empty.changes) == ([], 0)
    assert not empty.activators.wakers().forsake
    empty.pass_seconds(FORSAKEN_SECONDS + 1)
    assert empty.activators.wakers().forsake
    assert empty.changes == 1
