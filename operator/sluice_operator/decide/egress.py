"""Where the targets are, as a NetworkPolicy can say it."""

import ipaddress
from collections.abc import Container, Mapping
from typing import Any

from sluice_operator.api.v1alpha1 import Spec, Target
from sluice_operator.decide.observed import Services
from sluice_operator.desired.inputs import Egress, Port, ToPods, ToRanges

CLUSTER_DOMAIN = "cluster.local"


def service_of(host: str, namespace: str) -> tuple[str, str] | None:
    """Namespace and name of the Service that `host` would be, seen from `namespace`.

    `db`, `db.shop`, `db.shop.svc` and `db.shop.svc.cluster.local` may be Services: whether
    there is one of that name is for the cluster to say.
    """
    if _address(host) is not None:
        return None
    labels = host.lower().removesuffix(f".{CLUSTER_DOMAIN}").split(".")
    if len(labels) == 1:
        return namespace, labels[0]
    if len(labels) == 2 or (len(labels) == 3 and labels[2] == "svc"):
        return labels[1], labels[0]
    return None


def services_of(spec: Spec, namespace: str) -> frozenset[tuple[str, str]]:
    """Every Service that a target may mean."""
    found = (service_of(target.host, namespace) for target in spec.targets)
    return frozenset(key for key in found if key is not None)


def egress(spec: Spec, namespace: str, services: Services) -> tuple[Egress, ...]:
    """One rule per target: its pods, its address, `databaseCIDRs`, or its port anywhere."""
    return tuple(_egress(target, spec, namespace, services) for target in spec.targets)


def notes(
    spec: Spec,
    namespace: str,
    egresses: tuple[Egress, ...],
    unreadable: Container[tuple[str, str]],
) -> tuple[str, ...]:
    """What the user should know: a target for which the policy must stay open, and why.

    `unreadable` are the Services, by namespace and name, that the operator may not read.
    """
    return tuple(
        f"spec.network.databaseCIDRs: egress to port {rule.port} is open to any address, for "
        + _why_open(target.host, service_of(target.host, namespace), unreadable)
        for target, rule in zip(spec.targets, egresses, strict=True)
        if isinstance(rule, ToRanges) and not rule.cidrs
    )


def _why_open(
    host: str, key: tuple[str, str] | None, unreadable: Container[tuple[str, str]]
) -> str:
    if key is None or key not in unreadable:
        return f"{host} is neither an address nor a Service with pods"
    return (
        f"the operator may not read Services in namespace {key[0]}, where {host} may be one: give "
        f"the ranges of its addresses, or add {key[0]} to watchNamespaces of the operator's chart"
    )


def _egress(target: Target, spec: Spec, namespace: str, services: Services) -> Egress:
    address = _address(target.host)
    if address is not None:
        return ToRanges((f"{address}/{address.max_prefixlen}",), target.port)
    key = service_of(target.host, namespace)
    service = None if key is None else services.get(key)
    selector = {} if service is None else service["spec"].get("selector") or {}
    if key is None or service is None or not selector:
        return ToRanges(tuple(spec.network.database_cidrs), target.port)
    port = _pods_port(service, target.port)
    return ToPods(key[0], tuple(sorted(selector.items())), port)


def _pods_port(service: Mapping[str, Any], port: int) -> Port:
    """The port behind a Service's: policies are enforced after the translation."""
    for item in service["spec"].get("ports") or ():
        if item["port"] == port:
            target: Port = item.get("targetPort", port)
            return target
    return port


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
