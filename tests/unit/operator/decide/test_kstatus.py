"""What Flux, kpt and `helm --wait` make of a status, by the rules of kstatus."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from sluice_operator.decide.resolve import Missing
from sluice_operator.decide.seen import Seen
from sluice_testing.asleep import ASLEEP, DRAINING, PAUSED, WAKING
from sluice_testing.seen import (
    NOBODY,
    OVERDUE,
    WELL,
    both,
    deployment,
    of,
    refused,
    starting,
    state,
    told,
    unavailable,
    with_condition,
)


def verdict(generation: int, status: Mapping[str, Any]) -> str:
    """kstatus' own order (cli-utils, pkg/kstatus/status: generic.go, core.go)."""
    if "observedGeneration" in status and status["observedGeneration"] != generation:
        return "InProgress"
    conditions = {c["type"]: c["status"] for c in status.get("conditions", ())}
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    return "InProgress" if conditions.get("Ready", "True") != "True" else "Current"


def missing(condition: str, reason: str) -> Missing:
    return Missing(condition, reason, "spec.x", "words")


REFUSED = both(config_hash="old", config_error="users: empty")
BAD_IMAGE = (*WELL.pods, starting(waiting_reason="ErrImagePull"))


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (WELL, "Current"),
        (NOBODY, "InProgress"),
        (replace(WELL, suspended=True), "Current"),
        (replace(NOBODY, suspended=True), "InProgress"),
        (replace(WELL, deployment=deployment(updatedReplicas=1)), "InProgress"),
        (replace(WELL, states={"a": state(config_hash="old"), "b": state()}), "InProgress"),
        (replace(WELL, states=both(unavailable("Unreachable"))), "InProgress"),
        # What another controller may bring is waited for.
        (replace(WELL, missing=missing("CredentialsReady", "SecretNotFound")), "InProgress"),
        (refused("NameTaken"), "InProgress"),
        (replace(WELL, missing=missing("Accepted", "Forbidden")), "InProgress"),
        (replace(WELL, deployment=deployment(updatedReplicas=1), pods=BAD_IMAGE), "InProgress"),
        (replace(WELL, states=both(fleet_budget=1)), "InProgress"),
        # The API server is asked again.
        (replace(NOBODY, failure="Service a/b: later"), "InProgress"),
        (replace(WELL, failure="Service a/b: later"), "InProgress"),
        (replace(WELL, failure="Service a/b: later", deployment=OVERDUE), "InProgress"),
        # No waiting helps.
        (replace(WELL, missing=missing("Accepted", "Invalid")), "Failed"),
        (refused("Invalid"), "Failed"),
        (refused("UnsupportedEngineFamily"), "Failed"),
        (replace(WELL, missing=missing("Accepted", "Rejected")), "Failed"),
        (replace(WELL, states=REFUSED), "Failed"),
        (replace(WELL, deployment=OVERDUE), "Failed"),
        (replace(WELL, deployment=OVERDUE, pods=BAD_IMAGE), "Failed"),
    ],
)
def test_the_verdict(seen: Seen, expected: str) -> None:
    assert verdict(7, of(seen)) == expected


def test_clients_are_served_while_a_change_is_refused_or_on_its_way() -> None:
    for seen in (
        refused("Invalid"),
        replace(WELL, deployment=deployment(updatedReplicas=1)),
    ):
        assert told(seen)["Ready"] == ("True", "Serving")


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (DRAINING, "Current"),
        (PAUSED, "Current"),
        (WAKING, "InProgress"),
        (replace(WAKING, deployment=OVERDUE), "Failed"),
        (replace(PAUSED, deployment=with_condition(
            PAUSED.deployment or {},
            type="Progressing", status="False", reason="ProgressDeadlineExceeded")), "Current"),
        (replace(PAUSED, missing=missing("CredentialsReady", "SecretNotFound")), "InProgress"),
        (replace(PAUSED, missing=missing("Accepted", "Invalid")), "Failed"),
    ],
)  # fmt: skip
def test_who_sleeps_is_done(seen: Seen, expected: str) -> None:
    assert verdict(7, of(seen, ASLEEP)) == expected


def test_an_older_generation_is_never_done() -> None:
    assert verdict(8, of(WELL)) == "InProgress"


def test_there_are_two_more_conditions_only_while_they_are_true() -> None:
    assert not {"Reconciling", "Stalled"} & told(WELL).keys()
    rolling = replace(WELL, deployment=deployment(updatedReplicas=1))
    assert told(rolling)["Reconciling"] == ("True", "RollingOut")
    assert told(replace(WELL, deployment=OVERDUE, pods=BAD_IMAGE))["Stalled"] == (
        "True", "ImagePullFailed",
    )  # fmt: skip
