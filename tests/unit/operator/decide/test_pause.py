"""Whether a proxy may sleep: only if everybody says so, and nothing is under way."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from sluice_operator.api.v1alpha1 import AutoPause
from sluice_operator.decide.observed import Pod
from sluice_operator.decide.pause import (
    FORSAKEN_SECONDS,
    Pause,
    Question,
    Wakers,
    must_wake,
    pause,
    scale_of,
    wanted_replicas,
)
from sluice_operator.decide.state import PoolState, ProxyState, TargetState

AVAILABLE = TargetState("db", 5432, "Available")
READY = Wakers(installed=True, ready=2)
FORSAKEN = Wakers(installed=True, ready=0, gone_for=FORSAKEN_SECONDS)
OFF = AutoPause(enabled=False)


def pod(name: str, **changes: Any) -> Pod:
    return replace(Pod(name, "10.0.0.1", True, False, ""), **changes)


def state(
    idle: float | None = 600.0, clients: int = 0, target: TargetState = AVAILABLE
) -> ProxyState:
    return ProxyState("hash", "", (target,), PoolState(clients=clients), idle_seconds=idle)


def both(told: ProxyState) -> Mapping[str, ProxyState]:
    return {"a": told, "b": told}


IDLE = Question(
    auto_pause=AutoPause(),
    wakers=READY,
    replicas=2,
    pods=(pod("a"), pod("b")),
    states=both(state()),
)
"""Nobody has been there for long enough."""

ASLEEP = replace(IDLE, replicas=0, pods=(), states={})


def test_who_was_idle_for_long_enough_may_be_paused_now() -> None:
    sentence = "no client is connected: it pauses when none came for 300 s"
    assert pause(IDLE) == Pause(True, True, why_awake=sentence, in_use=True, due=0.0)
    assert wanted_replicas(IDLE, 2) == 0


@pytest.mark.parametrize(("idle", "due"), [(0.0, 300.0), (299.5, 0.5), (300.0, 0.0), (301.0, 0.0)])
def test_it_is_due_when_the_last_client_left_for_so_long(idle: float, due: float) -> None:
    found = replace(IDLE, states={"a": state(900.0), "b": state(idle)})
    assert pause(found).due == due
    assert wanted_replicas(found, 2) == (0 if due == 0.0 else 2)


def test_idle_seconds_are_those_of_the_spec() -> None:
    found = replace(IDLE, auto_pause=AutoPause(idleSeconds=900))  # type: ignore[call-arg]
    assert pause(found).due == 300.0
    assert pause(found).why_awake.endswith("none came for 900 s")


HINDRANCES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"suspended": True}, "spec.suspend is set"),
    ({"auto_pause": OFF}, "spec.autoPause.enabled is false"),
    ({"wakers": Wakers()}, "no activator is installed that could wake it"),
    ({"wakers": Wakers(installed=True)}, "no activator is ready that could wake it"),
    ({"whole": False}, "the spec or a Secret needs a look: see the other conditions"),
    ({"pods": (pod("a", ready=False),)}, "its pods are being started"),
    ({"calm": False}, "pods or settings are being changed"),
    (
        {"states": {"a": state(target=replace(AVAILABLE, health="Unavailable"))}},
        "the server is not available: see the condition TargetsAvailable",
    ),
    ({"states": {"a": state(clients=1)}}, "not every pod has answered"),
    ({"states": both(state(0.0, clients=1))}, "2 clients are connected"),
    (
        {"states": both(state(None))},
        "pods of an older version do not tell how long they have been idle",
    ),
)
"""In the order in which they are told, where there are several."""


@pytest.mark.parametrize(("change", "sentence"), HINDRANCES)
def test_why_it_is_awake(change: dict[str, Any], sentence: str) -> None:
    found = replace(IDLE, **change)
    assert pause(found).why_awake == sentence
    assert pause(found).due is None
    assert pause(found).in_use is ((change, sentence) in HINDRANCES[-2:])
    assert wanted_replicas(found, 2) == 2


@pytest.mark.parametrize("first", range(len(HINDRANCES)))
def test_of_several_reasons_the_first_is_told(first: int) -> None:
    changes: dict[str, Any] = {}
    for change, _ in reversed(HINDRANCES[first:]):
        changes |= change
    assert pause(replace(IDLE, **changes)).why_awake == HINDRANCES[first][1]


def test_a_server_that_was_never_seen_is_not_available() -> None:
    found = replace(IDLE, states=both(state(target=replace(AVAILABLE, health="Registering"))))
    assert pause(found).due is None


@pytest.mark.parametrize(
    ("clients", "sentence"),
    [((1, 0), "1 client is connected"), ((1, 2), "3 clients are connected")],
)
def test_clients_are_counted(clients: tuple[int, int], sentence: str) -> None:
    """A pod may have become idle for long while the other has somebody."""
    found = replace(IDLE, states={"a": state(0.0, clients[0]), "b": state(600.0, clients[1])})
    assert pause(found).why_awake == sentence


def test_clients_of_a_pod_that_ends_keep_it_awake() -> None:
    pods = (*IDLE.pods, pod("c", terminating=True))
    found = replace(IDLE, pods=pods, states={**IDLE.states, "c": state(0.0, clients=1)})
    assert pause(found).why_awake == "1 client is connected"
    silent = replace(IDLE, pods=pods)
    assert pause(silent).due == 0.0


def test_one_older_pod_is_enough_to_stay_awake() -> None:
    found = replace(IDLE, states={"a": state(), "b": state(None)})
    assert pause(found).why_awake.startswith("pods of an older version")


def test_who_sleeps_has_no_reason_to_be_awake() -> None:
    assert pause(ASLEEP) == Pause(enabled=True, wakeable=True, asleep=True)
    off = replace(ASLEEP, auto_pause=OFF, wakers=FORSAKEN)
    assert pause(off) == Pause(enabled=False, wakeable=False, asleep=True)


def test_who_sleeps_is_left_to_the_activators() -> None:
    assert not must_wake(ASLEEP)
    assert wanted_replicas(ASLEEP, 2) == 0


@pytest.mark.parametrize(
    ("wakers", "wakes"),
    [
        (READY, False),
        (Wakers(), True),
        (Wakers(installed=True, ready=0, gone_for=FORSAKEN_SECONDS - 1), False),
        (FORSAKEN, True),
        (replace(FORSAKEN, ready=1), False),
    ],
)
def test_who_can_be_woken_by_nobody_is_woken(wakers: Wakers, wakes: bool) -> None:
    found = replace(ASLEEP, wakers=wakers)
    assert must_wake(found) is wakes
    assert wanted_replicas(found, 3) == (3 if wakes else 0)
    assert pause(found).wakeable is not wakes


def test_who_may_not_sleep_any_more_is_woken() -> None:
    assert must_wake(replace(ASLEEP, auto_pause=OFF))


@pytest.mark.parametrize(
    ("leaving", "told", "wakes"),
    [
        (True, state(0.0, clients=1), True),
        (True, state(5.0), False),
        (True, None, False),
        # It is not told to end yet: the news of the pause is under way.
        (False, state(0.0, clients=1), False),
    ],
)
def test_a_client_that_came_to_a_pod_on_its_way_out_wakes_it(
    leaving: bool, told: ProxyState | None, wakes: bool
) -> None:
    states = {} if told is None else {"a": told}
    found = replace(ASLEEP, pods=(pod("a", terminating=leaving),), states=states)
    assert must_wake(found) is wakes


@pytest.mark.parametrize(
    ("spec", "scale"), [({}, 1), ({"replicas": 0}, 0), ({"replicas": 3}, 3), (None, None)]
)
def test_how_many_pods_a_deployment_shall_have(spec: Any, scale: int | None) -> None:
    assert scale_of(None if spec is None else {"spec": spec}) == scale
