"""A DatabaseProxy that is well, as values, and ways to make it ill."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sluice_operator.api.manifest import parse
from sluice_operator.decide.observed import Pod
from sluice_operator.decide.pause import Pause
from sluice_operator.decide.resolve import Missing
from sluice_operator.decide.seen import Seen, Standing
from sluice_operator.decide.state import PoolState, ProxyState, TargetState
from sluice_operator.decide.status import Status, status
from sluice_operator.desired.inputs import Inputs, ProxyImage
from sluice_operator.desired.manifest import Owner
from sluice_proxy.config import ProxyConfig, Target, User
from sluice_testing.specs import manifest

NOW = 1_800_000_000.0
STAMP = "2027-01-15T08:00:00Z"

INPUTS = Inputs(
    owner=Owner("orders", "shop", "uid-1"),
    spec=parse(manifest()).spec,
    config=ProxyConfig("shop/orders", (Target("db"),), (User("app", "pw"),)),
    issued=None,
    ca="PEM",
    egress=(),
    image=ProxyImage("sluice/proxy:1"),
    operator_namespace="sluice-system",
)
HASH = INPUTS.config_hash
AVAILABLE = TargetState("db", 5432, "Available", max_connections=100)


def unavailable(reason: str, message: str = "its words") -> TargetState:
    return TargetState("db", 5432, "Unavailable", reason, message)


def deployment(**figures: int) -> dict[str, Any]:
    """A live Deployment of two pods that has settled, but for `figures` of its status."""
    counts = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, **figures}
    conditions = [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]
    return {
        "metadata": {"generation": 3},
        "spec": {"replicas": 2},
        "status": {"observedGeneration": 3, "conditions": conditions, **counts},
    }


def with_condition(deployment: Mapping[str, Any], **condition: str) -> dict[str, Any]:
    status = {**deployment["status"], "conditions": [condition]}
    return {**deployment, "status": status}


OVERDUE = with_condition(
    deployment(availableReplicas=1),
    type="Progressing", status="False", reason="ProgressDeadlineExceeded",
)  # fmt: skip


def pod(name: str, **changes: Any) -> Pod:
    return replace(Pod(name, "10.0.0.1", True, False, ""), **changes)


def starting(name: str = "c", **changes: Any) -> Pod:
    return pod(name, ready=False, **changes)


def state(*targets: TargetState, **changes: Any) -> ProxyState:
    pool = PoolState(budget=30, open=4, borrowed=3, waiting=2, pinned=1, clients=500)
    return replace(ProxyState(HASH, "", targets or (AVAILABLE,), pool, fleet_budget=90), **changes)


def both(*targets: TargetState, **changes: Any) -> dict[str, ProxyState]:
    """What both pods of `WELL` say."""
    return {"a": state(*targets, **changes), "b": state(*targets, **changes)}


WELL = Seen(
    generation=7,
    inputs=INPUTS,
    missing=None,
    notes=(),
    config_hash=HASH,
    deployment=deployment(),
    pods=(pod("a"), pod("b")),
    states=both(),
    replicas=2,
    pause=Pause(enabled=True, wakeable=True, why_awake="1000 clients are connected", in_use=True),
)
NOBODY = replace(WELL, pods=(), states={}, deployment=None)
"""Just created."""


def refused(reason: str = "Invalid") -> Seen:
    """`WELL`, but for a spec that is not accepted: nothing could be planned."""
    missing = Missing("Accepted", reason, "spec.x", "words")
    standing = Standing(INPUTS.owner, has_ca=True)
    return replace(
        WELL, inputs=None, missing=missing, standing=standing, deployment=None, replicas=0
    )


def unresolved(missing: Missing) -> Seen:
    """`NOBODY`, and nothing follows from its spec."""
    return replace(NOBODY, inputs=None, config_hash="", missing=missing)


def of(seen: Seen, old: Status | None = None, *, now: float = NOW, due: bool = True) -> Status:
    return status(seen, old or {}, now, due=due)


def told(seen: Seen) -> dict[str, tuple[str, str]]:
    """Status and reason of each condition."""
    return {c["type"]: (c["status"], c["reason"]) for c in of(seen)["conditions"]}


def message(seen: Seen, kind: str) -> str:
    return next(str(c["message"]) for c in of(seen)["conditions"] if c["type"] == kind)
