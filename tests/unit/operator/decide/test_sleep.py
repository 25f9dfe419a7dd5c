"""What the conditions say of a proxy that sleeps, is about to, or wakes up."""

from dataclasses import replace

import pytest

from sluice_operator.decide.pause import Pause
from sluice_operator.decide.resolve import Missing
from sluice_operator.decide.seen import Seen
from sluice_operator.decide.state import TargetState
from sluice_operator.decide.status import Status
from sluice_proxy.config import Target
from sluice_testing.asleep import ASLEEP, AT_WORK, DRAINING, DREAM, PAUSED, WAKING
from sluice_testing.seen import (
    INPUTS,
    NOBODY,
    OVERDUE,
    WELL,
    both,
    deployment,
    of,
    refused,
    starting,
    state,
    unavailable,
)

SECRET = Missing("CredentialsReady", "SecretNotFound", "spec.auth[0].secretRef.name", "gone")
REGISTERING = TargetState("db", 5432, "Registering")
ILL = of(replace(WELL, states=both(unavailable("Unreachable", "refused"))))
FULL = (starting("c", unschedulable="0/1 nodes"),)


def told(seen: Seen, old: Status) -> dict[str, tuple[str, str]]:
    """Status and reason of each condition."""
    return {c["type"]: (c["status"], c["reason"]) for c in of(seen, old)["conditions"]}


def message(seen: Seen, old: Status, kind: str) -> str:
    return next(str(c["message"]) for c in of(seen, old)["conditions"] if c["type"] == kind)


@pytest.mark.parametrize(
    ("seen", "paused", "ready", "words"),
    [
        (DRAINING, ("False", "Draining"), ("True", "Draining"), "the next connection wakes it"),
        (PAUSED, ("True", "Paused"), ("True", "Paused"), "the next connection wakes it"),
        (WAKING, ("False", "Waking"), ("True", "Waking"), "is held until a pod listens"),
    ],
)
def test_a_client_gets_in_all_the_same(
    seen: Seen, paused: tuple[str, str], ready: tuple[str, str], words: str
) -> None:
    assert told(seen, ASLEEP)["Paused"] == paused
    assert told(seen, ASLEEP)["Ready"] == ready
    assert message(seen, ASLEEP, "Ready").startswith("clients can log in: ")
    assert message(seen, ASLEEP, "Ready").endswith(words)


def test_nothing_is_rolled_out_where_no_pod_is_wanted() -> None:
    for seen in (DRAINING, PAUSED, replace(PAUSED, deployment=deployment(observedGeneration=2))):
        assert told(seen, of(WELL))["Progressing"] == ("False", "Settled")
    assert told(WAKING, ASLEEP)["Progressing"] == ("True", "RollingOut")


@pytest.mark.parametrize(
    ("pause", "found", "words"),
    [
        (Pause(True, True, why_awake="3 clients are here", in_use=True), "InUse",
         "3 clients are here"),
        (Pause(True, True, why_awake="its pods are being started"), "Awake",
         "its pods are being started"),
        (Pause(True, True), "Awake", "something is under way"),
        (Pause(False, True, why_awake="autoPause.enabled is false"), "AutoPauseDisabled",
         "autoPause.enabled is false"),
        (Pause(False, False), "AutoPauseDisabled", "`autoPause` is switched off"),
        (Pause(True, False, why_awake="no activator is ready"), "NoActivator",
         "no activator is ready: let the chart install activators (activator.enabled)"),
        (Pause(True, False), "NoActivator", "there is no activator that could wake it: "),
    ],
)  # fmt: skip
def test_why_a_proxy_is_awake(pause: Pause, found: str, words: str) -> None:
    seen = replace(WELL, pause=pause)
    assert told(seen, {})["Paused"] == ("False", found)
    assert message(seen, {}, "Paused").startswith(words)
    assert told(seen, {})["Ready"] == ("True", "Serving")


def test_only_who_slept_can_wake() -> None:
    assert told(WAKING, of(WELL))["Paused"] == ("False", "Awake")
    assert told(WAKING, of(WELL))["Ready"] == ("False", "PodsNotReady")
    assert told(NOBODY, {})["Paused"] == ("False", "InUse")


@pytest.mark.parametrize("before", [PAUSED, DRAINING, WAKING])
def test_it_wakes_until_a_pod_tells_how_the_server_is(before: Seen) -> None:
    old = of(before, ASLEEP)
    up = replace(WELL, pause=AT_WORK)
    assert told(replace(up, states={}), old)["Paused"] == ("False", "Waking")
    assert "no ready pod has told yet" in message(replace(up, states={}), old, "Paused")
    assert told(replace(up, states=both(REGISTERING)), old)["Paused"] == ("False", "Waking")
    assert told(up, old)["Paused"] == ("False", "Awake")
    ill = replace(up, states=both(unavailable("Unreachable")))
    assert told(ill, old)["Paused"] == ("False", "Awake")
    assert told(ill, old)["Ready"] == ("False", "Unreachable")


def test_a_wake_flaps_nothing() -> None:
    """From the first pod on: what it is asked, then what it answers."""
    status = of(WAKING, ASLEEP)
    up = replace(WELL, pause=AT_WORK)
    for seen in (replace(up, states={}), replace(up, states={"a": state(REGISTERING)}), up):
        status = of(seen, status)
        found = {c["type"]: c["status"] for c in status["conditions"]}
        assert (found["Ready"], found["TargetsAvailable"]) == ("True", "True")


def test_who_cannot_come_up_is_not_ready() -> None:
    found = told(replace(WAKING, pods=FULL), ASLEEP)
    assert found["Paused"] == ("False", "Waking")
    assert (found["Progressing"], found["Ready"]) == (("False", "Unschedulable"),) * 2
    assert told(replace(WAKING, deployment=OVERDUE), ASLEEP)["Ready"] == (
        "False", "ProgressDeadlineExceeded",
    )  # fmt: skip
    failing = replace(WAKING, failure="Deployment shop/orders-proxy: later")
    assert told(failing, ASLEEP)["Ready"] == ("False", "APIServerError")
    starved = replace(WAKING, states={"x": state(fleet_budget=1)})
    assert told(starved, ASLEEP)["Ready"] == ("False", "BudgetTooSmall")


@pytest.mark.parametrize(
    "changes", [{"suspended": True}, {"inputs": None, "missing": SECRET, "deployment": None}]
)
def test_who_wakes_while_nothing_is_written(changes: dict[str, object]) -> None:
    waking = replace(WAKING, **changes)  # type: ignore[arg-type]
    assert told(waking, ASLEEP)["Ready"] == ("True", "Waking")
    assert told(replace(waking, pods=FULL), ASLEEP)["Ready"] == ("False", "Unschedulable")


@pytest.mark.parametrize("seen", [DRAINING, PAUSED, WAKING])
def test_without_an_activator_nobody_holds_a_client(seen: Seen) -> None:
    alone = replace(seen, pause=replace(seen.pause, wakeable=False))
    assert told(alone, ASLEEP)["Ready"] == ("False", "NoActivator")
    assert told(alone, ASLEEP)["Paused"] == told(seen, ASLEEP)["Paused"]


@pytest.mark.parametrize("seen", [DRAINING, PAUSED, WAKING])
def test_the_servers_are_as_they_were_told_last(seen: Seen) -> None:
    well, ill = of(WELL), ILL
    for old, health in ((well, ("True", "Available")), (ill, ("False", "Unreachable"))):
        slept = of(PAUSED, old)
        assert told(seen, slept)["TargetsAvailable"] == health
        assert of(seen, slept)["targets"] == old["targets"]
    slept = of(PAUSED, ill)
    assert told(seen, slept)["Ready"] == ("False", "Unreachable")
    assert message(seen, slept, "TargetsAvailable") == message(
        replace(WELL, states=both(unavailable("Unreachable", "refused"))), {}, "TargetsAvailable"
    )


def test_who_is_told_nothing_remembers_nothing() -> None:
    assert told(PAUSED, {})["TargetsAvailable"] == ("Unknown", "NoAnswer")
    assert told(PAUSED, {})["Ready"] == ("True", "Paused")
    assert of(PAUSED, {})["targets"][0]["health"] == "Registering"


def test_nobody_is_being_asked_any_more() -> None:
    slept = of(PAUSED, of(replace(WELL, states=both(REGISTERING))))
    assert told(PAUSED, slept)["TargetsAvailable"] == ("Unknown", "NoAnswer")


def test_who_still_tells_is_believed() -> None:
    """Scaled to zero a moment ago: nobody has told the pods yet."""
    seen = replace(DRAINING, pods=WELL.pods, states=both(unavailable("Unreachable")))
    assert told(seen, of(WELL))["TargetsAvailable"] == ("False", "Unreachable")
    assert of(seen, of(WELL))["targets"][0]["health"] == "Unavailable"
    assert told(seen, of(WELL))["Ready"] == ("False", "Unreachable")


def test_what_cannot_be_written_keeps_nobody_from_waking() -> None:
    found = told(replace(PAUSED, failure="Service shop/orders: later"), ASLEEP)
    assert found["Progressing"] == ("False", "APIServerError")
    assert found["Ready"] == ("True", "Paused")


def test_another_server_is_not_the_one_that_was_told_of() -> None:
    moved = replace(INPUTS, config=replace(INPUTS.config, targets=(Target("other"),)))
    seen = replace(PAUSED, inputs=moved)
    assert told(seen, ASLEEP)["TargetsAvailable"] == ("Unknown", "NoAnswer")
    assert [row["host"] for row in of(seen, ASLEEP)["targets"]] == ["other"]


def test_a_changed_spec_may_have_cured_what_failed() -> None:
    slept = of(PAUSED, ILL)
    assert told(replace(PAUSED, generation=8), slept)["TargetsAvailable"] == ("Unknown", "NoAnswer")
    assert told(replace(PAUSED, generation=8), slept)["Ready"] == ("True", "Paused")
    assert told(replace(PAUSED, generation=8), ASLEEP)["TargetsAvailable"] == ("True", "Available")


def test_awake_nothing_is_remembered() -> None:
    silent = replace(WELL, states={})
    assert told(silent, of(WELL))["TargetsAvailable"] == ("Unknown", "NoAnswer")


def test_the_last_good_configuration_is_what_the_next_client_wakes() -> None:
    for seen in (
        replace(PAUSED, missing=SECRET),
        replace(refused(), pause=DREAM, pods=(), states={}),
    ):
        found = told(seen, ASLEEP)
        kind = "Accepted" if seen.inputs is None else "CredentialsReady"
        assert found[kind][0] == "False"
        assert message(seen, ASLEEP, kind).endswith("the last good configuration goes on serving")
        assert found["Progressing"] == ("False", "Blocked")
        assert found["Ready"] == ("True", "Paused")
        assert of(seen, ASLEEP)["targets"] == ASLEEP["targets"]
