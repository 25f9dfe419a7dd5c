"""The funnel of a proxy that sleeps and is woken, with an API server in memory."""

from sluice_operator.decide.budget import HOLD_SECONDS
from sluice_operator.decide.pause import FORSAKEN_SECONDS
from sluice_operator.decide.wake import Wake
from sluice_testing.api_server import Manifest, written_by_another
from sluice_testing.looks import DEPLOYMENT, IDLE, Looks, wake


async def test_pods_that_are_woken_find_shares_of_all_that_there_is(asleep: Looks) -> None:
    asleep.clock.now += HOLD_SECONDS + 1
    await asleep.settle()
    fleet = asleep.document.fleet
    assert (fleet.total, fleet.shares, fleet.others) == (90, (), 90 // 3)


async def test_who_was_woken_by_an_activator_is_told_with_its_words(asleep: Looks) -> None:
    stages = {"accept": 0.0, "patch": 0.02, "listening": 0.71, "first_byte": 0.75}
    asleep.pods.woken = woken = Wake("10.1.2.3:40112", asleep.clock.now, stages)
    wake(asleep)
    await asleep.look()
    assert asleep.scaled == []
    assert asleep.event("Woken") == woken.sentence
    assert asleep.api.condition("Paused")["status"] == "False"
    asleep.forget_events()
    await asleep.settle()
    assert asleep.replicas == 2
    assert asleep.event("Woken") == ""


async def test_an_older_wake_is_not_told_again(asleep: Looks) -> None:
    asleep.pods.woken = Wake("10.1.2.3:40112", asleep.clock.now - 3600.0, {"accept": 0.0})
    wake(asleep)
    await asleep.look()
    assert asleep.event("Woken").startswith("no activator tells of it: ")


async def test_while_its_pods_come_up_it_is_waking(asleep: Looks) -> None:
    written_by_another(asleep.api, replicas=2)
    asleep.store.see(asleep.api.objects[DEPLOYMENT], deleted=False)
    await asleep.look()
    assert asleep.scaled == []
    assert asleep.api.condition("Paused")["reason"] == "Waking"
    assert asleep.event("Woken") == ""


async def test_who_may_not_sleep_any_more_is_woken(asleep: Looks) -> None:
    asleep.change(autoPause={"enabled": False})
    await asleep.look()
    assert asleep.scaled == ["scale orders-proxy 2"]
    assert asleep.event("Scaled") == ""


async def test_while_suspended_it_is_neither_paused_nor_woken(awake: Looks) -> None:
    awake.change(suspend=True)
    await awake.look()
    assert (awake.scaled, awake.replicas) == ([], 2)
    assert awake.api.condition("Paused")["message"] == "spec.suspend is set"


async def test_while_suspended_who_sleeps_goes_on_sleeping(asleep: Looks) -> None:
    asleep.change(suspend=True, autoPause={"enabled": False})
    await asleep.look()
    assert (asleep.scaled, asleep.replicas) == ([], 0)
    asleep.change(suspend=False)
    await asleep.look()
    assert asleep.scaled == ["scale orders-proxy 2"]


async def test_who_sleeps_is_woken_when_there_was_no_activator_for_long(asleep: Looks) -> None:
    asleep.activators.ips = ()
    asleep.activators.gone_for = FORSAKEN_SECONDS - 1
    await asleep.look()
    assert (asleep.api.written, asleep.replicas) == ([], 0)
    asleep.activators.gone_for = FORSAKEN_SECONDS
    await asleep.look()
    assert asleep.scaled == ["scale orders-proxy 2"]


async def test_the_slice_tells_to_how_many_pods_to_wake_it(asleep: Looks) -> None:
    asleep.clock.now += HOLD_SECONDS + 1
    asleep.change(replicas=3)
    await asleep.settle()
    live: Manifest = asleep.api.objects["EndpointSlice", "shop", "orders-activator"]
    assert live["metadata"]["annotations"]["sluice.dev/replicas"] == "3"
    assert asleep.replicas == 0
    assert asleep.document.fleet.others == 90 // 4


async def test_a_wake_is_told_though_the_sleeper_was_looked_at_since(asleep: Looks) -> None:
    """By what the watches had shown until then, it slept on."""
    asleep.pods.woken = woken = Wake("10.1.2.3:40112", asleep.clock.now + 10.0)
    asleep.clock.now += 20.0
    await asleep.look()
    wake(asleep)
    await asleep.look()
    assert asleep.event("Woken") == woken.sentence


async def test_a_wake_of_the_sleep_before_is_not_told_again(asleep: Looks) -> None:
    asleep.pods.woken = woken = Wake("10.1.2.3:40112", asleep.clock.now)
    wake(asleep)
    await asleep.settle()
    assert asleep.event("Woken") == woken.sentence
    asleep.clock.now += 3600.0
    asleep.pods.idle_seconds = IDLE
    await asleep.settle()
    assert asleep.replicas == 0
    asleep.forget_events()
    wake(asleep)
    asleep.change(autoPause={"enabled": False})
    await asleep.look()
    assert asleep.event("Woken").startswith("no activator tells of it: ")
