"""The policies that let clients reach the activators: they have no owner, so they are followed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sluice_operator import names
from sluice_operator.cluster.client import Client, Manifest
from sluice_operator.cluster.following import What, follow
from sluice_operator.cluster.objects import Objects
from sluice_operator.cluster.store import Store
from sluice_operator.decide.references import Key
from sluice_operator.desired.activator_policy import CLIENTS_LABELS


class ClientPolicies:
    """Has the proxy of each policy looked at that was changed, or went: as far as it was seen.

    The first list names all, for the proxies of some may be gone.
    """

    def __init__(self, store: Store, look_at: Callable[[Key], None]):
        self._store = store
        self._look_at = look_at
        self._seen: dict[str, Manifest] = {}

    async def run(self, client: Client, namespace: str) -> None:
        """Until it is cancelled."""
        await follow(client, What("NetworkPolicy", namespace, CLIENTS_LABELS), self)

    def on_list(self, manifests: Sequence[Manifest]) -> None:
        before, self._seen = self._seen, {}
        for item in manifests:
            self._take(item)
            if _version(before.get(item["metadata"]["name"])) != _version(item):
                self._tell(item)
        for name in before.keys() - self._seen.keys():
            self._store.see(before[name], deleted=True)
            self._tell(before[name])

    def on_event(self, manifest: Manifest, *, deleted: bool) -> None:
        if deleted:
            self._seen.pop(manifest["metadata"]["name"], None)
            self._store.see(manifest, deleted=True)
        else:
            self._take(manifest)
        self._tell(manifest)

    def _take(self, manifest: Manifest) -> None:
        self._seen[manifest["metadata"]["name"]] = manifest
        self._store.see(manifest, deleted=False)

    def _tell(self, manifest: Mapping[str, Any]) -> None:
        labels = manifest["metadata"].get("labels") or {}
        if names.PROXY_NAMESPACE in labels and names.PROXY_NAME in labels:
            self._look_at((labels[names.PROXY_NAMESPACE], labels[names.PROXY_NAME]))


async def withdraw_all(client: Client, objects: Objects, namespace: str) -> None:
    """Where no policy stands before the activators any more, one for clients would be the only
    one, and would keep out all others. Raises ApiError."""
    for policy in await client.list("NetworkPolicy", namespace, CLIENTS_LABELS):
        await objects.delete(policy)


def _version(manifest: Mapping[str, Any] | None) -> str:
    return "" if manifest is None else str(manifest["metadata"].get("resourceVersion"))
