"""The chart as the API server and the Prometheus operator's types see it, over many values."""

import json
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import manifests
import pytest
from kube import appimages
from kube.client import Cluster
from kube.gitops import strict

from sluice_testing import chart
from sluice_testing.kubernetes import Manifest

# The first test of a run may have to wait for the cluster and the images.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

VERSION = appimages.version()
DIGEST = "sha256:" + "5" * 64
RELABELING = {"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node"}
MONITOR = {
    "enabled": True, "labels": {"release": "prometheus"}, "interval": "30s",
    "relabelings": [RELABELING],
}  # fmt: skip
AFFINITY = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {"matchExpressions": [{"key": "kubernetes.io/os", "operator": "In",
                                       "values": ["linux"]}]}
            ]
        }
    }
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """`values`, and the kinds of which there are more or fewer objects than with none."""

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    kinds: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


CLUSTER_ROLES = {"ClusterRole": -1, "ClusterRoleBinding": -1}
CASES = (
    Case("no values"),
    Case("one replica", {"replicas": 1}, {"PodDisruptionBudget": -1}),
    Case("many replicas", {"replicas": 5}),
    Case(
        "two namespaces", {"watchNamespaces": ["default", "kube-public"]},
        {**CLUSTER_ROLES, "Role": 2, "RoleBinding": 2},
    ),
    Case(
        "a second release",
        {"watchNamespaces": ["default"], "crds": {"install": False}, "rbac": {"aggregate": False}},
        {"ClusterRole": -3, "ClusterRoleBinding": -1, "Role": 1, "RoleBinding": 1,
         "CustomResourceDefinition": -1},
    ),
    Case("a CRD that goes", {"crds": {"keep": False}}),
    Case("no aggregation", {"rbac": {"aggregate": False}}, {"ClusterRole": -2}),
    Case("a mirror", {"global": {"imageRegistry": "mirror.example.internal:5000/hub/"}}),
    Case("digests", {"image": {"digest": DIGEST}, "proxy": {"image": {"digest": DIGEST}}}),
    Case("pull secrets", {
        "imagePullSecrets": [{"name": "mirror"}],
        "image": {"tag": "edge", "pullPolicy": "Always"},
        "proxy": {"imagePullSecrets": [{"name": "a"}, {"name": "b"}],
                  "image": {"pullPolicy": "Never"}},
    }),
    Case("no network policy", {"networkPolicy": {"enabled": False}}, {"NetworkPolicy": -1}),
    Case("an API server elsewhere", {"networkPolicy": {"apiServerPorts": [8443]}}),
    Case("nobody monitors", {"monitoring": {"namespaces": []}}),
    Case(
        "the Prometheus operator",
        {"monitoring": {"serviceMonitor": MONITOR, "podMonitor": MONITOR}},
        {"ServiceMonitor": 1, "PodMonitor": 1},
    ),
    Case(
        "proxies of a namespace are monitored",
        {"watchNamespaces": ["default"], "monitoring": {"podMonitor": {"enabled": True}}},
        {**CLUSTER_ROLES, "Role": 1, "RoleBinding": 1, "PodMonitor": 1},
    ),
    Case("placement", {
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": AFFINITY,
        "priorityClassName": "system-cluster-critical",
    }),
    Case("pods", {
        "podAnnotations": {"example.com/note": "true"},
        "podLabels": {"team": "platform"},
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.internal:3128"}],
        "resources": {"requests": {"cpu": 1}, "limits": None},
        "logLevel": "DEBUG",
    }),
)  # fmt: skip


@pytest.fixture(scope="module")
def place(operator: Cluster) -> Iterator[str]:
    """A namespace that takes only what stands Pod Security's strictest level."""
    name = f"chart-{uuid.uuid4().hex[:8]}"
    operator.kubectl("create", "namespace", name)
    levels = (f"pod-security.kubernetes.io/{mode}=restricted" for mode in ("enforce", "warn"))
    operator.kubectl("label", "namespace", name, *levels)
    yield name
    operator.kubectl("delete", "namespace", name, "--wait=false")


def test_lint(cluster: Cluster) -> None:
    cluster.helm("lint", "--strict", str(chart.CHART))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_rendered_is_taken(operator: Cluster, place: str, case: Case) -> None:
    made = chart.rendered(operator, case.values, place)
    monitors = [one for one in made if one["apiVersion"].startswith("monitoring.coreos.com/")]
    dry_run(operator, [one for one in made if one not in monitors])
    strict(monitors)
    kinds = Counter(one["kind"] for one in made)
    kinds.subtract(Counter(one["kind"] for one in chart.rendered(operator, {}, place)))
    assert {kind: more for kind, more in kinds.items() if more} == case.kinds


def dry_run(cluster: Cluster, made: list[Manifest]) -> None:
    """As the API server would take it, defaults, admission and Pod Security's warnings included."""
    arguments = ("apply", "--server-side", "--field-manager=chart", "--force-conflicts")
    document = {"apiVersion": "v1", "kind": "List", "items": made}
    strictly = ("--dry-run=server", "--validate=strict", "--warnings-as-errors", "-f", "-")
    cluster.kubectl(*arguments, *strictly, input=json.dumps(document))


def deployment(cluster: Cluster, values: Mapping[str, Any]) -> tuple[Manifest, dict[str, str]]:
    """The operator's container and its environment."""
    made = chart.rendered(cluster, values, "default")
    (found,) = (one for one in made if one["kind"] == "Deployment")
    (container,) = found["spec"]["template"]["spec"]["containers"]
    return container, {one["name"]: one.get("value", "") for one in container["env"]}


@pytest.mark.parametrize(
    ("values", "operator_image", "proxy_image"),
    [
        ({}, f"sluice/operator:{VERSION}", f"sluice/proxy:{VERSION}"),
        (
            {"global": {"imageRegistry": "mirror.example:5000/"}, "image": {"tag": "edge"}},
            "mirror.example:5000/sluice/operator:edge",
            f"mirror.example:5000/sluice/proxy:{VERSION}",
        ),
        (
            {"image": {"digest": DIGEST, "tag": "edge"}, "proxy": {"image": {"digest": DIGEST}}},
            f"sluice/operator@{DIGEST}",
            f"sluice/proxy@{DIGEST}",
        ),
    ],
    ids=["no values", "a mirror", "digests"],
)
def test_images(
    cluster: Cluster, values: Mapping[str, Any], operator_image: str, proxy_image: str
) -> None:
    container, environment = deployment(cluster, values)
    assert container["image"] == operator_image
    assert environment["SLUICE_PROXY_IMAGE"] == proxy_image


def test_the_operator_is_told_what_the_values_say(cluster: Cluster) -> None:
    _, environment = deployment(cluster, {
        "watchNamespaces": ["shop", "billing"],
        "monitoring": {"namespaces": ["observability"]},
        "proxy": {"imagePullSecrets": [{"name": "a"}, {"name": "b"}],
                  "image": {"pullPolicy": "Never"}},
        "logLevel": "DEBUG",
        "extraEnv": [{"name": "TZ", "value": "UTC"}],
    })  # fmt: skip
    told = {
        "SLUICE_LEASE_NAME": "trial-sluice-operator",
        "SLUICE_WATCH_NAMESPACES": "shop,billing",
        "SLUICE_MONITORING_NAMESPACES": "observability",
        "SLUICE_PROXY_IMAGE_PULL_POLICY": "Never",
        "SLUICE_PROXY_IMAGE_PULL_SECRETS": "a,b",
        "SLUICE_LOG_LEVEL": "DEBUG",
        "TZ": "UTC",
    }
    assert told.items() <= environment.items()


def test_kept_to_namespaces_it_has_the_same_rights_there(cluster: Cluster) -> None:
    everywhere = chart.rendered(cluster, {}, "default")
    (wide,) = (
        one["rules"] for one in everywhere
        if one["kind"] == "ClusterRole" and one["metadata"]["name"] == "trial-sluice-operator"
    )  # fmt: skip
    kept = chart.rendered(cluster, {"watchNamespaces": ["shop", "billing"]}, "default")
    roles = {
        one["metadata"]["namespace"]: one["rules"] for one in kept
        if one["kind"] == "Role" and one["metadata"]["name"] == "trial-sluice-operator"
    }  # fmt: skip
    assert roles == {"shop": wide, "billing": wide}


BAD: tuple[tuple[str, dict[str, Any]], ...] = (
    ("replicas", {"replicas": 0}),
    ("replicas", {"replicas": "2"}),
    ("'replica'", {"replica": 2}),
    ("image/digest", {"image": {"digest": "5555"}}),
    ("image/repository", {"image": {"repository": "Sluice/Operator"}}),
    ("proxy/image/pullPolicy", {"proxy": {"image": {"pullPolicy": "Sometimes"}}}),
    ("imagePullSecrets/0", {"imagePullSecrets": ["mirror"]}),
    ("watchNamespaces/1", {"watchNamespaces": ["shop", "Billing"]}),
    ("watchNamespaces", {"watchNamespaces": "shop"}),
    ("'keeps'", {"crds": {"keeps": True}}),
    ("networkPolicy/apiServerPorts", {"networkPolicy": {"apiServerPorts": []}}),
    ("monitoring/podMonitor/interval", {"monitoring": {"podMonitor": {"interval": "often"}}}),
    ("logLevel", {"logLevel": "info"}),
    ("app.kubernetes.io/name", {"podLabels": {"app.kubernetes.io/name": "mine"}}),
    ("extraEnv/0/name", {"extraEnv": [{"name": "SLUICE_PROXY_IMAGE", "value": "mine"}]}),
    ("resources", {"resources": {"request": {"cpu": 1}}}),
)


@pytest.mark.parametrize(("blamed", "values"), BAD, ids=[f"{b} {v}"[:60] for b, v in BAD])
def test_bad_values_are_refused_by_name(
    cluster: Cluster, blamed: str, values: dict[str, Any]
) -> None:
    with pytest.raises(Exception, match="schema") as refusal:
        chart.rendered(cluster, values, "default")
    assert blamed in str(refusal.value)


def test_the_manifests_for_kustomize_are_what_the_chart_renders(cluster: Cluster) -> None:
    assert manifests.MANIFESTS.read_text() == manifests.rendered(), "run `make manifests`"
