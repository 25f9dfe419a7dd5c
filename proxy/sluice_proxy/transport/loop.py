"""asyncio's event loop with the reactor for its waiting: timers and tasks beside the traffic.

A loop within the reactor's epoll, or the reactor's epoll within a loop's, would turn both for
each event. Here there is one wait. It comes back for what is asyncio's alone: a descriptor of
its own, a timer that is due, or a callback that a connection has just given it.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from contextvars import Context
from typing import Any, TypeVarTuple

from sluice_proxy.transport.descriptors import SHIFT
from sluice_proxy.transport.reactor import HANGUP, READABLE, WRITABLE, Reactor

Arguments = TypeVarTuple("Arguments")


class ReactorLoop(asyncio.SelectorEventLoop):
    """`reactor` is for connections; everything else is asyncio as it is."""

    def __init__(self) -> None:
        self.reactor = Reactor()
        super().__init__(_Selector(self.reactor))
        self.reactor.loop = self

    def call_soon(
        self,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.Handle:
        self.reactor.stirred = True
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        self.reactor.stirred = True
        return super().call_at(when, callback, *args, context=context)


def run(main: Coroutine[Any, Any, None]) -> None:
    """As `asyncio.run`, in a ReactorLoop."""
    with asyncio.Runner(loop_factory=ReactorLoop) as runner:
        runner.run(main)


class _Selector(selectors.BaseSelector):
    """The descriptors that asyncio itself watches: by number, level-triggered."""

    def __init__(self, reactor: Reactor):
        self._reactor = reactor
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        if fileobj in self._keys:
            raise KeyError(f"{fileobj!r} is registered already")
        self._reactor.epoll.register(fileobj, _mask(events))
        key = selectors.SelectorKey(fileobj, fileobj, events, data)
        self._keys[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        self._reactor.unregister(fileobj)
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = self._reactor.wait(float("inf") if timeout is None else timeout)
        keys = self._keys
        # Some may have gone while the others of the same turn were served.
        return [
            (keys[event >> SHIFT], _events(event) & keys[event >> SHIFT].events)
            for event in events
            if event >> SHIFT in keys
        ]

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys

    def close(self) -> None:
        self._keys.clear()
        self._reactor.close()


def _mask(events: int) -> int:
    reads, writes = events & selectors.EVENT_READ, events & selectors.EVENT_WRITE
    return (READABLE if reads else 0) | (WRITABLE if writes else 0)


def _events(mask: int) -> int:
    """After a failure both sides are ready: to hear of it."""
    reads, writes = mask & (READABLE | HANGUP), mask & (WRITABLE | HANGUP)
    return (selectors.EVENT_READ if reads else 0) | (selectors.EVENT_WRITE if writes else 0)
