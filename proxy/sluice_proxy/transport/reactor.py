"""The reactor: one edge-triggered epoll for all data connections, nested in the event loop.

The loop watches only the epoll's own descriptor. A connection is registered once, for both
directions, and costs no further system call for it: no asyncio transport, no future, no
registration per read.
"""

import asyncio
import contextlib
import logging
import select
import time
from collections.abc import Callable
from typing import Final, Protocol

log = logging.getLogger(__name__)

READABLE: Final = select.EPOLLIN
WRITABLE: Final = select.EPOLLOUT
HANGUP: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_EVERYTHING: Final = READABLE | WRITABLE | select.EPOLLRDHUP | select.EPOLLET

# Events taken per turn, so that the control plane gets its share of the loop.
_BATCH: Final = 256


class Handler(Protocol):
    """What wants to know about one descriptor."""

    def on_events(self, mask: int) -> None: ...

    def on_failure(self) -> None:
        """`on_events` raised: nothing of this descriptor can be relied on."""


class Reactor:
    """Dispatches readiness to handlers. `now` is the monotonic time of the present turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self.loop = loop
        self.now = time.monotonic()
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._again: list[Handler] = []
        loop.add_reader(self._epoll.fileno(), self._turn)

    def clock(self) -> float:
        """Seconds, monotonic; as exact as the turns of the reactor."""
        return self.now

    def register(self, fd: int, handler: Handler) -> None:
        self._handlers[fd] = handler
        self._epoll.register(fd, _EVERYTHING)

    def replace(self, fd: int, handler: Handler) -> None:
        """Another handler for a descriptor that is registered."""
        self._handlers[fd] = handler

    def unregister(self, fd: int) -> None:
        self._handlers.pop(fd, None)
        # A descriptor that is closed left the epoll by itself.
        with contextlib.suppress(OSError):
            self._epoll.unregister(fd)

    def again(self, handler: Handler) -> None:
        """`handler` has more to read than its fair share: it comes again in the next turn."""
        if not self._again:
            self.loop.call_soon(self._turn)
        self._again.append(handler)

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        self.loop.call_later(seconds, what)

    def tick(self) -> None:
        """Keeps `now` going while nothing happens."""
        self.now = time.monotonic()

    def _turn(self) -> None:
        self.now = time.monotonic()
        again, self._again = self._again, []
        # An edge is told once: the others of this turn must hear of theirs whatever happens.
        for handler in again:
            try:
                handler.on_events(READABLE)
            except Exception:
                self._give_up(handler)
        handlers = self._handlers
        for fd, mask in self._epoll.poll(0, _BATCH):
            handler_of_fd = handlers.get(fd)
            if handler_of_fd is None:
                continue
            try:
                handler_of_fd.on_events(mask)
            except Exception:
                self._give_up(handler_of_fd)

    def _give_up(self, handler: Handler) -> None:
        log.exception("a connection could not be dealt with")
        try:
            handler.on_failure()
        except Exception:
            log.exception("a connection could not be dropped")

    def close(self) -> None:
        self.loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
