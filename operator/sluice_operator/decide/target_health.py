"""How the servers are, from what the pods say of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sluice_operator.api.conditions import (
    FALSE,
    TARGETS_AVAILABLE,
    UNKNOWN,
    Reason,
    reason_of,
)
from sluice_operator.decide.seen import Seen
from sluice_operator.decide.state import TargetState
from sluice_operator.decide.verdict import Verdict, blamed, unknown, words, yes
from sluice_proxy.config import Target

Address = tuple[str, int]

_FIELDS: Mapping[Reason, str] = {
    Reason.AUTH_FAILURE: "spec.auth",
    Reason.DATABASE_NOT_FOUND: "spec.auth",
    Reason.INIT_QUERY_FAILED: "spec.connectionPool.initQuery",
    Reason.TOO_MANY_CONNECTIONS: "spec.connectionPool.maxConnectionsPercent",
    Reason.TLS_REFUSED: "spec.targetTLS",
    Reason.CERTIFICATE_INVALID: "spec.targetTLS",
}
"""Where the target itself is well and the trouble stands in another field."""

_BEST_FIRST = ("Available", "Unavailable", "Registering")


def available(seen: Seen) -> Verdict:
    """Whether the servers that the spec names are available.

    Of a spec that leads to nothing those count that the pods serve.
    """
    if seen.inputs is None:
        return health(seen.targets, ())
    wanted = [_address(target) for target in seen.inputs.config.targets]
    return health([t for t in seen.targets if _address(t) in wanted], wanted)


def health(told: Sequence[TargetState], wanted: Sequence[Address]) -> Verdict:
    """One pod that can log in is enough; `wanted` gives each server its place in the spec."""
    if not told:
        return unknown(Reason.NO_ANSWER)
    if any(target.health == "Available" for target in told):
        return yes(Reason.AVAILABLE)
    bad = next((target for target in told if target.health == "Unavailable"), None)
    if bad is None:
        return unknown(Reason.REGISTERING)
    return _unavailable(bad, wanted)


@dataclass(frozen=True, slots=True)
class Remembered:
    """What was told of the servers before the pods went; `rows` as in `status.targets`."""

    verdict: Verdict
    rows: tuple[Mapping[str, Any], ...]


def remembered(seen: Seen, old: Mapping[str, Any]) -> Remembered | None:
    """What the status `old` says of the servers, where pods say nothing now.

    None where the spec names others, and of a failure that an older spec may have caused.
    """
    found = (item for item in old.get("conditions") or () if item["type"] == TARGETS_AVAILABLE)
    told, kept = next(found, None), tuple(old.get("targets") or ())
    if told is None or told["status"] == UNKNOWN or available(seen).status != UNKNOWN:
        return None
    if told["status"] == FALSE and told["observedGeneration"] != seen.generation:
        return None
    if seen.inputs is not None and not _are_of(kept, seen.inputs.config.targets):
        return None
    reason = reason_of(told["reason"], Reason.CONNECTION_FAILED)
    return Remembered(Verdict(told["status"], reason, told["message"]), kept)


def _are_of(kept: Iterable[Mapping[str, Any]], targets: Iterable[Target]) -> bool:
    return {(row["host"], row["port"]) for row in kept} == set(map(_address, targets))


def rows(seen: Seen, last: Remembered | None = None) -> list[dict[str, Any]]:
    """`status.targets`: each server as the pod that sees it best tells it, or as told `last`."""
    if last is not None:
        return [dict(row) for row in last.rows]
    told = {target: _best(target, seen.targets) for target in map(_address, _shown(seen))}
    return [_row(state or TargetState(*target, "Registering")) for target, state in told.items()]


def _shown(seen: Seen) -> Iterable[Target | TargetState]:
    """While suspended the pods may serve other targets than the spec names."""
    if seen.inputs is None or (seen.suspended and seen.targets):
        return seen.targets
    return seen.inputs.config.targets


def _address(target: Target | TargetState) -> Address:
    return target.host, target.port


def _best(address: Address, told: Iterable[TargetState]) -> TargetState | None:
    about = [target for target in told if _address(target) == address]
    return min(about, key=lambda target: _BEST_FIRST.index(target.health), default=None)


def _unavailable(target: TargetState, wanted: Sequence[Address]) -> Verdict:
    reason = _reason(target)
    address = _address(target)
    place = f"spec.targets[{wanted.index(address)}]" if address in wanted else "spec.targets"
    said = words(target.message) or reason.meaning
    return blamed(reason, f"{_FIELDS.get(reason, place)}: {target.host}:{target.port}: {said}")


def _reason(target: TargetState) -> Reason:
    """A newer proxy may have words that this version does not know."""
    found = reason_of(target.reason, Reason.CONNECTION_FAILED)
    return found if found.condition == TARGETS_AVAILABLE else Reason.CONNECTION_FAILED


def _row(target: TargetState) -> dict[str, Any]:
    row: dict[str, Any] = {
        "host": target.host,
        "port": target.port,
        "health": target.health,
        "reason": _reason(target).value if target.health == "Unavailable" else "",
    }
    if target.max_connections is not None:
        row["maxConnections"] = target.max_connections
    return row
