"""What every child has in common: its names, labels and owner."""

from dataclasses import dataclass
from typing import Any

from sluice_operator import names

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Owner:
    """The DatabaseProxy that owns the children."""

    name: str
    namespace: str
    uid: str

    def reference(self) -> dict[str, Any]:
        return {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }


def manifest(api_version: str, kind: str, name: str, owner: Owner) -> Manifest:
    """The head of a child of `owner`; garbage collection follows the ownerReference."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": owner.namespace,
            "labels": names.labels(owner.name),
            "ownerReferences": [owner.reference()],
        },
    }
