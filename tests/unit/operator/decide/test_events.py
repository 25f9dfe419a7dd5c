"""Which transitions are worth an Event."""

from dataclasses import replace
from itertools import pairwise

import pytest

from sluice_operator.api.conditions import Reason
from sluice_operator.decide.events import Changes, Event, changes, events, failing, woke
from sluice_operator.decide.overcommit import Overcommit, Rival
from sluice_operator.decide.resolve import Missing
from sluice_operator.decide.seen import Seen
from sluice_operator.decide.wake import Wake
from sluice_proxy.config import Certificate, ProxyConfig, User
from sluice_testing.asleep import ASLEEP, AT_WORK, DRAINING, PAUSED, WAKING
from sluice_testing.seen import (
    AVAILABLE,
    INPUTS,
    NOBODY,
    WELL,
    both,
    deployment,
    of,
    pod,
    starting,
    unavailable,
)

SECRET = Missing("CredentialsReady", "SecretNotFound", "spec.auth[0].secretRef.name", "gone")
KEY = replace(SECRET, reason="SecretKeyNotFound")
INVALID = Missing("Accepted", "Invalid", "spec.replicas", "too many")

ABSENT = replace(NOBODY, inputs=None, missing=SECRET)
LAST_GOOD = replace(WELL, missing=SECRET)
UNREACHABLE = replace(WELL, states=both(unavailable("Unreachable")))
SUSPENDED = replace(WELL, suspended=True)
CROWDED = replace(WELL, overcommit=Overcommit(60, (Rival("shop", "b", 60),)))
REGISTERING = replace(WELL, states={})
ROLLING = replace(WELL, deployment=deployment(updatedReplicas=1))
BAD_IMAGE = replace(ROLLING, pods=(*WELL.pods, starting(waiting_reason="ErrImagePull")))
NOT_READY = replace(WELL, pods=(pod("a", ready=False),))


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        (None, NOBODY, []),
        (None, ABSENT, ["Warning SecretNotFound"]),
        (None, WELL, ["Normal Serving"]),
        (NOBODY, REGISTERING, []),
        (REGISTERING, WELL, ["Normal Serving"]),
        (ABSENT, WELL, ["Normal Resolved", "Normal Serving"]),
        (WELL, LAST_GOOD, ["Warning SecretNotFound"]),
        (LAST_GOOD, replace(WELL, missing=KEY), ["Warning SecretKeyNotFound"]),
        (LAST_GOOD, WELL, ["Normal Resolved"]),
        (WELL, replace(WELL, missing=INVALID), ["Warning Invalid"]),
        (replace(WELL, missing=INVALID), WELL, ["Normal Valid"]),
        # The target and Ready have one reason: it is told once.
        (WELL, UNREACHABLE, ["Warning Unreachable"]),
        (UNREACHABLE, WELL, ["Normal Available", "Normal Serving"]),
        (WELL, NOT_READY, ["Warning PodsNotReady"]),
        (WELL, CROWDED, ["Warning SharedBudgetExceeded"]),
        (CROWDED, WELL, []),
        (WELL, SUSPENDED, ["Normal Suspended"]),
        (SUSPENDED, WELL, ["Normal Resumed"]),
        (WELL, ROLLING, []),
        (ROLLING, BAD_IMAGE, ["Warning ImagePullFailed"]),
        (BAD_IMAGE, WELL, []),
    ],
)
def test_transitions(before: Seen | None, after: Seen, found: list[str]) -> None:
    old = {} if before is None else of(before)
    assert [f"{e.type} {e.reason}" for e in events(old, of(after))] == found


ASKED = replace(WELL, states=both(replace(AVAILABLE, health="Registering")))


@pytest.mark.parametrize(
    ("story", "found"),
    [
        ((WELL, ASKED, WELL), []),
        ((WELL, UNREACHABLE, ASKED, WELL), ["Available"]),
        ((WELL, UNREACHABLE, ASKED, ASKED, WELL), ["Available"]),
        ((WELL, UNREACHABLE, ASKED, WELL, ASKED, WELL), ["Available"]),
        ((LAST_GOOD, replace(WELL, missing=INVALID), WELL), ["Resolved"]),
    ],
)
def test_what_failed_before_nothing_was_known_is_back(
    story: tuple[Seen, ...], found: list[str]
) -> None:
    told: list[str] = []
    known: frozenset[str] = frozenset()
    for before, after in pairwise(map(of, story)):
        known = failing(known, before)
        told += [e.reason for e in events(before, after, Changes(failing=known))]
    assert [reason for reason in told if reason in ("Available", "Resolved")] == found


@pytest.mark.parametrize("same", [WELL, ABSENT, LAST_GOOD, UNREACHABLE, SUSPENDED, CROWDED])
def test_at_rest_nothing_happens(same: Seen) -> None:
    assert events(of(same), of(same)) == ()


@pytest.mark.parametrize("after", [ABSENT, LAST_GOOD, UNREACHABLE, CROWDED, BAD_IMAGE, WELL])
def test_each_says_something(after: Seen) -> None:
    for event in events({}, of(after)):
        assert event.message


AWAKE = replace(WELL, pause=AT_WORK)
STUCK = replace(WAKING, pods=(starting(waiting_reason="ErrImagePull"),))
ALONE = replace(PAUSED, pause=replace(PAUSED.pause, wakeable=False))


@pytest.mark.parametrize(
    ("story", "found"),
    [
        ((WELL, DRAINING, PAUSED, WAKING, AWAKE, WELL), ["Normal Paused", "Normal Woken"]),
        ((WELL, PAUSED, AWAKE), ["Normal Paused", "Normal Woken"]),
        # A client comes to a pod that is ending.
        ((WELL, DRAINING, WAKING, AWAKE), ["Normal Paused", "Normal Woken"]),
        ((WELL, DRAINING, AWAKE), ["Normal Paused", "Normal Woken"]),
        ((WELL, PAUSED, WAKING, REGISTERING, AWAKE), ["Normal Paused", "Normal Woken"]),
        (
            (WELL, PAUSED, WAKING, STUCK, WAKING, AWAKE),
            ["Normal Paused", "Warning ImagePullFailed", "Normal Woken"],
        ),
        (
            (WELL, PAUSED, STUCK, AWAKE),
            ["Normal Paused", "Warning ImagePullFailed", "Normal Serving", "Normal Woken"],
        ),
        ((WELL, PAUSED, ALONE, PAUSED), ["Normal Paused", "Warning NoActivator"]),
        ((PAUSED, PAUSED, WAKING, WAKING, AWAKE, AWAKE), ["Normal Paused", "Normal Woken"]),
        ((NOBODY, WAKING, WELL), ["Normal Serving"]),
    ],
)
def test_each_pause_and_each_wake_is_told_once(story: tuple[Seen, ...], found: list[str]) -> None:
    status, told = {}, []
    for seen in story:
        before, status = status, of(seen, status)
        new = events(before, status)
        told += sorted(f"{event.type} {event.reason}" for event in new)
        assert woke(before, status) == any(event.reason == Reason.WOKEN for event in new)
    assert told == (["Normal Serving", *found] if story[0] is WELL else found)


def test_who_paused_and_who_woke() -> None:
    (slept,) = events(of(WELL), ASLEEP, Changes(paused=300))
    assert slept == Event(
        "Normal", Reason.PAUSED, "no client for 300 s; the next connection wakes it", "Pause"
    )
    (unknown,) = events(of(WELL), ASLEEP)
    assert unknown.message == "the next connection wakes it"
    wake = Wake("10.1.2.3:40112", 1.0, {"accept": 0.0, "first_byte": 0.75})
    (woken,) = events(ASLEEP, of(AWAKE, ASLEEP), Changes(woken=wake))
    assert woken == Event(
        "Normal", Reason.WOKEN, "by 10.1.2.3:40112: accepted, first byte after 0.75 s", "Wake"
    )
    (alone,) = events(ASLEEP, of(AWAKE, ASLEEP))
    assert alone.message == f"no activator tells of it: {AT_WORK.why_awake}"


PASSWORDS = "new password of app and report, taken from spec.auth"


def test_what_no_condition_shows() -> None:
    changed = Changes(rotated=("app", "report"), renewed=True, scaled=(2, 4))
    assert events(of(WELL), of(WELL), changed) == (
        Event("Normal", Reason.CREDENTIALS_ROTATED, PASSWORDS, "Rotate"),
        Event(
            "Normal", Reason.CERTIFICATE_RENEWED, "clients are shown another certificate", "Renew"
        ),
        Event("Normal", Reason.SCALED, "from 2 to 4 pods", "Scale"),
    )


def served(*users: User, chain: str = "") -> ProxyConfig:
    certificate = Certificate(chain, "key") if chain else None
    return replace(INPUTS.config, users=users, certificate=certificate)


APP = User("app", "hidden-1")


@pytest.mark.parametrize(
    ("previous", "now", "found"),
    [
        (None, served(APP, chain="one"), Changes()),
        (served(APP), served(APP), Changes()),
        (served(APP), served(User("app", "hidden-2")), Changes(rotated=("app",))),
        (served(APP), served(APP, User("new", "hidden-3")), Changes()),
        (served(APP, chain="one"), served(APP, chain="two"), Changes(renewed=True)),
        (served(APP), served(APP, chain="one"), Changes()),
    ],
)
def test_changes_of_the_document(
    previous: ProxyConfig | None, now: ProxyConfig, found: Changes
) -> None:
    assert changes(previous, replace(INPUTS, config=now)) == found


def test_no_event_tells_a_secret() -> None:
    """Not even the type of what is compared shows a password."""
    rotated = changes(served(APP), replace(INPUTS, config=served(User("app", "hidden-2"))))
    assert "hidden" not in repr((rotated, events(of(WELL), of(WELL), rotated)))
