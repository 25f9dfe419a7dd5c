"""Pools under load that never ends: whoever waits is served, however greedy the others are.

Pitfall 57: strict order within a pool, fair shares between pools, and no stampede. Time is a
fake clock's; a login takes some of it, and so does the end of a connection.
"""

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable

import pytest

from sluice_proxy.errors import ProxyError
from sluice_proxy.pool.key import PoolKey
from sluice_proxy.pool.neighbours import NOT_WAITING, Server, Waiter
from sluice_proxy.pool.pool import Pools
from sluice_testing.timed import Timed

HOLD = 0.02
LOGIN = 0.05
GOODBYE = 0.01
SECONDS = 60.0


class Connection(Server):
    def __init__(self, load: "Load"):
        self.load = load
        self.idle_since = 0.0

    def close(self, reason: str) -> None:
        self.load.after(GOODBYE, self.load.closed)


class Client(Waiter):
    """Asks again as soon as it was served."""

    def __init__(self, load: "Load", key: PoolKey):
        self.waits_since = NOT_WAITING
        self.load = load
        self.key = key
        self.since = 0.0

    def ask(self) -> None:
        self.since = self.load.now
        self.load.queues[self.key].append(self)
        server = self.load.pools.acquire(self.key, self)
        if server is not None:
            self.grant(server)

    def grant(self, server: Server) -> None:
        load = self.load
        first = load.queues[self.key].pop(0)
        assert first is self, "overtaken"
        load.longest = max(load.longest, load.now - self.since)
        load.served[self.key] += 1
        load.after(load.dice.uniform(0, 2 * HOLD), lambda: self._done(server))

    def _done(self, server: Server) -> None:
        self.load.pools.release(self.key, server)
        self.load.after(self.load.dice.uniform(0, HOLD), self.ask)

    def refuse(self, error: ProxyError) -> None:
        raise AssertionError(f"refused: {error}")


class Load(Timed):
    """Clients of some pools, and what the pools ask of the world."""

    def __init__(self, seed: int, limit: int, crowd: dict[PoolKey, int]):
        self.dice = random.Random(seed)
        super().__init__()
        self.pools = Pools(self, self.clock, self.dice.random)
        self.pools.set_limit(limit)
        self.pools.borrow_timeout = 1e9
        self.pools.maintenance.lifetime = 5.0
        self.pools.maintenance.keep_idle = 1
        self.queues: dict[PoolKey, list[Client]] = {key: [] for key in crowd}
        self.served: Counter[PoolKey] = Counter()
        self.longest = 0.0
        self.most = 0
        self._order = itertools.count()
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self.clients = [Client(self, key) for key, count in crowd.items() for _ in range(count)]

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.now + seconds, next(self._order), what))

    def connect(self, key: PoolKey, delay: float) -> None:
        self.after(delay + LOGIN, lambda: self.pools.connected(key, Connection(self)))

    def closed(self) -> None:
        self.pools.closed()

    def tick(self) -> None:
        self.pools.tick()
        self.after(0.1, self.tick)

    def run(self) -> None:
        for client in self.clients:
            client.ask()
        self.tick()
        end = self.now + SECONDS
        while self._agenda and self._agenda[0][0] < end:
            self.now, _, what = heapq.heappop(self._agenda)
            what()
            self.most = max(self.most, self.pools.open)


@pytest.mark.parametrize("seed", range(20))
def test_everybody_is_served_and_the_budget_holds(seed: int) -> None:
    dice = random.Random(seed)
    limit = dice.randint(1, 5)
    crowd = {PoolKey(f"u{n}", "db"): dice.choice((1, 2, 10, 40)) for n in range(dice.randint(1, 7))}
    load = Load(seed, limit, crowd)
    load.run()
    assert load.most <= limit
    assert set(load.served) == set(crowd)
    # What it takes to serve everybody once, with a login for each turn of each pool.
    round_ = sum(crowd.values()) * 2 * HOLD / limit + len(crowd) * (LOGIN + GOODBYE + 0.3)
    waiting = [load.now - client.since for queue in load.queues.values() for client in queue]
    assert max([load.longest, *waiting]) < 4 * round_
