"""The chart: what it may do, and what of it others rely on."""

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

from sluice_operator import names

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "sluice"


def text_of(template: str) -> str:
    return (CHART / "templates" / template).read_text()


def rules() -> list[tuple[str, dict[str, Any]]]:
    """Each rule of the operator's own role with the comment above it."""
    role = text_of("rbac.yaml").split("---")[0].split("rules:\n")[1]
    parts = re.split(r"(?m)^(?=  # (?:[A-Z]))", role)
    found = []
    for part in filter(None, parts):
        comment = " ".join(re.findall(r"(?m)^ +# (.*)$", part))
        found += [(comment, rule) for rule in yaml.safe_load(part) or ()]
    return found


def test_no_rule_says_everything_and_each_has_its_reason() -> None:
    assert len(rules()) >= 8
    for reason, rule in rules():
        assert len(reason) > 10, rule
        assert "*" not in (*rule["apiGroups"], *rule["resources"], *rule["verbs"])
    assert "*" not in text_of("rbac.yaml")


def test_the_role_covers_each_kind_that_is_written() -> None:
    plurals = {"Secret": "secrets", "ServiceAccount": "serviceaccounts", "Service": "services",
               "NetworkPolicy": "networkpolicies", "Deployment": "deployments"}  # fmt: skip
    verbs = {resource: rule["verbs"] for _, rule in rules() for resource in rule["resources"]}
    for kind in names.CHILD_KINDS:
        assert {"get", "list", "watch", "create", "patch"} <= set(verbs[plurals[kind]])
    assert "patch" in verbs["databaseproxies/status"]
    assert verbs["databaseproxies"] == ["get", "list", "watch"]


def test_the_operators_pods_carry_the_labels_that_policies_let_in() -> None:
    selector = text_of("_helpers.tpl").split('define "sluice.selectorLabels"')[1].split("end")[0]
    for key, value in names.OPERATOR_LABELS.items():
        assert f"{key}: {value}\n" in selector


def test_versions_are_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == project["version"]
