"""Objects of the operator's own namespace, followed: kopf may not be allowed to watch there."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sluice_operator.cluster.client import Client, Manifest
from sluice_operator.cluster.errors import ApiError

log = logging.getLogger(__name__)

WATCH_SECONDS = 290
RETRY_SECONDS = 2.0


class Follower(Protocol):
    """Is told all objects that there are, and then what happens to each."""

    def on_list(self, manifests: Sequence[Manifest]) -> None: ...

    def on_event(self, manifest: Manifest, *, deleted: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class What:
    """The objects of one kind in one namespace that carry all of `labels`."""

    kind: str
    namespace: str
    labels: Mapping[str, str]


async def follow(client: Client, what: What, follower: Follower) -> None:
    """Until it is cancelled. While the API server is away, what was known stays."""
    version = ""
    while True:
        try:
            if not version:
                found, version = await client.list_at(what.kind, what.namespace, what.labels)
                follower.on_list(found)
            version = await _watch(client, what, version, follower)
        except ApiError as error:
            log.warning("%s cannot be watched in %s: %s", what.kind, what.namespace, error)
            version = ""
        if not version:
            await asyncio.sleep(RETRY_SECONDS)


async def _watch(client: Client, what: What, version: str, follower: Follower) -> str:
    """From where the next watch goes on; empty if all is to be listed anew."""
    events = client.watch(what.kind, what.namespace, what.labels, version, WATCH_SECONDS)
    async for event in events:
        if event["type"] == "ERROR":
            return ""  # the version is too old, mostly
        version = event["object"]["metadata"]["resourceVersion"]
        item = {**event["object"], "kind": what.kind}
        follower.on_event(item, deleted=event["type"] == "DELETED")
    return version
