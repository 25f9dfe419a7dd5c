"""The NetworkPolicies of operator and activators, enforced: what comes in, what goes out."""

import uuid
from collections.abc import Iterator
from functools import partial

import pytest
from kube.client import Cluster

from sluice_proxy.config import ADMIN_PORT
from sluice_testing import chart
from sluice_testing.chart import ACTIVATORS, OPERATOR, SYSTEM
from sluice_testing.kubernetes import Manifest, apply, eventually

# The first test of a run may have to wait for the cluster and the images.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

OPERATOR_HTTP = (f"sluice-operator.{SYSTEM}.svc", 8080)
ACTIVATOR_HTTP = (f"sluice-activator.{SYSTEM}.svc", ADMIN_PORT)
REACH = "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2).close()"


def reaches(cluster: Cluster, namespace: str, pod: str, host: str, port: int) -> bool:
    """Whether a connection from the pod is taken."""
    command = ("exec", pod, "--", "python3", "-c", REACH, host, str(port))
    try:
        cluster.kubectl("-n", namespace, *command)
    except Exception:
        return False
    return True


def client(namespace: str) -> Manifest:
    container = {"name": "client", "image": "sluice/clients:dev", "command": ["sleep", "600"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "client", "namespace": namespace},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }


@pytest.fixture
def monitoring(operator: Cluster) -> Iterator[tuple[str, str]]:
    """Two namespaces with a pod `client` each; the first is one that monitors."""
    stem = uuid.uuid4().hex[:8]
    places = (f"network-{stem}-in", f"network-{stem}-out")
    for place in places:
        operator.kubectl("create", "namespace", place)
        apply(operator, client(place))
    try:
        chart.install(operator, values={"monitoring": {"namespaces": [places[0]]}})
        for place in places:
            ready = ("wait", "--for=condition=Ready", "pod/client", "--timeout=60s")
            operator.kubectl("-n", place, *ready)
        yield places
    finally:
        chart.install(operator)
        operator.kubectl("delete", "namespace", *places, "--wait=false")


def test_who_monitors_comes_in_and_nobody_else(
    operator: Cluster, monitoring: tuple[str, str]
) -> None:
    inside, outside = monitoring

    def shut(metrics: tuple[str, int]) -> bool:
        return not reaches(operator, outside, "client", *metrics)

    for metrics in (OPERATOR_HTTP, ACTIVATOR_HTTP):
        eventually(partial(reaches, operator, inside, "client", *metrics), "who monitors comes in")
        eventually(partial(shut, metrics), "others do not")
        assert reaches(operator, inside, "client", *metrics)


def test_the_operator_reaches_the_api_server_and_no_other_service(operator: Cluster) -> None:
    def goes(host: str, port: int) -> bool:
        return reaches(operator, SYSTEM, OPERATOR, host, port)

    eventually(lambda: not goes("kube-dns.kube-system.svc", 9153), "a port that is open to others")
    assert goes("kubernetes.default.svc", 443)
    # By TCP, in case an answer is long.
    assert goes("kube-dns.kube-system.svc", 53)
    assert goes(*ACTIVATOR_HTTP)


def test_an_activator_reaches_the_api_server_and_no_other_service(operator: Cluster) -> None:
    def goes(host: str, port: int) -> bool:
        return reaches(operator, SYSTEM, ACTIVATORS, host, port)

    assert goes("kubernetes.default.svc", 443)
    assert not goes("kube-dns.kube-system.svc", 9153)
