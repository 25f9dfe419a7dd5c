"""The cluster as a look at one DatabaseProxy sees it: by what the watches showed.

Reads come from the store, and from the API server only where the store does not know; every
write's answer goes into the store. A fresh look reads all anew: a watch may have missed that
something went away.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from sluice_operator import metrics, names
from sluice_operator.api.v1alpha1 import DatabaseProxy
from sluice_operator.cluster.client import Client, Manifest
from sluice_operator.cluster.errors import Forbidden
from sluice_operator.cluster.store import ObjectKey, Store, object_key
from sluice_operator.decide import egress
from sluice_operator.decide.observed import (
    ChildKey,
    Children,
    Observed,
    child_key,
    is_finished,
    pod,
    secret_data,
)
from sluice_operator.decide.references import Key
from sluice_operator.desired.credentials import secret_names

OURS = (*names.CHILD_KINDS, "Pod")
"""Kinds of what carries our labels."""

ONLY = {"EndpointSlice": {names.SLICE_MANAGED_BY: names.SLICE_MANAGER}}
"""Those of the EndpointSlice controller carry the labels of our Services."""


class Objects:
    """Reads by the store, writes through it. Raises ApiError."""

    def __init__(self, client: Client, store: Store):
        self._client = client
        self._store = store
        self._unreadable: set[ObjectKey] = set()

    async def proxy(self, key: Key, *, fresh: bool) -> Manifest | None:
        """The DatabaseProxy itself."""
        return await self._one((names.KIND, *key), fresh=fresh)

    async def around(self, proxy: DatabaseProxy, *, fresh: bool) -> Observed:
        """Everything that decisions about `proxy` need."""
        secrets, services = await asyncio.gather(
            self._secrets(proxy, fresh=fresh), self._services(proxy, fresh=fresh)
        )
        namespace, name = proxy.metadata.namespace, proxy.metadata.name
        return replace(
            await self.made((namespace, name), fresh=fresh),
            secrets=secrets,
            services=services,
            unreadable=frozenset(
                key
                for key in egress.services_of(proxy.spec, namespace)
                if ("Service", *key) in self._unreadable
            ),
        )

    async def made(self, key: Key, *, fresh: bool) -> Observed:
        """What was made for a proxy, and its pods: no spec is needed to know them."""
        namespace, name = key
        if fresh:
            await self._list_anew(namespace, name)
        kept = await self._kept(namespace, name)
        ours = self._store.of_proxy(namespace, name)
        labelled = {child_key(item): item for item in ours if item["kind"] != "Pod"}
        pods = [item for item in ours if item["kind"] == "Pod"]
        return Observed(
            secrets={},
            services={},
            children={**kept, **labelled},
            pods=tuple(pod(item) for item in pods if not is_finished(item)),
            finished=self._store.finished(namespace, name),
        )

    async def named(self, namespace: str, keys: Iterable[ChildKey]) -> Children:
        """Those of `keys` that exist, whoever owns them."""
        wanted = tuple(keys)
        found = await asyncio.gather(
            *(self._client.get(kind, namespace, name) for kind, name in wanted)
        )
        return {key: item for key, item in zip(wanted, found, strict=True) if item is not None}

    async def apply(self, manifest: Manifest) -> Manifest:
        applied = await self._client.apply(manifest)
        return self._wrote({**applied, "kind": manifest["kind"]})

    async def apply_status(self, manifest: Manifest) -> None:
        self._wrote({**await self._client.apply_status(manifest), "kind": names.KIND})

    async def annotate(self, kind: str, namespace: str, name: str, key: str, value: str) -> None:
        await self.change(kind, namespace, name, {"metadata": {"annotations": {key: value}}})

    async def change(self, kind: str, namespace: str, name: str, change: Manifest) -> None:
        """Writes the fields of `change` and no other."""
        self._wrote({**await self._client.merge(kind, namespace, name, change), "kind": kind})

    async def scale(self, deployment: Mapping[str, Any], replicas: int) -> Manifest:
        """The Deployment with so many pods. To zero only if nobody has written it since it was
        read; else raises Conflict."""
        scaled = await self._client.scale(deployment, replicas)
        version = scaled["metadata"]["resourceVersion"]
        return self._wrote(
            {
                **deployment,
                "metadata": {**deployment["metadata"], "resourceVersion": version},
                "spec": {**deployment["spec"], "replicas": replicas},
            }
        )

    async def beside(self, manifest: Manifest, *, fresh: bool) -> Manifest | None:
        """What there is of `manifest`, an object that is no child of a proxy."""
        return await self._one(object_key(manifest), fresh=fresh)

    async def withdraw(self, kind: str, namespace: str, name: str) -> None:
        """Deletes an object that is no child, if it is there."""
        live = await self._one((kind, namespace, name), fresh=True)
        if live is not None:
            await self.delete(live)

    async def delete(self, manifest: Manifest) -> None:
        await self._client.delete(manifest)
        metrics.WRITES.labels(manifest["kind"]).inc()
        self._store.forget([object_key(manifest)])

    def _wrote(self, manifest: Manifest) -> Manifest:
        metrics.WRITES.labels(manifest["kind"]).inc()
        self._store.put(manifest)
        return manifest

    async def _one(self, key: ObjectKey, *, fresh: bool) -> Manifest | None:
        self._store.want(key)
        return await self._known(key, fresh=fresh)

    async def _known(self, key: ObjectKey, *, fresh: bool) -> Manifest | None:
        known = None if fresh else self._store.get(key)
        if known is not None or (self._store.is_absent(key) and not fresh):
            return known
        try:
            found = await self._client.get(*key)
        except Forbidden:
            if key[0] != "Service":
                raise
            found = None  # it is in a namespace that is not this operator's affair
            self._unreadable.add(key)
        else:
            self._unreadable.discard(key)
        if found is None:
            self._store.miss(key)
            return None
        manifest = {**found, "kind": key[0]}
        self._store.put(manifest)
        return manifest

    async def _list_anew(self, namespace: str, name: str) -> None:
        labels = {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_INSTANCE: name}
        listed = await asyncio.gather(
            *(self._client.list(kind, namespace, labels | ONLY.get(kind, {})) for kind in OURS)
        )
        found = {object_key(item): item for items in listed for item in items}
        known = {object_key(item) for item in self._store.of_proxy(namespace, name)}
        self._store.forget(known - set(found))
        for item in found.values():
            self._store.put(item)

    async def _kept(self, namespace: str, proxy: str) -> Children:
        """What the next document and certificates are made from, by name.

        By its labels, one that somebody took them from would be lost, and its CA made anew.
        """
        wanted = [("Secret", namespace, name) for name in names.remembered(proxy)]
        found = await asyncio.gather(*(self._known(key, fresh=False) for key in wanted))
        return {child_key(item): item for item in found if item is not None}

    async def _secrets(self, proxy: DatabaseProxy, *, fresh: bool) -> dict[str, dict[str, bytes]]:
        namespace, wanted = proxy.metadata.namespace, sorted(secret_names(proxy.spec))
        found = await asyncio.gather(
            *(self._one(("Secret", namespace, name), fresh=fresh) for name in wanted)
        )
        return {
            name: secret_data(secret)
            for name, secret in zip(wanted, found, strict=True)
            if secret is not None
        }

    async def _services(
        self, proxy: DatabaseProxy, *, fresh: bool
    ) -> dict[tuple[str, str], Manifest]:
        wanted = sorted(egress.services_of(proxy.spec, proxy.metadata.namespace))
        found = await asyncio.gather(*(self._one(("Service", *key), fresh=fresh) for key in wanted))
        return {key: item for key, item in zip(wanted, found, strict=True) if item is not None}
