"""The conditions, from what was seen; what becomes of them in a pause is in test_sleep."""

from dataclasses import replace
from typing import Any

import pytest

from sluice_operator.decide.overcommit import Overcommit, Rival
from sluice_operator.decide.resolve import Missing
from sluice_operator.decide.seen import Seen
from sluice_testing.seen import (
    AVAILABLE,
    NOBODY,
    OVERDUE,
    WELL,
    both,
    deployment,
    message,
    pod,
    refused,
    starting,
    state,
    told,
    unavailable,
    unresolved,
)

SECRET = Missing("CredentialsReady", "SecretNotFound", "spec.auth[0].secretRef.name", "gone")
INVALID = Missing("Accepted", "Invalid", "spec.replicas", "too many")
REGISTERING = replace(AVAILABLE, health="Registering", max_connections=None)


def test_all_is_well() -> None:
    assert told(WELL) == {
        "Accepted": ("True", "Valid"),
        "CredentialsReady": ("True", "Resolved"),
        "TargetsAvailable": ("True", "Available"),
        "Overcommitted": ("False", "WithinLimits"),
        "Progressing": ("False", "Settled"),
        "Paused": ("False", "InUse"),
        "Ready": ("True", "Serving"),
    }


def test_just_created() -> None:
    assert told(NOBODY) == {
        "Accepted": ("True", "Valid"),
        "CredentialsReady": ("True", "Resolved"),
        "TargetsAvailable": ("Unknown", "NoAnswer"),
        "Overcommitted": ("False", "WithinLimits"),
        "Progressing": ("True", "RollingOut"),
        "Paused": ("False", "InUse"),
        "Ready": ("False", "PodsNotReady"),
        "Reconciling": ("True", "RollingOut"),
    }


def test_what_is_wrong_and_served_all_the_same_holds_up_nothing() -> None:
    """A certificate that is out of date, where there is no better one."""
    expired = Missing(
        "CredentialsReady", "CertificateExpired", "spec.tls.secretRef", "it expired", halts=False
    )
    seen = replace(WELL, missing=expired)
    found = told(seen)
    assert found["CredentialsReady"] == ("False", "CertificateExpired")
    assert (found["Progressing"], found["Ready"]) == (("False", "Settled"), ("True", "Serving"))
    assert "last good" not in message(seen, "CredentialsReady")
    assert "last good" in message(
        replace(WELL, missing=replace(expired, halts=True)), "CredentialsReady"
    )


def test_what_is_missing_is_told_with_its_field_and_what_to_do() -> None:
    seen = unresolved(SECRET)
    assert told(seen)["CredentialsReady"] == ("False", "SecretNotFound")
    assert told(seen)["Ready"] == ("False", "SecretNotFound")
    assert told(seen)["Progressing"] == ("False", "Blocked")
    words = (
        "spec.auth[0].secretRef.name: gone: create it in the namespace of the DatabaseProxy, "
        "or correct the name"
    )
    assert message(seen, "CredentialsReady") == words
    assert message(seen, "Ready") == words


@pytest.mark.parametrize(
    ("seen", "missing"),
    [
        (replace(WELL, missing=SECRET), SECRET),
        # Refused when its document is made; the model refuses before there are any inputs.
        (replace(WELL, missing=INVALID), INVALID),
        (replace(refused(), missing=INVALID), INVALID),
    ],
)
def test_the_last_good_configuration_goes_on_and_says_so(seen: Seen, missing: Missing) -> None:
    assert message(seen, missing.condition).endswith(
        "; the last good configuration goes on serving"
    )
    assert told(seen)[missing.condition] == ("False", missing.reason)
    assert told(seen)["TargetsAvailable"] == ("True", "Available")
    assert told(seen)["Progressing"] == ("False", "Blocked")
    assert told(seen)["Ready"] == ("True", "Serving")


def test_a_spec_that_is_refused_says_nothing_of_credentials() -> None:
    seen = unresolved(INVALID)
    assert told(seen)["Accepted"] == ("False", "Invalid")
    assert told(seen)["CredentialsReady"] == ("Unknown", "NotAccepted")
    assert told(seen)["Ready"] == ("False", "Invalid")


def test_the_servers_of_a_spec_that_is_refused_are_those_that_pods_serve() -> None:
    seen = replace(refused(), states=both(unavailable("Unreachable", "refused")))
    assert told(seen)["TargetsAvailable"] == ("False", "Unreachable")
    assert told(seen)["Ready"] == ("False", "Unreachable")
    assert message(seen, "Ready").startswith("spec.targets: db:5432: refused: ")


FAILURE = "Deployment shop/orders-proxy: failed calling webhook"


def test_a_failure_of_the_api_server_is_why_there_is_no_progress() -> None:
    new = replace(NOBODY, failure=FAILURE)
    assert told(new)["Accepted"] == ("True", "Valid")
    assert told(new)["Progressing"] == ("False", "APIServerError")
    assert told(new)["Ready"] == ("False", "APIServerError")
    assert message(new, "Ready").startswith(f"{FAILURE}: wait, for it is tried again; ")
    changed = replace(WELL, failure=FAILURE)
    assert told(changed)["Progressing"] == ("False", "APIServerError")
    assert told(changed)["Ready"] == ("True", "Serving")
    starved = replace(changed, states=both(fleet_budget=1))
    assert told(starved)["Ready"] == ("False", "BudgetTooSmall")


def test_notes_stand_with_the_acceptance() -> None:
    assert message(replace(WELL, notes=("open to any",)), "Accepted") == "open to any"


@pytest.mark.parametrize(
    ("reason", "field"),
    [
        ("AuthFailure", "spec.auth"),
        ("DatabaseNotFound", "spec.auth"),
        ("Unreachable", "spec.targets[0]"),
        ("HostNotFound", "spec.targets[0]"),
        ("ConnectionFailed", "spec.targets[0]"),
        ("TLSRefused", "spec.targetTLS"),
        ("CertificateInvalid", "spec.targetTLS"),
        ("TooManyConnections", "spec.connectionPool.maxConnectionsPercent"),
        ("InitQueryFailed", "spec.connectionPool.initQuery"),
    ],
)
def test_a_server_that_will_not_do(reason: str, field: str) -> None:
    seen = replace(WELL, states=both(unavailable(reason, "FATAL:  it\n says no.")))
    assert told(seen)["TargetsAvailable"] == ("False", reason)
    assert told(seen)["Ready"] == ("False", reason)
    assert message(seen, "TargetsAvailable").startswith(f"{field}: db:5432: FATAL: it says no: ")
    assert message(seen, "Ready") == message(seen, "TargetsAvailable")


@pytest.mark.parametrize("reason", ["NoSuchWord", "", "Serving"])
def test_a_word_that_is_not_known_is_none_of_ours(reason: str) -> None:
    seen = replace(WELL, states=both(unavailable(reason)))
    assert told(seen)["TargetsAvailable"] == ("False", "ConnectionFailed")


def test_a_server_that_was_not_asked_yet() -> None:
    seen = replace(WELL, states=both(REGISTERING))
    assert told(seen)["TargetsAvailable"] == ("Unknown", "Registering")
    assert told(seen)["Ready"] == ("Unknown", "Registering")


def test_one_pod_that_can_log_in_is_enough() -> None:
    states = {"a": state(unavailable("Unreachable")), "b": state()}
    assert told(replace(WELL, states=states))["Ready"] == ("True", "Serving")


def test_pods_that_do_not_answer_tell_nothing() -> None:
    seen = replace(WELL, states={})
    assert told(seen)["TargetsAvailable"] == ("Unknown", "NoAnswer")
    assert told(seen)["Ready"] == ("Unknown", "NoAnswer")
    assert told(seen)["Progressing"] == ("True", "ConfigurationPending")


def test_those_of_before_a_change_serve_until_it_has_come() -> None:
    half = replace(WELL, states={"a": state(config_hash="old"), "b": state()})
    assert told(half)["Progressing"] == ("True", "ConfigurationPending")
    assert told(half)["Ready"] == ("True", "Serving")
    none = replace(WELL, states=both(config_hash="old"))
    assert told(none)["TargetsAvailable"] == ("True", "Available")
    assert told(none)["Ready"] == ("True", "Serving")


def test_who_has_the_change_is_believed_before_who_has_not() -> None:
    states = {"a": state(config_hash="old"), "b": state(unavailable("AuthFailure"))}
    assert told(replace(WELL, states=states))["Ready"] == ("False", "AuthFailure")


def test_another_target_is_not_known_before_a_pod_was_told_of_it() -> None:
    old = both(replace(AVAILABLE, host="before"), config_hash="old")
    seen = replace(WELL, states=old)
    assert told(seen)["TargetsAvailable"] == ("Unknown", "NoAnswer")
    assert told(seen)["Ready"] == ("True", "Serving")


@pytest.mark.parametrize("gone", [{"ready": False}, {"terminating": True}])
def test_pods_that_do_not_serve_do_not_count(gone: dict[str, Any]) -> None:
    seen = replace(WELL, pods=(pod("a", **gone),))
    assert told(seen)["Ready"] == ("False", "PodsNotReady")


def test_a_document_that_pods_refuse_is_told() -> None:
    refused = both(config_hash="old", config_error="users: empty")
    seen = replace(WELL, states=refused)
    assert told(seen)["Progressing"] == ("False", "ConfigurationRefused")
    assert message(seen, "Progressing").startswith("users: empty: ")
    assert told(seen)["Ready"] == ("True", "Serving")
    rolling = replace(seen, deployment=deployment(updatedReplicas=1))
    assert told(rolling)["Progressing"] == ("True", "RollingOut")


@pytest.mark.parametrize(
    "changes",
    [
        {"deployment": None},
        {"deployment": deployment(updatedReplicas=1)},
        {"deployment": deployment(replicas=3)},
        {"deployment": deployment(availableReplicas=1)},
        {"deployment": deployment(observedGeneration=2)},
        {"replicas": 3},
    ],
)
def test_a_later_rollout_progresses_while_the_old_pods_serve(changes: dict[str, Any]) -> None:
    seen = replace(WELL, **changes)
    assert told(seen)["Progressing"] == ("True", "RollingOut")
    assert told(seen)["Ready"] == ("True", "Serving")


IMAGE = starting(image="sluice/proxy:2", waiting_reason="ErrImagePull", waiting_message="no")


def test_trouble_of_pods_is_why_there_is_no_progress() -> None:
    seen = replace(NOBODY, deployment=deployment(availableReplicas=0), pods=(IMAGE,))
    assert told(seen)["Progressing"] == ("False", "ImagePullFailed")
    assert told(seen)["Ready"] == ("False", "ImagePullFailed")
    assert message(seen, "Ready").startswith("image sluice/proxy:2: no: ")
    served = replace(WELL, deployment=deployment(updatedReplicas=1), pods=(*WELL.pods, IMAGE))
    assert told(served)["Progressing"] == ("False", "ImagePullFailed")
    assert told(served)["Ready"] == ("True", "Serving")


def test_a_rollout_that_comes_no_further() -> None:
    assert told(replace(WELL, deployment=OVERDUE))["Progressing"] == (
        "False", "ProgressDeadlineExceeded",
    )  # fmt: skip


def test_suspended_is_said_and_all_else_goes_on_being_told() -> None:
    seen = replace(WELL, suspended=True, config_hash="never applied")
    assert told(seen)["Progressing"] == ("False", "Suspended")
    assert told(seen)["TargetsAvailable"] == ("True", "Available")
    assert told(seen)["Ready"] == ("True", "Serving")
    ill = replace(seen, states=both(unavailable("Unreachable")))
    assert told(ill)["Ready"] == ("False", "Unreachable")
    assert told(replace(NOBODY, suspended=True))["Ready"] == ("False", "Suspended")


@pytest.mark.parametrize(
    ("budget", "progressing", "ready"),
    [
        (5, ("False", "Settled"), ("True", "Serving")),
        (4, ("False", "Settled"), ("True", "Serving")),
        (2, ("False", "Settled"), ("True", "Serving")),
        (1, ("False", "BudgetTooSmall"), ("False", "BudgetTooSmall")),
        (0, ("False", "BudgetTooSmall"), ("False", "BudgetTooSmall")),
    ],
)
def test_a_budget_for_less_than_all(
    budget: int, progressing: tuple[str, str], ready: tuple[str, str]
) -> None:
    seen = replace(WELL, states=both(fleet_budget=budget))
    assert told(seen)["Accepted"] == ("True", "Valid")
    assert told(seen)["TargetsAvailable"] == ("True", "Available")
    assert told(seen)["Progressing"] == progressing
    assert told(seen)["Ready"] == ready
    assert ("maxConnectionsPercent" in message(seen, "Accepted")) == (budget < 5)


def test_a_database_that_is_shared_out_beyond_its_end_is_a_warning() -> None:
    excess = Overcommit(60, (Rival("shop", "reports", 50), Rival("till", "orders", 30)))
    seen = replace(WELL, overcommit=excess)
    assert told(seen)["Overcommitted"] == ("True", "SharedBudgetExceeded")
    assert message(seen, "Overcommitted") == (
        "spec.connectionPool.maxConnectionsPercent: 60 % here and 50 % of shop/reports and "
        "30 % of till/orders are 140 % of one database: lower their maxConnectionsPercent "
        "until the sum is 100"
    )
    assert told(seen)["Ready"] == ("True", "Serving")
