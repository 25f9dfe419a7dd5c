"""The funnel of a proxy that is idle and falls asleep, with an API server in memory."""

import pytest

from sluice_operator.cluster.errors import Unavailable
from sluice_operator.decide.budget import HOLD_SECONDS
from sluice_operator.reconcile import DUE_SECONDS, SOON, Reconciler
from sluice_testing.api_server import KEY, Api, Manifest, roll_out, written_by_another
from sluice_testing.looks import DEPLOYMENT, Looks


async def test_the_first_look_gives_it_its_pods_and_tells_no_event_of_that(
    api: Api, reconciler: Reconciler
) -> None:
    """A Deployment that says nothing of its size is made with one pod."""
    await reconciler.reconcile(KEY)
    assert "scale orders-proxy 2" in api.written
    assert "Scaled" not in api.told()


async def test_another_size_is_told(awake: Looks) -> None:
    awake.pods.clients = 1
    awake.change(replicas=3)
    await awake.settle()
    assert awake.replicas == 3
    assert awake.event("Scaled") == "from 2 to 3 pods"


async def test_who_is_idle_is_paused(awake: Looks) -> None:
    assert await awake.look() == SOON
    assert awake.scaled == ["scale orders-proxy 0"]
    assert awake.api.condition("Paused")["reason"] == "Draining"
    assert awake.event("Paused") == "no client for 300 s; the next connection wakes it"
    assert awake.event("Scaled") == ""


@pytest.mark.parametrize(("idle", "again"), [(299.5, 1.0), (290.0, 10.0), (0.0, 30.0)])
async def test_who_is_not_idle_for_long_enough_is_looked_at_when_it_is_due(
    awake: Looks, idle: float, again: float
) -> None:
    awake.pods.idle_seconds = idle
    assert await awake.look() == again
    assert awake.scaled == []


async def test_a_wake_that_was_not_seen_yet_is_not_undone(awake: Looks) -> None:
    """Somebody wrote the Deployment after it was read: the pause is another question then."""
    written_by_another(awake.api)
    assert await awake.look() == SOON
    assert (awake.scaled, awake.replicas) == ([], 2)
    awake.store.see(awake.api.objects[DEPLOYMENT], deleted=False)
    await awake.look()
    assert awake.scaled == ["scale orders-proxy 0"]


async def test_a_client_that_comes_right_before_the_pause_keeps_it_awake(awake: Looks) -> None:
    def come() -> None:
        awake.pods.clients, awake.pods.idle_seconds = 1, 0.0

    awake.at_the_second_question(come)
    await awake.look()
    assert (awake.scaled, awake.replicas) == ([], 2)
    assert awake.event("Paused") == ""
    awake.clock.now += DUE_SECONDS
    await awake.look()
    assert awake.api.condition("Paused")["message"] == "2 clients are connected"


async def test_a_wake_right_before_the_pause_is_not_undone(awake: Looks) -> None:
    awake.at_the_second_question(lambda: written_by_another(awake.api))
    assert await awake.look() == SOON
    assert (awake.scaled, awake.replicas) == ([], 2)


async def test_who_sleeps_is_left_alone(asleep: Looks) -> None:
    assert asleep.api.condition("Paused")["reason"] == "Paused"
    asleep.clock.now += HOLD_SECONDS + 1
    await asleep.settle()
    for _ in range(3):
        asleep.clock.now += 3600.0
        assert await asleep.look() is None
        assert asleep.api.written == []


async def test_shares_of_pods_that_ended_are_held_for_a_while(awake: Looks) -> None:
    await awake.look()
    roll_out(awake.api, awake.store)
    again = await awake.settle()
    assert again is not None
    assert 0 < again <= HOLD_SECONDS


async def test_who_sleeps_and_whose_spec_is_refused_goes_on_sleeping(asleep: Looks) -> None:
    asleep.change(replicas="two")
    await asleep.look()
    assert (asleep.api.written, asleep.replicas) == (["status"], 0)
    assert asleep.api.condition("Accepted")["reason"] == "Invalid"
    assert asleep.api.condition("Paused")["reason"] == "Paused"


async def test_who_is_awake_and_whose_spec_is_refused_stays_awake(awake: Looks) -> None:
    awake.change(replicas="two")
    await awake.look()
    assert (awake.api.written, awake.replicas) == (["status"], 2)
    assert awake.api.condition("Paused")["reason"] == "Awake"


async def test_while_no_activator_is_ready_nobody_is_paused(awake: Looks) -> None:
    awake.activators.ips = ()
    await awake.look()
    assert (awake.scaled, awake.replicas) == ([], 2)


async def test_while_pods_change_nobody_is_paused(awake: Looks) -> None:
    awake.api.objects[DEPLOYMENT]["status"]["updatedReplicas"] = 1
    awake.store.put(awake.api.objects[DEPLOYMENT])
    await awake.look()
    assert (awake.scaled, awake.replicas) == ([], 2)


async def test_a_scale_that_cannot_be_written_is_told_and_goes_to_the_queue(awake: Looks) -> None:
    awake.api.refuse["scale"] = error = Unavailable(500, "InternalError", "a webhook failed")
    with pytest.raises(Unavailable) as raised:
        await awake.look()
    assert raised.value is error
    told = awake.api.condition("Progressing")
    assert told["reason"] == "APIServerError"
    assert told["message"].startswith("the scale of Deployment orders-proxy: a webhook failed")


async def test_a_deployment_that_had_its_size_from_an_apply_gets_it_back_without_an_event(
    awake: Looks, monkeypatch: pytest.MonkeyPatch
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
    awake: Looks, *, sleeps: bool
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


async def test_who_lacks_a_secret_stays_awake(awake: Looks) -> None:
    """It serves by the last good document; asleep, nobody would see that it needs help."""
    login = ("Secret", "shop", "orders-app")
    del awake.api.objects[login]
    awake.store.forget([login])
    await awake.look()
    assert (awake.scaled, awake.replicas) == ([], 2)
    assert awake.api.condition("Paused")["message"].startswith("the spec or a Secret needs a look")


@pytest.mark.parametrize("error", ["", "it cannot be read"])
async def test_whose_pods_have_another_document_stays_awake(awake: Looks, error: str) -> None:
    awake.pods.config_hash, awake.pods.config_error = "old", error
    await awake.look()
    assert (awake.scaled, awake.replicas) == ([], 2)
    assert awake.api.condition("Paused")["message"] == "pods or settings are being changed"
