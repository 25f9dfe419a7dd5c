"""The second EndpointSlice of the Service: it leads to the activators while there is no pod.

Its endpoints are serving and terminating, never ready. A dataplane uses such endpoints only
while a Service has no ready one (KEP-1669), each node by itself: neither a pause nor a wake
needs a write to it.
"""

from typing import Any

from sluice_operator import names
from sluice_operator.desired.inputs import Fallback, Inputs
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
            "endpoints": [_endpoint(item.ip, item.node) for item in fallback.activators],
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


def _endpoint(ip: str, node: str) -> dict[str, Any]:
    endpoint: dict[str, Any] = {
        "addresses": [ip],
        "conditions": {"ready": False, "serving": True, "terminating": True},
    }
    # internalTrafficPolicy: Local takes endpoints of its own node alone.
    return {**endpoint, "nodeName": node} if node else endpoint
