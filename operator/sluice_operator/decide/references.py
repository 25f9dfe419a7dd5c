"""Which proxies use which Secrets and Services, or want their names."""

from collections.abc import Iterable

from sluice_operator import names
from sluice_operator.api.v1alpha1 import DatabaseProxy
from sluice_operator.decide.egress import services_of
from sluice_operator.desired.credentials import secret_names

Key = tuple[str, str]
"""Namespace and name of a DatabaseProxy."""

Reference = tuple[str, str, str]
"""Kind, namespace and name of an object that a spec refers to."""


def references(proxy: DatabaseProxy) -> frozenset[Reference]:
    """Everything that `proxy` refers to.

    Its children are among it: one that belongs to somebody else may go some day.
    """
    namespace = proxy.metadata.namespace
    secrets = {("Secret", namespace, name) for name in secret_names(proxy.spec)}
    services = {("Service", *key) for key in services_of(proxy.spec, namespace)}
    children = {(kind, namespace, name) for kind, name in names.children(proxy.metadata.name)}
    return frozenset(secrets | services | children)


class ReferenceIndex:
    """From a reference to the proxies that hold it."""

    def __init__(self) -> None:
        self._held: dict[Key, frozenset[Reference]] = {}
        self._holders: dict[Reference, set[Key]] = {}

    def put(self, key: Key, held: Iterable[Reference]) -> None:
        """`key` holds `held` and nothing else; empty forgets it."""
        for reference in self._held.pop(key, frozenset()):
            holders = self._holders[reference]
            holders.discard(key)
            if not holders:
                del self._holders[reference]
        kept = frozenset(held)
        if kept:
            self._held[key] = kept
        for reference in kept:
            self._holders.setdefault(reference, set()).add(key)

    def holders(self, reference: Reference) -> frozenset[Key]:
        return frozenset(self._holders.get(reference, ()))

    def __len__(self) -> int:
        return len(self._held)
