"""The status of a DatabaseProxy: computed from what was seen, never consulted."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sluice_operator import names
from sluice_operator.api import conditions
from sluice_operator.decide.observed import Pod
from sluice_operator.decide.resolve import Missing
from sluice_operator.decide.state import PoolState, ProxyState, TargetState
from sluice_operator.desired.inputs import Inputs

Status = dict[str, Any]

# Where a target is well and the trouble is of the user's making: the field to look at.
_BLAMED = {
    "AuthFailure": "spec.auth",
    "InitQueryFailed": "spec.connectionPool.initQuery",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One condition before it is dated; `status` is True, False or Unknown."""

    status: str
    reason: str
    message: str = ""

    @property
    def holds(self) -> bool:
        return self.status == "True"


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything that a status is computed from.

    `inputs` is None where nothing can be served, `deployment` is the live one. `states`
    is what the pods that answered said, by the pod's name.
    """

    generation: int
    inputs: Inputs | None
    missing: Missing | None
    notes: tuple[str, ...]
    config_hash: str
    deployment: Mapping[str, Any] | None
    pods: tuple[Pod, ...]
    states: Mapping[str, ProxyState]

    @property
    def answers(self) -> tuple[ProxyState, ...]:
        """What ready pods said; a silent one may just be slow, and tells nothing."""
        return tuple(
            self.states[pod.name] for pod in self.pods if pod.serving and pod.name in self.states
        )

    @property
    def current(self) -> tuple[ProxyState, ...]:
        """Answers of ready pods that serve the applied document."""
        return tuple(state for state in self.answers if state.config_hash == self.config_hash)

    @property
    def behind(self) -> int:
        """How many ready pods serve another document."""
        return len(self.answers) - len(self.current)

    @property
    def refusal(self) -> str:
        """Why a pod will not serve the applied document; empty if none says so."""
        errors = (
            state.config_error
            for state in self.states.values()
            if state.config_hash != self.config_hash
        )
        return next(filter(None, errors), "")


def status(seen: Seen, old: Mapping[str, Any], now: float, *, pool_due: bool) -> Status:
    """The status to show; equal to `old` if nothing is worth a write.

    `pool_due` tells whether a minute has passed since the pool's figures were last
    written; until then the old ones stay.
    """
    verdicts = _verdicts(seen)
    result: Status = {
        "observedGeneration": seen.generation,
        "phase": _phase(verdicts),
        "conditions": _conditions(verdicts, old.get("conditions") or (), seen.generation, now),
        "replicas": sum(pod.serving for pod in seen.pods),
        "pool": old["pool"] if "pool" in old and not pool_due else _pool(seen),
        "targets": _targets(seen),
    }
    if seen.inputs is not None:
        result |= _endpoint(seen.inputs) | {"configHash": seen.config_hash}
    else:
        result |= {"endpoint": "", "selector": "", "configHash": "", "caSecretName": ""}
    return result


def next_look(seen: Seen) -> float:
    """In how many seconds to look again although nothing happened."""
    verdicts = _verdicts(seen)
    if verdicts[conditions.PROGRESSING].holds:
        return 1.0
    if seen.missing is None and not verdicts[conditions.TARGETS_AVAILABLE].holds:
        return 3.0
    return 30.0


def _verdicts(seen: Seen) -> dict[str, Verdict]:
    verdicts = {
        conditions.ACCEPTED: _accepted(seen),
        conditions.CREDENTIALS_READY: _credentials(seen),
        conditions.TARGETS_AVAILABLE: _available(seen),
        conditions.PROGRESSING: _progressing(seen),
    }
    return {**verdicts, conditions.READY: _ready(seen, verdicts)}


def _accepted(seen: Seen) -> Verdict:
    if seen.missing is not None and seen.missing.condition == conditions.ACCEPTED:
        return _refused(seen)
    return Verdict("True", "Valid", "; ".join(seen.notes))


def _credentials(seen: Seen) -> Verdict:
    if seen.missing is None:
        return Verdict("True", "Resolved")
    if seen.missing.condition == conditions.CREDENTIALS_READY:
        return _refused(seen)
    return Verdict("Unknown", "NotAccepted", "the spec is not accepted")


def _refused(seen: Seen) -> Verdict:
    assert seen.missing is not None
    kept = "; the last good configuration goes on serving" if seen.inputs is not None else ""
    return Verdict("False", seen.missing.reason, seen.missing.message + kept)


def _available(seen: Seen) -> Verdict:
    targets = [target for state in seen.current for target in state.targets]
    if not targets:
        return Verdict("Unknown", "NoAnswer", "no ready pod serves this configuration yet")
    if any(target.health == "Available" for target in targets):
        return Verdict("True", "Available")
    bad = next((target for target in targets if target.health == "Unavailable"), None)
    if bad is None:
        return Verdict("Unknown", "Registering", "the server is being asked")
    path = _BLAMED.get(bad.reason, "spec.targets[0]")
    message = f"{path}: {bad.host}:{bad.port}: {bad.message or bad.reason}"
    return Verdict("False", bad.reason or "Unavailable", message)


def _progressing(seen: Seen) -> Verdict:
    if seen.inputs is None:
        return Verdict("False", "Settled")
    if seen.refusal:
        return Verdict("False", "ConfigurationRefused", seen.refusal)
    if _rolling(seen.deployment):
        return Verdict("True", "RollingOut", "pods are being replaced or started")
    if seen.behind:
        sentence = f"pods that still serve the previous configuration: {seen.behind}"
        return Verdict("True", "ConfigurationPending", sentence)
    return Verdict("False", "Settled")


def _rolling(deployment: Mapping[str, Any] | None) -> bool:
    """As `kubectl rollout status` asks it."""
    if deployment is None:
        return True
    status = deployment.get("status") or {}
    wanted = deployment["spec"].get("replicas", 1)
    observed = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    counts = ("replicas", "updatedReplicas", "availableReplicas")
    return not observed or any(status.get(count, 0) != wanted for count in counts)


def _is_available(deployment: Mapping[str, Any] | None) -> bool:
    found = ((deployment or {}).get("status") or {}).get("conditions") or ()
    return any(item["type"] == "Available" and item["status"] == "True" for item in found)


def _ready(seen: Seen, verdicts: Mapping[str, Verdict]) -> Verdict:
    for kind in (conditions.ACCEPTED, conditions.CREDENTIALS_READY):
        if not verdicts[kind].holds:
            return _because(verdicts[kind])
    if seen.refusal and not seen.current:
        return Verdict("False", "ConfigurationRefused", seen.refusal)
    if not _is_available(seen.deployment):
        return Verdict("False", "PodsNotReady", "not enough pods are ready")
    if not verdicts[conditions.TARGETS_AVAILABLE].holds:
        return _because(verdicts[conditions.TARGETS_AVAILABLE])
    return Verdict("True", "Serving", "clients can log in")


def _because(verdict: Verdict) -> Verdict:
    return Verdict("False", verdict.reason, verdict.message)


def _phase(verdicts: Mapping[str, Verdict]) -> str:
    if verdicts[conditions.READY].holds:
        return "Running"
    broken = any(
        verdicts[kind].status == "False"
        for kind in (
            conditions.ACCEPTED,
            conditions.CREDENTIALS_READY,
            conditions.TARGETS_AVAILABLE,
        )
    )
    return "Degraded" if broken else "Pending"


def _conditions(
    verdicts: Mapping[str, Verdict],
    old: Sequence[Mapping[str, Any]],
    generation: int,
    now: float,
) -> list[dict[str, Any]]:
    before = {item["type"]: item for item in old}
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [
        {
            "type": kind,
            "status": verdicts[kind].status,
            "reason": verdicts[kind].reason,
            "message": verdicts[kind].message,
            "observedGeneration": generation,
            "lastTransitionTime": _since(before.get(kind), verdicts[kind].status, stamp),
        }
        for kind in conditions.TYPES
    ]


def _since(before: Mapping[str, Any] | None, now_status: str, stamp: str) -> str:
    if before is None or before["status"] != now_status:
        return stamp
    return str(before["lastTransitionTime"])


def _endpoint(inputs: Inputs) -> dict[str, Any]:
    owner = inputs.owner
    labels = names.selector(owner.name)
    return {
        "endpoint": names.endpoint(owner.name, owner.namespace),
        "selector": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        "caSecretName": names.ca_secret(owner.name) if inputs.ca else "",
    }


def _targets(seen: Seen) -> list[dict[str, Any]]:
    """Each target as the pod that sees it best tells it."""
    if seen.inputs is None:
        return []
    order = {"Available": 0, "Unavailable": 1, "Registering": 2}
    said = [target for state in seen.current for target in state.targets]
    rows = []
    for target in seen.inputs.config.targets:
        about = [s for s in said if (s.host, s.port) == (target.host, target.port)]
        best = min(about, key=lambda s: order[s.health], default=None)
        rows.append(_target(best or TargetState(target.host, target.port, "Registering")))
    return rows


def _target(target: TargetState) -> dict[str, Any]:
    row: dict[str, Any] = {
        "host": target.host,
        "port": target.port,
        "health": target.health,
        "reason": target.reason,
    }
    if target.max_connections is not None:
        row["maxConnections"] = target.max_connections
    return row


def _pool(seen: Seen) -> dict[str, int]:
    return asdict(sum((state.pool for state in seen.states.values()), PoolState()))
