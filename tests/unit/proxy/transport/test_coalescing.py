"""How far apart looks are: whom it is worth it for, and that nobody pays for it."""

import itertools

import pytest

from sluice_proxy.transport.coalescing import LEAST, MOST, PART, SLACK, WINDOW, Coalescing, interval

BUSY_RATE = 20000.0


@pytest.mark.parametrize(
    ("rate", "busy", "seconds"),
    [
        (0.0, 20, 0.0),
        (20000.0, 20, 300e-6),
        (80000.0, 20, 125e-6),
        (40000.0, 10, 125e-6),
        # Nobody else has an event meanwhile.
        (20000.0, 1, 0.0),
        (20000.0, 3, 0.0),
        # Many statements, and each of them takes seconds.
        (100.0, 200, 0.0),
        (6600.0, 20, 0.0),
    ],
)
def test_how_far_apart(rate: float, busy: int, seconds: float) -> None:
    assert interval(rate, busy) == pytest.approx(seconds)


def test_it_is_a_part_of_an_answers_time_and_worth_it() -> None:
    for rate, busy in itertools.product((1e3, 5e3, 1e4, 3e4, 1e5, 1e6), range(1, 200, 7)):
        seconds = interval(rate, busy)
        assert seconds <= min(MOST, PART * busy / (rate / 2)) * 1.000001
        assert seconds == 0.0 or seconds * rate >= LEAST


class Traffic:
    """Looks that find so many events each, of descriptors in turn."""

    def __init__(self, lent: int) -> None:
        self.now = 100.0
        self.coalescing = Coalescing(self.now)
        self.coalescing.lent = lambda: lent

    def looks(self, descriptors: int, rate: float, seconds: float, found: int = 2) -> float:
        names = itertools.cycle(range(descriptors))
        for _ in range(int(seconds * rate / found)):
            self.now += found / rate
            self.coalescing.looked(found, self.now)
            if self.coalescing.watches:
                for _ in range(found):
                    self.coalescing.add(next(names))
        return self.coalescing.interval


def test_many_that_are_busy() -> None:
    traffic = Traffic(lent=20)
    assert traffic.looks(descriptors=70, rate=BUSY_RATE, seconds=0.1) == MOST


def test_it_ends_with_the_rush() -> None:
    traffic = Traffic(lent=20)
    traffic.looks(descriptors=70, rate=BUSY_RATE, seconds=0.1)
    traffic.now += 1.0
    traffic.coalescing.looked(1, traffic.now)
    assert traffic.coalescing.interval == 0.0
    assert not traffic.coalescing.watches


def test_who_is_alone_takes_each_event_as_it_comes_whoever_rests_in_a_transaction() -> None:
    traffic = Traffic(lent=50)
    assert traffic.looks(descriptors=2, rate=BUSY_RATE, seconds=0.1, found=1) == 0.0


def test_two_server_connections_do_not_wait_for_more_however_many_wait_for_them() -> None:
    traffic = Traffic(lent=2)
    assert traffic.looks(descriptors=52, rate=BUSY_RATE, seconds=0.1) == 0.0


def test_nobody_is_watched_who_has_little_to_do() -> None:
    traffic = Traffic(lent=50)
    assert traffic.looks(descriptors=70, rate=1000.0, seconds=1.0) == 0.0
    assert not traffic.coalescing.watches


def test_what_is_left_of_an_interval() -> None:
    coalescing = Coalescing(0.0)
    assert coalescing.rest(0.0) == 0.0
    coalescing.interval = 300e-6
    assert coalescing.rest(100e-6) == pytest.approx(200e-6 - SLACK)
    # The events of the last look took as long as that: the next ones wait already.
    assert coalescing.rest(300e-6) == 0.0
    assert coalescing.rest(1.0) == 0.0


def test_a_window_is_long_enough_to_see_many() -> None:
    """At the lowest rate that counts there are twice as many events as LEAST needs busy."""
    assert LEAST / MOST * WINDOW > 2 * LEAST / PART
