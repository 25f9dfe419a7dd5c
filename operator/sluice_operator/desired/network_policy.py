"""Who may reach the proxy's pods, and what they may reach: nothing else, both ways."""

from collections.abc import Mapping
from typing import Any

from sluice_operator import names
from sluice_operator.api.network import Network, NetworkPolicyPeer
from sluice_operator.desired.inputs import Egress, Inputs, Port, ToPods
from sluice_operator.desired.manifest import Manifest, manifest
from sluice_proxy.config import ACTIVATOR_PORT, ADMIN_PORT, CLIENT_PORT, HELLO_PORT

NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""The label that Kubernetes itself puts on every namespace."""


def network_policy(inputs: Inputs) -> Manifest:
    owner = inputs.owner
    return {
        **manifest("networking.k8s.io/v1", "NetworkPolicy", names.workload(owner.name), owner),
        "spec": {
            "podSelector": {"matchLabels": names.selector(owner.name)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                _clients(inputs),
                {"from": [_peers(owner.name)], "ports": [_tcp(CLIENT_PORT)]},
                _readers(inputs),
                *_activators(inputs, "from", _tcp(ACTIVATOR_PORT)),
            ],
            "egress": [
                *(_egress(egress) for egress in inputs.egress),
                {"to": [_peers(owner.name)], "ports": [_tcp(CLIENT_PORT)]},
                *_activators(inputs, "to", {"protocol": "UDP", "port": HELLO_PORT}),
                _dns(),
            ],
        },
    }


def _clients(inputs: Inputs) -> dict[str, Any]:
    allowed = inputs.spec.network.allowed_clients
    peers = [_peer(peer) for peer in allowed] or [{"podSelector": {}}]
    return {"from": peers, "ports": [_tcp(CLIENT_PORT)]}


def client_peers(network: Network, namespace: str) -> list[dict[str, Any]]:
    """The proxy's clients as peers for a policy in any namespace; `namespace` is the proxy's."""
    peers = [_peer(peer) for peer in network.allowed_clients] or [{"podSelector": {}}]
    return [_in(namespace, peer) for peer in peers]


def _in(namespace: str, peer: Mapping[str, Any]) -> dict[str, Any]:
    """Pods of no named namespace are those of the policy's own."""
    own = {} if "namespaceSelector" in peer or "ipBlock" in peer else _namespace(namespace)
    return {**peer, **own}


def _activators(inputs: Inputs, way: str, port: Mapping[str, Any]) -> list[dict[str, Any]]:
    """They hand over the clients that they held, and are told when a pod begins to listen."""
    if inputs.fallback is None:
        return []
    peer = {
        **_namespace(inputs.operator_namespace),
        "podSelector": {"matchLabels": dict(names.ACTIVATOR_LABELS)},
    }
    return [{way: [peer], "ports": [dict(port)]}]


def _peer(peer: NetworkPolicyPeer) -> dict[str, Any]:
    return peer.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True)


def _peers(proxy: str) -> dict[str, Any]:
    """The proxy's own pods: a cancel request goes to the one whose client it is for."""
    return {"podSelector": {"matchLabels": names.selector(proxy)}}


def _readers(inputs: Inputs) -> dict[str, Any]:
    """The operator reads `/state`; from the monitoring namespaces come scrapes of `/metrics`."""
    operator = {
        **_namespace(inputs.operator_namespace),
        "podSelector": {"matchLabels": dict(names.OPERATOR_LABELS)},
    }
    monitoring = (_namespace(name) for name in inputs.monitoring_namespaces)
    return {"from": [operator, *monitoring], "ports": [_tcp(ADMIN_PORT)]}


def _namespace(name: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": {NAMESPACE_NAME: name}}}


def _egress(egress: Egress) -> dict[str, Any]:
    ports = [_tcp(egress.port)]
    if isinstance(egress, ToPods):
        peer = {
            **_namespace(egress.namespace),
            "podSelector": {"matchLabels": dict(egress.selector)},
        }
        return {"to": [peer], "ports": ports}
    if not egress.cidrs:
        return {"ports": ports}
    return {"to": [{"ipBlock": {"cidr": cidr}} for cidr in egress.cidrs], "ports": ports}


def _dns() -> dict[str, Any]:
    """To anywhere: where a cluster's DNS listens (pods, nodes, link-local) is its own affair."""
    return {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}


def _tcp(port: Port) -> dict[str, Any]:
    return {"protocol": "TCP", "port": port}
