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
ACTIVATORS = "deployment/sluice-activator"
ACTIVATOR_PODS = "app.kubernetes.io/name=sluice-activator"
ACCOUNT = f"system:serviceaccount:{SYSTEM}:sluice-operator"
ACTIVATOR_ACCOUNT = f"system:serviceaccount:{SYSTEM}:sluice-activator"


class Helm(Kubectl, Protocol):
    """What these helpers need of the fixture `cluster`."""

    def helm(self, *arguments: str, input: str | None = None, timeout: float = ...) -> str: ...


def install(cluster: Helm, *arguments: str, values: Mapping[str, Any] | None = None) -> None:
    """Installs or upgrades the chart; waits for the operator and the activators.

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


def restart_activators(cluster: Kubectl) -> None:
    """Once other images are loaded. The pods before linger for a while."""
    cluster.kubectl("-n", SYSTEM, "rollout", "restart", ACTIVATORS)
    until_rolled_out(cluster)


def until_rolled_out(cluster: Kubectl) -> None:
    """Until the newest pods of the operator, and of the activators if there shall be any, serve."""
    ours = ("get", "deployments", "-l", "app.kubernetes.io/part-of=sluice", "-o", "name")
    for deployment in cluster.kubectl("-n", SYSTEM, *ours).split():
        cluster.kubectl("-n", SYSTEM, "rollout", "status", deployment, "--timeout=180s")


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


def may(
    cluster: Kubectl, verb: str, resource: str, namespace: str, *more: str, account: str = ACCOUNT
) -> bool:
    """Whether the operator, or another account, has this right there, as the API server says."""
    who = ("--namespace", namespace, "--as", account)
    try:
        return cluster.kubectl("auth", "can-i", verb, resource, *who, *more).strip() == "yes"
    except Exception as refusal:
        # "no" is also an exit status.
        if "\nno" not in str(refusal):
            raise
        return False
