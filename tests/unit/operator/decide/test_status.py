"""Conditions, phase and figures, computed from what was seen."""

from dataclasses import replace
from typing import Any

import pytest

from sluice_operator.api.manifest import parse
from sluice_operator.decide.observed import Observed, Pod
from sluice_operator.decide.resolve import Installation, Missing, resolve
from sluice_operator.decide.state import PoolState, ProxyState, TargetState
from sluice_operator.decide.status import Seen, Status, next_look, status
from sluice_testing.specs import manifest

NOW = 1_800_000_000.0
STAMP = "2027-01-15T08:00:00Z"
APP = {"orders-app": {"username": b"app", "password": b"pw"}}
INPUTS = resolve(
    parse(manifest({"metadata.uid": "uid-1"})),
    Observed(APP, {}, {}, ()),
    Installation("image", "sluice-system"),
    NOW,
).inputs
assert INPUTS is not None
HASH = INPUTS.config_hash
AVAILABLE = TargetState("db", 5432, "Available", max_connections=100)


def deployment(**figures: int) -> dict[str, Any]:
    counts = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, **figures}
    return {
        "metadata": {"generation": 3},
        "spec": {"replicas": 2},
        "status": {
            "observedGeneration": 3,
            "conditions": [{"type": "Available", "status": "True"}],
            **counts,
        },
    }


def pod(name: str, **changes: Any) -> Pod:
    return replace(Pod(name, "10.0.0.1", True, False, ""), **changes)


def state(config_hash: str = HASH, error: str = "", *targets: TargetState) -> ProxyState:
    pool = PoolState(budget=30, open=4, borrowed=3, waiting=2, pinned=1, clients=500)
    return ProxyState(config_hash, error, targets or (AVAILABLE,), pool)


WELL = Seen(
    generation=7,
    inputs=INPUTS,
    missing=None,
    notes=(),
    config_hash=HASH,
    deployment=deployment(),
    pods=(pod("a"), pod("b")),
    states={"a": state(), "b": state()},
)


def of(seen: Seen, old: Status | None = None, *, now: float = NOW, due: bool = True) -> Status:
    return status(seen, old or {}, now, pool_due=due)


def conditions(seen: Seen) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c["reason"]) for c in of(seen)["conditions"]}


def message(seen: Seen, kind: str) -> str:
    return next(str(c["message"]) for c in of(seen)["conditions"] if c["type"] == kind)


def test_all_is_well() -> None:
    assert conditions(WELL) == {
        "Accepted": ("True", "Valid"),
        "CredentialsReady": ("True", "Resolved"),
        "TargetsAvailable": ("True", "Available"),
        "Progressing": ("False", "Settled"),
        "Ready": ("True", "Serving"),
    }
    told = of(WELL)
    assert told["phase"] == "Running"
    assert told["observedGeneration"] == 7
    assert told["endpoint"] == "orders.shop.svc"
    assert told["replicas"] == 2
    assert told["configHash"] == HASH
    assert told["caSecretName"] == "orders-proxy-ca"
    assert told["targets"] == [
        {"host": "db", "port": 5432, "health": "Available", "reason": "", "maxConnections": 100}
    ]
    assert told["pool"] == {
        "budget": 60, "open": 8, "borrowed": 6, "waiting": 4, "pinned": 2, "clients": 1000,
    }  # fmt: skip


def test_each_condition_is_of_this_generation_and_dated() -> None:
    for condition in of(WELL)["conditions"]:
        assert condition["observedGeneration"] == 7
        assert condition["lastTransitionTime"] == STAMP


def test_the_time_of_a_transition_stays_while_the_status_does() -> None:
    first = of(WELL)
    assert of(WELL, first, now=NOW + 100) == first
    ill = replace(WELL, deployment=None)
    changed = {c["type"]: c for c in of(ill, first, now=NOW + 100)["conditions"]}
    assert changed["Ready"]["lastTransitionTime"] == "2027-01-15T08:01:40Z"
    assert changed["Accepted"]["lastTransitionTime"] == STAMP


def test_the_pools_figures_wait_for_their_minute() -> None:
    old = of(WELL)
    busier = replace(WELL, states={"a": state()})
    assert of(busier, old, due=False) == old
    assert of(busier, old, due=True)["pool"]["clients"] == 500


SECRET = Missing("CredentialsReady", "SecretNotFound", "spec.auth[0].secretRef.name", "gone")
INVALID = Missing("Accepted", "Invalid", "spec.replicas", "too many")


def test_what_is_missing_is_told_with_its_field() -> None:
    seen = replace(WELL, inputs=None, missing=SECRET, pods=(), states={}, deployment=None)
    assert conditions(seen)["CredentialsReady"] == ("False", "SecretNotFound")
    assert conditions(seen)["Ready"] == ("False", "SecretNotFound")
    assert message(seen, "CredentialsReady") == "spec.auth[0].secretRef.name: gone"
    assert of(seen)["phase"] == "Degraded"


def test_the_last_good_configuration_is_said_to_go_on() -> None:
    seen = replace(WELL, missing=SECRET)
    assert message(seen, "Ready").endswith("the last good configuration goes on serving")
    assert conditions(seen)["TargetsAvailable"] == ("True", "Available")


def test_a_spec_that_is_refused_says_nothing_of_credentials() -> None:
    seen = replace(WELL, missing=INVALID)
    assert conditions(seen)["Accepted"] == ("False", "Invalid")
    assert conditions(seen)["CredentialsReady"] == ("Unknown", "NotAccepted")
    assert conditions(seen)["Ready"] == ("False", "Invalid")


def test_notes_stand_with_the_acceptance() -> None:
    assert message(replace(WELL, notes=("open to any",)), "Accepted") == "open to any"


@pytest.mark.parametrize(
    ("target", "condition", "words"),
    [
        (
            TargetState("db", 5432, "Unavailable", "AuthFailure", "password of app"),
            ("False", "AuthFailure"),
            "spec.auth: db:5432: password of app",
        ),
        (
            TargetState("db", 5432, "Unavailable", "Unreachable", "timed out"),
            ("False", "Unreachable"),
            "spec.targets[0]: db:5432: timed out",
        ),
        (
            TargetState("db", 5432, "Unavailable", "InitQueryFailed", "it failed"),
            ("False", "InitQueryFailed"),
            "spec.connectionPool.initQuery: db:5432: it failed",
        ),
        (
            TargetState("db", 5432, "Registering"),
            ("Unknown", "Registering"),
            "the server is being asked",
        ),
    ],
)
def test_a_server_that_will_not_do(
    target: TargetState, condition: tuple[str, str], words: str
) -> None:
    seen = replace(WELL, states={"a": state(HASH, "", target)})
    assert conditions(seen)["TargetsAvailable"] == condition
    assert message(seen, "TargetsAvailable") == words
    assert conditions(seen)["Ready"] == ("False", condition[1])


def test_one_pod_that_can_log_in_is_enough() -> None:
    bad = state(HASH, "", TargetState("db", 5432, "Unavailable", "Unreachable"))
    assert conditions(replace(WELL, states={"a": bad, "b": state()}))["Ready"][0] == "True"


def test_pods_with_an_old_document_do_not_count() -> None:
    seen = replace(WELL, states={"a": state("old"), "b": state()})
    assert conditions(seen)["Progressing"] == ("True", "ConfigurationPending")
    assert conditions(seen)["Ready"] == ("True", "Serving")
    none = replace(WELL, states={"a": state("old"), "b": state("old")})
    assert conditions(none)["TargetsAvailable"] == ("Unknown", "NoAnswer")
    assert conditions(none)["Ready"][0] == "False"


@pytest.mark.parametrize("gone", [{"ready": False}, {"terminating": True}])
def test_pods_that_do_not_serve_do_not_count(gone: dict[str, Any]) -> None:
    seen = replace(WELL, pods=(pod("a", **gone),))
    assert conditions(seen)["Ready"][0] == "False"
    assert of(seen)["replicas"] == 0


def test_a_document_that_pods_refuse_is_told() -> None:
    refused = state("old", "users: empty")
    seen = replace(WELL, states={"a": refused, "b": refused})
    assert conditions(seen)["Progressing"] == ("False", "ConfigurationRefused")
    assert conditions(seen)["Ready"] == ("False", "ConfigurationRefused")
    assert message(seen, "Ready") == "users: empty"


@pytest.mark.parametrize(
    "it",
    [
        None,
        deployment(updatedReplicas=1),
        deployment(replicas=3),
        deployment(availableReplicas=1),
        deployment(observedGeneration=2),
    ],
)
def test_a_rollout_progresses(it: Any) -> None:
    assert conditions(replace(WELL, deployment=it))["Progressing"] == ("True", "RollingOut")


def test_a_deployment_that_is_not_available_is_not_ready() -> None:
    it = deployment()
    it["status"]["conditions"][0]["status"] = "False"
    seen = replace(WELL, deployment=it)
    assert conditions(seen)["Ready"] == ("False", "PodsNotReady")
    assert of(seen)["phase"] == "Pending"


def test_when_to_look_again() -> None:
    unreachable = state(HASH, "", TargetState("db", 5432, "Unavailable", "Unreachable"))
    assert next_look(WELL) == 30
    assert next_look(replace(WELL, deployment=None)) == 1
    assert next_look(replace(WELL, states={"a": unreachable, "b": unreachable})) == 3
    assert next_look(replace(WELL, inputs=None, missing=SECRET)) == 30
