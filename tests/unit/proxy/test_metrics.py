"""Counters and their snapshots."""

import pytest

from sluice_proxy.metrics import WAIT_BUCKETS, Counters, Histogram


def test_bounds_of_a_histogram_are_inclusive() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.0, 1.0, 1.5, 2.0, 2.1):
        histogram.observe(value)
    assert histogram.counts == [2, 2, 1]
    assert histogram.total == pytest.approx(6.6)


def test_wait_buckets_rise_to_the_longest_borrow_timeout() -> None:
    assert list(WAIT_BUCKETS) == sorted(set(WAIT_BUCKETS))
    assert WAIT_BUCKETS[-1] == 300.0


def test_copy_is_a_snapshot() -> None:
    counters = Counters()
    counters.clients_accepted += 2
    counters.pinned("LISTEN")
    counters.borrow_wait.observe(0.2)
    snapshot = counters.copy()
    counters.clients_accepted += 1
    counters.pinned("LISTEN")
    counters.pinned("SET")
    counters.borrow_wait.observe(0.2)
    assert snapshot.clients_accepted == 2
    assert snapshot.pins == {"LISTEN": 1}
    assert sum(snapshot.borrow_wait.counts) == 1
    assert counters.pins == {"LISTEN": 2, "SET": 1}


def test_a_misspelt_counter_is_an_error() -> None:
    with pytest.raises(AttributeError):
        Counters().client_accepted = 1  # type: ignore[attr-defined]
