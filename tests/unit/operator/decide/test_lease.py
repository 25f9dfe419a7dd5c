"""Who may lead: by what a candidate saw, not by the times in the Lease."""

from typing import Any

import pytest

from sluice_operator.decide import lease
from sluice_operator.decide.lease import Sighting

NOW = 1_800_000_000.0


def held(by: str, version: str = "1") -> dict[str, Any]:
    taken = lease.taken(lease.fresh("sluice-operator", "sluice-system"), by, NOW)
    return {**taken, "metadata": {**taken["metadata"], "resourceVersion": version}}


@pytest.mark.parametrize(
    ("holder", "unchanged_for", "may"),
    [("", 0.0, True), ("me", 0.0, True), ("other", 9.9, False), ("other", 10.0, True)],
)
def test_who_may_take_it(holder: str, unchanged_for: float, may: bool) -> None:
    seen = Sighting("1", since=100.0)
    assert lease.may_take(held(holder), seen, "me", 100.0 + unchanged_for) is may


def test_a_renewal_starts_the_wait_anew() -> None:
    first = lease.sighted(held("other", "1"), Sighting(), 5.0)
    assert lease.sighted(held("other", "1"), first, 9.0) == first
    assert lease.sighted(held("other", "2"), first, 9.0) == Sighting("2", 9.0)


def test_taking_counts_and_renewing_does_not() -> None:
    first = held("other")
    assert first["spec"]["leaseTransitions"] == 1
    second = lease.taken(first, "me", NOW + 20)
    assert second["spec"]["leaseTransitions"] == 2
    renewed = lease.taken(second, "me", NOW + 22)
    assert renewed["spec"]["leaseTransitions"] == 2
    assert renewed["spec"]["acquireTime"] == second["spec"]["acquireTime"]
    assert renewed["spec"]["renewTime"] == "2027-01-15T08:00:22.000000Z"


def test_a_released_lease_may_be_taken_at_once() -> None:
    free = lease.released(held("other"), NOW)
    assert lease.may_take(free, Sighting("1", 0.0), "me", 0.0)


def test_a_leader_gives_up_before_another_may_begin() -> None:
    assert lease.GIVE_UP_AFTER + lease.RENEW_EVERY < lease.DURATION
