"""The Deployment of the proxy's pods.

Nothing of a Secret and nothing of the operator's version is in the pod template: neither
a changed password nor a new operator restarts a proxy. Nor is the number of pods in here: who
applies that would undo a wake that it has not seen yet (`decide.scale`).
"""

from typing import Any

from sluice_operator import names
from sluice_operator.desired.inputs import Inputs
from sluice_operator.desired.manifest import Manifest, manifest
from sluice_operator.desired.pod_template import (
    placement,
    pod_metadata,
    pull_secrets,
    resources,
    security_context,
)
from sluice_proxy.config import (
    ACTIVATOR_PORT,
    ADMIN_PORT,
    CLIENT_PORT,
    CONFIG_KEY,
    POD_IP,
    POD_NAME,
)


def deployment(inputs: Inputs) -> Manifest:
    owner = inputs.owner
    selector = names.selector(owner.name)
    return {
        **manifest("apps/v1", "Deployment", names.workload(owner.name), owner),
        "spec": {
            "selector": {"matchLabels": selector},
            # A new pod serves before an old one drains: clients always find a door.
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            },
            "template": {
                "metadata": pod_metadata(inputs.spec.pod_template, names.labels(owner.name)),
                "spec": _pod(inputs, selector),
            },
        },
    }


def _pod(inputs: Inputs, selector: dict[str, str]) -> dict[str, Any]:
    proxy, template = inputs.owner.name, inputs.spec.pod_template
    return {
        **placement(template, selector),
        **pull_secrets(template, inputs.image),
        "serviceAccountName": names.workload(proxy),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": template.termination_grace_period_seconds,
        "securityContext": security_context(template),
        "containers": [_container(inputs)],
        "volumes": [
            {"name": "config", "secret": {"secretName": names.config_secret(proxy)}},
            {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
        ],
    }


def _container(inputs: Inputs) -> dict[str, Any]:
    return {
        "name": names.CONTAINER,
        "image": inputs.image.name,
        "imagePullPolicy": inputs.image.pull_policy,
        "args": ["--config", f"{names.CONFIG_MOUNT}/{CONFIG_KEY}"],
        "env": [_of_pod(POD_NAME, "metadata.name"), _of_pod(POD_IP, "status.podIP")],
        "ports": [
            {"name": names.CLIENT_PORT_NAME, "containerPort": CLIENT_PORT, "protocol": "TCP"},
            {"name": names.ADMIN_PORT_NAME, "containerPort": ADMIN_PORT, "protocol": "TCP"},
            {"name": names.ACTIVATOR_PORT_NAME, "containerPort": ACTIVATOR_PORT, "protocol": "TCP"},
        ],
        "readinessProbe": _probe("/readyz", period=1, timeout=2, failures=3),
        "livenessProbe": _probe("/healthz", period=10, timeout=5, failures=3),
        "resources": resources(inputs.spec.pod_template),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        # The whole folder: a subPath would never be refreshed.
        "volumeMounts": [
            {"name": "config", "mountPath": names.CONFIG_MOUNT, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own
        ],
    }


def _of_pod(variable: str, field: str) -> dict[str, Any]:
    return {"name": variable, "valueFrom": {"fieldRef": {"fieldPath": field}}}


def _probe(path: str, *, period: int, timeout: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": names.ADMIN_PORT_NAME},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }
