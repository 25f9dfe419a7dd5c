"""Good and bad DatabaseProxies: one table, told to the model and to the API server."""

import copy
from collections.abc import Mapping
from typing import Any, get_args

from sluice_proxy.config import PinningFilter
from sluice_testing import pod_specs as pods
from sluice_testing.case import Case

Manifest = dict[str, Any]

SMALLEST: Manifest = {
    "apiVersion": "sluice.dev/v1alpha1",
    "kind": "DatabaseProxy",
    "metadata": {"name": "orders", "namespace": "shop"},
    "spec": {"targets": [{"host": "db"}], "auth": [{"secretRef": {"name": "orders-app"}}]},
}

GONE = object()
"""As a value: the field is taken away."""


def manifest(changes: Mapping[str, Any] | None = None) -> Manifest:
    """The smallest DatabaseProxy with `changes`: dotted path -> value."""
    result = copy.deepcopy(SMALLEST)
    for path, value in (changes or {}).items():
        _put(result, path.split("."), value)
    return result


def _put(document: Any, path: list[str], value: Any) -> None:
    for part in path[:-1]:
        document = document[int(part)] if part.isdigit() else document.setdefault(part, {})
    last: Any = int(path[-1]) if path[-1].isdigit() else path[-1]
    if value is GONE:
        del document[last]
    else:
        document[last] = value


def _auth(*secrets: str) -> list[dict[str, Any]]:
    return [{"secretRef": {"name": secret}} for secret in secrets]


POOL = "spec.connectionPool"
CLIENTS = "spec.network.allowedClients"
CIDRS = "spec.network.databaseCIDRs"

PAUSE = "spec.autoPause"

DIRECT = {"negotiation": "Direct"}

GOOD = (
    Case("the smallest"),
    Case("an address", {"spec.targets": [{"host": "10.1.2.3", "port": 6543}]}),
    Case("an IPv6 address", {"spec.targets": [{"host": "fd00::5"}]}),
    Case("the shortest IPv6 address", {"spec.targets.0.host": "::1"}),
    Case("an IPv6 address that ends as IPv4", {"spec.targets.0.host": "64:ff9b::10.1.2.3"}),
    Case("the ends of ranges", {
        POOL: {
            "maxConnectionsPercent": 1,
            "maxIdleConnectionsPercent": 0,
            "connectionBorrowTimeoutSeconds": 0,
            "initQuery": "x" * 4096,
        },
        "spec.idleClientTimeoutSeconds": 28800,
        "spec.auth.0.rotationGraceSeconds": 3600,
        "spec.replicas": 100,
    }),
    Case("all may rest", {
        POOL: {"maxConnectionsPercent": 45, "maxIdleConnectionsPercent": 45},
    }),
    Case("a small share whose idle part is not given", {POOL: {"maxConnectionsPercent": 5}}),
    Case("several statements on each new connection", {
        f"{POOL}.initQuery": "SET work_mem = '8MB';\nSET ROLE \"ä\"",
    }),
    Case("every filter", {f"{POOL}.sessionPinningFilters": list(get_args(PinningFilter))}),
    Case("TLS with a CA", {
        "spec.targetTLS": {"mode": "VerifyFull", "caSecretRef": {"name": "db-ca"}},
    }),
    Case("direct TLS", {"spec.targetTLS": {"mode": "Require", "negotiation": "Direct"}}),
    Case("a certificate of one's own", {"spec.tls": {"secretRef": {"name": "mine"}}}),
    Case("200 roles", {"spec.auth": _auth(*(f"role-{number}" for number in range(200)))}),
    Case("all pods everywhere", {CLIENTS: [{"namespaceSelector": {}}]}),
    Case("peers of each kind", {
        CLIENTS: [
            {"podSelector": {"matchLabels": {"tier": "functions"}}},
            {"podSelector": {"matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["functions", "jobs"]},
                {"key": "legacy", "operator": "DoesNotExist"},
            ]}, "namespaceSelector": {"matchLabels": {"team": "shop"}}},
            {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
            {"ipBlock": {"cidr": "fd00::/8"}},
        ],
    }),
    Case("ranges of databases", {CIDRS: ["10.0.0.0/8", "fd00::/8", "192.168.7.9/24"]}),
    Case("what is null is not there", {
        "spec.tls": None, "spec.replicas": None, "spec.targets.0.port": None,
        "spec.podTemplate": None, PAUSE: None,
    }),
    Case("hands off", {"spec.suspend": True}),
    Case("pods that stay", {PAUSE: {"enabled": False}}),
    Case("the shortest rest", {PAUSE: {"enabled": True, "idleSeconds": 60}}),
    Case("the longest rest", {f"{PAUSE}.idleSeconds": 86400}),
    Case("a pause of which nothing is said", {PAUSE: {}}),
    Case("a name that only holds peers", {"metadata.name": "peers-orders"}),
    *pods.GOOD,
)  # fmt: skip

BAD = (
    Case("no targets", {"spec.targets": []}, "spec.targets"),
    Case("targets forgotten", {"spec.targets": GONE}, "spec.targets"),
    Case("two targets", {"spec.targets": [{"host": "a"}, {"host": "b"}]}, "spec.targets"),
    Case("no host", {"spec.targets": [{"port": 5432}]}, "spec.targets[0].host"),
    Case("a host with a space", {"spec.targets.0.host": "a b"}, "spec.targets[0].host"),
    Case("a URL as host", {"spec.targets.0.host": "postgres://db"}, "spec.targets[0].host"),
    Case("a name with a port", {"spec.targets.0.host": "db:5432"}, "spec.targets[0].host"),
    Case("address with a port", {"spec.targets.0.host": "10.0.0.1:5432"}, "spec.targets[0].host"),
    Case("IPv4 as IPv6 host", {"spec.targets.0.host": "::ffff:10.0.0.1"}, "spec.targets[0].host"),
    Case("port 0", {"spec.targets.0.port": 0}, "spec.targets[0].port"),
    Case("port 65536", {"spec.targets.0.port": 65536}, "spec.targets[0].port"),
    Case("a port as text", {"spec.targets.0.port": "5432"}, "spec.targets[0].port"),
    Case("another engine", {"spec.engineFamily": "MySQL"}, "spec.engineFamily"),
    Case("no roles", {"spec.auth": []}, "spec.auth"),
    Case("201 roles", {"spec.auth": _auth(*(f"r{n}" for n in range(201)))}, "spec.auth"),
    Case("a Secret twice", {"spec.auth": _auth("a", "b", "a")}, "spec.auth"),
    Case("a role without a Secret", {"spec.auth": [{}]}, "spec.auth[0].secretRef"),
    Case("an impossible Secret", {"spec.auth": _auth("No/Name")}, "spec.auth[0].secretRef.name"),
    Case(
        "more grace than an hour",
        {"spec.auth.0.rotationGraceSeconds": 3601},
        "spec.auth[0].rotationGraceSeconds",
    ),
    Case("percent 0", {f"{POOL}.maxConnectionsPercent": 0}, f"{POOL}.maxConnectionsPercent"),
    Case("percent 101", {f"{POOL}.maxConnectionsPercent": 101}, f"{POOL}.maxConnectionsPercent"),
    Case(
        "half a percent", {f"{POOL}.maxConnectionsPercent": 0.5}, f"{POOL}.maxConnectionsPercent"
    ),
    Case("idle percent -1", {f"{POOL}.maxIdleConnectionsPercent": -1},
         f"{POOL}.maxIdleConnectionsPercent"),
    Case("idle percent 101", {f"{POOL}.maxIdleConnectionsPercent": 101},
         f"{POOL}.maxIdleConnectionsPercent"),
    Case(
        "more idle than there may be",
        {POOL: {"maxConnectionsPercent": 40, "maxIdleConnectionsPercent": 41}},
        POOL,
    ),
    Case("a long initQuery", {f"{POOL}.initQuery": "x" * 4097}, f"{POOL}.initQuery"),
    Case("a zero byte in initQuery", {f"{POOL}.initQuery": "SELECT '\0'"}, f"{POOL}.initQuery"),
    Case(
        "an unknown filter",
        {f"{POOL}.sessionPinningFilters": ["EXCLUDE_LISTEN", "EXCLUDE_ALL"]},
        f"{POOL}.sessionPinningFilters[1]",
    ),
    Case(
        "a filter twice",
        {f"{POOL}.sessionPinningFilters": ["EXCLUDE_LISTEN", "EXCLUDE_LISTEN"]},
        f"{POOL}.sessionPinningFilters",
    ),
    Case(
        "a long wait",
        {f"{POOL}.connectionBorrowTimeoutSeconds": 301},
        f"{POOL}.connectionBorrowTimeoutSeconds",
    ),
    Case("hasty", {"spec.idleClientTimeoutSeconds": 59}, "spec.idleClientTimeoutSeconds"),
    Case("no pods", {"spec.replicas": 0}, "spec.replicas"),
    Case("an unknown mode", {"spec.targetTLS.mode": "require"}, "spec.targetTLS.mode"),
    Case("direct TLS that may be none", {"spec.targetTLS": DIRECT}, "spec.targetTLS"),
    Case(
        "direct TLS without TLS",
        {"spec.targetTLS": {**DIRECT, "mode": "Disable"}},
        "spec.targetTLS",
    ),
    Case(
        "an unknown negotiation",
        {"spec.targetTLS": {"mode": "Require", "negotiation": "direct"}},
        "spec.targetTLS.negotiation",
    ),
    Case("VerifyFull without a CA", {"spec.targetTLS.mode": "VerifyFull"}, "spec.targetTLS"),
    Case("VerifyCA without a CA", {"spec.targetTLS.mode": "VerifyCA"}, "spec.targetTLS"),
    Case("text for a switch", {"spec.requireTLS": "yes"}, "spec.requireTLS"),
    Case("an empty peer", {CLIENTS: [{}]}, f"{CLIENTS}[0]"),
    Case(
        "a peer of two kinds",
        {CLIENTS: [{"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}]},
        f"{CLIENTS}[0]",
    ),
    Case("no range", {CLIENTS: [{"ipBlock": {"cidr": "10.0.0.0"}}]}, f"{CLIENTS}[0].ipBlock.cidr"),
    Case("a range of 33 bits", {CLIENTS: [{"ipBlock": {"cidr": "10.0.0.0/33"}}]},
         f"{CLIENTS}[0].ipBlock"),
    Case(
        "a hole outside",
        {CLIENTS: [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}}]},
        f"{CLIENTS}[0].ipBlock",
    ),
    Case(
        "a hole as large as the range",
        {CLIENTS: [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}}]},
        f"{CLIENTS}[0].ipBlock",
    ),
    Case(
        "In without values",
        {CLIENTS: [{"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}]},
        f"{CLIENTS}[0].podSelector.matchExpressions[0]",
    ),
    Case("a database range of words", {CIDRS: ["intranet"]}, f"{CIDRS}[0]"),
    Case("a database range of 33 bits", {CIDRS: ["10.0.0.0/33"]}, CIDRS),
    Case("a range of bits with a zero", {CIDRS: ["10.0.0.0/08"]}, f"{CIDRS}[0]"),
    Case("IPv4 written as IPv6", {CIDRS: ["::ffff:10.0.0.0/104"]}, CIDRS),
    Case("a database range twice", {CIDRS: ["10.0.0.0/8", "10.0.0.0/8"]}, CIDRS),
    Case("an upper-case name", {"metadata.name": "Orders"}, "metadata.name"),
    Case("a name with a dot", {"metadata.name": "or.ders"}, "metadata.name"),
    Case("a long name", {"metadata.name": "o" * 51}, "metadata.name"),
    Case("the name of another one's peers", {"metadata.name": "orders-peers"}, "metadata.name"),
    Case("a Secret with two dots", {"spec.auth": _auth("a..b")}, "spec.auth[0].secretRef.name"),
    Case("an impossible label", {CLIENTS: [{"podSelector": {"matchLabels": {"a b": "c"}}}]},
         f"{CLIENTS}[0].podSelector.matchLabels"),
    Case("an impossible label's value", {CLIENTS: [{"podSelector": {"matchLabels": {"a": "b c"}}}]},
         f"{CLIENTS}[0].podSelector.matchLabels.a"),
    Case("text for suspend", {"spec.suspend": "true"}, "spec.suspend"),
    Case("asleep in a moment", {f"{PAUSE}.idleSeconds": 59}, f"{PAUSE}.idleSeconds"),
    Case("a rest of more than a day", {f"{PAUSE}.idleSeconds": 86401}, f"{PAUSE}.idleSeconds"),
    Case("a rest with a unit", {f"{PAUSE}.idleSeconds": "300s"}, f"{PAUSE}.idleSeconds"),
    Case("half a second of rest", {f"{PAUSE}.idleSeconds": 90.5}, f"{PAUSE}.idleSeconds"),
    Case("text for the pause", {f"{PAUSE}.enabled": "false"}, f"{PAUSE}.enabled"),
    Case("the pause as a switch", {PAUSE: True}, PAUSE),
    *pods.BAD,
)  # fmt: skip

UNKNOWN = (
    Case("an unknown field", {"spec.replica": 3}, "spec.replica"),
    Case("a misspelt field", {f"{POOL}.maxConnectionPercent": 3}, f"{POOL}.maxConnectionPercent"),
    Case("snake case", {"spec.require_tls": False}, "spec.require_tls"),
    Case("a misspelt rest", {f"{PAUSE}.idleSecond": 300}, f"{PAUSE}.idleSecond"),
    *pods.UNKNOWN,
)
"""Refused by strict validation, passed over (and pruned) otherwise."""
