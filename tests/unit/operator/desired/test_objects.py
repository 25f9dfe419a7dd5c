"""The children as values: what each says, and what it must not depend on."""

from dataclasses import replace
from typing import Any

import pytest

from sluice_operator.api.manifest import parse
from sluice_operator.desired.certificates import Kept, issued
from sluice_operator.desired.inputs import (
    Activator,
    Fallback,
    Inputs,
    ProxyImage,
    ToPods,
    ToRanges,
)
from sluice_operator.desired.manifest import Manifest, Owner
from sluice_operator.desired.objects import desired_objects
from sluice_operator.names import children
from sluice_proxy.config import ProxyConfig, Target, User
from sluice_testing.specs import manifest

OWNER = Owner("orders", "shop", "uid-1")
ISSUED = issued("shop/orders", ("orders.shop.svc",), 1e9, Kept())


def inputs(**changes: Any) -> Inputs:
    """Inputs of the smallest proxy; `changes` are of its spec."""
    spec = parse(manifest({f"spec.{key}": value for key, value in changes.items()})).spec
    config = ProxyConfig("shop/orders", (Target("db"),), (User("app", "pw"),))
    return Inputs(
        owner=OWNER,
        spec=spec,
        config=config,
        issued=ISSUED,
        ca=ISSUED.ca.certificate,
        egress=(ToRanges((), 5432),),
        image=ProxyImage("sluice/proxy:1"),
        operator_namespace="sluice-system",
        fallback=Fallback(12345, (Activator("10.9.0.1", "node-1"),), replicas=spec.replicas),
    )


def child(given: Inputs, kind: str, name: str = "") -> Manifest:
    found = [m for m in desired_objects(given) if m["kind"] == kind]
    return next(m for m in found if not name or m["metadata"]["name"] == name)


def names(given: Inputs) -> list[tuple[str, str]]:
    return [(m["kind"], m["metadata"]["name"]) for m in desired_objects(given)]


def test_all_children_in_the_order_of_their_needs() -> None:
    assert names(inputs()) == [
        ("EndpointSlice", "orders-activator"),
        ("Secret", "orders-proxy-ca-key"),
        ("Secret", "orders-proxy-tls"),
        ("Secret", "orders-proxy-ca"),
        ("Secret", "orders-proxy-config"),
        ("ServiceAccount", "orders-proxy"),
        ("NetworkPolicy", "orders-proxy"),
        ("Service", "orders"),
        ("Service", "orders-peers"),
        ("PodDisruptionBudget", "orders-proxy"),
        ("Deployment", "orders-proxy"),
    ]
    assert names(inputs()) == [*children("orders")]


def test_a_users_certificate_leaves_the_ca_for_clients_alone() -> None:
    given = replace(inputs(), issued=None, ca="theirs")
    secrets = [name for kind, name in names(given) if kind == "Secret"]
    assert secrets == ["orders-proxy-ca", "orders-proxy-config"]
    unknown = replace(inputs(), issued=None, ca="")
    assert ("Secret", "orders-proxy-ca") not in names(unknown)


def test_each_child_is_owned_and_labelled() -> None:
    for made in desired_objects(inputs()):
        metadata = made["metadata"]
        assert metadata["namespace"] == "shop"
        assert metadata["ownerReferences"] == [OWNER.reference()]
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "sluice"


def test_what_clients_mount_holds_no_key() -> None:
    assert set(child(inputs(), "Secret", "orders-proxy-ca")["data"]) == {"ca.crt"}


def test_neither_passwords_nor_settings_touch_the_pod_template() -> None:
    before = child(inputs(), "Deployment")["spec"]["template"]
    config = replace(inputs().config, users=(User("app", "new"),), debug_logging=True)
    changed = replace(inputs(idleClientTimeoutSeconds=99), config=config)
    assert child(changed, "Deployment")["spec"]["template"] == before


def test_the_deployment() -> None:
    spec = child(inputs(replicas=5), "Deployment")["spec"]
    pod = spec["template"]["spec"]
    container = pod["containers"][0]
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    assert container["image"] == "sluice/proxy:1"
    assert container["args"] == ["--config", "/etc/sluice/config.json"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert not any("subPath" in mount for mount in container["volumeMounts"])
    assert [(port["name"], port["containerPort"]) for port in container["ports"]] == [
        ("postgres", 5432), ("admin", 9127), ("activator", 5433),
    ]  # fmt: skip


def test_the_deployment_says_nothing_of_how_many_pods_there_are() -> None:
    """Whoever applied it would undo a wake that it has not seen yet."""
    assert "replicas" not in child(inputs(replicas=5), "Deployment")["spec"]


def policy(given: Inputs) -> dict[str, Any]:
    found: dict[str, Any] = child(given, "NetworkPolicy")["spec"]
    return found


PODS = {"app.kubernetes.io/name": "sluice-proxy", "app.kubernetes.io/instance": "orders"}
TO_PEERS = {
    "to": [{"podSelector": {"matchLabels": PODS}}],
    "ports": [{"protocol": "TCP", "port": 5432}],
}
ACTIVATORS = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "sluice-system"}},
    "podSelector": {
        "matchLabels": {
            "app.kubernetes.io/name": "sluice-activator", "app.kubernetes.io/part-of": "sluice",
        }
    },
}  # fmt: skip
TO_ACTIVATORS = {"to": [ACTIVATORS], "ports": [{"protocol": "UDP", "port": 9128}]}
DNS = {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}


def test_by_default_the_namespace_and_the_operator_come_in() -> None:
    assert policy(inputs())["policyTypes"] == ["Ingress", "Egress"]
    clients, _, operator, _ = policy(inputs())["ingress"]
    assert clients == {"from": [{"podSelector": {}}], "ports": [{"protocol": "TCP", "port": 5432}]}
    assert operator["ports"] == [{"protocol": "TCP", "port": 9127}]
    assert operator["from"][0]["namespaceSelector"] == {
        "matchLabels": {"kubernetes.io/metadata.name": "sluice-system"}
    }


def test_allowed_clients_stand_as_the_user_wrote_them() -> None:
    peers = [
        {"namespaceSelector": {}, "podSelector": {"matchLabels": {"tier": "functions"}}},
        {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
        {"podSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}},
    ]
    assert policy(inputs(network={"allowedClients": peers}))["ingress"][0]["from"] == peers


@pytest.mark.parametrize(
    ("egress", "rule"),
    [
        (ToRanges((), 5432), {"ports": [{"protocol": "TCP", "port": 5432}]}),
        (
            ToRanges(("10.0.0.7/32", "fd00::/8"), 6543),
            {
                "to": [{"ipBlock": {"cidr": "10.0.0.7/32"}}, {"ipBlock": {"cidr": "fd00::/8"}}],
                "ports": [{"protocol": "TCP", "port": 6543}],
            },
        ),
        (
            ToPods("data", (("app", "pg"),), "server"),
            {
                "to": [
                    {
                        "namespaceSelector": {
                            "matchLabels": {"kubernetes.io/metadata.name": "data"}
                        },
                        "podSelector": {"matchLabels": {"app": "pg"}},
                    }
                ],
                "ports": [{"protocol": "TCP", "port": "server"}],
            },
        ),
    ],
)
def test_egress_goes_to_the_target_and_to_dns(egress: Any, rule: dict[str, Any]) -> None:
    given = replace(inputs(), egress=(egress,))
    assert policy(given)["egress"] == [rule, TO_PEERS, TO_ACTIVATORS, DNS]


def test_activators_hand_over_clients_and_are_told_when_a_pod_listens() -> None:
    """What is no client's way in goes with the activators."""
    handed = {"from": [ACTIVATORS], "ports": [{"protocol": "TCP", "port": 5433}]}
    assert handed in policy(inputs())["ingress"]
    alone = policy(replace(inputs(), fallback=None))
    assert ACTIVATORS not in [
        *(peer for rule in alone["ingress"] for peer in rule["from"]),
        *(peer for rule in alone["egress"] for peer in rule.get("to", ())),
    ]


def test_the_pods_of_a_proxy_reach_each_other_whatever_clients_are_allowed() -> None:
    strangers = [{"namespaceSelector": {"matchLabels": {"team": "other"}}}]
    rules = policy(inputs(network={"allowedClients": strangers}))["ingress"]
    assert {"from": TO_PEERS["to"], "ports": TO_PEERS["ports"]} in rules


def test_the_pods_of_a_proxy_find_each_other_ready_or_not() -> None:
    """A cancel request may be for a client of a pod that drains."""
    service = child(inputs(), "Service", "orders-peers")["spec"]
    pods = child(inputs(), "Deployment")["spec"]["selector"]["matchLabels"]
    assert (service["clusterIP"], service["publishNotReadyAddresses"]) == ("None", True)
    assert service["selector"] == pods
    assert [port["port"] for port in service["ports"]] == [5432]


def test_a_pod_knows_its_name_and_its_address() -> None:
    container = child(inputs(), "Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert container["env"] == [
        {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
        for name, path in (("SLUICE_POD_NAME", "metadata.name"), ("SLUICE_POD_IP", "status.podIP"))
    ]


def test_a_rollout_takes_no_pod_before_a_new_one_serves() -> None:
    strategy = child(inputs(), "Deployment")["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_a_drain_of_nodes_takes_one_pod_at_a_time() -> None:
    budget = child(inputs(), "PodDisruptionBudget")["spec"]
    assert budget == {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": PODS},
    }


def test_a_single_pod_holds_up_no_drain() -> None:
    assert ("PodDisruptionBudget", "orders-proxy") not in names(inputs(replicas=1))


def test_metrics_are_read_from_the_monitoring_namespaces() -> None:
    given = replace(inputs(), monitoring_namespaces=("monitoring", "prometheus"))
    readers = policy(given)["ingress"][2]
    assert [peer["namespaceSelector"]["matchLabels"] for peer in readers["from"]] == [
        {"kubernetes.io/metadata.name": name}
        for name in ("sluice-system", "monitoring", "prometheus")
    ]
    assert ["podSelector" in peer for peer in readers["from"]] == [True, False, False]
    assert readers["ports"] == [{"protocol": "TCP", "port": 9127}]
