"""Which children must be written, which must go, and which names are somebody else's."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sluice_operator import names
from sluice_operator.decide.observed import ChildKey, Children, child_key
from sluice_operator.decide.resolve import is_owned
from sluice_operator.desired.manifest import Manifest, Owner


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do; if `taken` is not empty, nothing else is done."""

    apply: tuple[Manifest, ...] = ()
    delete: tuple[Manifest, ...] = ()
    taken: tuple[ChildKey, ...] = ()


def plan(desired: Sequence[Manifest], live: Children, owner: Owner) -> Plan:
    """What makes `live` into `desired`. At rest it is empty.

    A child is written if what we want differs from what we wrote last (its hash), or if
    somebody changed a field of ours. Children of ours that are no longer wanted go. An
    object of another owner is never touched.
    """
    stamped = tuple(_stamped(manifest) for manifest in desired)
    wanted = {child_key(manifest) for manifest in stamped}
    taken = tuple(key for key in sorted(wanted) if key in live and not is_owned(live[key], owner))
    if taken:
        return Plan(taken=taken)
    return Plan(
        apply=tuple(m for m in stamped if not _holds(live.get(child_key(m)), m)),
        delete=tuple(
            manifest
            for key, manifest in sorted(live.items())
            if key not in wanted and is_owned(manifest, owner)
        ),
    )


def differing(wanted: Manifest, live: Mapping[str, Any] | None) -> Manifest | None:
    """`wanted` as it is to be applied; None where `live` is that already."""
    stamped = _stamped(wanted)
    return None if _holds(live, stamped) else stamped


def _stamped(manifest: Manifest) -> Manifest:
    """`manifest` with the hash of itself, by which a field that is gone is noticed."""
    metadata = manifest["metadata"]
    annotations = {**metadata.get("annotations", {}), names.APPLIED_HASH: _hash(manifest)}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def _hash(manifest: Manifest) -> str:
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _holds(live: Any, wanted: Any) -> bool:
    """Whether every field of `wanted` is in `live` with the same value."""
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(
            _holds(live.get(key), value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(live, list) and _holds_list(live, wanted)
    return bool(live == wanted)


def _holds_list(live: list[Any], wanted: list[Any]) -> bool:
    """Lists of named things may hold more of others; all other lists are ours whole."""
    named = bool(wanted) and all(isinstance(item, Mapping) and "name" in item for item in wanted)
    if not named:
        return len(live) == len(wanted) and all(map(_holds, live, wanted))
    found = {item.get("name"): item for item in live if isinstance(item, Mapping)}
    return all(_holds(found.get(item["name"]), item) for item in wanted)
