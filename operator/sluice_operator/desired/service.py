"""The Service: the one host that clients know."""

from sluice_operator import names
from sluice_operator.desired.manifest import Manifest, Owner, manifest
from sluice_proxy.config import CLIENT_PORT


def service(owner: Owner) -> Manifest:
    return {
        **manifest("v1", "Service", names.service(owner.name), owner),
        "spec": {
            "type": "ClusterIP",
            "selector": names.selector(owner.name),
            "ports": [
                {
                    "name": names.CLIENT_PORT_NAME,
                    "port": CLIENT_PORT,
                    "targetPort": names.CLIENT_PORT_NAME,
                    "protocol": "TCP",
                }
            ],
        },
    }
