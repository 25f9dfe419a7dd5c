"""The event loop and the reactor in one wait: neither keeps the other from its turn."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from sluice_proxy.transport.loop import ReactorLoop
from sluice_proxy.transport.reactor import UncompiledHandler

LONG = 5.0
"""Seconds for which the loop would wait if nobody told it of anything."""


class Connection(UncompiledHandler):
    """One end in the reactor, of which `on_bytes` is called for what comes; `far` is the other."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, ReactorLoop)
        self.loop = loop
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self.on_bytes: Callable[[], object] = lambda: None
        loop.reactor.register(self.near.fileno(), self)

    def on_events(self, mask: int) -> None:
        self.near.recv(100)
        self.on_bytes()

    def on_failure(self) -> None:
        raise AssertionError("it fails")

    def close(self) -> None:
        self.loop.reactor.unregister(self.near.fileno())
        self.near.close()
        self.far.close()


class Again(UncompiledHandler):
    """What wants another turn, and is told of it."""

    def __init__(self, told: Callable[[], object]):
        self._told = told

    def on_events(self, mask: int) -> None:
        self._told()

    def on_failure(self) -> None: ...


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    made = Connection()
    yield made
    made.close()


async def within_time(happened: asyncio.Event) -> bool:
    """Whether it does while the loop waits for nothing else for a LONG time."""
    began = asyncio.get_running_loop().time()
    async with asyncio.timeout(LONG):
        await happened.wait()
    return asyncio.get_running_loop().time() - began < LONG


async def test_a_callback_that_a_connection_gives_is_called(connection: Connection) -> None:
    happened = asyncio.Event()
    connection.on_bytes = lambda: connection.loop.call_soon(happened.set)
    connection.far.send(b"x")
    assert await within_time(happened)


async def test_a_timer_that_a_connection_sets_is_kept(connection: Connection) -> None:
    happened = asyncio.Event()
    connection.on_bytes = lambda: connection.loop.call_later(0.01, happened.set)
    connection.far.send(b"x")
    assert await within_time(happened)


async def test_who_asks_for_another_turn_has_it(connection: Connection) -> None:
    """Its bytes are here already: nothing else may come that would end the wait."""
    happened = asyncio.Event()
    again = Again(lambda: connection.loop.call_soon(happened.set))
    connection.on_bytes = lambda: connection.loop.reactor.again(again)
    connection.far.send(b"x")
    assert await within_time(happened)


async def test_a_descriptor_of_asyncio_s_own_is_told_of(connection: Connection) -> None:
    happened = asyncio.Event()
    near, far = socket.socketpair()
    connection.loop.add_reader(near.fileno(), happened.set)
    far.send(b"x")
    assert await within_time(happened)
    assert connection.loop.remove_reader(near.fileno())
    assert not connection.loop.remove_reader(near.fileno())
    near.close()
    far.close()
