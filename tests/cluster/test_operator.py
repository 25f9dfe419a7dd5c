"""The operator on a real cluster, installed by the chart."""

import json

import pytest
from kube.client import Cluster

from sluice_testing import fleet, specs
from sluice_testing.kubernetes import Manifest, eventually, listed, login
from sluice_testing.pods import passer_by
from sluice_testing.shop import Namespace

# The first test of a run may have to wait for the cluster and the images.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]


def dry_run(cluster: Cluster, case: specs.Case) -> str:
    """The API server's answer to a manifest, as applied by a user; empty if it takes it."""
    manifest = specs.manifest({"metadata.namespace": "default", **case.changes})
    arguments = ("apply", "--dry-run=server", "--validate=strict", "-f", "-")
    try:
        cluster.kubectl(*arguments, input=json.dumps(manifest))
    except Exception as refusal:
        return str(refusal)
    return ""


@pytest.mark.parametrize("case", specs.GOOD, ids=str)
def test_the_api_server_takes_the_good_specs(operator: Cluster, case: specs.Case) -> None:
    assert dry_run(operator, case) == ""


@pytest.mark.parametrize("case", [*specs.BAD, *specs.UNKNOWN], ids=str)
def test_the_api_server_blames_the_same_field(operator: Cluster, case: specs.Case) -> None:
    assert case.path in dry_run(operator, case)


def test_a_manifest_becomes_a_ready_proxy(namespace: Namespace) -> None:
    namespace.apply(namespace.proxy(replicas=2))
    proxy = namespace.until_ready()
    status = proxy["status"]
    assert status["endpoint"] == f"orders.{namespace.name}.svc"
    assert status["phase"] == "Running"
    assert status["targets"] == [
        {
            "host": namespace.database,
            "port": 5432,
            "health": "Available",
            "reason": "",
            "maxConnections": 100,
        }
    ]
    # No trace of ours on what is the user's.
    assert "finalizers" not in proxy["metadata"]
    assert not [key for key in proxy["metadata"]["annotations"] if "kubectl" not in key]
    eventually(lambda: (namespace.get("databaseproxy") or {})["status"]["replicas"] == 2, "2 pods")
    row = namespace.kubectl("get", "dbproxy", "orders", "--no-headers").split()
    assert row[:4] == ["orders", "Running", "True", f"orders.{namespace.name}.svc"]


def test_the_pods_of_a_proxy_find_each_other(namespace: Namespace) -> None:
    """By a headless Service, which knows them ready or not, and goes with its proxy."""
    namespace.apply(namespace.proxy(replicas=2))
    proxy = namespace.until_ready()
    service = namespace.get("service", "orders-peers")
    assert service is not None
    assert service["spec"]["clusterIP"] == "None"
    owners = [owner["uid"] for owner in service["metadata"]["ownerReferences"]]
    assert owners == [proxy["metadata"]["uid"]]

    def addresses() -> set[str]:
        slices = listed(
            namespace.cluster, "endpointslices", namespace.name,
            "kubernetes.io/service-name=orders-peers",
        )  # fmt: skip
        return {a for found in slices for end in found["endpoints"] or () for a in end["addresses"]}

    def pods() -> set[str]:
        return {pod["status"].get("podIP", "") for pod in namespace.pods().values()}

    eventually(lambda: len(pods()) == 2 and addresses() == pods(), "both pods are in it")
    namespace.kubectl("delete", "databaseproxy", "orders")
    eventually(lambda: namespace.get("service", "orders-peers") is None, "it is gone")


def test_a_secret_that_goes_leaves_the_last_good_configuration(namespace: Namespace) -> None:
    namespace.apply(namespace.proxy(), passer_by("client", namespace.name))
    namespace.kubectl("wait", "--for=condition=Ready", "pod/client")
    namespace.until_ready()
    namespace.kubectl("delete", "secret", "orders-app")
    told = namespace.until("CredentialsReady", "False", "goes on serving")
    assert "spec.auth[0].secretRef.name" in told["message"]
    # What the proxy needs is kept, and what is taken from it comes back even now.
    namespace.kubectl("delete", "service", "orders")
    eventually(lambda: namespace.get("service"), "the Service is back")
    eventually(lambda: namespace.answers("client"), "a client logs in")


def test_a_changed_secret_and_setting_are_live_without_a_restart(namespace: Namespace) -> None:
    namespace.apply(namespace.proxy())
    # The shares of the budget are in the document as well, and settle last.
    namespace.until("Progressing", "False", "Settled")
    before = namespace.until_ready()["status"]["configHash"]
    restarts = fleet.restarts(namespace)
    other = login("orders-app", namespace.name, "app", "another password")
    namespace.apply(other)

    def hash_changed() -> str:
        proxy = namespace.get("databaseproxy") or {}
        found: str = proxy["status"]["configHash"]
        return found if found not in ("", before) else ""

    after = eventually(hash_changed, "a new configuration", 10)
    eventually(lambda: namespace.state()["config"]["hash"] == after, "the pod serves it", 10)
    namespace.kubectl(
        *("patch", "databaseproxy", "orders", "--type=merge"),
        *("-p", '{"spec": {"connectionPool": {"maxConnectionsPercent": 7}}}'),
    )
    eventually(lambda: namespace.state()["config"]["hash"] not in (before, after), "again", 10)
    assert fleet.restarts(namespace) == restarts


def test_an_object_of_somebody_else_is_not_taken(namespace: Namespace) -> None:
    namespace.kubectl("create", "service", "clusterip", "orders", "--tcp=80")
    namespace.apply(namespace.proxy())
    told = namespace.until("Accepted", "False", "NameTaken")
    assert f"Service {namespace.name}/orders exists" in told["message"]
    service = namespace.get("service")
    assert service is not None
    assert service["spec"]["ports"][0]["port"] == 80
    namespace.kubectl("delete", "service", "orders")
    namespace.until_ready()


def test_the_scale_subresource_scales(namespace: Namespace) -> None:
    namespace.apply(namespace.proxy())
    namespace.until_ready()
    namespace.kubectl("scale", "databaseproxy/orders", "--replicas=2")
    eventually(lambda: (namespace.get("databaseproxy") or {})["status"]["replicas"] == 2, "2 pods")
    namespace.kubectl("scale", "databaseproxy/orders", "--replicas=1")
    eventually(lambda: len(namespace.pods()) == 1, "1 pod")


def test_a_certificate_of_the_users_takes_the_place_of_ours(namespace: Namespace) -> None:
    namespace.apply(namespace.proxy())
    namespace.until_ready()
    issued = namespace.get("secret", "orders-proxy-tls")
    assert issued is not None
    mine: Manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "mine", "namespace": namespace.name},
        "type": "kubernetes.io/tls",
        "data": issued["data"],
    }
    namespace.apply(mine, namespace.proxy(tls={"secretRef": {"name": "mine"}}))
    eventually(lambda: namespace.get("secret", "orders-proxy-ca-key") is None, "our key is gone")
    assert namespace.get("secret", "orders-proxy-tls") is None
    proxy = namespace.until_ready()
    assert proxy["status"]["caSecretName"] == "orders-proxy-ca"
    assert namespace.get("secret", "orders-proxy-ca") is not None
