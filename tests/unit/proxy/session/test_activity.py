"""For how long no client has been there."""

import pytest

from sluice_proxy.session.activity import Activity


class Watch:
    def __init__(self) -> None:
        self.now = 100.0
        self.activity = Activity(lambda: self.now)

    def later(self, seconds: float, *, there: bool = False) -> float:
        """What is told after so long, where somebody looked all along."""
        self.now += seconds
        self.activity.look(there)
        return self.activity.idle_seconds


def test_nobody_has_been_there_since_the_start() -> None:
    watch = Watch()
    assert watch.later(0) == 0
    assert watch.later(7) == 7
    assert (watch.activity.accepted, watch.activity.came_at) == (0, 100)


def test_while_one_is_there_nothing_is_idle() -> None:
    watch = Watch()
    watch.activity.came()
    assert watch.later(3, there=True) == 0
    watch.now += 0.09  # nobody has looked since
    assert watch.activity.idle_seconds == 0
    assert watch.later(1) == pytest.approx(1.09)
    assert watch.later(4) == pytest.approx(5.09)


def test_one_who_came_and_went_between_two_looks_was_there() -> None:
    watch = Watch()
    watch.later(50)
    watch.activity.came()
    assert watch.activity.idle_seconds == 0
    assert watch.later(0.5) == 0.5
    assert (watch.activity.accepted, watch.activity.came_at) == (1, 150)


def test_who_logs_in_is_there() -> None:
    watch = Watch()
    watch.activity.logs_in = lambda: True
    assert watch.later(5) == 0
    watch.activity.logs_in = lambda: False
    assert watch.later(5) == 5


def test_what_was_counted_never_goes_back() -> None:
    watch = Watch()
    for count in (1, 2, 3):
        watch.activity.came()
        watch.later(10)
        assert watch.activity.accepted == count
