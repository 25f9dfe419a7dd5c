"""What the user may say of the pods, and what is there whatever he says."""

from typing import Any

import pytest

from sluice_operator.api.manifest import parse
from sluice_operator.api.pod_template import PodTemplate
from sluice_operator.api.v1alpha1 import Spec
from sluice_operator.desired import pod_template as said
from sluice_operator.desired.config_secret import proxy_config
from sluice_operator.desired.deployment import deployment
from sluice_operator.desired.inputs import Inputs, ProxyImage
from sluice_operator.desired.manifest import Owner
from sluice_proxy.config import Certificate, ProxyConfig
from sluice_testing.specs import manifest

OURS = {"app.kubernetes.io/name": "sluice-proxy", "app.kubernetes.io/instance": "orders"}
SECRETS = {"orders-app": {"username": b"app", "password": b"pw"}}
SHOWN = Certificate("chain", "key")
IMAGE = ProxyImage("sluice/proxy:1")


def spec(**fields: Any) -> Spec:
    """The spec with these fields of podTemplate."""
    return parse(manifest({"spec.podTemplate": fields})).spec


def template(**fields: Any) -> PodTemplate:
    return spec(**fields).pod_template


def config(wanted: Spec) -> ProxyConfig:
    return proxy_config(wanted, "orders", "shop", SECRETS, None, 0.0, SHOWN)


def pod(image: ProxyImage = IMAGE, **fields: Any) -> dict[str, Any]:
    """The pod template of the Deployment."""
    wanted = spec(**fields)
    owner = Owner("orders", "shop", "uid-1")
    given = Inputs(owner, wanted, config(wanted), None, "", (), image, "sluice-system")
    found: dict[str, Any] = deployment(given)["spec"]["template"]
    return found


def test_labels_of_the_users_stand_beside_ours() -> None:
    metadata = {"labels": {"team": "shop"}, "annotations": {"example.com/mesh": "off"}}
    made = said.pod_metadata(template(metadata=metadata), OURS)
    assert made == {
        "labels": {"team": "shop", **OURS}, "annotations": {"example.com/mesh": "off"},
    }  # fmt: skip
    assert said.pod_metadata(template(), OURS) == {"labels": OURS}


def test_the_selector_of_the_deployment_picks_pods_with_labels_of_the_users() -> None:
    labels = pod(metadata={"labels": {"team": "shop"}})["metadata"]["labels"]
    assert OURS.items() <= labels.items()
    assert labels["team"] == "shop"


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({}, {"requests": {"cpu": "50m", "memory": "64Mi"}}),
        ({"requests": {"cpu": 1}}, {"requests": {"cpu": "1", "memory": "64Mi"}}),
        (
            {"limits": {"memory": "32Mi"}},
            {"requests": {"cpu": "50m"}, "limits": {"memory": "32Mi"}},
        ),
        (
            {
                "requests": {"cpu": "0.25", "ephemeral-storage": "1024Ki"},
                "limits": {"cpu": "2000m", "memory": "1024Mi"},
            },
            {
                "requests": {"cpu": "250m", "ephemeral-storage": "1Mi"},
                "limits": {"cpu": "2", "memory": "1Gi"},
            },
        ),
    ],
)
def test_resources(given: dict[str, Any], made: dict[str, Any]) -> None:
    assert said.resources(template(resources=given)) == made


def test_pods_spread_over_nodes_and_zones_where_the_user_says_nothing() -> None:
    constraints = said.placement(template(), OURS)["topologySpreadConstraints"]
    assert [c["topologyKey"] for c in constraints] == [
        "kubernetes.io/hostname", "topology.kubernetes.io/zone",
    ]  # fmt: skip
    for constraint in constraints:
        assert constraint["whenUnsatisfiable"] == "ScheduleAnyway"
        assert constraint["labelSelector"] == {"matchLabels": OURS}
        assert constraint["matchLabelKeys"] == ["pod-template-hash"]


def test_the_users_spread_takes_the_place_of_ours_and_counts_our_pods() -> None:
    rack = {"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}
    everyone = {**rack, "topologyKey": "row", "labelSelector": {}}
    made = said.placement(template(topologySpreadConstraints=[rack, everyone]), OURS)
    assert made["topologySpreadConstraints"] == [
        {**rack, "labelSelector": {"matchLabels": OURS}}, everyone,
    ]  # fmt: skip


def test_places_to_run() -> None:
    toleration = {"key": "dedicated", "effect": "NoExecute", "value": "", "tolerationSeconds": 0}
    made = said.placement(
        template(
            nodeSelector={"pool": ""},
            tolerations=[toleration, {"operator": "Exists"}],
            priorityClassName="high",
        ),
        OURS,
    )
    del made["topologySpreadConstraints"]
    assert made == {
        "nodeSelector": {"pool": ""},
        "tolerations": [
            {
                "key": "dedicated",
                "operator": "Equal",
                "effect": "NoExecute",
                "tolerationSeconds": 0,
            },
            {"operator": "Exists"},
        ],
        "priorityClassName": "high",
    }


def test_affinity_is_handed_on_as_the_api_server_stores_it() -> None:
    term = {
        "topologyKey": "zone",
        "namespaces": [],
        "namespaceSelector": {},
        "labelSelector": {"matchLabels": {"a": ""}, "matchExpressions": None},
    }
    given = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    made = said.placement(template(affinity=given), OURS)["affinity"]
    kept = {
        "topologyKey": "zone",
        "namespaceSelector": {},
        "labelSelector": {"matchLabels": {"a": ""}},
    }
    assert made == {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [kept]}}


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ({"a": None, "b": "", "c": [], "d": {}, "e": 0, "f": False}, {"d": {}, "e": 0, "f": False}),
        ([{"a": ""}, "", 0], [{}, "", 0]),
        ({"matchLabels": {}}, {}),
        ({"matchLabels": {"a": ""}}, {"matchLabels": {"a": ""}}),
    ],
)
def test_what_the_api_server_leaves_out_is_left_out(given: Any, stored: Any) -> None:
    assert said.without_empty(given) == stored


def test_pod_security_stays_restricted() -> None:
    made = pod(securityContext={"runAsUser": 7, "runAsGroup": 0, "supplementalGroups": [5]})["spec"]
    assert made["securityContext"] == {
        "runAsUser": 7,
        "runAsGroup": 0,
        "supplementalGroups": [5],
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert made["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert made["automountServiceAccountToken"] is False


def test_the_image_is_pulled_with_the_secrets_of_both_each_once() -> None:
    image = ProxyImage("registry.example.com/proxy:2", "Always", ("mirror", "registry"))
    made = pod(image, imagePullSecrets=[{"name": "registry"}, {"name": "mine"}])["spec"]
    assert made["containers"][0]["image"] == "registry.example.com/proxy:2"
    assert made["containers"][0]["imagePullPolicy"] == "Always"
    secrets = [secret["name"] for secret in made["imagePullSecrets"]]
    assert secrets == ["registry", "mine", "mirror"]
    assert "imagePullSecrets" not in pod()["spec"]


def test_the_time_to_end_is_for_draining_and_a_margin() -> None:
    """Nothing is slept away before: a pod that was told to end goes on accepting."""
    made = pod(terminationGracePeriodSeconds=300)["spec"]
    assert made["terminationGracePeriodSeconds"] == 300
    assert config(spec(terminationGracePeriodSeconds=300)).drain_seconds == 290
    assert "lifecycle" not in made["containers"][0]


@pytest.mark.parametrize(("grace", "linger"), [(300, 15), (60, 15), (59, 14), (16, 4)])
def test_clients_are_awaited_for_a_quarter_of_a_short_time_to_end(grace: int, linger: int) -> None:
    assert config(spec(terminationGracePeriodSeconds=grace)).linger_seconds == linger


def test_by_default_a_pod_may_take_a_minute_to_end() -> None:
    assert pod()["spec"]["terminationGracePeriodSeconds"] == 60
