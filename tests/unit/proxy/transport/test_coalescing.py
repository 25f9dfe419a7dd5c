"""How far apart looks are: where it pays, and nowhere else."""

import itertools

import pytest

from sluice_proxy.transport.coalescing import (
    IN_A_ROW,
    LEAST,
    MOST,
    PART,
    SLACK,
    STANDS,
    TRIED,
    WINDOW,
    Coalescing,
    Tally,
    Trial,
    interval,
    pays,
)

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
    """Looks that find so many events each, of descriptors in turn; with a CPU to be paid.

    `gain` is how many times as much comes while looks are apart, at the same price in all.
    """

    def __init__(self, lent: int, gain: float = 1.2) -> None:
        self.now = 100.0
        self.gain = gain
        self.coalescing = Coalescing(self.now, lambda: self.now / 2)
        self.coalescing.lent = lambda: lent
        self.apart = 0.0

    def looks(self, descriptors: int, rate: float, seconds: float, found: int = 2) -> float:
        """The part of the time for which looks were apart."""
        names = itertools.cycle(range(descriptors))
        self.apart, until = 0.0, self.now + seconds
        while self.now < until:
            apart = self.coalescing.interval > 0
            passed = found / rate / (self.gain if apart else 1.0)
            self.apart += passed if apart else 0.0
            self.now += passed
            self.coalescing.looked(found, self.now)
            if self.coalescing.watches:
                for _ in range(found):
                    self.coalescing.add(next(names))
        return self.apart / seconds


def test_many_that_are_busy() -> None:
    traffic = Traffic(lent=20)
    # While it is tried looks are apart for half of the time.
    assert 0.4 < traffic.looks(descriptors=70, rate=BUSY_RATE, seconds=0.24) < 0.6
    assert traffic.looks(descriptors=70, rate=BUSY_RATE, seconds=10.0) > 0.9
    assert traffic.coalescing.interval == pytest.approx(MOST)


@pytest.mark.parametrize("gain", [0.87, 1.0])
def test_what_does_not_pay_is_left_after_a_trial(gain: float) -> None:
    traffic = Traffic(lent=20, gain=gain)
    assert 0.0 < traffic.looks(descriptors=70, rate=BUSY_RATE, seconds=60.0) < 0.05


def test_what_does_not_pay_any_more_is_left() -> None:
    traffic = Traffic(lent=20)
    traffic.looks(descriptors=70, rate=BUSY_RATE, seconds=1.0)
    traffic.gain = 0.8
    traffic.looks(descriptors=70, rate=BUSY_RATE, seconds=2 * STANDS + 1)
    assert traffic.looks(descriptors=70, rate=BUSY_RATE, seconds=STANDS / 2) == 0.0


def test_it_ends_with_the_rush() -> None:
    traffic = Traffic(lent=20)
    traffic.looks(descriptors=70, rate=BUSY_RATE, seconds=1.0)
    assert traffic.coalescing.interval > 0
    traffic.now += 1.0
    traffic.coalescing.looked(1, traffic.now)
    assert traffic.coalescing.interval == 0.0
    assert not traffic.coalescing.watches


def test_who_is_alone_takes_each_event_as_it_comes_whoever_rests_in_a_transaction() -> None:
    traffic = Traffic(lent=50)
    assert traffic.looks(descriptors=2, rate=BUSY_RATE, seconds=1.0, found=1) == 0.0


def test_two_server_connections_do_not_wait_for_more_however_many_wait_for_them() -> None:
    traffic = Traffic(lent=2)
    assert traffic.looks(descriptors=52, rate=BUSY_RATE, seconds=1.0) == 0.0


def test_nobody_is_watched_who_has_little_to_do() -> None:
    traffic = Traffic(lent=50)
    assert traffic.looks(descriptors=70, rate=1000.0, seconds=1.0) == 0.0
    assert not traffic.coalescing.watches


def tally(events: float, cpu: float) -> Tally:
    found = Tally()
    found.add(int(events), 1.0, cpu)
    return found


@pytest.mark.parametrize(
    ("events", "cpu", "expected"),
    [
        (1000, 0.5, False),
        (1200, 0.5, True),
        (1000, 0.4, True),
        # More at the same price for each.
        (1100, 0.55, True),
        # A little more, for much more.
        (1050, 0.7, False),
        # Cheap, and at the clients' expense.
        (900, 0.3, False),
        (0, 0.0, False),
    ],
)
def test_what_pays(events: float, cpu: float, expected: bool) -> None:
    assert pays(tally(events, cpu), tally(1000, 0.5)) == expected


def test_a_trial_takes_windows_by_turns_and_leaves_out_the_first_of_each_turn() -> None:
    trial, now, kinds = Trial(), 0.0, ""
    while not (found := trial.stands(now)):
        apart = trial.next(now)
        kinds += "a" if apart else "-"
        now += WINDOW
        first = len(kinds) == 1 or kinds[-2] != kinds[-1]
        # What the first of a turn says would turn it round.
        trial.add(now, 1 if apart == first else 1000, WINDOW, WINDOW / 2)
    assert found
    assert {
        len(turn) for turn in kinds.replace("a-", "a -").replace("-a", "- a").split()[1:-1]
    } == {IN_A_ROW}
    assert min(kinds.count("a"), kinds.count("-")) >= TRIED
    assert trial.next(now)
    assert not trial.stands(now + STANDS)


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
