"""How far apart the reactor's looks at its connections are while many of them are busy.

A network card that interrupts for each packet keeps its host busy with interrupts, so under load
it waits a little and tells of several at once (interrupt coalescing, ethtool(8)). A proxy that
looks at each event as it comes goes to sleep and is woken for each one, and wakes a client or a
server for each one. Looks that are a fraction of a millisecond apart find a few at a time: that
costs less here and over there, and as everybody gets more done nobody waits for longer.
"""

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


class Coalescing:
    """Counts events, and says from time to time how far apart looks are to be.

    `lent` gives the server connections that clients hold. Of those some may rest while their
    clients think, so that what is at work is also no more than half of the descriptors that had
    events: for each there are a client's and a server's.
    """

    __slots__ = ("_busy", "_count", "_lent", "_looks", "_since", "interval", "lent", "watches")

    def __init__(self, now: float) -> None:
        self.lent: Callable[[], int] = int
        # Whether `add` is to be called for each event.
        self.watches = False
        self.interval = 0.0
        self._busy: set[int] = set()
        self._lent = 0
        self._looks = 0
        self._count = 0
        self._since = now

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
            self._decide(self._count / elapsed, now)

    def _decide(self, rate: float, now: float) -> None:
        busy = min(self._lent / self._looks, len(self._busy) / 2) if self._looks else 0.0
        self.interval = interval(rate, busy)
        # Who has little to do is not watched at all.
        self.watches = rate * MOST >= LEAST
        self._busy.clear()
        self._lent = self._looks = self._count = 0
        self._since = now

    def rest(self, since: float) -> float:
        """For how many seconds to sleep before the next look, `since` seconds after the last."""
        return max(0.0, self.interval - since - SLACK)
