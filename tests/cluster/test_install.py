"""Ways to install, upgrade and remove the operator; each test leaves the standard installation."""

import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import yaml
from kube.client import Cluster

from sluice_testing import chart, specs
from sluice_testing.chart import ACTIVATOR_ACCOUNT, CHART, OPERATOR, SYSTEM, may
from sluice_testing.kubernetes import Manifest, apply, condition, eventually, get

# The first test of a run may have to wait for the cluster and the images.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

KUSTOMIZE = CHART.parent / "kustomize"
CRD = "databaseproxies.sluice.dev"
KEPT = {
    "kustomize.toolkit.fluxcd.io/prune": "disabled",
    "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
}
"""What Flux and Argo CD go by."""


@pytest.fixture
def standard(operator: Cluster) -> Iterator[None]:
    """Puts the standard installation back, whatever the test did."""
    yield
    chart.install(operator, "--take-ownership")


@pytest.fixture
def namespaces(operator: Cluster) -> Iterator[tuple[str, str, str]]:
    """Three of them."""
    stem = uuid.uuid4().hex[:8]
    made = (f"install-{stem}-a", f"install-{stem}-b", f"install-{stem}-c")
    for name in made:
        operator.kubectl("create", "namespace", name)
    yield made
    operator.kubectl("delete", "namespace", *made, "--wait=false")


def proxy(namespace: str) -> Manifest:
    """A DatabaseProxy whose Secret is missing: that the operator says so shows that it looked."""
    return specs.manifest({"metadata.namespace": namespace})


def until_seen(cluster: Cluster, namespace: str) -> Manifest:
    """The DatabaseProxy, once the operator has looked at its newest spec."""

    def look() -> Manifest | None:
        found = get(cluster, "databaseproxy", "orders", namespace)
        return found if condition(found, "CredentialsReady").get("status") == "False" else None

    return eventually(look, f"the operator looks at {namespace}/orders")


def exists(cluster: Cluster, kind: str, name: str) -> bool:
    found = cluster.kubectl("get", kind, name, "-n", SYSTEM, "-o", "name", "--ignore-not-found")
    return bool(found.strip())


def test_the_tests_of_the_chart_pass(operator: Cluster) -> None:
    said = operator.helm("test", "sluice", "--namespace", SYSTEM)
    assert "Phase:          Succeeded" in said


def annotations_of_the_crd(made: Iterable[Manifest]) -> dict[str, str]:
    (found,) = (one for one in made if one["kind"] == "CustomResourceDefinition")
    annotations: dict[str, str] = found["metadata"].get("annotations", {})
    return annotations


def test_whatever_prunes_leaves_the_crd(cluster: Cluster) -> None:
    by_kustomize = yaml.safe_load_all(cluster.kubectl("kustomize", str(KUSTOMIZE)))
    assert annotations_of_the_crd(by_kustomize) == KEPT
    by_helm = annotations_of_the_crd(chart.rendered(cluster, {}, "default"))
    assert by_helm == {**KEPT, "helm.sh/resource-policy": "keep"}
    unkept = chart.rendered(cluster, {"crds": {"keep": False}}, "default")
    assert annotations_of_the_crd(unkept) == {}


@pytest.mark.usefixtures("standard")
def test_uninstalling_keeps_the_proxies(operator: Cluster, namespaces: tuple[str, ...]) -> None:
    here = namespaces[0]
    apply(operator, proxy(here))
    uid = until_seen(operator, here)["metadata"]["uid"]
    operator.helm("uninstall", "sluice", "--namespace", SYSTEM, "--wait")
    assert not exists(operator, "deployment", "sluice-operator")
    assert not exists(operator, "clusterrole", "sluice-operator")
    changed = {"metadata.namespace": here, "spec.debugLogging": True}
    apply(operator, specs.manifest(changed))
    chart.install(operator)
    assert until_seen(operator, here)["metadata"]["uid"] == uid


@pytest.mark.usefixtures("standard")
def test_an_upgrade_upgrades_the_crd(operator: Cluster, tmp_path: Path) -> None:
    def short_names() -> str:
        return operator.kubectl("get", "crd", CRD, "-o", "jsonpath={.spec.names.shortNames}")

    older = tmp_path / "sluice"
    shutil.copytree(CHART, older)
    template = older / "templates" / "crd.yaml"
    template.write_text(template.read_text().replace("- dbproxy\n", "- oldproxy\n"))
    operator.helm("upgrade", "sluice", str(older), "--namespace", SYSTEM)
    eventually(lambda: short_names() == '["oldproxy"]', "the older CRD")
    chart.install(operator)
    assert short_names() == '["dbproxy"]'


@pytest.mark.usefixtures("standard")
def test_kustomize_installs_the_same(operator: Cluster, namespaces: tuple[str, ...]) -> None:
    operator.helm("uninstall", "sluice", "--namespace", SYSTEM, "--wait")
    try:
        operator.kubectl("apply", "-k", str(KUSTOMIZE))
        chart.until_rolled_out(operator)
        apply(operator, proxy(namespaces[0]))
        until_seen(operator, namespaces[0])
        # Fails if there is any.
        operator.kubectl("diff", "-k", str(KUSTOMIZE))
    finally:
        # The CRD and the namespace stay, and with them the proxies of everybody.
        operator.kubectl("delete", "-f", str(KUSTOMIZE / "manifests.yaml"), "--wait")
        label = "pod-security.kubernetes.io/enforce-"
        operator.kubectl("label", "namespace", SYSTEM, label)


@pytest.mark.usefixtures("standard")
def test_kept_to_namespaces_it_sees_no_other(
    operator: Cluster, namespaces: tuple[str, str, str]
) -> None:
    first, second, third = namespaces
    chart.install(operator, values={"watchNamespaces": [first, second]})
    assert not exists(operator, "clusterrole", "sluice-operator")
    assert not exists(operator, "clusterrolebinding", "sluice-operator")
    # The one that it may not see comes first: it had all the time that the others had.
    for place in (third, first, second):
        apply(operator, proxy(place))
    until_seen(operator, first)
    until_seen(operator, second)
    ignored = get(operator, "databaseproxy", "orders", third)
    assert ignored is not None
    assert "conditions" not in ignored["status"]
    for resource in ("secrets", "databaseproxies.sluice.dev", "services", "pods"):
        assert may(operator, "list", resource, first)
        assert not may(operator, "list", resource, third)
        # Of its own namespace it may see the pods: the activators are among them.
        assert may(operator, "get", resource, SYSTEM) == (resource == "pods")
    assert not may(operator, "create", "deployments.apps", third)


def test_everywhere_it_may_no_more_than_its_rules_say(operator: Cluster) -> None:
    assert may(operator, "patch", "databaseproxies.sluice.dev", "default", "--subresource=status")
    assert may(operator, "create", "leases.coordination.k8s.io", SYSTEM)
    assert may(operator, "patch", "deployments.apps", "default", "--subresource=scale")
    assert may(operator, "delete", "networkpolicies.networking.k8s.io", SYSTEM)
    assert may(operator, "update", f"leases.coordination.k8s.io/{OPERATOR.split('/')[1]}", SYSTEM)
    for verb, resource, namespace in (
        ("patch", "databaseproxies.sluice.dev", "default"),
        ("delete", "databaseproxies.sluice.dev", "default"),
        ("delete", "deployments.apps", "default"),
        ("delete", "networkpolicies.networking.k8s.io", "default"),
        ("create", "pods", "default"),
        ("get", "configmaps", "default"),
        ("get", "nodes", "default"),
        ("create", "clusterrolebindings.rbac.authorization.k8s.io", "default"),
        ("update", "leases.coordination.k8s.io/another", SYSTEM),
        ("create", "leases.coordination.k8s.io", "default"),
    ):
        assert not may(operator, verb, resource, namespace), (verb, resource, namespace)


def test_an_activator_may_read_slices_and_wake_and_no_more(operator: Cluster) -> None:
    def rights(resource: str, namespace: str, *more: str) -> set[str]:
        verbs = ("get", "list", "watch", "create", "update", "patch", "delete")
        account = ACTIVATOR_ACCOUNT
        return {v for v in verbs if may(operator, v, resource, namespace, *more, account=account)}

    for namespace in ("default", SYSTEM):
        assert rights("endpointslices.discovery.k8s.io", namespace) == {"list", "watch"}
        assert rights("deployments.apps", namespace, "--subresource=scale") == {"get", "patch"}
        for resource in ("deployments.apps", "pods", "secrets", "databaseproxies.sluice.dev"):
            assert not rights(resource, namespace), (resource, namespace)
