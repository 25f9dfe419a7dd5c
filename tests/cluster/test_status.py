"""What goes wrong around a proxy, as its status tells it; and that it heals once that is mended.

Real words of a real server, kubelet, scheduler and API server. What follows from what is the
unit tests' affair.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from kube.client import Cluster

from sluice_operator.api.conditions import Reason
from sluice_testing import shop
from sluice_testing.certificates import Authority
from sluice_testing.kubernetes import eventually, get, login, secret
from sluice_testing.pods import SERVER_CA
from sluice_testing.shop import PASSWORD, Namespace, told

# The first test of a run may have to wait for the cluster and the images.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

GOES_ON = "the last good configuration goes on serving"


@pytest.fixture(scope="module")
def place(operator: Cluster, database: str) -> Iterator[Namespace]:
    with shop.namespace(operator, database) as made:
        yield made


@pytest.fixture
def orders(place: Namespace) -> Namespace:
    """A proxy that is well. It outlives the test."""
    place.apply(login("orders-app", place.name, "app", PASSWORD), place.proxy())
    place.kubectl("delete", "secret", "given", "--ignore-not-found")
    until_well(place)
    return place


def until_well(place: Namespace) -> None:
    place.until("CredentialsReady", "True", "Resolved")
    place.until("TargetsAvailable", "True", "Available")
    place.until("Progressing", "False", "Settled")
    place.until("Ready", "True", "Serving")
    place.until_phase("Running")


@dataclass(frozen=True)
class Credential:
    """A spec that refers to the Secret `given`, with bad data and then with good."""

    reason: Reason
    words: str
    bad: Mapping[str, str] | None
    good: Mapping[str, str] = field(
        default_factory=lambda: {"username": "app", "password": PASSWORD}
    )
    spec: Mapping[str, Any] = field(
        default_factory=lambda: {"auth": [{"secretRef": {"name": "given"}}]}
    )

    def __str__(self) -> str:
        return self.reason


AUTHORITY = Authority()
LEAF, OTHER = AUTHORITY.issue("orders"), AUTHORITY.issue("orders")
OVER = AUTHORITY.issue("orders", days=-0.5)
PAIR = {"tls.crt": LEAF.chain, "tls.key": LEAF.private_key}
CREDENTIALS = (
    Credential(
        Reason.SECRET_NOT_FOUND,
        "spec.auth[0].secretRef.name: Secret given does not exist",
        bad=None,
    ),
    Credential(
        Reason.SECRET_KEY_NOT_FOUND,
        "spec.auth[0].secretRef: Secret given has no key password",
        bad={"username": "app"},
    ),
    Credential(
        Reason.INVALID_SECRET,
        "spec.auth[0].secretRef: key uri of Secret given is not postgresql://",
        bad={"uri": "mysql://app:unspeakable@db"},
    ),
    Credential(
        Reason.DUPLICATE_ROLE,
        "spec.auth[1].secretRef: Secrets orders-app and given are both of the role app",
        bad={"username": "app", "password": "unspeakable"},
        good={"username": "postgres", "password": shop.SUPERUSER_PASSWORD},
        spec={"auth": [{"secretRef": {"name": name}} for name in ("orders-app", "given")]},
    ),
    Credential(
        Reason.INVALID_CA,
        "spec.targetTLS.caSecretRef: key ca.crt of Secret given holds no PEM certificate",
        bad={"ca.crt": "unspeakable"},
        good={"ca.crt": AUTHORITY.pem},
        spec={"targetTLS": {"mode": "Require", "caSecretRef": {"name": "given"}}},
    ),
    Credential(
        Reason.INVALID_CERTIFICATE,
        "spec.tls.secretRef: tls.key of Secret given is not the key of tls.crt",
        bad={**PAIR, "tls.key": OTHER.private_key},
        good=PAIR,
        spec={"tls": {"secretRef": {"name": "given"}}},
    ),
    Credential(
        Reason.CERTIFICATE_EXPIRED,
        "spec.tls.secretRef: the certificate in tls.crt of Secret given expired on 2",
        bad={"tls.crt": OVER.chain, "tls.key": OVER.private_key},
        good=PAIR,
        spec={"tls": {"secretRef": {"name": "given"}}},
    ),
)


@pytest.mark.parametrize("case", CREDENTIALS, ids=str)
def test_a_secret_that_cannot_be_used(orders: Namespace, case: Credential) -> None:
    given = [] if case.bad is None else [secret("given", orders.name, case.bad)]
    orders.apply(*given, orders.proxy(**case.spec))
    message = told(orders, "CredentialsReady", case.reason, case.words)
    assert message.endswith(GOES_ON)
    assert "unspeakable" not in message
    assert orders.condition("Ready")["status"] == "True"
    orders.until_phase("Degraded")
    orders.apply(secret("given", orders.name, case.good))
    until_well(orders)


def test_a_secret_that_comes_late(namespace: Namespace) -> None:
    namespace.apply(namespace.proxy(auth=[{"secretRef": {"name": "later"}}]))
    told(namespace, "CredentialsReady", Reason.SECRET_NOT_FOUND, "Secret later does not exist")
    ready = namespace.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("False", Reason.SECRET_NOT_FOUND)
    namespace.apply(login("later", namespace.name, "app", PASSWORD))
    until_well(namespace)


def on_server(place: Namespace, *statements: str) -> None:
    for statement in statements:
        shop.sql(place.cluster, place.database.split(".")[1], statement)


def server_fails(place: Namespace, reason: Reason, words: str) -> str:
    """The condition's sentence, once target, Ready and phase say the same."""
    message = told(place, "TargetsAvailable", reason, words)
    told(place, "Ready", reason, words)
    place.until_phase("Degraded")
    (target,) = (place.get("databaseproxy") or {})["status"]["targets"]
    assert (target["health"], target["reason"]) == ("Unavailable", reason)
    return message


def test_a_server_that_refuses_the_password(orders: Namespace) -> None:
    """It heals without a change of any object, once the server knows the password."""
    orders.apply(login("orders-app", orders.name, "app", "unspeakable"))
    # Within the grace the proxy logs in with the password of before; so it is taken back.
    orders.apply(orders.proxy(auth__0__rotationGraceSeconds=0))
    words = f"spec.auth: {orders.database}:5432: "
    assert "unspeakable" not in server_fails(orders, Reason.AUTH_FAILURE, words)
    on_server(orders, "ALTER ROLE app PASSWORD 'unspeakable'")
    try:
        until_well(orders)
    finally:
        on_server(orders, f"ALTER ROLE app PASSWORD '{PASSWORD}'")


def test_a_host_that_comes_step_by_step(orders: Namespace) -> None:
    """No such name; a name with nobody behind it; the server."""
    space = orders.database.split(".")[1]
    host, port = f"door.{space}.svc", 5432

    def door(target_port: int) -> dict[str, Any]:
        ports = [{"port": port, "targetPort": target_port}]
        return {
            **{"apiVersion": "v1", "kind": "Service"},
            "metadata": {"name": "door", "namespace": space},
            "spec": {"selector": {"app": "postgres"}, "ports": ports},
        }

    words = f"spec.targets[0]: {host}:{port}: "
    orders.apply(orders.proxy(targets=[{"host": host}]))
    server_fails(orders, Reason.HOST_NOT_FOUND, words)
    orders.apply(door(target_port=5999))
    server_fails(orders, Reason.UNREACHABLE, words)
    orders.apply(door(target_port=5432))
    until_well(orders)


def test_a_server_without_tls(orders: Namespace) -> None:
    switch = "ALTER SYSTEM SET ssl = {}", "SELECT pg_reload_conf()"
    on_server(orders, *(statement.format("off") for statement in switch))
    try:
        orders.apply(orders.proxy(targetTLS={"mode": "Require"}))
        server_fails(orders, Reason.TLS_REFUSED, "spec.targetTLS: ")
    finally:
        on_server(orders, *(statement.format("on") for statement in switch))
    until_well(orders)


def test_a_server_with_the_certificate_of_another_authority(orders: Namespace) -> None:
    orders.apply(
        secret("given", orders.name, {"ca.crt": AUTHORITY.pem}),
        orders.proxy(targetTLS={"mode": "VerifyFull", "caSecretRef": {"name": "given"}}),
    )
    server_fails(orders, Reason.CERTIFICATE_INVALID, "spec.targetTLS: ")
    theirs = get(orders.cluster, "secret", SERVER_CA, orders.database.split(".")[1])
    assert theirs is not None
    given = {**secret("given", orders.name, {}), "data": theirs["data"]}
    orders.apply(given)
    until_well(orders)


def test_an_init_query_that_fails(orders: Namespace) -> None:
    query = "SELECT set_config('app.zone', zone, false) FROM zones"
    orders.apply(orders.proxy(connectionPool={"initQuery": query}))
    server_fails(orders, Reason.INIT_QUERY_FAILED, "spec.connectionPool.initQuery: ")
    on_server(orders, "CREATE VIEW zones AS SELECT 'here'::text AS zone")
    on_server(orders, "GRANT SELECT ON zones TO app")
    try:
        until_well(orders)
    finally:
        on_server(orders, "DROP VIEW zones")


def test_a_database_that_does_not_exist(namespace: Namespace) -> None:
    data = {"username": "app", "password": PASSWORD, "dbname": "warehouse"}
    namespace.apply(
        secret("warehouse", namespace.name, data),
        namespace.proxy(auth=[{"secretRef": {"name": "warehouse"}}]),
    )
    server_fails(namespace, Reason.DATABASE_NOT_FOUND, "spec.auth: ")
    on_server(namespace, "CREATE DATABASE warehouse")
    try:
        until_well(namespace)
    finally:
        on_server(namespace, "DROP DATABASE warehouse WITH (FORCE)")


def test_a_role_that_may_not_connect_again(namespace: Namespace) -> None:
    on_server(namespace, "ALTER ROLE app CONNECTION LIMIT 0")
    try:
        namespace.apply(namespace.proxy())
        words = "spec.connectionPool.maxConnectionsPercent: "
        server_fails(namespace, Reason.TOO_MANY_CONNECTIONS, words)
    finally:
        on_server(namespace, "ALTER ROLE app CONNECTION LIMIT -1")
    until_well(namespace)


def test_a_budget_below_one_connection_for_each_pod(orders: Namespace) -> None:
    orders.apply(orders.proxy(replicas=2, connectionPool={"maxConnectionsPercent": 1}))
    words = (
        "spec.connectionPool.maxConnectionsPercent: 1 % of max_connections = 100 gives 1 server "
        "connections, and 2 pods need 5",
        "raise it to 5",
    )
    for kind in ("Progressing", "Ready"):
        orders.until(kind, "False", Reason.BUDGET_TOO_SMALL, *words)
    orders.apply(orders.proxy(replicas=2, connectionPool={"maxConnectionsPercent": 3}))
    orders.until("Accepted", "True", "3 % of max_connections = 100 gives 3 server connections")
    orders.until("Ready", "True")
    orders.apply(orders.proxy(replicas=2, connectionPool={"maxConnectionsPercent": 5}))
    until_well(orders)
    assert orders.condition("Accepted")["message"] == ""


def test_an_image_that_cannot_be_pulled(orders: Namespace) -> None:
    """As after a registry's mirror lost it: the pod has another image than its Deployment."""
    image = "registry.invalid/no/such:1"
    (pod,) = orders.pods().values()
    name = f"pod/{pod['metadata']['name']}"
    orders.kubectl("set", "image", name, f"proxy={image}")
    for kind in ("Progressing", "Ready"):
        told(orders, kind, Reason.IMAGE_PULL_FAILED, f"image {image}: ")
    orders.until_phase("Degraded")
    orders.kubectl("set", "image", name, f"proxy={pod['spec']['containers'][0]['image']}")
    until_well(orders)


def test_pods_that_no_node_takes(orders: Namespace) -> None:
    (node,) = json.loads(orders.cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    label = f"example.com/{orders.name}"
    orders.apply(orders.proxy(podTemplate={"nodeSelector": {label: "yes"}}))
    told(orders, "Progressing", Reason.UNSCHEDULABLE, "node affinity/selector")
    assert orders.condition("Ready")["status"] == "True"
    orders.until_phase("Degraded")
    node_name = node["metadata"]["name"]
    orders.cluster.kubectl("label", "node", node_name, f"{label}=yes")
    try:
        until_well(orders)
    finally:
        orders.cluster.kubectl("label", "node", node_name, f"{label}-")


def test_an_object_that_the_api_server_refuses(orders: Namespace) -> None:
    """What the CRD leaves to Kubernetes: it takes the spec, and not the Deployment."""
    term = {"matchExpressions": [{"key": "zone", "operator": "Near", "values": ["here"]}]}
    required = {"nodeSelectorTerms": [term]}
    kind = {"requiredDuringSchedulingIgnoredDuringExecution": required}
    orders.apply(orders.proxy(podTemplate={"affinity": {"nodeAffinity": kind}}))
    message = told(orders, "Accepted", Reason.REJECTED, 'operator: Invalid value: "Near"')
    assert message.endswith(GOES_ON)
    assert orders.condition("Ready")["status"] == "True"
    orders.until_phase("Degraded")
    term["matchExpressions"][0]["operator"] = "NotIn"
    orders.apply(orders.proxy(podTemplate={"affinity": {"nodeAffinity": kind}}))
    until_well(orders)


def quota(place: Namespace, **hard: str) -> dict[str, Any]:
    return {
        **{"apiVersion": "v1", "kind": "ResourceQuota"},
        "metadata": {"name": "quota", "namespace": place.name},
        "spec": {"hard": hard},
    }


@pytest.mark.parametrize(
    ("hard", "kind", "reason"),
    [
        ({"services": "0"}, "Accepted", Reason.FORBIDDEN),
        ({"pods": "0"}, "Progressing", Reason.PODS_REFUSED),
    ],
)
def test_a_quota_that_leaves_nothing(
    namespace: Namespace, hard: dict[str, str], kind: str, reason: Reason
) -> None:
    namespace.apply(quota(namespace, **hard))
    eventually(_is_enforced(namespace), "the quota is known")
    namespace.apply(namespace.proxy())
    told(namespace, kind, reason, "exceeded quota: quota")
    told(namespace, "Ready", reason, "exceeded quota: quota")
    namespace.kubectl("delete", "resourcequota", "quota")
    until_well(namespace)


def _is_enforced(place: Namespace) -> Callable[[], bool]:
    return lambda: "used" in (place.get("resourcequota", "quota") or {}).get("status", {})


def test_two_proxies_that_ask_for_more_than_all(namespace: Namespace, orders: Namespace) -> None:
    """They name each other, however they spell the host; one that asks for less heals both."""
    reason, percent = Reason.SHARED_BUDGET_EXCEEDED, {"maxConnectionsPercent": 60}
    host = f"db.{namespace.name}"
    namespace.apply(namespace.proxy(connectionPool=percent, targets=[{"host": host}]))
    spelled = [{"host": f"{host}.svc.cluster.local"}]
    orders.apply(orders.proxy(connectionPool=percent, targets=spelled))
    for place, other in ((namespace, orders), (orders, namespace)):
        words = f"60 % here and 60 % of {other.name}/orders are 120 % of one database"
        message = place.until("Overcommitted", "True", reason, words)["message"]
        assert message.startswith("spec.connectionPool.maxConnectionsPercent: ")
        assert message.endswith(reason.remedy)
    percent = {"maxConnectionsPercent": 40}
    orders.apply(orders.proxy(connectionPool=percent, targets=spelled))
    for place in (namespace, orders):
        place.until("Overcommitted", "False", "WithinLimits")
