"""The end of a proxy: from the signal until the last client is gone, or the grace is over.

Not everybody knows at once that a pod leaves. So it is a lame duck first: it goes on accepting,
and serves whoever comes, until for a while nobody has.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sluice_proxy.session.hub import Hub
from sluice_proxy.session.logins import Logins
from sluice_proxy.transport.entrance import Entrance
from sluice_proxy.transport.tasks import survived

log = logging.getLogger(__name__)

# Seconds between two looks whether it is over.
_TICK: Final = 0.1
# Seconds before the end of a drain from which on clients that rest are ended; half of a short one.
_HURRY: Final = 10.0
# Seconds that who came in the last moment has to say that it is a client.
_FIRST_WORDS: Final = 1.0
# The part of the time left for which a client must have rested to be ended: who has just come,
# or is between two statements, goes on.
_RESTED: Final = 0.1


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a drain that `began` does what; seconds, of one clock.

    `grace` is for how long it may last. `linger` is for how long nobody must have come before
    nobody is let in any more; at 0 that is at once.
    """

    began: float
    grace: float
    linger: float

    @property
    def end(self) -> float:
        return self.began + self.grace

    def hurries(self, now: float) -> bool:
        """Whether clients that rest are ended by now."""
        return now >= self.end - min(_HURRY, self.grace / 2)

    def rest(self, now: float) -> float:
        """For how many seconds a client must have rested to be ended by now."""
        return max(0.0, self.end - now) * _RESTED

    def closes(self, now: float, came_at: float, present: bool) -> bool:
        """Whether nobody is let in any more, where the last client came at `came_at`."""
        silence = now - max(self.began, came_at)
        return not self.linger or (not present and silence >= self.linger)


class Drain:
    """Serves those who are in, and who still come. `clock` gives seconds, monotonic."""

    def __init__(self, hub: Hub, logins: Logins, entrance: Entrance, clock: Callable[[], float]):
        self._hub = hub
        self._logins = logins
        self._entrance = entrance
        self._clock = clock
        self._closed_at: float | None = None
        # Nobody is waited for who could end now.
        self.hurried = False

    async def run(self, grace: float, linger: float) -> None:
        """Returns with the last client, after `grace` seconds at most; who is left then stays."""
        schedule = Schedule(self._clock(), grace, linger)
        self._hub.drain(lame_duck=bool(linger))
        while not self._is_over(schedule):
            await asyncio.sleep(_TICK)
        self._hub.drain(lame_duck=False)

    def _is_over(self, schedule: Schedule) -> bool:
        now = self._clock()
        hurried = self.hurried or schedule.hurries(now)
        if self._closed_at is None and (hurried or self._is_quiet(schedule, now)):
            self._close(now)
        if hurried:
            with survived("drain"):
                self._hub.end_idle_clients(0.0 if self.hurried else schedule.rest(now))
        return now >= schedule.end or (self._closed_at is not None and self._is_empty(now))

    def _is_quiet(self, schedule: Schedule, now: float) -> bool:
        present = bool(self._hub.clients) or self._logins.under_way
        return schedule.closes(now, self._hub.activity.came_at, present)

    def _close(self, now: float) -> None:
        self._closed_at = now
        self._entrance.close()

    def _is_empty(self, now: float) -> bool:
        if self._hub.clients or self.hurried:
            return not self._hub.clients
        may_speak = self._logins.silent or self._entrance.busy
        newly = self._closed_at is not None and now < self._closed_at + _FIRST_WORDS
        return not (self._logins.under_way or (may_speak and newly))
