"""The funnel of a proxy that is idle, sleeps and is woken, with an API server in memory."""

import base64
from dataclasses import dataclass
from typing import Any

import pytest

from sluice_operator.cluster.errors import Unavailable
from sluice_operator.cluster.store import Store
from sluice_operator.decide.budget import HOLD_SECONDS
from sluice_operator.decide.pause import FORSAKEN_SECONDS
from sluice_operator.decide.wake import Wake
from sluice_operator.reconcile import DUE_SECONDS, SOON, Reconciler
from sluice_proxy.config import CONFIG_KEY, ProxyConfig
from sluice_proxy.config import parse as parse_config
from sluice_testing.api_server import (
    KEY,
    Api,
    Clock,
    Manifest,
    Pods,
    Standins,
    config_hash,
    roll_out,
    written_by_another,
)

DEPLOYMENT = ("Deployment", "shop", "orders-proxy")
IDLE = 400.0
"""Seconds: more than spec.autoPause.idleSeconds asks for by default."""


@dataclass
class Stage:
    """All that a look looks at."""

    api: Api
    pods: Pods
    store: Store
    clock: Clock
    activators: Standins
    reconciler: Reconciler

    async def look(self) -> float | None:
        """One look; what it wrote is in `api.written` alone."""
        self.api.written.clear()
        return await self.reconciler.reconcile(KEY)

    async def settle(self) -> float | None:
        """Looks until one writes nothing: pods take each document at once."""
        for _ in range(12):
            self.pods.config_hash = config_hash(self.api)
            again = await self.look()
            if not self.api.written:
                return again
        raise AssertionError(self.api.written)

    @property
    def replicas(self) -> int:
        found: int = self.api.objects[DEPLOYMENT]["spec"]["replicas"]
        return found

    @property
    def document(self) -> ProxyConfig:
        secret = self.api.objects["Secret", "shop", "orders-proxy-config"]
        return parse_config(base64.b64decode(secret["data"][CONFIG_KEY]).decode())

    @property
    def scaled(self) -> list[str]:
        return [written for written in self.api.written if written.startswith("scale")]

    def change(self, **spec: Any) -> None:
        """The user's change of the spec, as a watch tells it."""
        proxy = self.api.objects["DatabaseProxy", *KEY]
        proxy["spec"].update(spec)
        proxy["metadata"]["generation"] += 1
        self.store.put(proxy)

    def event(self, reason: str) -> str:
        """The words of the Event for `reason`; empty if there is none."""
        found = (
            item["message"]
            for key, item in self.api.objects.items()
            if key[0] == "Event" and item["reason"] == reason
        )
        return next(found, "")

    def forget_events(self) -> None:
        for key in [key for key in self.api.objects if key[0] == "Event"]:
            del self.api.objects[key]

    def at_the_second_question(self, happens: Any) -> None:
        """Of the next look."""
        second = self.pods.asked + 2
        self.pods.on_question = lambda number: happens() if number == second else None


@pytest.fixture
async def awake(
    api: Api,
    pods: Pods,
    store: Store,
    clock: Clock,
    activators: Standins,
    reconciler: Reconciler,
) -> Stage:
    """Two pods serve; nobody has been there for long, but for this look."""
    stage = Stage(api, pods, store, clock, activators, reconciler)
    pods.budget = 90
    await stage.look()
    roll_out(api, store)
    await stage.settle()
    pods.idle_seconds = IDLE
    stage.forget_events()
    return stage


@pytest.fixture
async def asleep(awake: Stage) -> Stage:
    """It was paused, and its pods have ended."""
    await awake.look()
    roll_out(awake.api, awake.store)
    await awake.settle()
    assert awake.replicas == 0
    awake.forget_events()
    return awake


async def test_the_first_look_gives_it_its_pods_and_tells_no_event_of_that(
    api: Api, reconciler: Reconciler
) -> None:
    """A Deployment that says nothing of its size is made with one pod."""
    await reconciler.reconcile(KEY)
    assert "scale orders-proxy 2" in api.written
    assert "Scaled" not in api.told()


async def test_another_size_is_told(awake: Stage) -> None:
    awake.pods.clients = 1
    awake.change(replicas=3)
    await awake.settle()
    assert awake.replicas == 3
    assert awake.event("Scaled") == "from 2 to 3 pods"


async def test_who_is_idle_is_paused(awake: Stage) -> None:
    assert await awake.look() == SOON
    assert awake.scaled == ["scale orders-proxy 0"]
    assert awake.api.condition("Paused")["reason"] == "Draining"
    assert awake.event("Paused") == "no client for 300 s; the next connection wakes it"
    assert awake.event("Scaled") == ""


@pytest.mark.parametrize(("idle", "again"), [(299.5, 1.0), (290.0, 10.0), (0.0, 30.0)])
async def test_who_is_not_idle_for_long_enough_is_looked_at_when_it_is_due(
    awake: Stage, idle: float, again: float
) -> None:
    awake.pods.idle_seconds = idle
    assert await awake.look() == again
    assert awake.scaled == []


async def test_a_wake_that_was_not_seen_yet_is_not_undone(awake: Stage) -> None:
    """Somebody wrote the Deployment after it was read: the pause is another question then."""
    written_by_another(awake.api)
    assert await awake.look() == SOON
    assert (awake.scaled, awake.replicas) == ([], 2)
    awake.store.see(awake.api.objects[DEPLOYMENT], deleted=False)
    await awake.look()
    assert awake.scaled == ["scale orders-proxy 0"]


async def test_a_client_that_comes_right_before_the_pause_keeps_it_awake(awake: Stage) -> None:
    def come() -> None:
        awake.pods.clients, awake.pods.idle_seconds = 1, 0.0

    awake.at_the_second_question(come)
    await awake.look()
    assert (awake.scaled, awake.replicas) == ([], 2)
    assert awake.event("Paused") == ""
    awake.clock.now += DUE_SECONDS
    await awake.look()
    assert awake.api.condition("Paused")["message"] == "2 clients are connected"


async def test_a_wake_right_before_the_pause_is_not_undone(awake: Stage) -> None:
    awake.at_the_second_question(lambda: written_by_another(awake.api))
    assert await awake.look() == SOON
    assert (awake.scaled, awake.replicas) == ([], 2)


async def test_who_sleeps_is_left_alone(asleep: Stage) -> None:
    assert asleep.api.condition("Paused")["reason"] == "Paused"
    asleep.clock.now += HOLD_SECONDS + 1
    await asleep.settle()
    for _ in range(3):
        asleep.clock.now += 3600.0
        assert await asleep.look() is None
        assert asleep.api.written == []


async def test_shares_of_pods_that_ended_are_held_for_a_while(awake: Stage) -> None:
    await awake.look()
    roll_out(awake.api, awake.store)
    again = await awake.settle()
    assert again is not None
    assert 0 < again <= HOLD_SECONDS


async def test_pods_that_are_woken_find_shares_of_all_that_there_is(asleep: Stage) -> None:
    asleep.clock.now += HOLD_SECONDS + 1
    await asleep.settle()
    fleet = asleep.document.fleet
    assert (fleet.total, fleet.shares, fleet.others) == (90, (), 90 // 3)


async def wake(stage: Stage) -> None:
    """An activator scales it, and its pods come up."""
    written_by_another(stage.api, replicas=2)
    roll_out(stage.api, stage.store)
    stage.pods.idle_seconds = 0.0


async def test_who_was_woken_by_an_activator_is_told_with_its_words(asleep: Stage) -> None:
    stages = {"accept": 0.0, "patch": 0.02, "listening": 0.71, "first_byte": 0.75}
    asleep.pods.woken = woken = Wake("10.1.2.3:40112", asleep.clock.now, stages)
    await wake(asleep)
    await asleep.look()
    assert asleep.scaled == []
    assert asleep.event("Woken") == woken.sentence
    assert asleep.api.condition("Paused")["status"] == "False"
    asleep.forget_events()
    await asleep.settle()
    assert asleep.replicas == 2
    assert asleep.event("Woken") == ""


async def test_an_older_wake_is_not_told_again(asleep: Stage) -> None:
    asleep.pods.woken = Wake("10.1.2.3:40112", asleep.clock.now - 3600.0, {"accept": 0.0})
    await wake(asleep)
    await asleep.look()
    assert asleep.event("Woken").startswith("no activator tells of it: ")


async def test_while_its_pods_come_up_it_is_waking(asleep: Stage) -> None:
    written_by_another(asleep.api, replicas=2)
    asleep.store.see(asleep.api.objects[DEPLOYMENT], deleted=False)
    await asleep.look()
    assert asleep.scaled == []
    assert asleep.api.condition("Paused")["reason"] == "Waking"
    assert asleep.event("Woken") == ""


async def test_who_may_not_sleep_any_more_is_woken(asleep: Stage) -> None:
    asleep.change(autoPause={"enabled": False})
    await asleep.look()
    assert asleep.scaled == ["scale orders-proxy 2"]
    assert asleep.event("Scaled") == ""


async def test_while_suspended_it_is_neither_paused_nor_woken(awake: Stage) -> None:
    awake.change(suspend=True)
    await awake.look()
    assert (awake.scaled, awake.replicas) == ([], 2)
    assert awake.api.condition("Paused")["message"] == "spec.suspend is set"


async def test_while_suspended_who_sleeps_goes_on_sleeping(asleep: Stage) -> None:
    asleep.change(suspend=True, autoPause={"enabled": False})
    await asleep.look()
    assert (asleep.scaled, asleep.replicas) == ([], 0)
    asleep.change(suspend=False)
    await asleep.look()
    assert asleep.scaled == ["scale orders-proxy 2"]


async def test_who_sleeps_and_whose_spec_is_refused_goes_on_sleeping(asleep: Stage) -> None:
    asleep.change(replicas="two")
    await asleep.look()
    assert (asleep.api.written, asleep.replicas) == (["status"], 0)
    assert asleep.api.condition("Accepted")["reason"] == "Invalid"
    assert asleep.api.condition("Paused")["reason"] == "Paused"


async def test_who_is_awake_and_whose_spec_is_refused_stays_awake(awake: Stage) -> None:
    awake.change(replicas="two")
    await awake.look()
    assert (awake.api.written, awake.replicas) == (["status"], 2)
    assert awake.api.condition("Paused")["reason"] == "Awake"


async def test_while_no_activator_is_ready_nobody_is_paused(awake: Stage) -> None:
    awake.activators.ips = ()
    await awake.look()
    assert (awake.scaled, awake.replicas) == ([], 2)


async def test_who_sleeps_is_woken_when_there_was_no_activator_for_long(asleep: Stage) -> None:
    asleep.activators.ips = ()
    asleep.activators.gone_for = FORSAKEN_SECONDS - 1
    await asleep.look()
    assert (asleep.api.written, asleep.replicas) == ([], 0)
    asleep.activators.gone_for = FORSAKEN_SECONDS
    await asleep.look()
    assert asleep.scaled == ["scale orders-proxy 2"]


async def test_while_pods_change_nobody_is_paused(awake: Stage) -> None:
    awake.api.objects[DEPLOYMENT]["status"]["updatedReplicas"] = 1
    awake.store.put(awake.api.objects[DEPLOYMENT])
    await awake.look()
    assert (awake.scaled, awake.replicas) == ([], 2)


async def test_a_scale_that_cannot_be_written_is_told_and_goes_to_the_queue(awake: Stage) -> None:
    awake.api.refuse["scale"] = error = Unavailable(500, "InternalError", "a webhook failed")
    with pytest.raises(Unavailable) as raised:
        await awake.look()
    assert raised.value is error
    told = awake.api.condition("Progressing")
    assert told["reason"] == "APIServerError"
    assert told["message"].startswith("the scale of Deployment orders-proxy: a webhook failed")


async def test_the_slice_tells_to_how_many_pods_to_wake_it(asleep: Stage) -> None:
    asleep.clock.now += HOLD_SECONDS + 1
    asleep.change(replicas=3)
    await asleep.settle()
    live: Manifest = asleep.api.objects["EndpointSlice", "shop", "orders-activator"]
    assert live["metadata"]["annotations"]["sluice.dev/replicas"] == "3"
    assert asleep.replicas == 0
    assert asleep.document.fleet.others == 90 // 4


async def test_a_deployment_that_had_its_size_from_an_apply_gets_it_back_without_an_event(
    awake: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older operator applied the size: what an apply leaves out is set to the default, 1."""
    apply = awake.api.apply

    async def forgetting(item: Manifest) -> Manifest:
        applied = await apply(item)
        if item["kind"] == "Deployment":
            awake.api.objects[DEPLOYMENT]["spec"]["replicas"] = applied["spec"]["replicas"] = 1
        return applied

    monkeypatch.setattr(awake.api, "apply", forgetting)
    awake.pods.clients = 1
    awake.change(podTemplate={"metadata": {"labels": {"team": "shop"}}})
    await awake.look()
    assert awake.scaled == ["scale orders-proxy 2"]
    assert awake.event("Scaled") == ""


@pytest.mark.parametrize("sleeps", [False, True])
async def test_while_something_cannot_be_written_it_stays_as_it_is(
    awake: Stage, *, sleeps: bool
) -> None:
    if sleeps:
        await awake.look()
        roll_out(awake.api, awake.store)
        await awake.settle()
    before = awake.replicas
    awake.change(network={"allowedClients": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]})
    awake.change(autoPause={"enabled": not sleeps})
    awake.api.refuse["NetworkPolicy"] = Unavailable(500, "InternalError", "a webhook failed")
    with pytest.raises(Unavailable):
        await awake.look()
    assert (awake.scaled, awake.replicas) == ([], before)
    assert awake.api.condition("Paused")["reason"] == ("Paused" if sleeps else "InUse")
