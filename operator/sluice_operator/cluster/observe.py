"""Reads, once and at the same time, all that a look at one DatabaseProxy needs."""

import asyncio

from sluice_operator import names
from sluice_operator.api.v1alpha1 import DatabaseProxy
from sluice_operator.cluster.client import Client
from sluice_operator.decide import egress
from sluice_operator.decide.observed import (
    ChildKey,
    Observed,
    Pod,
    child_key,
    is_finished,
    pod,
    secret_data,
)
from sluice_operator.desired.credentials import secret_names
from sluice_operator.desired.manifest import Manifest


async def observe(client: Client, proxy: DatabaseProxy) -> Observed:
    """Everything that decisions about `proxy` need, read once. Raises ApiError."""
    secrets, services, children, pods = await asyncio.gather(
        _secrets(client, proxy),
        _services(client, proxy),
        _children(client, proxy),
        _pods(client, proxy),
    )
    return Observed(secrets, services, children, pods)


async def _secrets(client: Client, proxy: DatabaseProxy) -> dict[str, dict[str, bytes]]:
    wanted = sorted(secret_names(proxy.spec))
    namespace = proxy.metadata.namespace
    found = await asyncio.gather(*(client.get("Secret", namespace, name) for name in wanted))
    return {
        name: secret_data(secret)
        for name, secret in zip(wanted, found, strict=True)
        if secret is not None
    }


async def _services(client: Client, proxy: DatabaseProxy) -> dict[tuple[str, str], Manifest]:
    wanted = sorted(egress.services_of(proxy.spec, proxy.metadata.namespace))
    found = await asyncio.gather(*(client.get("Service", *key) for key in wanted))
    return {key: service for key, service in zip(wanted, found, strict=True) if service is not None}


async def _children(client: Client, proxy: DatabaseProxy) -> dict[ChildKey, Manifest]:
    """Ours by label; and whatever else stands where a child would."""
    name, namespace = proxy.metadata.name, proxy.metadata.namespace
    labels = {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_INSTANCE: name}
    listed = await asyncio.gather(
        *(client.list(kind, namespace, labels) for kind in names.CHILD_KINDS)
    )
    children = {child_key(item): item for items in listed for item in items}
    unlabelled = [key for key in names.children(name) if key not in children]
    found = await asyncio.gather(
        *(client.get(kind, namespace, child) for kind, child in unlabelled)
    )
    return children | {
        key: child for key, child in zip(unlabelled, found, strict=True) if child is not None
    }


async def _pods(client: Client, proxy: DatabaseProxy) -> tuple[Pod, ...]:
    selector = names.selector(proxy.metadata.name)
    listed = await client.list("Pod", proxy.metadata.namespace, selector)
    return tuple(pod(item) for item in listed if not is_finished(item))
