"""Age and rest of server connections, by a clock and dice of the test's own."""

from dataclasses import dataclass, field

import pytest

from sluice_proxy.clock import Clock
from sluice_proxy.pool.maintenance import IDLE_AFTER, IDLE_AFTER_IF_NONE_STAYS, Maintenance
from sluice_proxy.pool.neighbours import Server


class Connection(Server):
    """Known by its identity alone, as server connections are."""

    def __init__(self, name: str, idle_since: float):
        self.name = name
        self.idle_since = idle_since

    def close(self, reason: str) -> None: ...


@dataclass
class World:
    dice: float = 0.5
    clock: Clock = field(init=False)
    maintenance: Maintenance = field(init=False)

    def __post_init__(self) -> None:
        self.clock = Clock(10_000.0)
        self.maintenance = Maintenance(self.clock, lambda: self.dice)

    def connection(self, name: str = "one", idle_since: float = 0.0) -> Connection:
        made = Connection(name, idle_since)
        self.maintenance.admit(made)
        return made

    def finished(self, *idle: Connection) -> list[tuple[str, str]]:
        return [(c.name, reason) for c, reason in self.maintenance.finished(idle)]


@pytest.mark.parametrize(("dice", "seconds"), [(0.0, 3240.0), (0.5, 3600.0), (0.999999, 3959.0)])
def test_life_time_is_an_hour_more_or_less(dice: float, seconds: float) -> None:
    """Pitfall 56: the ends of connections that were opened together are staggered."""
    world = World(dice=dice)
    server = world.connection()
    world.clock.now += seconds - 1
    assert world.maintenance.verdict(server) == ""
    world.clock.now += 2
    assert world.maintenance.verdict(server) == "it has lived long enough"


def test_a_changed_life_time_holds_for_those_that_are_open() -> None:
    world = World()
    server = world.connection()
    world.clock.now += 100
    world.maintenance.lifetime = 100.0
    assert world.maintenance.verdict(server)
    world.maintenance.lifetime = 101.0
    assert not world.maintenance.verdict(server)


def test_who_is_retired_serves_nobody_else_and_the_first_reason_stays() -> None:
    world = World()
    server = world.connection()
    world.maintenance.retire(server, "its address is gone")
    world.maintenance.retire(server, "something else")
    assert world.maintenance.verdict(server) == "its address is gone"
    world.maintenance.admit(server)
    assert world.maintenance.verdict(server) == ""


@pytest.mark.parametrize(
    ("keep", "closed"),
    [
        (None, []),
        (0, ["oldest", "older", "old"]),
        (1, ["oldest", "older"]),
        (2, ["oldest"]),
        (3, []),
        (9, []),
    ],
)
def test_of_those_long_idle_so_many_stay(keep: int | None, closed: list[str]) -> None:
    world = World()
    world.maintenance.keep_idle = keep
    rests = world.clock.now - IDLE_AFTER
    idle = [
        world.connection("old", rests),
        world.connection("oldest", rests - 20),
        world.connection("fresh", world.clock.now - 1),
        world.connection("older", rests - 10),
    ]
    assert [name for name, _ in world.finished(*idle)] == closed


def test_idle_is_who_has_rested_for_five_minutes() -> None:
    world = World()
    world.maintenance.keep_idle = 1
    pair = world.connection("one", world.clock.now), world.connection("two", world.clock.now)
    world.clock.now += IDLE_AFTER - 1
    assert world.finished(*pair) == []
    world.clock.now += 1
    assert world.finished(*pair) == [("one", "more are idle than are kept")]


def test_where_none_is_kept_none_rests_for_long() -> None:
    world = World()
    world.maintenance.keep_idle = 0
    one = world.connection("one", world.clock.now)
    world.clock.now += IDLE_AFTER_IF_NONE_STAYS - 1
    assert world.finished(one) == []
    world.clock.now += 1
    assert world.finished(one) == [("one", "more are idle than are kept")]


def test_who_is_too_old_is_not_counted_among_those_that_stay() -> None:
    world = World()
    world.maintenance.keep_idle = 1
    world.maintenance.lifetime = 3600.0
    old = world.connection("old", world.clock.now)
    world.clock.now += 3000
    kept = world.connection("kept", world.clock.now)
    world.clock.now += 700
    assert world.finished(old, kept) == [("old", "it has lived long enough")]


def test_it_looks_once_a_second() -> None:
    world = World()
    seen = []
    for _ in range(30):
        world.clock.now += 0.1
        seen.append(world.maintenance.is_due())
    assert sum(seen) == 3
