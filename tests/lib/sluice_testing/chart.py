"""The product as users install it: by its chart, with the images of the present sources."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import yaml

from sluice_testing.kubernetes import Kubectl, Manifest, eventually, get

CHART = Path(__file__).resolve().parents[3] / "charts" / "sluice"
SYSTEM = "sluice-system"
OPERATOR = "deployment/sluice-operator"
OPERATOR_PODS = "app.kubernetes.io/name=sluice-operator"
ACCOUNT = f"system:serviceaccount:{SYSTEM}:sluice-operator"


class Helm(Kubectl, Protocol):
    """What these helpers need of the fixture `cluster`."""

    def helm(self, *arguments: str, input: str | None = None, timeout: float = ...) -> str: ...


def install(cluster: Helm, *arguments: str, values: Mapping[str, Any] | None = None) -> None:
    """Installs or upgrades the chart; waits for the operator.

    Without `values` as README does it: nothing is left of those of an earlier release.
    `arguments` are more of `helm upgrade --install`.
    """
    cluster.helm(
        *("upgrade", "--install", "sluice", str(CHART), "--namespace", SYSTEM),
        *("--create-namespace", "--reset-values", "--values", "-", *arguments),
        input=json.dumps(values or {}),
    )
    # The tag stays the same when the sources change.
    cluster.kubectl("-n", SYSTEM, "rollout", "restart", OPERATOR)
    until_rolled_out(cluster)


def until_rolled_out(cluster: Kubectl) -> None:
    cluster.kubectl("-n", SYSTEM, "rollout", "status", OPERATOR, "--timeout=180s")


def leader(cluster: Kubectl) -> str:
    """The pod that does the operator's work, and so has the figures of it.

    One whose process ended before it could give the Lease up holds it for ten seconds more.
    """
    holder = "jsonpath={.spec.holderIdentity}"

    def look() -> str:
        told = cluster.kubectl("-n", SYSTEM, "get", "lease", "sluice-operator", "-o", holder)
        name = told.partition("_")[0]
        pod = get(cluster, "pod", name, SYSTEM) if name else None
        return name if pod and "deletionTimestamp" not in pod["metadata"] else ""

    return eventually(look, "a living pod holds the Lease")


def rendered(cluster: Helm, values: Mapping[str, Any], namespace: str) -> list[Manifest]:
    """What the chart makes of `values`, the pod of `helm test` among it."""
    text = cluster.helm(
        *("template", "trial", str(CHART), "--namespace", namespace, "--values", "-"),
        input=json.dumps(values),
    )
    return [document for document in yaml.safe_load_all(text) if document is not None]


def may(cluster: Kubectl, verb: str, resource: str, namespace: str, *more: str) -> bool:
    """Whether the operator has this right there, as the API server says."""
    who = ("--namespace", namespace, "--as", ACCOUNT)
    try:
        return cluster.kubectl("auth", "can-i", verb, resource, *who, *more).strip() == "yes"
    except Exception as refusal:
        # "no" is also an exit status.
        if "\nno" not in str(refusal):
            raise
        return False
