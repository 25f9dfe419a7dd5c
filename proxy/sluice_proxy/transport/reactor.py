"""The reactor: one epoll for everything, in which data connections have the right of way.

It is what the event loop waits with (see `loop`). A data connection is registered once, for both
directions and edge-triggered, and costs no further system call for it; its events are dealt
with where they are found, and the event loop does not turn for them: no transport, no future,
no callback.
"""

import asyncio
import contextlib
import logging
import select
from collections.abc import Callable
from typing import Final

from mypy_extensions import mypyc_attr, trait

from sluice_proxy.clock import Clock
from sluice_proxy.transport import descriptors
from sluice_proxy.transport.coalescing import Coalescing
from sluice_proxy.transport.descriptors import SHIFT

log = logging.getLogger(__name__)

READABLE: Final = 0x001  # EPOLLIN
WRITABLE: Final = 0x004  # EPOLLOUT
HANGUP: Final = 0x2018  # EPOLLRDHUP | EPOLLHUP | EPOLLERR
_EVERYTHING: Final = READABLE | WRITABLE | select.EPOLLRDHUP | select.EPOLLET

_MASK: Final = (1 << 16) - 1
_FOR_EVER: Final = float("inf")
_NO_EVENTS: Final[list[int]] = []

# By descriptor; a place beyond the last costs no memory worth a dict.
_PLACES: Final = 1024


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Handler:
    """What wants to know about one descriptor."""

    __slots__ = ()

    def on_events(self, mask: int) -> None:
        """What epoll says of it."""

    def on_failure(self) -> None:
        """`on_events` raised: nothing of this descriptor can be relied on."""


@mypyc_attr(allow_interpreted_subclasses=True)
class UncompiledHandler(Handler):
    """Where a class that is never compiled begins: only compiled ones may have a trait."""


class Reactor:
    """Dispatches readiness to handlers. `clock` tells when the present turn began.

    `stirred` is set by whoever gives the event loop something to do; that is `loop`.
    """

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop
        self.clock = Clock(descriptors.monotonic())
        self.coalescing = Coalescing(self.clock.now)
        self._looked_at = self.clock.now
        self.epoll = select.epoll()
        self._descriptor = self.epoll.fileno()
        self._events = descriptors.room()
        self.stirred = False
        self._handlers: list[Handler | None] = [None] * _PLACES
        self._again: list[Handler] = []

    def register(self, fd: int, handler: Handler) -> None:
        if fd >= len(self._handlers):
            self._handlers += [None] * fd
        self._handlers[fd] = handler
        self.epoll.register(fd, _EVERYTHING)

    def replace(self, fd: int, handler: Handler) -> None:
        """Another handler for a descriptor that is registered."""
        self._handlers[fd] = handler

    def unregister(self, fd: int) -> None:
        if 0 <= fd < len(self._handlers):
            self._handlers[fd] = None
        # A descriptor that is closed left the epoll by itself.
        with contextlib.suppress(OSError):
            self.epoll.unregister(fd)

    def again(self, handler: Handler) -> None:
        """`handler` has more to read than its fair share: it comes again in the next turn."""
        self._again.append(handler)

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        self.loop.call_later(seconds, what)

    def wait(self, seconds: float) -> list[int]:
        """Serves connections until there is something for the event loop, so long at most.

        Returns the events of descriptors that have no handler. `seconds` may be infinite.
        """
        self.stirred = False
        clock = self.clock
        clock.now = descriptors.monotonic()
        until = clock.now + seconds
        while True:
            left = 0.0 if self._again else max(until - clock.now, 0.0)
            limit = left if left < _FOR_EVER else -1.0
            rest = self._rest(left) if self.coalescing.interval else 0.0
            found = descriptors.wait(self.epoll, self._descriptor, self._events, limit, rest)
            self._looked_at = clock.now = descriptors.monotonic()
            self.coalescing.looked(found, clock.now)
            others = self._dispatch(found)
            if others or self.stirred or clock.now >= until:
                return others

    def _rest(self, left: float) -> float:
        """Seconds, `left` at most, in which more events may come, to be found by one look."""
        return min(left, self.coalescing.rest(descriptors.monotonic() - self._looked_at))

    def _dispatch(self, count: int) -> list[int]:
        """An edge is told once: the others of a turn hear of theirs whatever happens to one."""
        if self._again:
            again, self._again = self._again, []
            for handler in again:
                self._tell(handler, READABLE)
        others = _NO_EVENTS
        handlers = self._handlers
        watches = self.coalescing.watches
        for number in range(count):
            event = descriptors.event(self._events, number)
            fd = event >> SHIFT
            found = handlers[fd] if fd < len(handlers) else None
            if found is None:
                others = [*others, event]
            else:
                if watches:
                    self.coalescing.add(fd)
                self._tell(found, event & _MASK)
        return others

    def _tell(self, handler: Handler, mask: int) -> None:
        try:
            handler.on_events(mask)
        except Exception:
            self._give_up(handler)

    def _give_up(self, handler: Handler) -> None:
        log.exception("a connection could not be dealt with")
        try:
            handler.on_failure()
        except Exception:
            log.exception("a connection could not be dropped")

    def close(self) -> None:
        self.epoll.close()
