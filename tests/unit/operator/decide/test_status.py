"""The status as a whole: its dates, figures and phase; conditions are in test_judge."""

from dataclasses import replace
from typing import Any

import pytest

from sluice_operator.api.conditions import TYPES
from sluice_operator.api.status import Status as Model
from sluice_operator.decide.resolve import Missing
from sluice_operator.decide.seen import Seen
from sluice_operator.decide.status import next_look
from sluice_testing.seen import (
    HASH,
    NOBODY,
    NOW,
    STAMP,
    WELL,
    both,
    deployment,
    of,
    pod,
    refused,
    starting,
    state,
    unavailable,
    unresolved,
)

SECRET = Missing("CredentialsReady", "SecretNotFound", "spec.auth[0].secretRef.name", "gone")


def test_all_is_well() -> None:
    told = of(WELL)
    assert told["phase"] == "Running"
    assert told["observedGeneration"] == 7
    assert told["endpoint"] == "orders.shop.svc"
    assert (
        told["selector"] == "app.kubernetes.io/instance=orders,app.kubernetes.io/name=sluice-proxy"
    )
    assert (told["replicas"], told["readyReplicas"]) == (2, 2)
    assert told["configHash"] == HASH
    assert told["caSecretName"] == "orders-proxy-ca"
    assert told["targets"] == [
        {"host": "db", "port": 5432, "health": "Available", "reason": "", "maxConnections": 100}
    ]
    assert told["pool"] == {
        "budget": 90, "open": 8, "borrowed": 6, "waiting": 4, "pinned": 2, "clients": 1000,
    }  # fmt: skip


@pytest.mark.parametrize("seen", [WELL, NOBODY, unresolved(SECRET), refused()])
def test_the_schema_knows_every_field(seen: Seen) -> None:
    told = of(seen)
    assert (
        Model.model_validate(told, extra="forbid").model_dump(by_alias=True, exclude_none=True)
        == told
    )


def test_each_condition_is_of_this_generation_and_dated() -> None:
    found = of(WELL)["conditions"]
    assert [condition["type"] for condition in found] == list(TYPES)
    for condition in found:
        assert condition["observedGeneration"] == 7
        assert condition["lastTransitionTime"] == STAMP


def test_the_time_of_a_transition_stays_while_the_status_does() -> None:
    first = of(WELL)
    assert of(WELL, first, now=NOW + 100) == first
    ill = replace(WELL, pods=())
    changed = {c["type"]: c for c in of(ill, first, now=NOW + 100)["conditions"]}
    assert changed["Ready"]["lastTransitionTime"] == "2027-01-15T08:01:40Z"
    assert changed["Accepted"]["lastTransitionTime"] == STAMP


def test_the_pools_figures_wait_for_their_minute() -> None:
    old = of(WELL)
    busier = replace(WELL, states={"a": state()})
    assert of(busier, old, due=False) == old
    assert of(busier, old, due=True)["pool"]["clients"] == 500


def test_the_budget_does_not_wait() -> None:
    old = of(replace(WELL, states=both(fleet_budget=None)))
    assert old["pool"]["budget"] == 0
    known = of(WELL, old, due=False)
    assert known["pool"] == {**old["pool"], "budget": 90}
    silent = of(replace(WELL, states={}), known, due=False)
    assert silent["pool"]["budget"] == 90


@pytest.mark.parametrize(
    ("a", "b", "budget"),
    [(90, 90, 90), (90, 45, 45), (90, None, 90), (None, None, 0)],
)
def test_the_budget_is_the_fleets(a: int | None, b: int | None, budget: int) -> None:
    states = {"a": state(fleet_budget=a), "b": state(fleet_budget=b)}
    assert of(replace(WELL, states=states))["pool"]["budget"] == budget


def test_pods_that_drain_still_count_for_the_pool() -> None:
    leaving = pod("c", terminating=True)
    seen = replace(WELL, pods=(*WELL.pods, leaving), states={**both(), "c": state()})
    told = of(seen)
    assert told["pool"]["open"] == 12
    assert (told["replicas"], told["readyReplicas"]) == (2, 2)
    more = of(replace(WELL, pods=(*WELL.pods, starting())))
    assert (more["replicas"], more["readyReplicas"]) == (3, 2)


def test_nothing_can_be_served() -> None:
    told = of(unresolved(SECRET))
    for field in ("endpoint", "selector", "configHash", "caSecretName"):
        assert told[field] == ""
    assert told["targets"] == []


def test_what_serves_is_told_although_the_spec_leads_to_nothing() -> None:
    well, told = of(WELL), of(refused())
    for field in ("endpoint", "selector", "caSecretName", "configHash", "targets", "pool"):
        assert told[field] == well[field]
    assert (told["replicas"], told["readyReplicas"]) == (2, 2)
    assert told["phase"] == "Degraded"
    silent = of(replace(refused(), states={}, pods=()))
    assert silent["targets"] == []
    assert silent["selector"] == well["selector"]


def test_a_failing_api_server_has_new_words_once_a_minute() -> None:
    failing = replace(WELL, failure="Service a/b: port 1")
    old = of(failing)
    other = replace(failing, failure="Service a/b: port 2")
    assert of(other, old, due=False) == old
    assert "port 2" in str(of(other, old, due=True)["conditions"])
    assert "port 2" in str(of(replace(other, generation=8), old, due=False)["conditions"])
    assert "port 2" in str(of(other, of(WELL), due=False)["conditions"])


@pytest.mark.parametrize(
    ("changes", "phase"),
    [
        ({}, "Running"),
        ({"suspended": True}, "Running"),
        ({"deployment": deployment(updatedReplicas=1)}, "Running"),
        ({"pods": (), "states": {}, "deployment": None}, "Pending"),
        ({"states": {}}, "Pending"),
        ({"missing": SECRET}, "Degraded"),
        ({"failure": "Service a/b: later"}, "Degraded"),
        ({"states": both(unavailable("AuthFailure"))}, "Degraded"),
        ({"states": both(config_hash="old", config_error="users: empty")}, "Degraded"),
        ({"deployment": deployment(availableReplicas=1),
          "pods": (*WELL.pods, starting(unschedulable="0/1 nodes"))}, "Degraded"),
    ],
)  # fmt: skip
def test_the_phase(changes: dict[str, Any], phase: str) -> None:
    assert of(replace(WELL, **changes))["phase"] == phase


def test_what_is_applied_stays_named_while_suspended() -> None:
    before = of(WELL)
    after = of(replace(WELL, suspended=True, config_hash="another"), before)
    assert after["configHash"] == HASH


def test_while_suspended_the_targets_are_those_that_pods_serve() -> None:
    other = replace(state().targets[0], host="other")
    suspended = replace(WELL, suspended=True, states=both(other))
    assert [row["host"] for row in of(suspended)["targets"]] == ["other"]
    assert [row["host"] for row in of(replace(suspended, states={}))["targets"]] == ["db"]
    going_on = replace(suspended, suspended=False)
    assert of(going_on)["targets"] == [
        {"host": "db", "port": 5432, "health": "Registering", "reason": ""}
    ]


def test_each_target_is_told_by_the_pod_that_sees_it_best() -> None:
    states = {"a": state(unavailable("Unreachable")), "b": state()}
    assert of(replace(WELL, states=states))["targets"][0]["health"] == "Available"
    bad = of(replace(WELL, states=both(unavailable("Unreachable"))))["targets"][0]
    assert (bad["health"], bad["reason"]) == ("Unavailable", "Unreachable")


@pytest.mark.parametrize(
    ("seen", "seconds"),
    [
        (WELL, 30),
        (NOBODY, 10),
        (replace(NOBODY, pods=(starting(unschedulable="full"),)), 30),
        (unresolved(SECRET), 30),
        (refused(), 30),
        (replace(refused(), states=both(unavailable("Unreachable"))), 3),
        (replace(WELL, deployment=deployment(updatedReplicas=1)), 1),
        (replace(WELL, states={"a": state(config_hash="old"), "b": state()}), 1),
        (replace(WELL, states={}), 1),
        (replace(WELL, states=both(unavailable("Unreachable"))), 3),
        (replace(WELL, states={"a": state(unavailable("AuthFailure")), "b": state()}), 3),
    ],
)
def test_when_to_look_again(seen: Seen, seconds: float) -> None:
    assert next_look(seen) == seconds
