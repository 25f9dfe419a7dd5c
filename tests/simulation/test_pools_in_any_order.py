"""Pools under every order of events: a fake connector, a fake clock, no socket.

The model beside each pool keeps the order of arrival, so that a waiter that is served out
of turn, twice or never is seen at once.
"""

import random
from collections import deque
from collections.abc import Iterator

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sluice_proxy.errors import (
    ServerRejected,
    ServerUnavailable,
)
from sluice_proxy.pool.key import PoolKey
from sluice_proxy.pool.maintenance import Maintenance
from sluice_proxy.pool.neighbours import Waiter
from sluice_proxy.pool.queue import Queue
from sluice_testing.world import A, B, C, FakeServer, FakeWaiter, World

KEYS = st.sampled_from((A, B, C))
PICK = st.integers(0, 10**6)


def standing(queue: Queue) -> Iterator[Waiter]:
    """Who waits, from the first to the last."""
    waiter = queue._first
    while waiter is not None:
        yield waiter
        if waiter.behind is None:
            assert queue._last is waiter
        waiter = waiter.behind


class PoolsMachine(RuleBasedStateMachine):
    """Any order of events. `queues` is the order of arrival that each pool must keep."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(limit=2, timeout=30)
        self.pools = self.world.pools
        self.limit = 2
        self.excess = 0
        self.queues: dict[PoolKey, deque[FakeWaiter]] = {A: deque(), B: deque(), C: deque()}
        self.lent: list[FakeWaiter] = []
        self.servers: list[FakeServer] = []
        self.everybody: list[FakeWaiter] = []
        self.retired: set[FakeServer] = set()
        self.seats = random.Random(0)
        self.pools.maintenance = Maintenance(self.world.clock, self.seats.random)

    def settle(self) -> None:
        """Moves who was served or refused out of the model's queues: only from the front."""
        for queue in self.queues.values():
            while queue and not queue[0].waits:
                waiter = queue.popleft()
                if waiter.server is not None:
                    self.lent.append(waiter)
        self.excess = max(0, min(self.excess, self.pools.open - self.limit))

    @rule(key=KEYS)
    def acquire(self, key: PoolKey) -> None:
        overtaking = bool(self.queues[key])
        waiter = self.world.borrow(key)
        self.everybody.append(waiter)
        assert not (overtaking and waiter.server is not None)
        if waiter.error is None:
            self.queues[key].append(waiter)
        else:
            assert self.pools.borrow_timeout == 0
        self.settle()

    @precondition(lambda self: self.lent)
    @rule(pick=PICK)
    def release(self, pick: int) -> None:
        self.world.give_back(self.lent.pop(pick % len(self.lent)))
        self.settle()

    @precondition(lambda self: self.lent)
    @rule(pick=PICK)
    def discard(self, pick: int) -> None:
        waiter = self.lent.pop(pick % len(self.lent))
        assert waiter.server is not None
        self.pools.discard(waiter.key, waiter.server, "unfit")
        self.settle()

    @precondition(lambda self: any(not server.reasons for server in self.servers))
    @rule(pick=PICK)
    def lose(self, pick: int) -> None:
        alive = [server for server in self.servers if not server.reasons]
        server = alive[pick % len(alive)]
        self.servers.remove(server)
        self.lent = [waiter for waiter in self.lent if waiter.server is not server]
        self.pools.lost(server.key, server)
        self.settle()

    @precondition(lambda self: self.world.attempts)
    @rule()
    def connect(self) -> None:
        key, _ = self.world.attempts.popleft()
        server = FakeServer(key)
        self.servers.append(server)
        self.pools.connected(key, server)
        self.settle()

    @precondition(lambda self: self.world.attempts)
    @rule(transient=st.booleans())
    def fail(self, transient: bool) -> None:
        error = ServerUnavailable("later") if transient else ServerRejected("never")
        self.world.fail_next(error)
        self.settle()

    @precondition(lambda self: any(server.reasons for server in self.servers))
    @rule(pick=PICK)
    def let_go(self, pick: int) -> None:
        told = [server for server in self.servers if server.reasons]
        self.servers.remove(told[pick % len(told)])
        self.pools.closed()
        self.settle()

    @precondition(lambda self: any(self.queues.values()))
    @rule(pick=PICK)
    def give_up(self, pick: int) -> None:
        waiting = [waiter for queue in self.queues.values() for waiter in queue]
        waiter = waiting[pick % len(waiting)]
        self.queues[waiter.key].remove(waiter)
        self.everybody.remove(waiter)
        self.pools.give_up(waiter.key, waiter)
        self.settle()

    @rule(limit=st.integers(0, 6))
    def set_limit(self, limit: int) -> None:
        # Until they have closed, those above a smaller limit are still there.
        self.limit = limit
        self.excess = max(0, self.pools.open - limit)
        self.pools.set_limit(limit)
        self.settle()

    @rule(seconds=st.sampled_from((0.05, 0.5, 5.0, 31.0)))
    def wait(self, seconds: float) -> None:
        self.world.now += seconds
        self.pools.tick()
        self.settle()

    @rule(timeout=st.sampled_from((0.0, 30.0)))
    def set_timeout(self, timeout: float) -> None:
        self.pools.borrow_timeout = timeout

    @rule(seconds=st.sampled_from((1.0, 3600.0)))
    def set_lifetime(self, seconds: float) -> None:
        self.pools.maintenance.lifetime = seconds

    @rule(keep=st.sampled_from((None, 0, 1, 3)))
    def set_idle(self, keep: int | None) -> None:
        self.pools.maintenance.keep_idle = keep

    @precondition(lambda self: self.servers)
    @rule(pick=PICK)
    def retire(self, pick: int) -> None:
        server = self.servers[pick % len(self.servers)]
        self.retired.add(server)
        self.pools.retire(server.key, server, "its address is gone")
        self.settle()

    @rule()
    def close_idle(self) -> None:
        self.pools.close_idle("nobody is here")
        self.settle()

    @invariant()
    def the_budget_is_never_exceeded(self) -> None:
        assert len(self.servers) + len(self.world.attempts) == self.pools.open
        assert self.pools.open <= self.limit + self.excess

    @invariant()
    def the_counters_are_right(self) -> None:
        pools = list(self.pools)
        told = sum(bool(server.reasons) for server in self.servers)
        assert self.pools.closing == told
        assert self.pools.waiting == sum(pool.waiters.count for pool in pools)
        assert self.pools.open == told + sum(pool.open for pool in pools)
        assert sum(pool.connecting for pool in pools) == len(self.world.attempts)

    @invariant()
    def nobody_is_lost_or_overtaken(self) -> None:
        """The queues hold exactly who waits, in the order of arrival."""
        waiting = {
            pool.key: list(standing(pool.waiters)) for pool in self.pools if pool.waiters.count
        }
        assert all(pool.waiters.count == len(waiting.get(pool.key, ())) for pool in self.pools)
        assert waiting == {key: list(queue) for key, queue in self.queues.items() if queue}
        assert all(waiter.waits for queue in self.queues.values() for waiter in queue)

    @invariant()
    def nothing_is_lent_twice(self) -> None:
        lent = [waiter.server for waiter in self.lent]
        assert len(set(map(id, lent))) == len(lent)
        assert {id(server) for server in self.servers if server.lent} == set(map(id, lent))
        assert sum(pool.borrowed for pool in self.pools) == len(lent)

    @invariant()
    def nobody_waits_beside_a_connection_that_could_be_his(self) -> None:
        for pool in self.pools:
            assert not (pool.waiters.count and pool.idle)

    @invariant()
    def who_is_retired_serves_nobody_else(self) -> None:
        idle = {server for pool in self.pools for server in pool.idle}
        assert not idle & self.retired

    @invariant()
    def no_pool_is_kept_for_nothing(self) -> None:
        assert all(pool.open or pool.waiters.count for pool in self.pools)

    def teardown(self) -> None:
        """When everything goes well from here on everybody is served."""
        self.pools.borrow_timeout = 1e9
        self.pools.maintenance.lifetime = 1e9
        self.set_limit(max(1, self.limit))
        for _ in range(len(self.everybody) * 4 + 50):
            self.world.now += 1
            self.pools.tick()
            while any(server.reasons for server in self.servers):
                self.let_go(0)
            while self.world.attempts:
                self.connect()
            if self.lent:
                self.release(0)
        self.settle()
        assert not any(self.queues.values())
        assert not any(waiter.waits for waiter in self.everybody)


TestPools = PoolsMachine.TestCase
TestPools.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
