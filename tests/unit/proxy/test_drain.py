"""When a drain does what."""

import asyncio
from typing import Any

import pytest

from sluice_proxy.drain import Drain, Schedule
from sluice_proxy.session.activity import Activity

LONG = Schedule(began=1000, grace=300, linger=15)


@pytest.mark.parametrize(
    ("grace", "hurry"), [(300, 290), (60, 50), (20, 10), (10, 5), (2, 1), (0, 0)]
)
def test_it_hurries_in_its_last_seconds(grace: float, hurry: float) -> None:
    schedule = Schedule(1000, grace, 15)
    assert not schedule.hurries(1000 + hurry - 0.1)
    assert schedule.hurries(1000 + hurry)
    assert schedule.end == 1000 + grace


@pytest.mark.parametrize(
    ("now", "came_at", "present", "closes"),
    [
        (1000, 0, False, False),
        # Silence from before the signal does not count: nobody knew then that the pod leaves.
        (1014.9, 0, False, False),
        (1015, 0, False, True),
        (1015, 990, False, True),
        (1015, 1005, False, False),
        (1020, 1005, False, True),
        # Who is there is served, however long ago it came.
        (1100, 0, True, False),
        (1100, 1005, True, False),
        (1100, 1005, False, True),
        (1100, 1090, False, False),
    ],
)
def test_it_lets_in_who_comes_until_nobody_does(
    now: float, came_at: float, present: bool, closes: bool
) -> None:
    assert LONG.closes(now, came_at, present) is closes


@pytest.mark.parametrize("present", [True, False])
def test_without_patience_it_lets_nobody_in(present: bool) -> None:
    assert Schedule(1000, 300, 0).closes(1000, 1000, present)


class Scene:
    """A hub, logins and an entrance in one, at which things happen at their `times`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **times: tuple[float, ...]) -> None:
        self.now = 0.0
        self.times = times
        self.clients: list[str] = []
        self.under_way = self.silent = self.busy = False
        self.activity = Activity(lambda: self.now)
        self.told: list[tuple[float, str]] = []
        scene: Any = self
        self.drain_ = Drain(scene, scene, scene, lambda: self.now)
        monkeypatch.setattr(asyncio, "sleep", self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.now = round(self.now + seconds, 3)
        for what, when in self.times.items():
            if self.now in when:
                getattr(self, what)()

    def comes(self) -> None:
        self.activity.came()
        self.clients.append("client")

    def goes(self) -> None:
        self.clients.pop()

    def hurries(self) -> None:
        self.drain_.hurried = True

    def begins(self) -> None:
        self.under_way, self.silent = True, False

    def gives_up(self) -> None:
        self.under_way = self.silent = self.busy = False

    def drain(self, lame_duck: bool) -> None:
        self.told.append((self.now, "lame duck" if lame_duck else "drains"))

    def end_idle_clients(self, rested: float) -> None:
        self.told.append((self.now, f"ends who has rested {rested:.2f} s"))

    def close(self) -> None:
        self.told.append((self.now, "closes"))

    async def runs(self, grace: float, linger: float) -> list[tuple[float, str]]:
        """What was done when; the last is that nothing is kept for anybody any more."""
        await self.drain_.run(grace, linger)
        return list(dict.fromkeys(self.told))


async def test_nobody_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    assert await scene.runs(60, 5) == [(0, "lame duck"), (5, "closes"), (5, "drains")]


async def test_each_who_comes_puts_the_end_off(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, comes=(4.0, 8.0), goes=(4.5, 20.0))
    assert await scene.runs(60, 5) == [(0, "lame duck"), (20, "closes"), (20, "drains")]


async def test_without_patience_who_is_in_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, goes=(7.0,))
    scene.comes()
    assert await scene.runs(60, 0) == [(0, "drains"), (0, "closes"), (7, "drains")]


async def test_a_second_signal_waits_for_nobody_at_the_door(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(monkeypatch, hurries=(2.0,))
    scene.begins()
    assert await scene.runs(60, 5) == [
        (0, "lame duck"), (2, "closes"), (2, "ends who has rested 0.00 s"), (2, "drains"),
    ]  # fmt: skip


async def test_the_end_of_the_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    scene.comes()
    told = await scene.runs(4, 5)
    assert told[:3] == [(0, "lame duck"), (2, "closes"), (2, "ends who has rested 0.20 s")]
    assert (3, "ends who has rested 0.10 s") in told
    assert told[-2:] == [(4, "ends who has rested 0.00 s"), (4, "drains")]


async def test_who_logs_in_near_the_end_may_do_so(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, begins=(1.9,), gives_up=(3.0,))
    scene.comes()
    scene.times["goes"] = (2.5,)
    assert (await scene.runs(4, 5))[-1] == (3, "drains")


@pytest.mark.parametrize("which", ["silent", "busy"])
async def test_the_last_to_come_may_say_who_they_are(
    monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    scene = Scene(monkeypatch, begins=(5.5,), gives_up=(9.0,))
    setattr(scene, which, True)
    assert (await scene.runs(60, 5))[1:] == [(5, "closes"), (9, "drains")]


@pytest.mark.parametrize("which", ["silent", "busy"])
async def test_who_says_nothing_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    scene = Scene(monkeypatch)
    setattr(scene, which, True)
    assert (await scene.runs(60, 5))[1:] == [(5, "closes"), (6, "drains")]
