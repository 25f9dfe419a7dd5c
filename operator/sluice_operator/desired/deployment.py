"""The Deployment of the proxy's pods.

Nothing of a Secret and nothing of the operator's version is in the pod template: neither
a changed password nor a new operator restarts a proxy.
"""

from typing import Any

from sluice_operator import names
from sluice_operator.desired.inputs import Inputs
from sluice_operator.desired.manifest import Manifest, manifest
from sluice_proxy.config import ADMIN_PORT, CLIENT_PORT, CONFIG_KEY, POD_IP

STOP_MARGIN_SECONDS = 30
"""What the kubelet waits beyond the drain before it kills."""


def deployment(inputs: Inputs) -> Manifest:
    owner = inputs.owner
    selector = names.selector(owner.name)
    return {
        **manifest("apps/v1", "Deployment", names.workload(owner.name), owner),
        "spec": {
            "replicas": inputs.spec.replicas,
            "selector": {"matchLabels": selector},
            # A new pod serves before an old one drains: clients always find a door.
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            },
            "template": {
                "metadata": {"labels": names.labels(owner.name)},
                "spec": _pod(inputs, selector),
            },
        },
    }


def _pod(inputs: Inputs, selector: dict[str, str]) -> dict[str, Any]:
    proxy = inputs.owner.name
    return {
        "serviceAccountName": names.workload(proxy),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": inputs.config.drain_seconds + STOP_MARGIN_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": selector},
                "matchLabelKeys": ["pod-template-hash"],
            }
        ],
        "containers": [_container(inputs.image)],
        "volumes": [
            {"name": "config", "secret": {"secretName": names.config_secret(proxy)}},
            {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
        ],
    }


def _container(image: str) -> dict[str, Any]:
    return {
        "name": names.CONTAINER,
        "image": image,
        "args": ["--config", f"{names.CONFIG_MOUNT}/{CONFIG_KEY}"],
        "env": [{"name": POD_IP, "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "ports": [
            {"name": names.CLIENT_PORT_NAME, "containerPort": CLIENT_PORT, "protocol": "TCP"},
            {"name": names.ADMIN_PORT_NAME, "containerPort": ADMIN_PORT, "protocol": "TCP"},
        ],
        "readinessProbe": _probe("/readyz", period=1, timeout=2, failures=3),
        "livenessProbe": _probe("/healthz", period=10, timeout=5, failures=3),
        # No CPU limit: a throttled proxy stalls every client at once.
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
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


def _probe(path: str, *, period: int, timeout: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": names.ADMIN_PORT_NAME},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }
