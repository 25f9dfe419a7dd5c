"""A proxy's clients may reach the activators as they may reach the proxy."""

from dataclasses import replace
from typing import Any

import pytest

from sluice_operator.api.manifest import parse
from sluice_operator.desired.activator_policy import activator_policy
from sluice_operator.desired.inputs import Fallback, Inputs
from sluice_testing.seen import INPUTS
from sluice_testing.specs import manifest

FALLBACK = Fallback(12345, (), replicas=2)
SHOP = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}
WEB = {"podSelector": {"matchLabels": {"app": "web"}}}
OTHERS = {"namespaceSelector": {"matchLabels": {"team": "other"}}}
RANGE = {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}


def inputs(*peers: dict[str, Any]) -> Inputs:
    """Of a proxy that is for these clients."""
    return replace(INPUTS, spec=parse(manifest({"spec.network.allowedClients": [*peers]})).spec)


def made(*peers: dict[str, Any]) -> dict[str, Any]:
    return activator_policy(inputs(*peers), FALLBACK)


def test_it_lives_beside_the_activators_and_has_no_owner() -> None:
    metadata = made()["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("shop.orders", "sluice-system")
    assert "ownerReferences" not in metadata
    assert metadata["labels"] == {
        "app.kubernetes.io/name": "sluice-activator",
        "app.kubernetes.io/component": "clients",
        "app.kubernetes.io/part-of": "sluice",
        "app.kubernetes.io/managed-by": "sluice",
        "sluice.dev/proxy-namespace": "shop",
        "sluice.dev/proxy-name": "orders",
    }


def test_it_is_about_the_port_that_stands_for_the_proxy() -> None:
    spec = made()["spec"]
    assert spec["podSelector"] == {
        "matchLabels": {
            "app.kubernetes.io/name": "sluice-activator",
            "app.kubernetes.io/part-of": "sluice",
        }
    }
    assert spec["policyTypes"] == ["Ingress"]
    (rule,) = spec["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 12345}]


@pytest.mark.parametrize(
    ("peer", "told"),
    [
        (WEB, {**WEB, **SHOP}),
        (OTHERS, OTHERS),
        ({**WEB, **OTHERS}, {**WEB, **OTHERS}),
        ({"namespaceSelector": {}}, {"namespaceSelector": {}}),
        (RANGE, RANGE),
    ],
    ids=["its namespace", "other namespaces", "pods of others", "all namespaces", "addresses"],
)
def test_peers_mean_what_they_mean_in_the_proxys_namespace(
    peer: dict[str, Any], told: dict[str, Any]
) -> None:
    (rule,) = made(peer)["spec"]["ingress"]
    assert rule["from"] == [told]


def test_by_default_the_proxys_namespace_comes_in() -> None:
    (rule,) = made()["spec"]["ingress"]
    assert rule["from"] == [{"podSelector": {}, **SHOP}]


def test_each_peer_is_one() -> None:
    (rule,) = made(WEB, RANGE, OTHERS)["spec"]["ingress"]
    assert rule["from"] == [{**WEB, **SHOP}, RANGE, OTHERS]
