"""What the watches have shown, so that a look at rest asks the API server nothing.

Holds what belongs to DatabaseProxies and what they refer to; other objects of a watched
kind pass by. Our own writes come in at once by their answers, events of them later: the
newer resourceVersion wins.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from sluice_operator import names
from sluice_operator.decide.observed import is_finished

Manifest = dict[str, Any]
Member = TypeVar("Member")
ObjectKey = tuple[str, str, str]
"""Kind, namespace and name."""


def object_key(manifest: Mapping[str, Any]) -> ObjectKey:
    metadata = manifest["metadata"]
    return manifest["kind"], metadata["namespace"], metadata["name"]


GRAVES = 1000
"""So many deleted objects are remembered, for answers that come after the news."""


@dataclass(frozen=True, slots=True)
class Grave:
    """A deleted object; `finished_of` is the proxy of a pod that did not run any more by then."""

    version: int
    finished_of: tuple[str, str] | None


class Store:
    """Objects by kind, namespace and name; those of a proxy by its name, too."""

    def __init__(self) -> None:
        self._objects: dict[ObjectKey, Manifest] = {}
        self._graves: dict[ObjectKey, Grave] = {}
        self._finished: dict[tuple[str, str], set[str]] = {}
        self._wanted: set[ObjectKey] = set()
        self._absent: set[ObjectKey] = set()
        self._of_proxy: dict[tuple[str, str], set[ObjectKey]] = {}

    def see(self, manifest: Mapping[str, Any], *, deleted: bool) -> None:
        """An event: the object as it is now, or as it was when it was deleted."""
        key = object_key(manifest)
        if deleted:
            self._bury(key, manifest)
        elif self._takes(manifest):
            self.put(manifest)
        else:
            self.forget([key])

    def put(self, manifest: Mapping[str, Any]) -> None:
        """The object as a read or a write showed it, unless a newer one is known."""
        key, version = object_key(manifest), _version(manifest)
        known = self._objects.get(key)
        if known is not None and _version(known) > version:
            return
        grave = self._graves.get(key)
        if grave is not None and grave.version > version:
            return
        self._drop(key)
        self._absent.discard(key)
        self._objects[key] = _lean(manifest)
        owner = _proxy_of(manifest)
        if owner is not None:
            self._of_proxy.setdefault(owner, set()).add(key)

    def forget(self, keys: Iterable[ObjectKey]) -> None:
        """What is known of these may be out of date: they are to be read anew."""
        for key in keys:
            self._drop(key)
            self._absent.discard(key)

    def miss(self, key: ObjectKey) -> None:
        """A read found nothing; if it is made some day, an event tells."""
        self._drop(key)
        self._absent.add(key)

    def is_absent(self, key: ObjectKey) -> bool:
        return key in self._absent

    def get(self, key: ObjectKey) -> Manifest | None:
        return self._objects.get(key)

    def want(self, key: ObjectKey) -> None:
        """Somebody refers to this object: from now on events of it are kept."""
        self._wanted.add(key)

    def of_proxy(self, namespace: str, name: str) -> list[Manifest]:
        """Everything that carries our labels and the name of this proxy."""
        return [self._objects[key] for key in sorted(self._of_proxy.get((namespace, name), ()))]

    def finished(self, namespace: str, name: str) -> frozenset[str]:
        """Names of this proxy's pods that run no more, those that were deleted since as well."""
        here = (item for item in self.of_proxy(namespace, name) if item["kind"] == "Pod")
        ended = {item["metadata"]["name"] for item in here if is_finished(item)}
        return frozenset(ended | self._finished.get((namespace, name), set()))

    def proxies(self) -> list[tuple[str, str]]:
        """Namespace and name of every DatabaseProxy."""
        return sorted(key[1:] for key in self._objects if key[0] == names.KIND)

    def __len__(self) -> int:
        return len(self._objects)

    def _takes(self, manifest: Mapping[str, Any]) -> bool:
        """Whether the object belongs to a DatabaseProxy, is one, or is referred to."""
        key = object_key(manifest)
        return key[0] == names.KIND or key in self._wanted or _proxy_of(manifest) is not None

    def _bury(self, key: ObjectKey, manifest: Mapping[str, Any]) -> None:
        known, version = self._objects.get(key), _version(manifest)
        if known is not None and _version(known) > version:
            return  # one of the same name was made since
        self._drop(key)
        self._level(key)
        ended = key[0] == "Pod" and is_finished(manifest)
        owner = _proxy_of(manifest) if ended else None
        self._graves[key] = Grave(version, owner)
        if owner is not None:
            self._finished.setdefault(owner, set()).add(key[2])
        while len(self._graves) > GRAVES:
            self._level(next(iter(self._graves)))

    def _level(self, key: ObjectKey) -> None:
        """Forgets that it was."""
        grave = self._graves.pop(key, None)
        if grave is not None and grave.finished_of is not None:
            _take_from(self._finished, grave.finished_of, key[2])

    def _drop(self, key: ObjectKey) -> None:
        known = self._objects.pop(key, None)
        owner = None if known is None else _proxy_of(known)
        if owner is not None:
            _take_from(self._of_proxy, owner, key)


def _take_from(
    sets: dict[tuple[str, str], set[Member]], owner: tuple[str, str], member: Member
) -> None:
    left = sets[owner]
    left.discard(member)
    if not left:
        del sets[owner]


def _proxy_of(manifest: Mapping[str, Any]) -> tuple[str, str] | None:
    labels = manifest["metadata"].get("labels") or {}
    if labels.get(names.LABEL_MANAGED_BY) != names.MANAGED_BY:
        return None
    name = labels.get(names.LABEL_INSTANCE)
    return None if name is None else (manifest["metadata"]["namespace"], name)


def _version(manifest: Mapping[str, Any]) -> int:
    """Kubernetes compares resourceVersions as numbers (KEP-5504); an odd one counts as new."""
    text = str(manifest["metadata"].get("resourceVersion", ""))
    return int(text) if text.isdigit() else 0


def _lean(manifest: Mapping[str, Any]) -> Manifest:
    """Without what nobody reads and what is often the larger part of an object."""
    metadata = {k: v for k, v in manifest["metadata"].items() if k != "managedFields"}
    return {**manifest, "metadata": metadata}
