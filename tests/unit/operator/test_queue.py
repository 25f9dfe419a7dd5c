"""The work queue: one at a time per key, at most once in it, and it comes back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from sluice_operator import queue as queues
from sluice_operator.decide import lease
from sluice_operator.queue import WorkQueue

Work = Callable[[str], Awaitable[float | None]]


@contextlib.asynccontextmanager
async def running(work: Work, concurrency: int = 8) -> AsyncIterator[WorkQueue[str]]:
    queue: WorkQueue[str] = WorkQueue(work, concurrency)
    task = asyncio.create_task(queue.run())
    try:
        yield queue
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Gate:
    """Work that waits until it is let go, and counts."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.now = 0
        self.most = 0
        self.open = asyncio.Event()
        self.entered = asyncio.Event()

    async def __call__(self, key: str) -> float | None:
        self.calls.append(key)
        self.now += 1
        self.most = max(self.most, self.now)
        self.entered.set()
        await self.open.wait()
        self.now -= 1
        return None


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_key_that_is_added_often_is_worked_on_once() -> None:
    gate = Gate()
    gate.open.set()
    async with running(gate) as queue:
        for _ in range(10):
            queue.add("a")
        await gate.entered.wait()
        await turns()
    assert gate.calls == ["a"]


async def test_a_key_is_never_worked_on_twice_at_once_but_once_more_after() -> None:
    gate = Gate()
    async with running(gate) as queue:
        queue.add("a")
        await gate.entered.wait()
        queue.add("a")
        await turns()
        assert gate.calls == ["a"]
        gate.open.set()
        await turns()
    assert gate.calls == ["a", "a"]
    assert gate.most == 1


async def test_other_keys_go_on_meanwhile_up_to_the_limit() -> None:
    gate = Gate()
    async with running(gate, concurrency=2) as queue:
        for key in "abc":
            queue.add(key)
        await gate.entered.wait()
        await turns()
        assert sorted(gate.calls) == ["a", "b"]
        gate.open.set()
        await turns()
    assert sorted(gate.calls) == ["a", "b", "c"]


async def test_work_says_when_to_come_back() -> None:
    calls: list[str] = []
    second = asyncio.Event()

    async def work(key: str) -> float | None:
        calls.append(key)
        if len(calls) == 2:
            second.set()
            return None
        return 0.01

    async with running(work) as queue:
        queue.add("a")
        await asyncio.wait_for(second.wait(), 10)
        await turns()
    assert calls == ["a", "a"]


async def test_a_failure_comes_back_later_and_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(queues, "BACKOFF_FIRST", 0.001)
    calls: list[str] = []
    done = asyncio.Event()

    async def work(key: str) -> float | None:
        calls.append(key)
        if len(calls) < 4:
            raise RuntimeError("not today")
        done.set()
        return None

    async with running(work) as queue:
        queue.add("a")
        await asyncio.wait_for(done.wait(), 10)
    assert len(calls) == 4
    assert "not today" in caplog.text


def test_backoff_doubles_up_to_a_minute() -> None:
    async def work(key: str) -> float | None:
        return None

    queue: WorkQueue[str] = WorkQueue(work)
    waits = [queue._backoff("a") for _ in range(8)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


async def test_an_earlier_wish_wins() -> None:
    gate = Gate()
    gate.open.set()
    async with running(gate) as queue:
        queue.add("a", after=1000)
        queue.add("a")
        await asyncio.wait_for(gate.entered.wait(), 10)
    assert gate.calls == ["a"]


async def test_it_is_alive_only_while_it_turns_and_nothing_is_stuck() -> None:
    time = [0.0]
    gate = Gate()
    queue: WorkQueue[str] = WorkQueue(gate, clock=lambda: time[0])
    task = asyncio.create_task(queue.run())
    queue.add("a")
    await gate.entered.wait()
    assert queue.is_alive()
    time[0] = queues.STUCK_SECONDS
    queue.add("b")
    await turns()
    assert not queue.is_alive()
    gate.open.set()
    await turns()
    assert queue.is_alive()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    time[0] += 60
    assert not queue.is_alive()


def test_another_leads_two_seconds_after_a_stop_whatever_hangs() -> None:
    """What is under way, a look at the Lease, and half a second for the requests."""
    assert queues.DRAIN_SECONDS + lease.LOOK_EVERY <= 1.5


async def test_a_stop_waits_a_moment_for_what_is_under_way_and_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sluice_operator.queue.DRAIN_SECONDS", 0.1)
    ended: list[str] = []

    async def work(key: str) -> float | None:
        try:
            await asyncio.sleep(3600 if key == "stuck" else 0.02)
        finally:
            ended.append(key)
        return None

    queue: WorkQueue[str] = WorkQueue(work)
    queue.add("stuck")
    queue.add("quick")
    running = asyncio.create_task(queue.run())
    await asyncio.sleep(0.01)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert ended == ["quick", "stuck"]
