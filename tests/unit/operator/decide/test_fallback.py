"""What stands in for a proxy: who, where, and what to say if its pods do not come up."""

from dataclasses import replace
from typing import Any

import pytest

from sluice_operator.api.manifest import parse
from sluice_operator.decide.fallback import fallback, slice_port
from sluice_operator.decide.observed import Observed
from sluice_operator.desired.inputs import Activator, Fallback
from sluice_operator.desired.manifest import Owner
from sluice_testing.seen import deployment, pod, starting
from sluice_testing.specs import manifest

OWNER = Owner("orders", "shop", "uid-1")
SPEC = parse(manifest({"spec.replicas": 3})).spec
HOST = "sluice-activator.sluice-system.svc"
ONE, TWO = Activator("10.9.0.1", "node-1"), Activator("10.9.0.2", "node-2")
SEEN = Observed({}, {}, {}, (), activators=(ONE, TWO), port=12345)
WORKLOAD = ("Deployment", "orders-proxy")


def made(observed: Observed, activators: str = HOST) -> Fallback | None:
    return fallback(SPEC, observed, OWNER, activators)


def standing(*endpoints: dict[str, Any] | None) -> Observed:
    """No activator is known, and the slice has these endpoints."""
    live = {"kind": "EndpointSlice", "endpoints": [*endpoints] or None}
    return replace(SEEN, activators=(), children={("EndpointSlice", "orders-activator"): live})


def trouble(observed: Observed) -> str:
    found = made(observed)
    assert found is not None
    return found.trouble


def test_the_activators_wake_it_to_what_the_spec_asks_for() -> None:
    assert made(SEEN) == Fallback(12345, (ONE, TWO), replicas=3)


def test_without_activators_nothing_stands_in() -> None:
    assert made(SEEN, activators="") is None
    assert made(replace(SEEN, port=0)) is None


def test_who_stood_in_before_stays_while_the_activators_are_unknown() -> None:
    """As after a start of the operator: else clients would find nobody for so long."""
    observed = standing(
        {"addresses": ["10.9.0.1"], "nodeName": "node-1"}, {"addresses": ["10.9.0.3"]}, {}
    )
    found = made(observed)
    assert found is not None
    assert found.activators == (ONE, Activator("10.9.0.3"))


def test_who_is_known_takes_the_place_of_who_stood_in_before() -> None:
    observed = replace(standing({"addresses": ["10.9.0.9"]}), activators=(TWO,))
    found = made(observed)
    assert found is not None
    assert found.activators == (TWO,)


@pytest.mark.parametrize("observed", [standing(), replace(SEEN, activators=())])
def test_where_nobody_stood_in_nobody_does(observed: Observed) -> None:
    found = made(observed)
    assert found is not None
    assert found.activators == ()


UNPLACED = starting("c", unschedulable="0/3 nodes are available")
AWAKE = {WORKLOAD: deployment()}
NOBODY_SERVES = replace(SEEN, children=AWAKE, pods=(UNPLACED,))


def test_clients_that_wait_are_told_why_no_pod_comes_up() -> None:
    assert trouble(NOBODY_SERVES).startswith("pod c: 0/3 nodes are available: add room")


@pytest.mark.parametrize(
    "change",
    [
        {"pods": (UNPLACED, pod("a"))},
        {"pods": (starting("c"),)},
        {"children": {}},
        {"children": {WORKLOAD: {**deployment(), "spec": {"replicas": 0}}}},
    ],
    ids=["another serves", "it only starts", "no Deployment", "none is wanted"],
)
def test_no_trouble_is_told_where_there_is_none(change: dict[str, Any]) -> None:
    assert trouble(replace(NOBODY_SERVES, **change)) == ""


def test_a_pod_that_ends_does_not_serve() -> None:
    assert trouble(replace(NOBODY_SERVES, pods=(UNPLACED, pod("a", terminating=True)))) != ""


@pytest.mark.parametrize(
    ("ports", "port"),
    [
        ([{"name": "postgres", "port": 12345, "protocol": "TCP"}], 12345),
        ([{"name": "postgres", "port": None}], 0),
        ([], 0),
        (None, 0),
    ],
)
def test_the_port_of_a_slice(ports: Any, port: int) -> None:
    assert slice_port({"ports": ports}) == port
