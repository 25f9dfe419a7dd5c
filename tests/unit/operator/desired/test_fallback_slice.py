"""The slice by which a Service leads to the activators while it has no ready pod."""

from dataclasses import replace
from typing import Any

from sluice_operator.desired.fallback_slice import TROUBLE_MAX, fallback_slices, readdressed
from sluice_operator.desired.inputs import Activator, Fallback
from sluice_operator.desired.service import service
from sluice_testing.seen import INPUTS

ACTIVATORS = (Activator("10.9.0.1", "node-1"), Activator("10.9.0.2"))
FALLBACK = Fallback(12345, ACTIVATORS, replicas=3)


def made(**changes: Any) -> dict[str, Any]:
    found = fallback_slices(replace(INPUTS, fallback=replace(FALLBACK, **changes)))
    assert len(found) == 1
    return found[0]


def test_its_service_is_led_to_the_activators_while_no_pod_is_ready() -> None:
    conditions = {"ready": False, "serving": True, "terminating": True}
    assert made()["endpoints"] == [
        {"addresses": ["10.9.0.1"], "conditions": conditions, "nodeName": "node-1"},
        {"addresses": ["10.9.0.2"], "conditions": conditions},
    ]
    assert made()["addressType"] == "IPv4"


def test_it_belongs_to_the_service_and_to_the_proxy() -> None:
    metadata = made()["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("orders-activator", "shop")
    assert metadata["labels"] == {
        "app.kubernetes.io/name": "sluice-proxy",
        "app.kubernetes.io/instance": "orders",
        "app.kubernetes.io/component": "proxy",
        "app.kubernetes.io/part-of": "sluice",
        "app.kubernetes.io/managed-by": "sluice",
        "kubernetes.io/service-name": "orders",
        "endpointslice.kubernetes.io/managed-by": "sluice.dev",
    }
    assert metadata["ownerReferences"] == [INPUTS.owner.reference()]


def test_its_port_has_the_name_of_the_services() -> None:
    """A dataplane pairs ports of slices and Services by their names."""
    assert made()["ports"] == [{"name": "postgres", "port": 12345, "protocol": "TCP"}]
    assert [port["name"] for port in service(INPUTS.owner)["spec"]["ports"]] == ["postgres"]


def test_activators_are_told_whose_it_is_and_to_how_many_pods_to_wake() -> None:
    told = made()["metadata"]["annotations"]
    assert told == {"sluice.dev/uid": "uid-1", "sluice.dev/replicas": "3"}


def test_trouble_is_told_as_long_as_there_is_some() -> None:
    told = made(trouble="no node takes it")["metadata"]["annotations"]
    assert told["sluice.dev/trouble"] == "no node takes it"
    long = made(trouble="x" * (TROUBLE_MAX + 1))["metadata"]["annotations"]
    assert long["sluice.dev/trouble"] == "x" * TROUBLE_MAX


def test_addresses_of_ipv6() -> None:
    found = made(activators=(Activator("fd00::1"),))
    assert found["addressType"] == "IPv6"
    assert found["endpoints"][0]["addresses"] == ["fd00::1"]


def test_where_nobody_stands_in_there_is_none() -> None:
    assert fallback_slices(replace(INPUTS, fallback=None)) == ()
    assert fallback_slices(replace(INPUTS, fallback=replace(FALLBACK, activators=()))) == ()


def test_one_that_ends_is_listed_and_sent_nobody() -> None:
    (endpoint,) = made(activators=(Activator("10.9.0.1", serving=False),))["endpoints"]
    assert endpoint["conditions"] == {"ready": False, "serving": False, "terminating": True}


def test_a_slice_is_led_to_other_activators_and_to_nobody_never() -> None:
    """Where nothing else of it may be written, who sleeps goes on being met."""
    assert readdressed(made(), ACTIVATORS) is None
    assert readdressed(made(), ()) is None
    others = (Activator("10.9.0.7"),)
    assert readdressed(made(), others) == {"endpoints": made(activators=others)["endpoints"]}
