"""Who may reach the activators on the port that stands for a proxy: the proxy's own clients.

It lives beside the activators, in another namespace than the proxy: no owner can delete it.
"""

from sluice_operator import names
from sluice_operator.desired.inputs import Fallback, Inputs
from sluice_operator.desired.manifest import Manifest
from sluice_operator.desired.network_policy import client_peers

CLIENTS_LABELS = {
    names.LABEL_NAME: "sluice-activator",
    names.LABEL_COMPONENT: "clients",
    names.LABEL_PART_OF: "sluice",
    names.LABEL_MANAGED_BY: names.MANAGED_BY,
}
"""Of all such policies, and of nothing else."""


def activator_policy(inputs: Inputs, fallback: Fallback) -> Manifest:
    owner = inputs.owner
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": names.activator_policy(owner.name, owner.namespace),
            "namespace": inputs.operator_namespace,
            "labels": {
                **CLIENTS_LABELS,
                names.PROXY_NAMESPACE: owner.namespace,
                names.PROXY_NAME: owner.name,
            },
        },
        "spec": {
            "podSelector": {"matchLabels": dict(names.ACTIVATOR_LABELS)},
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "from": client_peers(inputs.spec.network, owner.namespace),
                    "ports": [{"protocol": "TCP", "port": fallback.port}],
                }
            ],
        },
    }
