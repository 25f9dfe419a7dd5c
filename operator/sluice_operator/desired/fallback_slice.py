"""The second EndpointSlice of the Service: it leads to the activators while there is no pod.

Its endpoints are serving and terminating, never ready. A dataplane uses such endpoints only
while a Service has no ready one (KEP-1669), each node by itself: neither a pause nor a wake
needs a write to it.
"""

from collections.abc import Mapping
from typing import Any

from sluice_operator import names
from sluice_operator.desired.inputs import Activator, Fallback, Inputs
from sluice_operator.desired.manifest import Manifest, manifest

TROUBLE_MAX = 700
"""Characters of what keeps pods from coming up: it stands in an error that clients get."""


def fallback_slices(inputs: Inputs) -> tuple[Manifest, ...]:
    """One, or none where there are no activators."""
    fallback, owner = inputs.fallback, inputs.owner
    if fallback is None or not fallback.activators:
        return ()
    name = names.fallback_slice(owner.name)
    made = manifest("discovery.k8s.io/v1", "EndpointSlice", name, owner)
    made["metadata"]["labels"] |= {
        names.SERVICE_NAME: names.service(owner.name),
        names.SLICE_MANAGED_BY: names.SLICE_MANAGER,
    }
    made["metadata"]["annotations"] = _annotations(inputs, fallback)
    return (
        {
            **made,
            "addressType": "IPv6" if ":" in fallback.activators[0].ip else "IPv4",
            "endpoints": [_endpoint(item) for item in fallback.activators],
            # Dataplanes pair it with the Service's port by this name.
            "ports": [{"name": names.CLIENT_PORT_NAME, "port": fallback.port, "protocol": "TCP"}],
        },
    )


def _annotations(inputs: Inputs, fallback: Fallback) -> dict[str, str]:
    told = {
        names.WAKE_UID: inputs.owner.uid,
        names.WAKE_REPLICAS: str(fallback.replicas),
        names.WAKE_TROUBLE: fallback.trouble[:TROUBLE_MAX],
    }
    return {key: text for key, text in told.items() if text}


def readdressed(
    live: Mapping[str, Any], activators: tuple[Activator, ...]
) -> dict[str, Any] | None:
    """The merge patch by which a slice leads to `activators`; None if it does, or to nobody.

    For where nothing else of it may be written: a proxy that sleeps depends on this alone.
    """
    endpoints = [_endpoint(item) for item in activators]
    return {"endpoints": endpoints} if endpoints and live.get("endpoints") != endpoints else None


def _endpoint(activator: Activator) -> dict[str, Any]:
    endpoint: dict[str, Any] = {
        "addresses": [activator.ip],
        "conditions": {"ready": False, "serving": activator.serving, "terminating": True},
    }
    # internalTrafficPolicy: Local takes endpoints of its own node alone.
    return {**endpoint, "nodeName": activator.node} if activator.node else endpoint
