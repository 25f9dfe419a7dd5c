"""What the status says of a proxy that sleeps or wakes, and when it is written."""

from dataclasses import replace

import pytest

from sluice_operator.api.status import Status as Model
from sluice_operator.decide.pause import Pause
from sluice_operator.decide.resolve import Missing
from sluice_operator.decide.seen import Seen
from sluice_operator.decide.status import next_look
from sluice_testing.asleep import ASLEEP, AT_WORK, DRAINING, PAUSED, WAKING
from sluice_testing.seen import NOW, STAMP, WELL, both, of, pod, starting, state, unavailable

SECRET = Missing("CredentialsReady", "SecretNotFound", "spec.auth[0].secretRef.name", "gone")
LATER = "2027-01-15T08:01:40Z"


def busy(why: str) -> Seen:
    return replace(WELL, pause=replace(WELL.pause, why_awake=why))


@pytest.mark.parametrize("seen", [DRAINING, PAUSED, WAKING])
def test_the_schema_knows_every_field(seen: Seen) -> None:
    told = of(seen, ASLEEP)
    read = Model.model_validate(told, extra="forbid")
    assert read.model_dump(by_alias=True, exclude_none=True) == told


@pytest.mark.parametrize(
    ("seen", "phase"),
    [
        (DRAINING, "Draining"),
        (PAUSED, "Paused"),
        (WAKING, "Waking"),
        (replace(WELL, pause=AT_WORK, states={}), "Waking"),
        (WELL, "Running"),
        (replace(WELL, states=both(unavailable("Unreachable"))), "Degraded"),
        (replace(PAUSED, missing=SECRET), "Degraded"),
        (replace(WAKING, pods=(starting(unschedulable="full"),)), "Degraded"),
        (replace(PAUSED, pause=replace(PAUSED.pause, wakeable=False)), "Degraded"),
        (replace(WAKING, pause=replace(AT_WORK, wakeable=False)), "Pending"),
        (replace(PAUSED, suspended=True), "Paused"),
    ],
)
def test_the_phase(seen: Seen, phase: str) -> None:
    assert of(seen, ASLEEP)["phase"] == phase


def test_since_when_it_is_paused() -> None:
    slept = of(PAUSED, of(DRAINING, of(WELL)), now=NOW + 100)
    assert slept["pausedAt"] == LATER
    assert of(PAUSED, slept, now=NOW + 500) == slept
    for seen in (WELL, DRAINING, WAKING):
        assert "pausedAt" not in of(seen, slept)


def test_why_it_is_awake() -> None:
    assert of(busy("3 clients are connected"))["whyAwake"] == "3 clients are connected"
    assert of(WAKING, ASLEEP)["whyAwake"] == (
        "pods are being started; clients are held until one listens"
    )
    assert of(replace(WELL, pause=Pause()))["whyAwake"] == "`autoPause` is switched off"
    for seen in (DRAINING, PAUSED):
        assert of(seen, of(WELL))["whyAwake"] == ""


def test_why_it_is_awake_waits_for_its_minute() -> None:
    old = of(busy("3 clients are connected"))
    fewer = busy("2 clients are connected")
    assert of(fewer, old, due=False) == old
    assert of(fewer, old, due=True)["whyAwake"] == "2 clients are connected"


def test_what_is_under_way_is_told_at_once() -> None:
    old = of(busy("3 clients are connected"))
    changing = replace(WELL, pause=replace(WELL.pause, in_use=False, why_awake="a rollout"))
    assert of(changing, old, due=False)["whyAwake"] == "a rollout"
    again = replace(changing, pause=replace(changing.pause, why_awake="silence"))
    assert of(again, of(changing), due=False)["whyAwake"] == "silence"


def test_why_it_is_awake_is_told_at_once_where_more_has_changed() -> None:
    old = of(busy("3 clients are connected"))
    fewer = busy("2 clients are connected")
    ill = replace(fewer, states=both(unavailable("Unreachable")))
    assert of(ill, old, due=False)["whyAwake"] == "2 clients are connected"
    alone = replace(fewer, pause=replace(fewer.pause, wakeable=False))
    assert of(alone, old, due=False)["whyAwake"].startswith("2 clients are connected: ")
    assert of(WELL, ASLEEP, due=False)["whyAwake"] == "1000 clients are connected"
    changed = replace(fewer, generation=8)
    assert of(changed, old, due=False)["whyAwake"] == "2 clients are connected"


def test_who_sleeps_leaves_no_old_figures_behind() -> None:
    slept = of(PAUSED, of(WELL), due=False)
    assert set(slept["pool"].values()) == {0}
    assert (slept["replicas"], slept["readyReplicas"]) == (0, 0)
    draining = of(replace(DRAINING, states={"a": state()}), of(WELL), due=False)
    assert draining["pool"]["clients"] == 500


def test_at_rest_nothing_is_written() -> None:
    assert ASLEEP["conditions"][0]["lastTransitionTime"] == STAMP
    assert of(PAUSED, ASLEEP, now=NOW + 1000, due=True) == ASLEEP


def due_in(seconds: float | None) -> Seen:
    return replace(WELL, pause=replace(WELL.pause, due=seconds))


@pytest.mark.parametrize(
    ("seen", "seconds"),
    [
        (PAUSED, None),
        (replace(PAUSED, missing=SECRET), None),
        (DRAINING, 1),
        (replace(DRAINING, pods=(pod("a"),)), 1),
        (WAKING, 10),
        (due_in(None), 30),
        (due_in(300.0), 30),
        (due_in(12.5), 12.5),
        (due_in(0.0), 1),
        (replace(due_in(12.5), states=both(unavailable("Unreachable"))), 3),
    ],
)
def test_when_to_look_again(seen: Seen, seconds: float | None) -> None:
    assert next_look(seen) == seconds
