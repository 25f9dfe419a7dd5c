"""Whom to dial, when to look, what to say: values."""

from typing import Any

import pytest

from sluice_activator import decide
from sluice_activator.slices import READY, TERMINATING, UNREADY, Registration

PROXY = ("shop", "orders")
REGISTRATION = Registration(PROXY, 12000, "uid", 2, "", "2026")


@pytest.mark.parametrize(
    ("pods", "hints", "waited", "expected"),
    [
        ({}, [], 0.0, []),
        ({"b": UNREADY, "a": READY}, [], 0.0, ["a", "b"]),
        ({"b": UNREADY}, ["c"], 0.0, ["c", "b"]),
        ({"b": UNREADY}, ["b"], 0.0, ["b"]),
        # Pods that end: when the others let wait, or do not come.
        ({"t": TERMINATING}, [], 2.9, []),
        ({"t": TERMINATING}, [], 3.0, ["t"]),
        ({"t": TERMINATING, "b": UNREADY}, [], 2.9, ["b"]),
        ({"t": TERMINATING, "b": UNREADY}, [], 3.0, ["b", "t"]),
        ({"t": TERMINATING}, ["t"], 0.0, []),
        ({"t": TERMINATING, "s": READY}, [], 3.0, ["t"]),
        ({"s": READY}, ["s"], 0.0, []),
    ],
)
def test_candidates(
    pods: dict[str, int], hints: list[str], waited: float, expected: list[str]
) -> None:
    assert decide.candidates(pods, hints, {"s"}, waited) == expected


@pytest.mark.parametrize(
    ("pods", "hints", "expected"),
    [
        ({}, [], []),
        ({"t": TERMINATING}, [], ["t"]),
        ({"b": UNREADY, "t": TERMINATING, "a": READY}, ["c"], ["c", "a", "t", "b"]),
        ({"s": READY, "t": TERMINATING}, ["s"], ["t"]),
    ],
)
def test_whom_a_cancel_request_is_offered_to(
    pods: dict[str, int], hints: list[str], expected: list[str]
) -> None:
    assert decide.for_cancel(pods, hints, {"s"}) == expected


def test_patience_with_pods_that_do_not_come() -> None:
    assert decide.patience(1.0) == 2.0
    assert decide.patience(3.0) == float("inf")


@pytest.mark.parametrize(
    ("candidates", "pods", "expected"),
    [
        ([], {}, 0.0),
        (["a"], {"a": READY}, 0.25),
        (["a"], {"a": UNREADY}, 0.25),
        (["hint"], {}, 0.0),
        (["t"], {"t": TERMINATING}, 0.0),
    ],
)
def test_the_first_look_waits_only_for_pods_that_stay(
    candidates: list[str], pods: dict[str, int], expected: float
) -> None:
    assert decide.first_look(candidates, pods) == expected


@pytest.mark.parametrize(
    ("failed", "wanted", "too_few"),
    [
        (0, 0, False),
        (0, 5, False),
        (1, 1, False),
        (2, 2, True),
        (2, 19, True),
        (2, 20, False),
        (20, 200, False),
        (21, 200, True),
    ],
)
def test_how_many_ports_may_be_missing(failed: int, wanted: int, too_few: bool) -> None:
    assert decide.too_few_ports(failed, wanted) is too_few


def test_looks_become_rarer() -> None:
    assert [decide.look_pause(number) for number in range(5)] == [0.25, 0.5, 1.0, 1.0, 1.0]


def test_dials_become_rarer_where_nothing_is_heard() -> None:
    assert decide.dial_pause(0.0) == decide.dial_pause(4.9) == 0.05
    assert decide.dial_pause(5.0) == 0.5


def test_retries_become_rarer() -> None:
    assert [decide.retry_pause(tries) for tries in (1, 2, 3)] == [0.1, 0.2, 0.4]


@pytest.mark.parametrize(
    ("pods", "hints", "up"),
    [
        ({}, [], False),
        ({"a": UNREADY}, [], False),
        ({"a": UNREADY}, ["a"], True),
        ({"a": READY}, [], True),
        ({"a": TERMINATING}, [], True),
    ],
)
def test_whom_a_cancel_request_could_be_for(
    pods: dict[str, int], hints: list[str], up: bool
) -> None:
    assert decide.pods_are_up(pods, hints) is up


@pytest.mark.parametrize("spec", [{}, {"replicas": 0}, {"replicas": None}])
def test_a_scale_of_zero_is_raised(spec: dict[str, Any]) -> None:
    scale = {"metadata": {"resourceVersion": "7"}, "spec": spec}
    assert decide.wake_patch(scale, 2) == {
        "metadata": {"resourceVersion": "7"},
        "spec": {"replicas": 2},
    }
    assert decide.wake_patch({"metadata": {"resourceVersion": "7"}}, 1) is not None


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_no_other_scale_is_touched(replicas: int) -> None:
    scale = {"metadata": {"resourceVersion": "7"}, "spec": {"replicas": replicas}}
    assert decide.wake_patch(scale, 2) is None


def test_nobody_who_wants_it_is_no_wake() -> None:
    assert decide.wake_patch({"metadata": {"resourceVersion": "7"}, "spec": {}}, 0) is None


@pytest.mark.parametrize(
    ("trouble", "api_error", "reason", "expected"),
    [
        ("", "", "deadline", "sleeps and its pods did not start within 30 seconds"),
        ("no node takes it", "away", "deadline", "its pods cannot start: no node takes it"),
        ("", "the API is away", "deadline", "cannot be woken: the API is away"),
        ("no node", "away", "full", "too many clients wait"),
        ("", "", "hung_up", "end connections without an answer"),
        ("", "", "shutdown", "shuts down"),
    ],
)
def test_the_sentence(trouble: str, api_error: str, reason: str, expected: str) -> None:
    registration = Registration(PROXY, 12000, "uid", 2, trouble, "2026")
    told = decide.sentence(PROXY, registration, reason, api_error)
    assert expected in told
    assert "shop/orders" in told


def test_the_sentence_of_a_proxy_that_is_gone() -> None:
    told = decide.sentence(PROXY, None, "deleted", "")
    assert told == "the database proxy shop/orders is gone"
