"""The Services: the one host that clients know, and the name by which pods find each other."""

from typing import Any

from sluice_operator import names
from sluice_operator.desired.manifest import Manifest, Owner, manifest
from sluice_proxy.config import CLIENT_PORT


def service(owner: Owner) -> Manifest:
    return {
        **manifest("v1", "Service", names.service(owner.name), owner),
        "spec": {
            "type": "ClusterIP",
            "selector": names.selector(owner.name),
            "ports": [_port()],
        },
    }


def peers_service(owner: Owner) -> Manifest:
    """Each pod's address, ready or not: a cancel request may be for one that drains."""
    return {
        **manifest("v1", "Service", names.peers(owner.name), owner),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": names.selector(owner.name),
            "ports": [_port()],
        },
    }


def _port() -> dict[str, Any]:
    return {
        "name": names.CLIENT_PORT_NAME,
        "port": CLIENT_PORT,
        "targetPort": names.CLIENT_PORT_NAME,
        "protocol": "TCP",
    }
