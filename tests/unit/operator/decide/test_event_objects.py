"""Events as objects: the same thing counts up, whoever of the operators saw it."""

from dataclasses import replace

from sluice_operator.api.conditions import Reason
from sluice_operator.decide.event_objects import (
    AGGREGATE_SECONDS,
    MESSAGE_MAX,
    About,
    RecentEvents,
    event_name,
    event_object,
    repeated,
)
from sluice_operator.decide.events import Event
from sluice_testing.seen import NOW, STAMP

ORDERS = About("shop", "orders", "uid-1")
GONE = Event("Warning", Reason.SECRET_NOT_FOUND, "spec.auth[0]: gone")
OTHER = replace(GONE, message="spec.auth[1]: gone")


def test_an_event_object() -> None:
    name = event_name(GONE, ORDERS)
    assert name.startswith("orders.")
    assert event_object(name, GONE, ORDERS, NOW) == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": "shop"},
        "involvedObject": {
            "apiVersion": "sluice.dev/v1alpha1",
            "kind": "DatabaseProxy",
            "namespace": "shop",
            "name": "orders",
            "uid": "uid-1",
        },
        "type": "Warning",
        "reason": "SecretNotFound",
        "message": "spec.auth[0]: gone",
        "action": "Reconcile",
        "source": {"component": "sluice-operator"},
        "reportingComponent": "sluice-operator",
        "firstTimestamp": STAMP,
        "lastTimestamp": STAMP,
        "count": 1,
    }


def test_the_name_is_of_object_reason_and_message() -> None:
    assert event_name(GONE, ORDERS) == event_name(replace(GONE), replace(ORDERS))
    others = (
        event_name(OTHER, ORDERS),
        event_name(replace(GONE, reason=Reason.INVALID_SECRET), ORDERS),
        event_name(GONE, replace(ORDERS, uid="uid-2")),
    )
    assert len({event_name(GONE, ORDERS), *others}) == 4


def test_a_repeat_counts_and_moves_the_last_time_alone() -> None:
    live = event_object("x", GONE, ORDERS, NOW)
    assert repeated(live, OTHER, NOW + 60) == {
        "count": 2,
        "lastTimestamp": "2027-01-15T08:01:00Z",
        "message": OTHER.message,
    }
    assert repeated({"count": 7}, GONE, NOW)["count"] == 8
    assert repeated({}, GONE, NOW)["count"] == 2


def test_one_reason_has_one_object_for_some_minutes() -> None:
    recent = RecentEvents()
    name = recent.name(GONE, ORDERS, NOW)
    assert name == event_name(GONE, ORDERS)
    assert recent.name(OTHER, ORDERS, NOW + AGGREGATE_SECONDS - 1) == name
    # Each repeat begins the minutes anew.
    assert recent.name(OTHER, ORDERS, NOW + 2 * AGGREGATE_SECONDS - 2) == name
    later = NOW + 3 * AGGREGATE_SECONDS
    assert recent.name(OTHER, ORDERS, later) == event_name(OTHER, ORDERS)


def test_other_reasons_and_other_proxies_have_their_own() -> None:
    recent = RecentEvents()
    found = {
        recent.name(GONE, ORDERS, NOW),
        recent.name(replace(GONE, reason=Reason.INVALID), ORDERS, NOW),
        recent.name(GONE, replace(ORDERS, name="reports", uid="uid-2"), NOW),
    }
    assert len(found) == 3


def test_a_new_leader_finds_what_the_last_one_wrote() -> None:
    assert RecentEvents().name(GONE, ORDERS, NOW) == RecentEvents().name(GONE, ORDERS, NOW + 5)


def test_a_long_message_is_cut() -> None:
    long = replace(GONE, message="x" * 2000)
    assert len(event_object("x", long, ORDERS, NOW)["message"]) == MESSAGE_MAX
    assert len(repeated({}, long, NOW)["message"]) == MESSAGE_MAX
