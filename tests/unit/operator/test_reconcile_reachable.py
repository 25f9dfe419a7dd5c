"""Who sleeps is met by its slice alone: it is kept right whatever else cannot be done."""

import copy

import pytest

from sluice_operator.cluster.errors import Unavailable
from sluice_operator.decide.pause import FORSAKEN_SECONDS
from sluice_testing.looks import Looks

SLICE = ("EndpointSlice", "shop", "orders-activator")


def addresses(looks: Looks) -> list[str]:
    return [item["addresses"][0] for item in looks.api.objects[SLICE]["endpoints"]]


def suspend(looks: Looks) -> None:
    looks.change(suspend=True)


def refuse(looks: Looks) -> None:
    looks.change(replicas="two")


@pytest.mark.parametrize("hinder", [suspend, refuse])
async def test_other_activators_are_told_though_nothing_else_is_written(
    asleep: Looks, hinder: object
) -> None:
    assert callable(hinder)
    hinder(asleep)
    asleep.activators.ips = ("10.9.0.7",)
    await asleep.look()
    assert asleep.api.written == ["EndpointSlice orders-activator", "status"]
    assert addresses(asleep) == ["10.9.0.7"]
    await asleep.look()
    assert asleep.api.written == []


@pytest.mark.parametrize("kind", ["EndpointSlice", "NetworkPolicy"])
async def test_other_activators_are_told_where_a_write_fails(asleep: Looks, kind: str) -> None:
    """As where a webhook refuses whatever is applied."""
    asleep.change(network={"allowedClients": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]})
    asleep.api.refuse[kind] = Unavailable(500, "InternalError", "a webhook failed")
    asleep.activators.ips = ("10.9.0.7",)
    with pytest.raises(Unavailable):
        await asleep.look()
    assert addresses(asleep) == ["10.9.0.7"]


async def test_a_slice_of_somebody_else_is_left_alone(asleep: Looks) -> None:
    live = copy.deepcopy(asleep.api.objects[SLICE])
    live["metadata"]["ownerReferences"] = []
    asleep.api.objects[SLICE] = live
    asleep.store.put(live)
    asleep.activators.ips = ("10.9.0.7",)
    await asleep.look()
    assert addresses(asleep) == ["10.9.0.1", "10.9.0.2"]


async def forsake(looks: Looks) -> None:
    looks.activators.ips, looks.activators.gone_for = (), FORSAKEN_SECONDS
    await looks.look()


async def test_who_can_be_woken_by_nobody_is_woken_though_its_spec_is_refused(
    asleep: Looks,
) -> None:
    refuse(asleep)
    await forsake(asleep)
    assert asleep.scaled == ["scale orders-proxy 2"]


async def test_who_is_awake_and_whose_spec_is_refused_keeps_its_pods(awake: Looks) -> None:
    refuse(awake)
    await forsake(awake)
    assert (awake.scaled, awake.replicas) == ([], 2)


async def test_while_suspended_nobody_is_woken(asleep: Looks) -> None:
    suspend(asleep)
    await forsake(asleep)
    assert (asleep.scaled, asleep.replicas) == ([], 0)


async def test_what_fails_for_it_is_told_and_hides_nothing(
    asleep: Looks, caplog: pytest.LogCaptureFixture
) -> None:
    refuse(asleep)
    asleep.api.refuse["merge"] = Unavailable(503, "ServiceUnavailable", "later")
    asleep.activators.ips = ("10.9.0.7",)
    await asleep.look()
    assert "shop/orders-activator cannot be kept reachable: 503" in caplog.text
    assert asleep.api.condition("Accepted")["reason"] == "Invalid"
