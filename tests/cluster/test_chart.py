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


# Of the operator and of the activators.
CLUSTER_ROLES = {"ClusterRole": -2, "ClusterRoleBinding": -2}
PLACEMENT = {
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": AFFINITY,
    "priorityClassName": "system-cluster-critical",
}
NO_ACTIVATOR = {
    "Deployment": -1,
    "ServiceAccount": -1,
    "Service": -1,
    "NetworkPolicy": -1,
    "PodDisruptionBudget": -1,
    "Role": -1,
    "RoleBinding": -1,
}
"""The kinds of which activators have one, and the operator's rights for their sake."""
CASES = (
    Case("no values"),
    Case("one replica", {"replicas": 1}, {"PodDisruptionBudget": -1}),
    Case("many replicas", {"replicas": 5}),
    Case(
        "two namespaces", {"watchNamespaces": ["default", "kube-public"]},
        {**CLUSTER_ROLES, "Role": 4, "RoleBinding": 4},
    ),
    Case(
        "a second release",
        {"watchNamespaces": ["default"], "crds": {"install": False}, "rbac": {"aggregate": False}},
        {"ClusterRole": -4, "ClusterRoleBinding": -2, "Role": 2, "RoleBinding": 2,
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
    Case("no network policy", {"networkPolicy": {"enabled": False}}, {"NetworkPolicy": -2}),
    Case("an API server elsewhere", {"networkPolicy": {"apiServerPorts": [8443]}}),
    Case("nobody monitors", {"monitoring": {"namespaces": []}}),
    Case(
        "the Prometheus operator",
        {"monitoring": {"serviceMonitor": MONITOR, "podMonitor": MONITOR}},
        {"ServiceMonitor": 2, "PodMonitor": 1},
    ),
    Case(
        "proxies of a namespace are monitored",
        {"watchNamespaces": ["default"], "monitoring": {"podMonitor": {"enabled": True}}},
        {**CLUSTER_ROLES, "Role": 2, "RoleBinding": 2, "PodMonitor": 1},
    ),
    Case("placement", PLACEMENT),
    Case("no activator", {"activator": {"enabled": False}},
         {**NO_ACTIVATOR, "ClusterRole": -1, "ClusterRoleBinding": -1}),
    Case(
        "no activator in a namespace",
        {"activator": {"enabled": False}, "watchNamespaces": ["default"],
         "monitoring": {"serviceMonitor": {"enabled": True}}},
        {**CLUSTER_ROLES, **NO_ACTIVATOR, "Role": 0, "RoleBinding": 0, "ServiceMonitor": 1},
    ),
    Case("one activator", {"activator": {"replicas": 1}}, {"PodDisruptionBudget": -1}),
    Case("activators, all values", {"activator": {
        **PLACEMENT,
        "image": {"digest": DIGEST},
        "imagePullSecrets": [{"name": "mirror"}],
        "podAnnotations": {"example.com/note": "true"},
        "podLabels": {"team": "platform"},
        "resources": {"requests": {"cpu": 1}, "limits": None},
        "terminationGracePeriodSeconds": 30,
    }}),
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
    assert {kind: more for kind, more in kinds.items() if more} == {
        kind: more for kind, more in case.kinds.items() if more
    }


def dry_run(cluster: Cluster, made: list[Manifest]) -> None:
    """As the API server would take it, defaults, admission and Pod Security's warnings included."""
    arguments = ("apply", "--server-side", "--field-manager=chart", "--force-conflicts")
    document = {"apiVersion": "v1", "kind": "List", "items": made}
    strictly = ("--dry-run=server", "--validate=strict", "--warnings-as-errors", "-f", "-")
    cluster.kubectl(*arguments, *strictly, input=json.dumps(document))


def pod_spec(cluster: Cluster, part: str, values: Mapping[str, Any]) -> Manifest:
    """Of the Deployment of operator or activators."""
    (found,) = (
        one for one in chart.rendered(cluster, values, "default")
        if one["kind"] == "Deployment" and one["metadata"]["name"] == f"trial-sluice-{part}"
    )  # fmt: skip
    spec: Manifest = found["spec"]["template"]["spec"]
    return spec


def container_of(
    cluster: Cluster, part: str, values: Mapping[str, Any]
) -> tuple[Manifest, dict[str, str]]:
    """The one container of operator or activators, and its environment."""
    (container,) = pod_spec(cluster, part, values)["containers"]
    return container, {one["name"]: one.get("value", "") for one in container["env"]}


@pytest.mark.parametrize(
    ("values", "operator_image", "proxy_image", "activator_image"),
    [
        (
            {},
            f"sluice/operator:{VERSION}", f"sluice/proxy:{VERSION}", f"sluice/activator:{VERSION}",
        ),
        (
            {"global": {"imageRegistry": "mirror.example:5000/"}, "image": {"tag": "edge"},
             "activator": {"image": {"tag": "next"}}},
            "mirror.example:5000/sluice/operator:edge",
            f"mirror.example:5000/sluice/proxy:{VERSION}",
            "mirror.example:5000/sluice/activator:next",
        ),
        (
            {"image": {"digest": DIGEST, "tag": "edge"}, "proxy": {"image": {"digest": DIGEST}},
             "activator": {"image": {"digest": DIGEST}}},
            f"sluice/operator@{DIGEST}", f"sluice/proxy@{DIGEST}", f"sluice/activator@{DIGEST}",
        ),
    ],
    ids=["no values", "a mirror", "digests"],
)  # fmt: skip
def test_images(
    cluster: Cluster,
    values: Mapping[str, Any],
    operator_image: str,
    proxy_image: str,
    activator_image: str,
) -> None:
    container, environment = container_of(cluster, "operator", values)
    assert container["image"] == operator_image
    assert environment["SLUICE_PROXY_IMAGE"] == proxy_image
    assert container_of(cluster, "activator", values)[0]["image"] == activator_image


def test_operator_and_activators_are_told_what_the_values_say(cluster: Cluster) -> None:
    values = {
        "watchNamespaces": ["shop", "billing"],
        "monitoring": {"namespaces": ["observability"]},
        "proxy": {"imagePullSecrets": [{"name": "a"}, {"name": "b"}],
                  "image": {"pullPolicy": "Never"}},
        "logLevel": "DEBUG",
        "extraEnv": [{"name": "TZ", "value": "UTC"}],
    }  # fmt: skip
    told = {
        "SLUICE_LEASE_NAME": "trial-sluice-operator",
        "SLUICE_WATCH_NAMESPACES": "shop,billing",
        "SLUICE_MONITORING_NAMESPACES": "observability",
        "SLUICE_PROXY_IMAGE_PULL_POLICY": "Never",
        "SLUICE_PROXY_IMAGE_PULL_SECRETS": "a,b",
        "SLUICE_LOG_LEVEL": "DEBUG",
        "SLUICE_ACTIVATOR_SERVICE": "trial-sluice-activator.default.svc",
        "SLUICE_ACTIVATOR_POLICIES": "true",
        "TZ": "UTC",
    }
    assert told.items() <= container_of(cluster, "operator", values)[1].items()
    assert container_of(cluster, "activator", values)[1] == {
        "SLUICE_POD_IP": "",
        "SLUICE_WATCH_NAMESPACES": "shop,billing", "SLUICE_LOG_LEVEL": "DEBUG",
    }  # fmt: skip


def test_the_operator_is_told_of_no_activators_and_of_no_policies(cluster: Cluster) -> None:
    without = container_of(cluster, "operator", {"activator": {"enabled": False}})[1]
    assert not {"SLUICE_ACTIVATOR_SERVICE", "SLUICE_ACTIVATOR_POLICIES"} & without.keys()
    unruled = container_of(cluster, "operator", {"networkPolicy": {"enabled": False}})[1]
    assert unruled["SLUICE_ACTIVATOR_POLICIES"] == "false"


def test_activators_are_kept_apart_whatever_else_their_affinity_says(cluster: Cluster) -> None:
    affinity = pod_spec(cluster, "activator", {"activator": {"affinity": AFFINITY}})["affinity"]
    assert affinity["nodeAffinity"] == AFFINITY["nodeAffinity"]
    (kept,) = affinity["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert kept["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"


@pytest.mark.parametrize("part", ["operator", "activator"])
def test_kept_to_namespaces_it_has_the_same_rights_there(cluster: Cluster, part: str) -> None:
    name = f"trial-sluice-{part}"
    everywhere = chart.rendered(cluster, {}, "default")
    (wide,) = (
        one["rules"] for one in everywhere
        if one["kind"] == "ClusterRole" and one["metadata"]["name"] == name
    )  # fmt: skip
    kept = chart.rendered(cluster, {"watchNamespaces": ["shop", "billing"]}, "default")
    roles = {
        one["metadata"]["namespace"]: one["rules"] for one in kept
        if one["kind"] == "Role" and one["metadata"]["name"] == name
    }  # fmt: skip
    assert roles == {"shop": wide, "billing": wide}


def test_policies_of_its_own_namespace_may_go_though_none_are_wanted_any_more(
    cluster: Cluster,
) -> None:
    def resources(values: Mapping[str, Any]) -> list[str]:
        (rules,) = (
            one["rules"] for one in chart.rendered(cluster, values, "default")
            if one["kind"] == "Role" and one["metadata"]["name"].endswith("-operator-activators")
        )  # fmt: skip
        return [resource for rule in rules for resource in rule["resources"]]

    assert resources({}) == ["pods", "networkpolicies"]
    assert resources({"networkPolicy": {"enabled": False}}) == ["pods", "networkpolicies"]


BAD: tuple[tuple[str, dict[str, Any]], ...] = (
    ("replicas", {"replicas": 0}),
    ("replicas", {"replicas": "2"}),
    ("'replica'", {"replica": 2}),
    ("image/digest", {"image": {"digest": "5555"}}),
    ("image/repository", {"image": {"repository": "Sluice/Operator"}}),
    ("proxy/image/pullPolicy", {"proxy": {"image": {"pullPolicy": "Sometimes"}}}),
    ("imagePullSecrets/0", {"imagePullSecrets": ["mirror"]}),
    ("activator/replicas", {"activator": {"replicas": 0}}),
    ("'activators'", {"activators": {"enabled": False}}),
    ("activator/terminationGracePeriodSeconds", {
        "activator": {"terminationGracePeriodSeconds": 5}
    }),
    ("app.kubernetes.io/name", {"activator": {"podLabels": {"app.kubernetes.io/name": "mine"}}}),
    ("watchNamespaces/1", {"watchNamespaces": ["shop", "Billing"]}),
    ("watchNamespaces", {"watchNamespaces": "shop"}),
    ("'keeps'", {"crds": {"keeps": True}}),
    ("networkPolicy/apiServerPorts", {"networkPolicy": {"apiServerPorts": []}}),
    ("monitoring/podMonitor/interval", {"monitoring": {"podMonitor": {"interval": "often"}}}),
    ("logLevel", {"logLevel": "info"}),
    ("app.kubernetes.io/name", {"podLabels": {"app.kubernetes.io/name": "mine"}}),
    ("extraEnv/0/name", {"extraEnv": [{"name": "SLUICE_PROXY_IMAGE", "value": "mine"}]}),
    ("resources", {"resources": {"request": {"cpu": 1}}}),
)  # fmt: skip


@pytest.mark.parametrize(("blamed", "values"), BAD, ids=[f"{b} {v}"[:60] for b, v in BAD])
def test_bad_values_are_refused_by_name(
    cluster: Cluster, blamed: str, values: dict[str, Any]
) -> None:
    with pytest.raises(Exception, match="schema") as refusal:
        chart.rendered(cluster, values, "default")
    assert blamed in str(refusal.value)


def test_the_manifests_for_kustomize_are_what_the_chart_renders(cluster: Cluster) -> None:
    assert manifests.MANIFESTS.read_text() == manifests.rendered(), "run `make manifests`"
