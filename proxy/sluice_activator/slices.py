"""What EndpointSlices say: which proxy has which port, how it is woken, where its pods are.

Of a slice a few fields are kept, for there are three of them for each of thousands of proxies.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

SELECTOR: Final = (
    "app.kubernetes.io/managed-by=sluice,app.kubernetes.io/name=sluice-proxy,"
    "!service.kubernetes.io/headless"
)
"""Slices of proxies: the operator's own, and those of their Services; not of the headless ones."""

SERVICE_NAME: Final = "kubernetes.io/service-name"
MANAGED_BY: Final = "endpointslice.kubernetes.io/managed-by"
OURS: Final = "sluice.dev"
UID: Final = "sluice.dev/uid"
REPLICAS: Final = "sluice.dev/replicas"
TROUBLE: Final = "sluice.dev/trouble"
PORT_NAME: Final = "postgres"

PORTS: Final = range(10000, 32768)
"""Below ip_local_port_range, so that no outgoing connection takes a proxy's port."""

# Ranks of a pod's address.
READY: Final = 0
UNREADY: Final = 1
TERMINATING: Final = 2

Key = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What a slice of the operator's says: who is met at `port`, and how it is woken.

    `uid` is the DatabaseProxy's; `replicas` how many pods to wake to; `trouble` a sentence
    while pods cannot come up. `created` is when the slice was made, as the API server writes it.
    `names_us`: whether clients are sent to this very activator.
    """

    proxy: Key
    port: int
    uid: str
    replicas: int
    trouble: str
    created: str
    names_us: bool = False


Pods = dict[str, int]
"""Rank by address."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an event of a watch changed: whose pods or trouble, and whether a port moved."""

    proxy: Key
    ports: bool


class BadSlice(ValueError):
    """A slice of ours that cannot be used; the message says why."""


@dataclass(slots=True)
class Directory:
    """All that the slices said. `refused` are slices that cannot be used, and why.

    `own` is this activator's address; empty: no slice names it.
    """

    own: str = ""
    refused: dict[Key, str] = field(default_factory=dict)
    _registrations: dict[Key, Registration] = field(default_factory=dict)
    _of_proxy: dict[Key, set[Key]] = field(default_factory=dict)
    _pods: dict[Key, dict[Key, Pods]] = field(default_factory=dict)
    _owner: dict[Key, Key] = field(default_factory=dict)

    def see(self, manifest: Mapping[str, Any]) -> list[Change]:
        """A slice that is there, new or changed."""
        name = name_of(manifest)
        labels = manifest["metadata"].get("labels") or {}
        proxy = (name[0], labels.get(SERVICE_NAME) or "")
        if labels.get(MANAGED_BY) == OURS:
            return self._see_registration(name, proxy, manifest)
        return self._see_pods(name, proxy, pods_of(manifest)) if proxy[1] else []

    def forget(self, name: Key) -> list[Change]:
        """A slice that went."""
        self.refused.pop(name, None)
        if name in self._registrations:
            return [Change(self._drop(name), ports=True)]
        proxy = self._owner.get(name)
        return [] if proxy is None else self._see_pods(name, proxy, {})

    def names(self, namespace: str) -> list[Key]:
        """The slices that are known, of one namespace or, if it is empty, of all."""
        known = (*self._registrations, *self._owner, *self.refused)
        return [name for name in known if namespace in ("", name[0])]

    def ports(self) -> tuple[dict[int, Key], dict[Key, str]]:
        """Which proxy has which port, and why a slice is left out: an older one has its port."""
        taken: dict[int, Key] = {}
        losers: dict[Key, str] = {}
        for name, found in sorted(self._registrations.items(), key=_seniority):
            holder = taken.setdefault(found.port, found.proxy)
            if holder != found.proxy:
                losers[name] = f"port {found.port} is that of {holder[0]}/{holder[1]}"
        return taken, losers

    def registration(self, proxy: Key) -> Registration | None:
        """The oldest of a proxy: it has one for each family of addresses."""
        mine = {name: self._registrations[name] for name in self._of_proxy.get(proxy, ())}
        return min(mine.items(), key=_seniority)[1] if mine else None

    def pods(self, proxy: Key) -> Pods:
        """By address, the best that any slice says of it."""
        best: Pods = {}
        for pods in self._pods.get(proxy, {}).values():
            for address, rank in pods.items():
                best[address] = min(rank, best.get(address, rank))
        return best

    def naming_us(self) -> set[str]:
        """The namespaces with slices by which clients are sent here."""
        return {found.proxy[0] for found in self._registrations.values() if found.names_us}

    @property
    def proxies(self) -> int:
        return len(self._of_proxy)

    def _see_registration(self, name: Key, proxy: Key, manifest: Mapping[str, Any]) -> list[Change]:
        old = self._registrations.get(name)
        try:
            new = registration_of(proxy, manifest, self.own)
        except BadSlice as problem:
            gone = self.forget(name)
            self.refused[name] = str(problem)
            return gone
        self.refused.pop(name, None)
        if new == old:
            return []
        moved = old is None or (old.proxy, old.port) != (new.proxy, new.port)
        gone = self.forget(name) if moved and old is not None else []
        self._registrations[name] = new
        self._of_proxy.setdefault(proxy, set()).add(name)
        return [*gone, Change(proxy, ports=moved)]

    def _drop(self, name: Key) -> Key:
        proxy = self._registrations.pop(name).proxy
        names = self._of_proxy[proxy]
        names.discard(name)
        if not names:
            del self._of_proxy[proxy]
        return proxy

    def _see_pods(self, name: Key, proxy: Key, pods: Pods) -> list[Change]:
        known = self._pods.get(proxy, {})
        if known.get(name, {}) == pods:
            return []
        if pods:
            self._pods.setdefault(proxy, {})[name] = pods
            self._owner[name] = proxy
        else:
            # A paused proxy's slice has no endpoint: nothing of it need be kept.
            del known[name], self._owner[name]
            if not known:
                del self._pods[proxy]
        return [Change(proxy, ports=False)]


def _seniority(item: tuple[Key, Registration]) -> tuple[str, Key]:
    return item[1].created, item[0]


def name_of(manifest: Mapping[str, Any]) -> Key:
    metadata = manifest["metadata"]
    return metadata["namespace"], metadata["name"]


def registration_of(proxy: Key, manifest: Mapping[str, Any], own: str) -> Registration:
    """`own` is this activator's address, if it is known. Raises BadSlice."""
    metadata = manifest["metadata"]
    told = metadata.get("annotations") or {}
    if not proxy[1]:
        raise BadSlice(f"the label {SERVICE_NAME} is missing")
    if not told.get(UID):
        raise BadSlice(f"the annotation {UID} is missing")
    return Registration(
        proxy,
        _port(manifest),
        told[UID],
        _replicas(told.get(REPLICAS, "1")),
        told.get(TROUBLE, ""),
        metadata.get("creationTimestamp") or "",
        own in _serving(manifest),
    )


def _serving(manifest: Mapping[str, Any]) -> Iterator[str]:
    """The addresses that a dataplane may send clients to while no pod is ready."""
    for endpoint in manifest.get("endpoints") or ():
        if (endpoint.get("conditions") or {}).get("serving"):
            yield from endpoint.get("addresses") or ()


def _port(manifest: Mapping[str, Any]) -> int:
    for item in manifest.get("ports") or ():
        if item.get("name") == PORT_NAME and item.get("port") in PORTS:
            return int(item["port"])
    raise BadSlice(f"no port {PORT_NAME!r} from {PORTS.start} to {PORTS.stop - 1}")


def _replicas(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadSlice(f"the annotation {REPLICAS} is no number") from None


def pods_of(manifest: Mapping[str, Any]) -> Pods:
    """The endpoints' addresses; what is not said is as the API's reference has it."""
    if manifest.get("addressType") not in ("IPv4", "IPv6"):
        return {}
    return {
        address: _rank(endpoint.get("conditions") or {})
        for endpoint in manifest.get("endpoints") or ()
        for address in endpoint.get("addresses") or ()
    }


def _rank(conditions: Mapping[str, Any]) -> int:
    if conditions.get("terminating"):
        return TERMINATING
    # "A nil value should be interpreted as true."
    return UNREADY if conditions.get("ready") is False else READY
