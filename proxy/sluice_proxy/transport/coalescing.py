"""How far apart the reactor's looks at its connections are while many of them are busy.

A network card that interrupts for each packet keeps its host busy with interrupts, so under load
it waits a little and tells of several at once (interrupt coalescing, ethtool(8)). A proxy that
looks at each event as it comes goes to sleep and is woken for each one, and wakes a client or a
server for each one. Looks that are a fraction of a millisecond apart find a few at a time. Where
processors are what everybody waits for, that costs less, and more is done. Where they are not, it
is time lost. Nobody can tell from outside, so it is tried, and goes on only if it pays.
"""

import time
from collections.abc import Callable
from typing import Final

# Seconds that two looks are apart at most.
MOST: Final = 300e-6
# Of the time that an answer takes, the part that two looks are apart. One event waits for half
# of that on average.
PART: Final = 0.25
# With fewer events from one look to the next there is nothing to be gained.
LEAST: Final = 2.0
# Seconds over which events are counted, before it is decided anew.
WINDOW: Final = 8e-3
# Seconds that a thread sleeps beyond what it asked for: Linux's timer slack, prctl(2).
SLACK: Final = 50e-6

# Windows of either kind that make a trial, and how many follow each other; the first of them is
# not counted, as what it finds was sent before.
TRIED: Final = 10
IN_A_ROW: Final = 3
# Seconds for which the outcome of a trial stands.
STANDS: Final = 5.0
# As many events a second as without, but for chance.
_AS_MANY: Final = 0.98
# Events a second, times events per second of CPU, beside the same without.
_WORTH: Final = 1.05


def interval(rate: float, busy: float) -> float:
    """For how many seconds looks are apart; 0: each follows the other at once.

    `rate` is in events per second, `busy` counts the server connections that are at work. By
    Little's law an answer takes busy / (rate / 2) seconds: there are two events for each, the
    request's and its own.
    """
    if rate <= 0.0:
        return 0.0
    wanted = min(MOST, PART * busy / (rate / 2))
    return wanted if wanted * rate >= LEAST else 0.0


class Tally:
    """What came in so many windows: events, in `seconds`, at the price of `cpu` seconds.

    What came before those windows is in it, too, for less and less.
    """

    __slots__ = ("cpu", "events", "seconds", "windows")

    def __init__(self) -> None:
        self.windows = 0
        self.events = 0.0
        self.seconds = 0.0
        self.cpu = 0.0

    def add(self, events: int, seconds: float, cpu: float) -> None:
        self.windows += 1
        self.events += events
        self.seconds += seconds
        self.cpu += cpu

    def fade(self) -> None:
        self.windows = 0
        self.events /= 2
        self.seconds /= 2
        self.cpu /= 2


def pays(apart: Tally, at_once: Tally) -> bool:
    """Whether looks that are apart get as much done, and more of it or at a lower price."""
    more = apart.events * at_once.seconds / max(1e-9, at_once.events * apart.seconds)
    cheaper = apart.events * at_once.cpu / max(1e-9, at_once.events * apart.cpu)
    return more >= _AS_MANY and more * cheaper >= _WORTH


class Trial:
    """Windows by turns with looks that are apart, and without; then what pays, for a while."""

    __slots__ = ("_apart", "_at_once", "_number", "_pays", "_stands_until")

    def __init__(self) -> None:
        self._number = -1
        self._pays = False
        self._stands_until = 0.0
        self._apart = Tally()
        self._at_once = Tally()

    def stands(self, now: float) -> bool:
        """Whether it is known for now what pays."""
        return now < self._stands_until

    def next(self, now: float) -> bool:
        """Whether looks are apart in the window that begins now."""
        if self.stands(now):
            return self._pays
        self._number += 1
        return self._is_apart()

    def _is_apart(self) -> bool:
        return self._number // IN_A_ROW % 2 == 0

    def add(self, now: float, events: int, seconds: float, cpu: float) -> None:
        """What came in the window that ends now, and was as `next` had it."""
        if self.stands(now) or self._number % IN_A_ROW == 0:
            return
        (self._apart if self._is_apart() else self._at_once).add(events, seconds, cpu)
        if min(self._apart.windows, self._at_once.windows) >= TRIED:
            self._pays = pays(self._apart, self._at_once)
            self._stands_until = now + STANDS
            self._apart.fade()
            self._at_once.fade()


class Coalescing:
    """Counts events, and says from time to time how far apart looks are to be.

    `lent` gives the server connections that clients hold. Of those some may rest while their
    clients think, so that what is at work is also no more than half of the descriptors that had
    events: for each there are a client's and a server's. `processor` gives seconds of CPU.
    """

    __slots__ = (
        "_busy", "_count", "_lent", "_looks", "_processor", "_since", "_trial", "_tries", "_used",
        "interval", "lent", "watches",
    )  # fmt: skip

    def __init__(self, now: float, processor: Callable[[], float] = time.thread_time) -> None:
        self.lent: Callable[[], int] = int
        # Whether `add` is to be called for each event.
        self.watches = False
        self.interval = 0.0
        self._trial = Trial()
        # Whether this window is as the trial wants it.
        self._tries = False
        self._busy: set[int] = set()
        self._lent = 0
        self._looks = 0
        self._count = 0
        self._since = now
        self._processor = processor
        self._used = processor()

    def add(self, descriptor: int) -> None:
        """An event of this descriptor."""
        self._busy.add(descriptor)

    def looked(self, count: int, now: float) -> None:
        """A look found so many events; `now` is seconds, monotonic."""
        self._count += count
        if self.watches:
            self._looks += 1
            self._lent += self.lent()
        elapsed = now - self._since
        if elapsed >= WINDOW:
            self._decide(elapsed, now)

    def _decide(self, elapsed: float, now: float) -> None:
        rate = self._count / elapsed
        used = self._processor()
        busy = min(self._lent / self._looks, len(self._busy) / 2) if self._looks else 0.0
        wanted = interval(rate, busy)
        if self._tries and wanted:
            self._trial.add(now, self._count, elapsed, used - self._used)
        self._tries = wanted > 0.0
        self.interval = wanted if self._tries and self._trial.next(now) else 0.0
        # Who has little to do is not watched at all.
        self.watches = rate * MOST >= LEAST
        self._busy.clear()
        self._lent = self._looks = self._count = 0
        self._since, self._used = now, used

    def rest(self, since: float) -> float:
        """For how many seconds to sleep before the next look, `since` seconds after the last."""
        return max(0.0, self.interval - since - SLACK)
