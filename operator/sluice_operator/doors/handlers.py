"""kopf's events, turned into keys."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import kopf

from sluice_operator import names
from sluice_operator.api.manifest import InvalidManifest, parse
from sluice_operator.api.v1alpha1 import DatabaseProxy
from sluice_operator.cluster.store import Store, object_key
from sluice_operator.decide.overcommit import Claims, claim
from sluice_operator.decide.references import Key, ReferenceIndex, references
from sluice_operator.queue import WorkQueue

PROXIES = (names.GROUP, names.VERSION, names.PLURAL)
CHILDREN = (
    ("apps", "v1", "deployments"),
    ("networking.k8s.io", "v1", "networkpolicies"),
    ("policy", "v1", "poddisruptionbudgets"),
    ("", "v1", "serviceaccounts"),
    ("", "v1", "pods"),
    ("discovery.k8s.io", "v1", "endpointslices"),
)
REFERABLE = (("", "v1", "secrets"), ("", "v1", "services"))
WATCHED = (PROXIES, *CHILDREN, *REFERABLE)

Login = Callable[..., Awaitable[kopf.AiohttpSession | None]]

SOON = 0.05
"""Seconds: events come in bursts, and one look serves them all."""


@dataclass(frozen=True, slots=True)
class Books:
    """What is kept of events: who refers to what, who asks for how much, what there is."""

    references: ReferenceIndex
    claims: Claims
    store: Store


class Doors:
    """Who is to be looked at after an event, and what the event showed."""

    def __init__(self, queue: WorkQueue[Key], books: Books):
        self._queue = queue
        self._books = books

    async def on_proxy(self, body: Mapping[str, Any], type: str | None, **_: Any) -> None:
        key = (body["metadata"]["namespace"], body["metadata"]["name"])
        gone = type == "DELETED"
        proxy = None if gone else parsed(dict(body))
        self._books.store.see(body, deleted=gone)
        self._books.references.put(key, () if proxy is None else references(proxy))
        others = self._books.claims.put(key, None if proxy is None else claim(proxy))
        for each in (key, *others):
            self._queue.add(each, SOON)

    async def on_child(self, body: Mapping[str, Any], type: str | None, **_: Any) -> None:
        self._books.store.see(body, deleted=type == "DELETED")
        key = owner_key(body)
        if key is not None:
            self._queue.add(key, SOON)

    async def on_referable(self, body: Mapping[str, Any], type: str | None, **_: Any) -> None:
        for key in self._books.references.holders(object_key(body)):
            self._queue.add(key, SOON)
        await self.on_child(body, type)


def parsed(manifest: Mapping[str, Any]) -> DatabaseProxy | None:
    """None where the model refuses it: the look at it says why."""
    try:
        return parse(manifest)
    except InvalidManifest:
        return None


def owner_key(body: Mapping[str, Any]) -> Key | None:
    """The proxy that an object belongs to: by owner, or by label where a pod's is a ReplicaSet."""
    metadata = body["metadata"]
    for reference in metadata.get("ownerReferences") or ():
        if reference["apiVersion"].startswith(names.GROUP) and reference["kind"] == names.KIND:
            return metadata["namespace"], reference["name"]
    labels = metadata.get("labels") or {}
    if labels.get(names.LABEL_MANAGED_BY) == names.MANAGED_BY and names.LABEL_INSTANCE in labels:
        return metadata["namespace"], labels[names.LABEL_INSTANCE]
    return None


def register(doors: Doors, login: Login) -> kopf.OperatorRegistry:
    """A registry of kopf with nothing but event handlers: no finalizer, no annotation."""
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry)(login)
    kopf.on.event(*PROXIES, registry=registry)(doors.on_proxy)
    for resource in CHILDREN:
        kopf.on.event(*resource, registry=registry)(doors.on_child)
    for resource in REFERABLE:
        kopf.on.event(*resource, registry=registry)(doors.on_referable)
    return registry
