"""The status of a DatabaseProxy: computed from what was seen, never consulted."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from sluice_operator import names
from sluice_operator.api import conditions
from sluice_operator.api.conditions import TRUE, Reason
from sluice_operator.decide.judge import Verdicts, judge, recalled
from sluice_operator.decide.kstatus import kstatus
from sluice_operator.decide.scarcity import fleet_budget
from sluice_operator.decide.seen import Seen, Standing
from sluice_operator.decide.sleep import ASLEEP, RESTING
from sluice_operator.decide.state import PoolState
from sluice_operator.decide.target_health import rows
from sluice_operator.decide.verdict import Verdict

__all__ = ["Seen", "Status", "next_look", "status", "timestamp"]

Status = dict[str, Any]
_Conditions = Mapping[str, Mapping[str, Any]]

SOONEST = 1.0
"""Seconds to the next look where a proxy might be paused and was not."""


def status(seen: Seen, old: Mapping[str, Any], now: float, *, due: bool) -> Status:
    """The status to show; equal to `old` if nothing is worth a write.

    `due` tells whether a minute has passed since what changes all the time was last written:
    the pool's figures, but for the budget, which clients keep it awake, and the words of an API
    server that fails. Until then the old ones stay. But where `Paused` changes, all is told
    anew: a proxy that sleeps is looked at no more.
    """
    verdicts = judge(seen, old)
    before = {item["type"]: item for item in old.get("conditions") or ()}
    phase, rest = _phase(verdicts), verdicts[conditions.PAUSED]
    due = due or _is_news(rest, before.get(conditions.PAUSED))
    told = {**verdicts, **kstatus(verdicts, seen.deployment)}
    is_due = due or phase != old.get("phase")
    shown = told if is_due else _in_words_of(before, told, seen.generation)
    dated = _conditions(shown, before, seen.generation, now)
    return {
        "observedGeneration": seen.generation,
        "phase": phase,
        "conditions": dated,
        "replicas": sum(not pod.terminating for pod in seen.pods),
        "readyReplicas": sum(pod.serving for pod in seen.pods),
        "pool": _pool(seen, None if due else old.get("pool")),
        "targets": rows(seen, recalled(seen, rest, old)),
        **_endpoint(_standing(seen)),
        "configHash": _config_hash(seen, old),
        **_paused_at(dated),
        "whyAwake": "" if rest.reason in ASLEEP else shown[conditions.PAUSED].message,
    }


def next_look(seen: Seen) -> float | None:
    """In how many seconds to look again although nothing happened; None while it is paused.

    What becomes of Deployments and pods is told by events; what pods say is not.
    """
    if seen.pause.asleep:
        return 1.0 if seen.pods else None
    again = _next_look(seen)
    return again if seen.pause.due is None else min(again, max(SOONEST, seen.pause.due))


def _next_look(seen: Seen) -> float:
    """The same, of a proxy that is awake and shall stay so."""
    verdicts = judge(seen, {})
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
    rest = verdicts[conditions.PAUSED].reason
    if not verdicts[conditions.READY].holds:
        return "Degraded" if rest in ASLEEP else "Pending"
    return rest.value if rest in RESTING else "Running"


def _is_news(verdict: Verdict, told: Mapping[str, Any] | None) -> bool:
    return told is None or (told["status"], told["reason"]) != (verdict.status, verdict.reason)


def _in_words_of(before: _Conditions, verdicts: Verdicts, generation: int) -> Verdicts:
    """What has other words each time keeps those of before, for each write leads to a look."""

    def worded(kind: str, verdict: Verdict) -> Verdict:
        told = before.get(kind, {})
        is_told = (told.get("reason"), told.get("observedGeneration")) == (
            verdict.reason, generation,
        )  # fmt: skip
        if verdict.reason not in _WORDY or not is_told:
            return verdict
        return replace(verdict, message=told["message"])

    return {kind: worded(kind, verdict) for kind, verdict in verdicts.items()}


_WORDY = frozenset((Reason.API_SERVER_ERROR, Reason.IN_USE))


def _paused_at(dated: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Absent while it is not paused."""
    paused = next(item for item in dated if item["type"] == conditions.PAUSED)
    return {"pausedAt": paused["lastTransitionTime"]} if paused["status"] == TRUE else {}


def _conditions(
    verdicts: Verdicts, before: _Conditions, generation: int, now: float
) -> list[dict[str, Any]]:
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


def _standing(seen: Seen) -> Standing | None:
    """What there is for clients: also while nothing follows from the spec."""
    if seen.inputs is None:
        return seen.standing
    return Standing(seen.inputs.owner, has_ca=bool(seen.inputs.ca))


def _endpoint(standing: Standing | None) -> dict[str, str]:
    if standing is None:
        return {"endpoint": "", "selector": "", "caSecretName": ""}
    owner = standing.owner
    labels = names.selector(owner.name)
    return {
        "endpoint": names.endpoint(owner.name, owner.namespace),
        "selector": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        "caSecretName": names.ca_secret(owner.name) if standing.has_ca else "",
    }


def _config_hash(seen: Seen, old: Mapping[str, Any]) -> str:
    """What was applied last: while suspended, a changed spec leads to nothing."""
    if seen.suspended:
        return str(old.get("configHash", ""))
    return seen.config_hash


def _pool(seen: Seen, old: Mapping[str, int] | None) -> dict[str, int]:
    """The budget is the fleet's; the rest are sums over the pods that answered, or as of `old`."""
    budget = fleet_budget(seen)
    if old is not None:
        return {**old, "budget": old["budget"] if budget is None else budget}
    total = sum((state.pool for state in seen.states.values()), PoolState())
    return asdict(replace(total, budget=budget or 0))
