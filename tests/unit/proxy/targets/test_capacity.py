"""The budget as arithmetic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_proxy.config import Fleet, PodShare, kept
from sluice_proxy.targets.capacity import Capacity, fleet_budget, idle_share, pod_limit


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


SHARES = (PodShare("a", 60), PodShare("b", 20), PodShare("none", 0))
FLEET = Fleet(90, SHARES, others=5, parts=7)


@pytest.mark.parametrize(
    ("fleet", "pod", "budget", "limit"),
    [
        # Nobody has cut shares yet: equal parts, but never none.
        (Fleet(), "", None, 1),
        (Fleet(), "", 90, 90),
        (Fleet(parts=4), "a", None, 1),
        (Fleet(parts=4), "a", 90, 22),
        (Fleet(parts=4), "a", 3, 1),
        (Fleet(0, SHARES, 5, 2), "a", 90, 45),
        # A share is what it is, however much more there is.
        (FLEET, "a", 90, 60),
        (FLEET, "a", 500, 60),
        (FLEET, "none", 90, 0),
        (FLEET, "stranger", 90, 5),
        (FLEET, "", 90, 5),
        # The server allows less than was shared out: everybody gives way alike.
        (FLEET, "a", 89, 59),
        (FLEET, "a", 45, 30),
        (FLEET, "b", 4, 0),
        (FLEET, "a", 0, 0),
        # It has not said yet what it allows.
        (FLEET, "a", None, 1),
        (FLEET, "none", None, 0),
        (Fleet(90), "stranger", None, 0),
    ],
)
def test_limit_of_a_pod(fleet: Fleet, pod: str, budget: int | None, limit: int) -> None:
    assert pod_limit(fleet, pod, budget) == limit


@pytest.mark.parametrize(
    ("fleet", "pod", "before", "limit"),
    [
        # Whoever wrote it did not know of the pod, which may have let clients in.
        (Fleet(90, SHARES, 0), "stranger", 7, 1),
        (Fleet(90, SHARES, 0), "stranger", 0, 0),
        (Fleet(90, SHARES, 5), "stranger", 7, 5),
        (Fleet(90, SHARES, 0), "none", 7, 0),
        (Fleet(), "stranger", 7, 90),
    ],
)
def test_a_pod_keeps_a_connection_until_it_is_named(
    fleet: Fleet, pod: str, before: int, limit: int
) -> None:
    assert pod_limit(fleet, pod, 90, kept(before)) == limit


@given(st.lists(st.integers(0, 100), min_size=1, max_size=20), st.integers(0, 500))
def test_cut_shares_never_exceed_the_budget(shares: list[int], budget: int) -> None:
    pods = tuple(PodShare(f"p{n}", share) for n, share in enumerate(shares))
    fleet = Fleet(max(1, sum(shares)), pods)
    limits = [pod_limit(fleet, pod.pod, budget) for pod in pods]
    assert sum(limits) <= min(budget, fleet.total)
    assert all(limit <= pod.share for limit, pod in zip(limits, pods, strict=True))


@given(st.integers(1, 100), st.integers(1, 10000), st.integers(0, 20), st.integers(1, 50))
def test_equal_parts_never_exceed_the_budget_but_for_one_each(
    percent: int, most: int, reserved: int, parts: int
) -> None:
    budget = fleet_budget(percent, Capacity(most, reserved))
    assert 0 <= budget <= max(0, most - reserved)
    assert pod_limit(Fleet(parts=parts), "", budget) * parts <= max(budget, parts)


@pytest.mark.parametrize(
    ("percent", "limit", "budget", "idle"),
    [
        (50, 90, 90, 50),
        (50, 30, 90, 16),
        (100, 97, 97, 100),
        (0, 90, 90, 0),
        (1, 1, 2, 0),
        (50, 0, 90, 0),
        (50, 1, 0, 50),
    ],
)
def test_what_a_pod_may_keep_idle(percent: int, limit: int, budget: int, idle: int) -> None:
    assert idle_share(percent, Capacity(100, 3), limit, budget) == idle
