"""A work queue of keys: each at most once in it, one at a time, with back-off."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from sluice_operator import metrics

log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)

CONCURRENCY = 8
BACKOFF_FIRST = 1.0
BACKOFF_MOST = 60.0
JITTER = 0.2
HEARTBEAT = 5.0
STUCK_SECONDS = 120.0
DRAIN_SECONDS = 1.0
"""Another shall lead two seconds after a stop, and looks at the Lease every half second: what
takes longer, as the answer of a silent pod does, is cut off."""


class WorkQueue(Generic[K]):
    """Calls `work(key)` for every key that is due.

    `work` answers in how many seconds it wants to see the key again, or None to forget
    it. If it raises, the key comes back after 1, 2, 4 … 60 seconds. A key that is added
    while it is being worked on is worked on once more. Delays are jittered by 20 %, so
    that a thousand keys do not come back at once.
    """

    def __init__(
        self,
        work: Callable[[K], Awaitable[float | None]],
        concurrency: int = CONCURRENCY,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._work = work
        self._concurrency = concurrency
        self._clock = clock
        self._due: dict[K, float] = {}
        self._running: dict[K, tuple[asyncio.Task[None], float]] = {}
        self._failures: dict[K, int] = {}
        self._changed = asyncio.Event()
        self._beat = clock()

    def add(self, key: K, after: float = 0.0) -> None:
        """`key` is due in `after` seconds, or earlier if it already was."""
        due = self._clock() + after
        self._due[key] = min(due, self._due.get(key, due))
        self._changed.set()

    def is_alive(self) -> bool:
        """Whether the queue turns, and no key has been worked on for two minutes."""
        now = self._clock()
        turning = now - self._beat < 3 * HEARTBEAT
        return turning and all(now - since < STUCK_SECONDS for _, since in self._running.values())

    async def run(self) -> None:
        """Works until it is cancelled; then waits a moment for what is being worked on."""
        try:
            while True:
                self._beat = self._clock()
                self._changed.clear()
                wait = self._start_due()
                await self._sleep(wait)
        finally:
            await self._drain()

    def _start_due(self) -> float:
        """Starts what is due and may run; returns the seconds until something else is."""
        now = self._clock()
        for key in sorted(self._due, key=self._due.__getitem__):
            if self._due[key] > now or len(self._running) >= self._concurrency:
                break
            if key not in self._running:
                del self._due[key]
                self._start(key, now)
        metrics.QUEUE_WAITING.set(len(self._due))
        metrics.QUEUE_RUNNING.set(len(self._running))
        idle = (due for key, due in self._due.items() if key not in self._running)
        if len(self._running) >= self._concurrency:
            return HEARTBEAT
        return min(HEARTBEAT, max(0.0, min(idle, default=now + HEARTBEAT) - now))

    def _start(self, key: K, now: float) -> None:
        task = asyncio.create_task(self._run_one(key), name=f"reconcile {key}")
        self._running[key] = (task, now)

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _run_one(self, key: K) -> None:
        try:
            again = await self._work(key)
            self._failures.pop(key, None)
        except Exception as error:
            again = self._backoff(key)
            log.warning("%s: %s; again in %.0f s", key, error, again, exc_info=_trace(error))
        finally:
            del self._running[key]
            self._changed.set()
        if again is not None:
            self.add(key, again * random.uniform(1 - JITTER, 1 + JITTER))

    def _backoff(self, key: K) -> float:
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        return float(min(BACKOFF_MOST, BACKOFF_FIRST * 2 ** min(failures, 10)))

    async def _drain(self) -> None:
        tasks = [task for task, _ in self._running.values()]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _trace(error: Exception) -> bool:
    """A traceback is for bugs; what the API server says is a sentence already."""
    return not hasattr(error, "status")
