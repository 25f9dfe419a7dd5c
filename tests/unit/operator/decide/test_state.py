"""`/state` is read with mistrust."""

from typing import Any

import pytest

from sluice_operator.decide.state import PoolState, TargetState, parse_state

ANSWER: dict[str, Any] = {
    "pod": "orders-proxy-1",
    "fleetBudget": 90,
    "config": {"hash": "abc", "error": ""},
    "ready": True,
    "draining": True,
    "targets": [
        {
            "host": "db",
            "port": 5432,
            "health": "Unavailable",
            "reason": "AuthFailure",
            "message": "no",
            "maxConnections": None,
        }
    ],
    "pool": {
        "budget": 9, "open": 1, "borrowed": 1, "waiting": 0, "pinned": 0, "clients": 3, "more": 1,
    },
}  # fmt: skip


def test_an_answer() -> None:
    state = parse_state(ANSWER)
    assert state is not None
    assert state.config_hash == "abc"
    assert state.targets == (TargetState("db", 5432, "Unavailable", "AuthFailure", "no", None),)
    assert state.pool == PoolState(9, 1, 1, 0, 0, 3)
    assert (state.pod, state.fleet_budget, state.draining) == ("orders-proxy-1", 90, True)


def test_a_proxy_of_before_and_one_that_has_asked_nobody() -> None:
    old = {key: value for key, value in ANSWER.items() if key not in ("pod", "fleetBudget")}
    for answer in (old, {**old, "fleetBudget": None}):
        state = parse_state(answer)
        assert state is not None
        assert (state.pod, state.fleet_budget) == ("", None)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        "no",
        {},
        {**ANSWER, "config": None},
        {**ANSWER, "targets": [{"host": "db"}]},
        {**ANSWER, "targets": [{"host": "db", "port": 1, "health": "Superb"}]},
        {**ANSWER, "pool": {"open": "many"}},
        {**ANSWER, "fleetBudget": "much"},
    ],
)
def test_what_is_no_answer(answer: Any) -> None:
    assert parse_state(answer) is None
