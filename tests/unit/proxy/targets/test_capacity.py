"""The budget as arithmetic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_proxy.targets.capacity import Capacity, fleet_budget, idle_share, pod_share


@pytest.mark.parametrize(
    ("percent", "capacity", "budget"),
    [
        (90, Capacity(100, 3), 90),
        (100, Capacity(100, 3), 97),
        (45, Capacity(100, 3), 45),
        (33, Capacity(100, 3), 33),
        (50, Capacity(5, 3), 2),
        (1, Capacity(99, 3), 0),
        (100, Capacity(3, 3), 0),
        (100, Capacity(3, 5), 0),
    ],
)
def test_budget_of_the_fleet(percent: int, capacity: Capacity, budget: int) -> None:
    assert fleet_budget(percent, capacity) == budget


@pytest.mark.parametrize(
    ("percent", "fleet", "share"), [(90, 1, 90), (90, 2, 45), (90, 4, 22), (1, 3, 1), (90, 1000, 1)]
)
def test_share_of_a_pod(percent: int, fleet: int, share: int) -> None:
    assert pod_share(percent, Capacity(100, 3), fleet) == share


@pytest.mark.parametrize(
    ("percent", "fleet", "share"), [(50, 1, 50), (50, 3, 16), (0, 1, 0), (1, 2, 0), (100, 1, 100)]
)
def test_what_a_pod_may_keep_idle(percent: int, fleet: int, share: int) -> None:
    assert idle_share(percent, Capacity(100, 3), fleet) == share


@given(st.integers(1, 100), st.integers(1, 10000), st.integers(0, 20), st.integers(1, 50))
def test_the_shares_never_exceed_the_budget_but_for_one_each(
    percent: int, most: int, reserved: int, fleet: int
) -> None:
    capacity = Capacity(most, reserved)
    budget = fleet_budget(percent, capacity)
    assert 0 <= budget <= max(0, most - reserved)
    assert pod_share(percent, capacity, fleet) * fleet <= max(budget, fleet)
