"""Good and bad DatabaseProxies: one table, told to the model and to the API server."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from sluice_proxy.config import PinningFilter

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


@dataclass(frozen=True)
class Case:
    """`changes` to the smallest DatabaseProxy; `path` is the field to blame, if any."""

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    path: str = ""

    def __str__(self) -> str:
        return self.name


def _auth(*secrets: str) -> list[dict[str, Any]]:
    return [{"secretRef": {"name": secret}} for secret in secrets]


POOL = "spec.connectionPool"
CLIENTS = "spec.network.allowedClients"
CIDRS = "spec.network.databaseCIDRs"

POD = "spec.podTemplate"
RESOURCES = f"{POD}.resources"
LABELS = f"{POD}.metadata.labels"
TOLERATIONS = f"{POD}.tolerations"
SPREAD = f"{POD}.topologySpreadConstraints"
AFFINITY = f"{POD}.affinity"
SECURITY = f"{POD}.securityContext"

DIRECT = {"negotiation": "Direct"}
BY_NODE = {
    "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
}  # fmt: skip
BY_ZONE = {**BY_NODE, "topologyKey": "topology.kubernetes.io/zone"}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
NODE_TERMS = {"nodeSelectorTerms": [
    {"matchExpressions": [{"key": "pool", "operator": "In", "values": ["database"]}]},
]}  # fmt: skip
NEAR_CLIENTS = {
    "topologyKey": "topology.kubernetes.io/zone",
    "labelSelector": {"matchLabels": {"tier": "functions"}},
}

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
        "spec.tls": None, "spec.replicas": None, "spec.targets.0.port": None, POD: None,
    }),
    Case("hands off", {"spec.suspend": True}),
    Case("a name that only holds peers", {"metadata.name": "peers-orders"}),
    Case("an empty pod template", {POD: {}}),
    Case("labels and annotations", {f"{POD}.metadata": {
        "labels": {"team": "shop", "example.com/cost-centre": "4711", "empty": ""},
        "annotations": {"sidecar.istio.io/inject": "false", "note": "x" * 4096},
    }}),
    Case("resources in every notation", {RESOURCES: {
        "requests": {"cpu": "250m", "memory": "134217728", "ephemeral-storage": "1.5Gi"},
        "limits": {"cpu": 2, "memory": "0.5Gi", "ephemeral-storage": 2000000000},
    }}),
    Case("requests as large as limits", {RESOURCES: {
        "requests": {"cpu": "1000m", "memory": "1024Ki"},
        "limits": {"cpu": "1.0", "memory": "1Mi"},
    }}),
    Case("nothing asked for", {RESOURCES: {"requests": {"cpu": 0, "memory": "0"}}}),
    Case("limits alone", {RESOURCES: {"limits": {"memory": "64M"}}}),
    Case("a place to run", {
        f"{POD}.nodeSelector": {"kubernetes.io/arch": "arm64", "pool": "database"},
        f"{POD}.priorityClassName": "system-cluster-critical",
        f"{POD}.imagePullSecrets": [{"name": "registry"}, {"name": "mirror.example.com"}],
    }),
    Case("tolerations of each kind", {TOLERATIONS: [
        {"operator": "Exists"},
        {"key": "dedicated", "value": "database", "effect": "NoSchedule"},
        {"key": "example.com/spot", "operator": "Exists", "effect": "PreferNoSchedule"},
        {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute",
         "tolerationSeconds": 0},
        {"key": "bare", "operator": "Equal"},
    ]}),
    Case("affinity of each kind", {AFFINITY: {
        "nodeAffinity": {
            REQUIRED: NODE_TERMS,
            PREFERRED: [{"weight": 1, "preference": NODE_TERMS["nodeSelectorTerms"][0]}],
        },
        "podAffinity": {PREFERRED: [{"weight": 100, "podAffinityTerm": NEAR_CLIENTS}]},
        "podAntiAffinity": {REQUIRED: [NEAR_CLIENTS]},
    }}),
    Case("spread in every way", {SPREAD: [
        BY_NODE,
        {**BY_NODE, "whenUnsatisfiable": "DoNotSchedule", "minDomains": 3,
         "nodeAffinityPolicy": "Ignore", "nodeTaintsPolicy": "Honor"},
        {**BY_ZONE, "maxSkew": 2, "matchLabelKeys": ["pod-template-hash"],
         "labelSelector": {"matchLabels": {"team": "shop"}}},
    ]}),
    Case("users and groups", {SECURITY: {
        "runAsUser": 1, "runAsGroup": 0, "fsGroup": 2147483647, "supplementalGroups": [0, 5000],
    }}),
    Case("the shortest grace", {f"{POD}.terminationGracePeriodSeconds": 15}),
    Case("the longest grace", {f"{POD}.terminationGracePeriodSeconds": 3600}),
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
    Case("a pod template that is a list", {POD: []}, POD),
    Case("a label of ours", {LABELS: {"app.kubernetes.io/instance": "mine"}}, LABELS),
    Case("a label under our name", {LABELS: {"sluice.dev/team": "mine"}}, LABELS),
    Case("a label that is a sentence", {LABELS: {"note": "who owns it"}}, f"{LABELS}.note"),
    Case("a label's name of 64 letters", {LABELS: {"n" * 64: ""}}, LABELS),
    Case("33 labels", {LABELS: {f"n{number}": "" for number in range(33)}}, LABELS),
    Case("an annotation of ours", {f"{POD}.metadata.annotations": {"sluice.dev/config-hash": "1"}},
         f"{POD}.metadata.annotations"),
    Case("a long annotation", {f"{POD}.metadata.annotations": {"note": "x" * 4097}},
         f"{POD}.metadata.annotations.note"),
    Case("an annotation without a name", {f"{POD}.metadata.annotations": {"example.com/": "x"}},
         f"{POD}.metadata.annotations"),
    Case("CPU in words", {f"{RESOURCES}.requests": {"cpu": "half"}}, f"{RESOURCES}.requests.cpu"),
    Case("CPU below nothing", {f"{RESOURCES}.requests": {"cpu": -1}}, f"{RESOURCES}.requests.cpu"),
    Case("a thousand cores", {f"{RESOURCES}.requests": {"cpu": 1000}}, f"{RESOURCES}.requests.cpu"),
    Case("CPU in thousandths of thousandths", {f"{RESOURCES}.limits": {"cpu": "0.5m"}},
         f"{RESOURCES}.limits.cpu"),
    Case("a switch for CPU", {f"{RESOURCES}.limits": {"cpu": True}}, f"{RESOURCES}.limits.cpu"),
    Case("CPU as a fraction without quotes", {f"{RESOURCES}.limits": {"cpu": 0.5}},
         f"{RESOURCES}.limits.cpu"),
    Case("memory in thousandths", {f"{RESOURCES}.limits": {"memory": "128m"}},
         f"{RESOURCES}.limits.memory"),
    Case("memory with a part of a byte", {f"{RESOURCES}.limits": {"memory": "1.001Ki"}},
         f"{RESOURCES}.limits.memory"),
    Case("memory in another spelling", {f"{RESOURCES}.limits": {"memory": "64MB"}},
         f"{RESOURCES}.limits.memory"),
    Case("more memory asked for than allowed",
         {RESOURCES: {"requests": {"memory": "1Gi"}, "limits": {"memory": "1G"}}}, RESOURCES),
    Case("more CPU asked for than allowed",
         {RESOURCES: {"requests": {"cpu": 1}, "limits": {"cpu": "999m"}}}, RESOURCES),
    Case("more disk asked for than allowed",
         {RESOURCES: {"requests": {"ephemeral-storage": 2}, "limits": {"ephemeral-storage": 1}}},
         RESOURCES),
    Case("a node's label that is none", {f"{POD}.nodeSelector": {"-pool": "a"}},
         f"{POD}.nodeSelector"),
    Case("an impossible class", {f"{POD}.priorityClassName": "High"}, f"{POD}.priorityClassName"),
    Case("a pull secret without a name", {f"{POD}.imagePullSecrets": [{}]},
         f"{POD}.imagePullSecrets[0].name"),
    Case("a pull secret twice", {f"{POD}.imagePullSecrets": [{"name": "a"}, {"name": "a"}]},
         f"{POD}.imagePullSecrets"),
    Case("a toleration of nothing", {TOLERATIONS: [{"value": "a"}]}, f"{TOLERATIONS}[0]"),
    Case("Exists with a value", {TOLERATIONS: [{"key": "a", "operator": "Exists", "value": "b"}]},
         f"{TOLERATIONS}[0]"),
    Case("seconds for NoSchedule",
         {TOLERATIONS: [{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 5}]},
         f"{TOLERATIONS}[0]"),
    Case("an unknown operator", {TOLERATIONS: [{"key": "a", "operator": "In"}]},
         f"{TOLERATIONS}[0].operator"),
    Case("an unknown effect", {TOLERATIONS: [{"key": "a", "effect": "noschedule"}]},
         f"{TOLERATIONS}[0].effect"),
    Case("affinity in words", {AFFINITY: "near the database"}, AFFINITY),
    Case("affinity as a list", {AFFINITY: []}, AFFINITY),
    Case("a term in words", {f"{AFFINITY}.podAffinity": {REQUIRED: ["near"]}},
         f"{AFFINITY}.podAffinity.{REQUIRED}[0]"),
    Case("nodes chosen by a list", {f"{AFFINITY}.nodeAffinity": {REQUIRED: [NODE_TERMS]}},
         f"{AFFINITY}.nodeAffinity.{REQUIRED}"),
    Case("spread with no skew", {SPREAD: [{**BY_NODE, "maxSkew": 0}]}, f"{SPREAD}[0].maxSkew"),
    Case("spread over nothing", {SPREAD: [{"maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}]},
         f"{SPREAD}[0].topologyKey"),
    Case("the same spread twice", {SPREAD: [BY_NODE, {**BY_NODE, "maxSkew": 2}]}, SPREAD),
    Case("an unknown way to give in", {SPREAD: [{**BY_NODE, "whenUnsatisfiable": "Never"}]},
         f"{SPREAD}[0].whenUnsatisfiable"),
    Case("domains that do not matter", {SPREAD: [{**BY_NODE, "minDomains": 2}]}, f"{SPREAD}[0]"),
    Case("a key that selects twice",
         {SPREAD: [{**BY_NODE, "matchLabelKeys": ["app.kubernetes.io/name"]}]}, f"{SPREAD}[0]"),
    Case("a key that the selector has",
         {SPREAD: [{**BY_NODE, "matchLabelKeys": ["team"],
                    "labelSelector": {"matchLabels": {"team": "shop"}}}]},
         f"{SPREAD}[0]"),
    Case("a key that an expression has",
         {SPREAD: [{**BY_NODE, "matchLabelKeys": ["team"], "labelSelector": {
             "matchExpressions": [{"key": "team", "operator": "Exists"}]}}]},
         f"{SPREAD}[0]"),
    Case("a key twice", {SPREAD: [{**BY_NODE, "matchLabelKeys": ["team", "team"]}]},
         f"{SPREAD}[0].matchLabelKeys"),
    Case("a policy that is none", {SPREAD: [{**BY_NODE, "nodeTaintsPolicy": "Obey"}]},
         f"{SPREAD}[0].nodeTaintsPolicy"),
    Case("root", {SECURITY: {"runAsUser": 0}}, f"{SECURITY}.runAsUser"),
    Case("a user by name", {SECURITY: {"runAsUser": "nobody"}}, f"{SECURITY}.runAsUser"),
    Case("a group below nothing", {SECURITY: {"supplementalGroups": [5, -1]}},
         f"{SECURITY}.supplementalGroups[1]"),
    Case("no time to end", {f"{POD}.terminationGracePeriodSeconds": 14},
         f"{POD}.terminationGracePeriodSeconds"),
    Case("more than an hour to end", {f"{POD}.terminationGracePeriodSeconds": 3601},
         f"{POD}.terminationGracePeriodSeconds"),
)  # fmt: skip

UNKNOWN = (
    Case("an unknown field", {"spec.replica": 3}, "spec.replica"),
    Case("a misspelt field", {f"{POOL}.maxConnectionPercent": 3}, f"{POOL}.maxConnectionPercent"),
    Case("snake case", {"spec.require_tls": False}, "spec.require_tls"),
    Case("a container of one's own", {f"{POD}.containers": []}, f"{POD}.containers"),
    Case("what Pod Security forbids", {f"{SECURITY}.privileged": True}, f"{SECURITY}.privileged"),
    Case(
        "a resource that a proxy cannot use",
        {f"{RESOURCES}.limits": {"nvidia.com/gpu": 1}},
        f"{RESOURCES}.limits.nvidia.com/gpu",
    ),
    Case(
        "affinity to what there is not",
        {f"{AFFINITY}.rackAffinity": {}},
        f"{AFFINITY}.rackAffinity",
    ),
)
"""Refused by strict validation, passed over (and pruned) otherwise."""
