"""The chart: what it may do, and what of it others rely on. Rendered it is in tests/cluster."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluice_operator import names
from sluice_operator.api.manifest import parse
from sluice_proxy.config import ACTIVATOR_PORT, ADMIN_PORT, HELLO_PORT, POD_IP

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "sluice"
KUSTOMIZE = ROOT / "charts" / "kustomize"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())


TEMPLATES_OF_RULES = (
    "sluice.rules", "sluice.leaseRules", "sluice.activatorPodRules", "sluice.activatorPolicyRules",
    "sluice.activatorRules",
)  # fmt: skip


def text_of(template: str) -> str:
    return (CHART / "templates" / template).read_text()


def rules(template: str = "sluice.rules") -> list[tuple[str, dict[str, Any]]]:
    """Each rule of a named template with the comment above it."""
    text = text_of("_rules.tpl").split(f'define "{template}" -}}}}\n')[1].split("{{- end -}}")[0]
    text = text.replace('{{ include "sluice.fullname" . }}', "sluice-operator")
    parts = re.split(r"(?m)^(?=# [A-Z])", text)
    found = []
    for part in filter(None, parts):
        comment = " ".join(re.findall(r"(?m)^# (.*)$", part))
        found += [(comment, rule) for rule in yaml.safe_load(part) or ()]
    return found


def test_no_rule_says_everything_and_each_has_its_reason() -> None:
    assert len(rules()) >= 8
    assert set(re.findall(r'define "(.*)"', text_of("_rules.tpl"))) == set(TEMPLATES_OF_RULES)
    for reason, rule in (each for template in TEMPLATES_OF_RULES for each in rules(template)):
        assert len(reason) > 10, rule
        assert "*" not in (*rule["apiGroups"], *rule["resources"], *rule["verbs"])
    for template in ("rbac.yaml", "rbac-users.yaml", "activator/rbac.yaml"):
        assert "*" not in text_of(template)


def test_the_role_covers_each_kind_that_is_written() -> None:
    plurals = {
        "Secret": "secrets", "ServiceAccount": "serviceaccounts", "Service": "services",
        "NetworkPolicy": "networkpolicies", "Deployment": "deployments",
        "PodDisruptionBudget": "poddisruptionbudgets", "EndpointSlice": "endpointslices",
    }  # fmt: skip
    verbs = {resource: rule["verbs"] for _, rule in rules() for resource in rule["resources"]}
    for kind in names.CHILD_KINDS:
        assert {"get", "list", "watch", "create", "patch"} <= set(verbs[plurals[kind]])
    assert "patch" in verbs["databaseproxies/status"]
    assert verbs["databaseproxies"] == ["get", "list", "watch"]
    assert verbs["deployments/scale"] == ["get", "patch"]


def test_an_activator_reads_slices_and_wakes_and_may_do_no_more() -> None:
    assert [rule for _, rule in rules("sluice.activatorRules")] == [
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"],
         "verbs": ["list", "watch"]},
        {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get", "patch"]},
    ]  # fmt: skip
    assert text_of("activator/rbac.yaml").count("sluice.activatorRules") == 2
    assert "  - apiGroups" not in text_of("activator/rbac.yaml")


def test_of_the_leases_only_its_own_is_touched() -> None:
    named = [rule for _, rule in rules("sluice.leaseRules") if rule["verbs"] != ["create"]]
    assert [rule["resourceNames"] for rule in named] == [["sluice-operator"]]


@pytest.mark.parametrize(
    ("template", "labels"),
    [
        ("sluice.selectorLabels", names.OPERATOR_LABELS),
        ("sluice.activatorSelectorLabels", names.ACTIVATOR_LABELS),
    ],
)
def test_pods_carry_the_labels_that_policies_let_in(template: str, labels: dict[str, str]) -> None:
    selector = text_of("_helpers.tpl").split(f'define "{template}"')[1].split("end")[0]
    for key, value in labels.items():
        assert f"{key}: {value}\n" in selector


def test_the_policy_lets_out_to_where_proxies_listen() -> None:
    policy = text_of("networkpolicy.yaml")
    assert f"{{protocol: TCP, port: {ADMIN_PORT}}}" in policy
    assert f"{names.LABEL_NAME}: {names.selector('orders')[names.LABEL_NAME]}\n" in policy
    assert f"port: {names.ADMIN_PORT_NAME}\n" in text_of("podmonitor.yaml")


def test_activators_are_reached_where_they_listen_and_reach_proxies() -> None:
    ports = text_of("activator/deployment.yaml").split("  ports:\n")[1].split("readinessProbe")[0]
    assert re.findall(r"name: (\w+)\n +containerPort: (\d+)", ports) == [
        ("admin", str(ADMIN_PORT)), ("hello", str(HELLO_PORT)),
    ]  # fmt: skip
    opened = re.findall(r"protocol: (\w+), port: (\d+)", text_of("activator/networkpolicy.yaml"))
    inward, outward = opened[:2], opened[2:]
    assert inward == [("UDP", str(HELLO_PORT)), ("TCP", str(ADMIN_PORT))]
    assert outward == [("UDP", "53"), ("TCP", "53"), ("TCP", str(ACTIVATOR_PORT))]


def test_an_activator_knows_its_own_address() -> None:
    told = text_of("activator/deployment.yaml").split(f"name: {POD_IP}\n")[1]
    assert told.split("fieldPath: ")[1].split("\n")[0] == "status.podIP"


def test_the_headless_service_leads_to_the_same_ports() -> None:
    text = re.sub(r"{{.*}}", "", text_of("activator/service.yaml"))
    spec = yaml.safe_load(text)["spec"]
    assert spec["clusterIP"] == "None"
    assert [(port["port"], port["targetPort"]) for port in spec["ports"]] == [
        (HELLO_PORT, "hello"), (ADMIN_PORT, "admin"),
    ]  # fmt: skip


def test_no_activator_goes_before_the_next_is_ready_and_none_is_throttled() -> None:
    assert "{maxUnavailable: 0, maxSurge: 1}" in text_of("activator/deployment.yaml")
    assert "cpu" not in VALUES["activator"]["resources"]["limits"]


def test_versions_are_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == project["version"]


def test_the_example_of_the_catalogue_is_a_good_one() -> None:
    annotations = yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"]
    for example in yaml.safe_load(annotations["artifacthub.io/crdsExamples"]):
        example["metadata"]["namespace"] = "shop"
        assert parse(example, strict=True).metadata.name == "orders"
    (crd,) = yaml.safe_load(annotations["artifacthub.io/crds"])
    assert (crd["kind"], crd["version"]) == (names.KIND, names.VERSION)
    assert crd["name"] == f"{names.PLURAL}.{names.GROUP}"


def resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    return SCHEMA["definitions"][name] if name else schema


def undescribed(values: Mapping[str, Any], schema: Mapping[str, Any], path: str) -> Iterator[str]:
    """Values that the schema does not know, and the other way round."""
    properties = resolved(schema).get("properties")
    if properties is None:
        return
    yield from (f"{path}{name}" for name in values.keys() ^ properties.keys())
    for name in values.keys() & properties.keys():
        if isinstance(values[name], dict):
            yield from undescribed(values[name], properties[name], f"{path}{name}.")


def test_the_schema_knows_the_values_and_no_others() -> None:
    unused = {"resources.claims", "activator.resources.claims"}
    assert set(undescribed(VALUES, SCHEMA, "")) <= unused


def test_kustomize_takes_the_crd_from_where_it_is_generated() -> None:
    kustomization = yaml.safe_load((KUSTOMIZE / "kustomization.yaml").read_text())
    folder = KUSTOMIZE / kustomization["resources"][0]
    assert folder.resolve() == ROOT / "crds"
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    found = {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(listed) == found
    assert (KUSTOMIZE / "manifests.yaml").read_text().startswith("# Generated by `make manifests`")
