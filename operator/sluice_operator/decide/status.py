"""The status of a DatabaseProxy: computed from what was seen, never consulted."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from sluice_operator import names
from sluice_operator.api import conditions
from sluice_operator.api.conditions import Reason
from sluice_operator.decide.judge import Verdicts, judge
from sluice_operator.decide.kstatus import kstatus
from sluice_operator.decide.scarcity import fleet_budget
from sluice_operator.decide.seen import Seen
from sluice_operator.decide.state import PoolState
from sluice_operator.decide.target_health import rows
from sluice_operator.desired.inputs import Inputs

__all__ = ["Seen", "Status", "next_look", "status", "timestamp"]

Status = dict[str, Any]


def status(seen: Seen, old: Mapping[str, Any], now: float, *, pool_due: bool) -> Status:
    """The status to show; equal to `old` if nothing is worth a write.

    `pool_due` tells whether a minute has passed since the pool's figures were last
    written; until then the old ones stay, but for the budget.
    """
    verdicts = judge(seen)
    all_of_them = {**verdicts, **kstatus(verdicts, seen.deployment)}
    return {
        "observedGeneration": seen.generation,
        "phase": _phase(verdicts),
        "conditions": _conditions(all_of_them, old.get("conditions") or (), seen.generation, now),
        "replicas": sum(not pod.terminating for pod in seen.pods),
        "readyReplicas": sum(pod.serving for pod in seen.pods),
        "pool": _pool(seen, None if pool_due else old.get("pool")),
        "targets": rows(seen),
        **_endpoint(seen.inputs),
        "configHash": _config_hash(seen, old),
    }


def next_look(seen: Seen) -> float:
    """In how many seconds to look again although nothing happened.

    What becomes of Deployments and pods is told by events; what pods say is not.
    """
    verdicts = judge(seen)
    if not seen.serves:
        return 10.0 if verdicts[conditions.PROGRESSING].holds else 30.0
    if verdicts[conditions.PROGRESSING].holds:
        return 1.0
    # Where pods do not agree, one of them is about to find out.
    agreed = all(target.health == "Available" for target in seen.targets)
    return 30.0 if verdicts[conditions.TARGETS_AVAILABLE].holds and agreed else 3.0


def timestamp(now: float) -> str:
    """Seconds since the epoch as Kubernetes writes times."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _phase(verdicts: Verdicts) -> str:
    progress = verdicts[conditions.PROGRESSING]
    parts = (conditions.ACCEPTED, conditions.CREDENTIALS_READY, conditions.TARGETS_AVAILABLE)
    at_rest = progress.reason in (Reason.SETTLED, Reason.SUSPENDED)
    if any(verdicts[kind].fails for kind in parts) or (progress.fails and not at_rest):
        return "Degraded"
    return "Running" if verdicts[conditions.READY].holds else "Pending"


def _conditions(
    verdicts: Verdicts, old: Sequence[Mapping[str, Any]], generation: int, now: float
) -> list[dict[str, Any]]:
    before = {item["type"]: item for item in old}
    return [
        {
            "type": kind,
            "status": verdict.status,
            "reason": verdict.reason.value,
            "message": verdict.message,
            "observedGeneration": generation,
            "lastTransitionTime": _since(before.get(kind), verdict.status, timestamp(now)),
        }
        for kind, verdict in verdicts.items()
    ]


def _since(before: Mapping[str, Any] | None, now_status: str, stamp: str) -> str:
    if before is None or before["status"] != now_status:
        return stamp
    return str(before["lastTransitionTime"])


def _endpoint(inputs: Inputs | None) -> dict[str, str]:
    if inputs is None:
        return {"endpoint": "", "selector": "", "caSecretName": ""}
    owner = inputs.owner
    labels = names.selector(owner.name)
    return {
        "endpoint": names.endpoint(owner.name, owner.namespace),
        "selector": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        "caSecretName": names.ca_secret(owner.name) if inputs.ca else "",
    }


def _config_hash(seen: Seen, old: Mapping[str, Any]) -> str:
    """What was applied last: while suspended, a changed spec leads to nothing."""
    if seen.suspended:
        return str(old.get("configHash", ""))
    return seen.config_hash if seen.inputs is not None else ""


def _pool(seen: Seen, old: Mapping[str, int] | None) -> dict[str, int]:
    """The budget is the fleet's; the rest are sums over the pods that answered, or as of `old`."""
    budget = fleet_budget(seen)
    if old is not None:
        return {**old, "budget": old["budget"] if budget is None else budget}
    total = sum((state.pool for state in seen.states.values()), PoolState())
    return asdict(replace(total, budget=budget or 0))
