"""Pools under every order of events: a fake connector, a fake clock, no socket.

The model beside each pool keeps the order of arrival, so that a waiter that is served out
of turn, twice or never is seen at once.
"""

from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sluice_proxy.errors import (
    BorrowTimeout,
    InvariantError,
    ProxyError,
    ServerRejected,
    ServerUnavailable,
)
from sluice_proxy.pool.key import PoolKey
from sluice_proxy.pool.pool import Pools, Server

A = PoolKey("a", "db")
B = PoolKey("b", "db")
C = PoolKey("c", "db")


@dataclass(eq=False)
class FakeServer:
    """A server connection; `reasons` says why it was told to close."""

    key: PoolKey
    idle_since: float = 0.0
    reasons: list[str] = field(default_factory=list)

    def close(self, reason: str) -> None:
        self.reasons.append(reason)


@dataclass(eq=False)
class FakeWaiter:
    """Exactly one of `server` and `error` is ever set, once."""

    key: PoolKey
    server: Server | None = None
    error: ProxyError | None = None

    def grant(self, server: Server) -> None:
        assert self.server is None
        assert self.error is None
        self.server = server

    def refuse(self, error: ProxyError) -> None:
        assert self.server is None
        assert self.error is None
        self.error = error

    @property
    def waits(self) -> bool:
        return self.server is None and self.error is None


class World:
    """Pools with what they ask of the world outside: attempts, closings, time."""

    def __init__(self, limit: int = 1, timeout: float = 120.0) -> None:
        self.now = 1000.0
        self.attempts: deque[tuple[PoolKey, float]] = deque()
        self.closing: list[FakeServer] = []
        self.pools = Pools(self, lambda: self.now)
        self.pools.borrow_timeout = timeout
        self.pools.set_limit(limit)

    def connect(self, key: PoolKey, delay: float) -> None:
        self.attempts.append((key, delay))

    def open_next(self) -> FakeServer:
        """The oldest attempt succeeds."""
        key, _ = self.attempts.popleft()
        server = FakeServer(key)
        self.pools.connected(key, server)
        return server

    def open_all(self) -> None:
        while self.attempts:
            self.open_next()

    def fail_next(self, error: ProxyError | None = None) -> None:
        key, _ = self.attempts.popleft()
        self.pools.connect_failed(key, error or ServerUnavailable("starting up"))

    def borrow(self, key: PoolKey) -> FakeWaiter:
        waiter = FakeWaiter(key)
        server = self.pools.acquire(key, waiter)
        if server is not None:
            waiter.grant(server)
        return waiter

    def give_back(self, waiter: FakeWaiter) -> None:
        assert waiter.server is not None
        self.pools.release(waiter.key, waiter.server)


def close_told(world: World, servers: list[FakeServer]) -> None:
    """The server lets go of every connection among `servers` that was told to end."""
    for server in [server for server in servers if server.reasons]:
        servers.remove(server)
        world.pools.closed()


def test_the_first_connection_serves_one_after_the_other_in_order() -> None:
    world = World(limit=1)
    waiters = [world.borrow(A) for _ in range(5)]
    assert len(world.attempts) == 1
    world.open_next()
    for at, waiter in enumerate(waiters):
        assert [w.waits for w in waiters] == [False] * (at + 1) + [True] * (4 - at)
        world.give_back(waiter)
    assert world.pools.waiting == 0
    assert [len(pool.idle) for pool in world.pools] == [1]


def test_who_comes_while_others_wait_does_not_overtake() -> None:
    world = World(limit=1)
    first, second = world.borrow(A), world.borrow(A)
    world.open_next()
    third = world.borrow(A)
    world.give_back(first)
    assert not second.waits
    assert third.waits


def test_an_idle_connection_is_lent_at_once_the_warmest_first() -> None:
    world = World(limit=2)
    one, two = world.borrow(A), world.borrow(A)
    world.open_all()
    world.give_back(one)
    world.now += 1
    world.give_back(two)
    assert world.borrow(A).server is two.server
    assert world.borrow(A).server is one.server
    assert not world.attempts


def test_no_more_attempts_than_waiters_nor_than_the_budget() -> None:
    world = World(limit=3)
    world.borrow(A)
    assert len(world.attempts) == 1
    for _ in range(9):
        world.borrow(A)
    assert len(world.attempts) == 3
    assert world.pools.open == 3


def test_an_idle_connection_of_another_pool_makes_room_when_it_is_gone() -> None:
    world = World(limit=1)
    one = world.borrow(A)
    server = world.open_next()
    world.give_back(one)
    other = world.borrow(B)
    assert server.reasons == ["makes room for others"]
    assert not world.attempts, "the server still counts the old one"
    world.pools.closed()
    world.open_next()
    assert not other.waits
    assert [pool.key for pool in world.pools] == [B]


def test_a_closing_that_hangs_is_not_waited_for() -> None:
    world = World(limit=2)
    one, two = world.borrow(A), world.borrow(A)
    world.open_all()
    assert one.server is not None
    world.pools.discard(A, one.server, "state that cannot be undone")
    world.give_back(two)
    other = world.borrow(B)
    idle = two.server
    assert isinstance(idle, FakeServer)
    assert not idle.reasons, "the one that closes makes room in a moment"
    world.now += 2
    world.pools.tick()
    assert idle.reasons
    world.pools.closed()
    world.open_next()
    assert not other.waits


def test_a_pool_above_its_share_gives_way_to_one_below() -> None:
    world = World(limit=4)
    greedy = [world.borrow(A) for _ in range(6)]
    world.open_all()
    world.now += 1
    late = world.borrow(B)
    assert late.waits
    world.now += 1
    # Those of A that wait came before B's; once they are served B is first.
    world.give_back(greedy[0])
    world.give_back(greedy[1])
    assert not any(waiter.waits for waiter in greedy)
    behind = world.borrow(A)
    world.give_back(greedy[2])
    assert behind.waits
    world.pools.closed()
    assert [key for key, _ in world.attempts] == [B]
    world.open_next()
    assert not late.waits


def test_one_connection_is_given_away_for_one_waiter() -> None:
    world = World(limit=4)
    greedy = [world.borrow(A) for _ in range(4)]
    world.open_all()
    world.borrow(B)
    for waiter in greedy:
        world.give_back(waiter)
    assert world.pools.closing == 1
    assert sum(len(pool.idle) for pool in world.pools) == 3


def test_more_pools_than_connections_take_turns() -> None:
    """Two pools that are never out of work share one connection, and neither starves."""
    world = World(limit=1)
    served = {A: 0, B: 0}
    queue = [world.borrow(A), world.borrow(B), world.borrow(A), world.borrow(B)]
    world.open_next()
    for _ in range(400):
        world.now += 0.01
        [busy] = [waiter for waiter in queue if waiter.server is not None]
        served[busy.key] += 1
        queue.remove(busy)
        queue.append(world.borrow(busy.key))
        world.give_back(busy)
        if world.pools.closing:
            world.pools.closed()
            world.open_all()
    assert served[A] + served[B] == 400
    assert min(served.values()) > 150
    assert max(served.values()) < 250


def test_who_has_waited_for_the_timeout_is_refused_with_the_cause() -> None:
    world = World(limit=1, timeout=10)
    early = world.borrow(A)
    world.now += 5
    late = world.borrow(A)
    world.fail_next(ServerUnavailable("the database system is starting up"))
    world.now += 5
    world.pools.tick()
    assert isinstance(early.error, BorrowTimeout)
    assert early.error.fields().detail == "the database system is starting up"
    assert late.waits
    world.now += 5
    world.pools.tick()
    assert late.error is not None
    assert late.error.fields().sqlstate == "08000"
    assert world.pools.timeouts == 2
    assert world.pools.waiting == 0


def test_a_timeout_of_zero_refuses_who_finds_no_room() -> None:
    world = World(limit=1, timeout=0)
    first, second = world.borrow(A), world.borrow(A)
    assert first.waits, "the connection is being opened for it"
    assert isinstance(second.error, BorrowTimeout)
    world.pools.tick()
    assert first.waits
    world.open_next()
    assert first.server is not None
    assert isinstance(world.borrow(A).error, BorrowTimeout)
    assert world.pools.timeouts == 2
    world.give_back(first)
    assert world.borrow(A).server is not None


def test_a_timeout_of_zero_ends_with_the_first_failure() -> None:
    world = World(limit=1, timeout=0)
    first = world.borrow(A)
    world.fail_next()
    world.pools.tick()
    assert isinstance(first.error, BorrowTimeout)


def test_who_gives_up_is_never_served() -> None:
    world = World(limit=1)
    first, second, third = (world.borrow(A) for _ in range(3))
    world.pools.give_up(A, second)
    world.pools.give_up(A, second)
    world.open_next()
    world.give_back(first)
    assert second.waits
    assert not third.waits
    assert world.pools.waiting == 0


def test_a_connection_whose_waiter_gave_up_rests() -> None:
    world = World(limit=1)
    world.pools.give_up(A, world.borrow(A))
    server = world.open_next()
    assert world.borrow(A).server is server


def test_a_refusal_for_good_is_told_to_all_who_wait_in_that_pool() -> None:
    world = World(limit=2)
    mine = [world.borrow(A) for _ in range(3)]
    other = world.borrow(B)
    world.fail_next(ServerRejected("wrong", sqlstate="28P01"))
    assert [waiter.error is not None for waiter in mine] == [True] * 3
    assert {waiter.error.sqlstate for waiter in mine if waiter.error} == {"28P01"}
    assert other.waits


def test_a_failure_that_may_pass_is_tried_again_with_a_growing_pause_one_at_a_time() -> None:
    world = World(limit=5)
    waiters = [world.borrow(A) for _ in range(5)]
    assert [delay for _, delay in world.attempts] == [0.0] * 5
    delays = []
    for _ in range(5):
        world.fail_next()
    for _ in range(4):
        assert len(world.attempts) == 1
        delays.append(world.attempts[0][1])
        world.fail_next()
    assert delays == [2.0, 2.0, 2.0, 2.0]
    assert all(waiter.waits for waiter in waiters)


def test_the_pauses_from_the_first_failure_on() -> None:
    world = World(limit=1)
    world.borrow(A)
    delays = []
    for _ in range(7):
        world.fail_next()
        delays.append(world.attempts[0][1])
    assert delays == [0.1, 0.2, 0.5, 1.0, 2.0, 2.0, 2.0]


def test_after_a_success_all_who_wait_get_connections_again() -> None:
    world = World(limit=5)
    waiters = [world.borrow(A) for _ in range(5)]
    for _ in range(5):
        world.fail_next()
    world.open_next()
    assert len(world.attempts) == 4
    world.open_all()
    assert not any(waiter.waits for waiter in waiters)


def test_a_smaller_limit_closes_idle_ones_now_and_others_when_they_come_back() -> None:
    world = World(limit=4)
    waiters = [world.borrow(A) for _ in range(4)]
    world.open_all()
    world.give_back(waiters[0])
    world.pools.set_limit(2)
    assert world.pools.closing == 1
    world.give_back(waiters[1])
    assert world.pools.closing == 2
    world.give_back(waiters[2])
    assert world.pools.closing == 2
    for _ in range(2):
        world.pools.closed()
    assert world.pools.open == 2


def test_a_greater_limit_serves_who_waits() -> None:
    world = World(limit=1)
    waiters = [world.borrow(A) for _ in range(3)]
    world.open_next()
    world.pools.set_limit(3)
    assert len(world.attempts) == 2
    world.open_all()
    assert not any(waiter.waits for waiter in waiters)


def test_one_who_cannot_take_its_connection_holds_up_nobody() -> None:
    class Broken(FakeWaiter):
        def grant(self, server: Server) -> None:
            raise RuntimeError("broken")

    world = World(limit=1)
    first = world.borrow(A)
    broken = Broken(A)
    world.pools.acquire(A, broken)
    third = world.borrow(A)
    server = world.open_next()
    world.give_back(first)
    assert broken.error is not None
    assert server.reasons == ["it was not taken"]
    world.pools.closed()
    world.open_next()
    assert third.server is not None
    assert world.pools.waiting == 0


def test_a_thousand_who_release_at_once_need_no_deep_stack() -> None:
    world = World(limit=1)

    class Brief(FakeWaiter):
        def grant(self, server: Server) -> None:
            super().grant(server)
            world.give_back(self)

    crowd = [Brief(A) for _ in range(5000)]
    for waiter in crowd:
        world.pools.acquire(A, waiter)
    world.open_next()
    assert not any(waiter.waits for waiter in crowd)


def test_what_is_idle_too_long_is_closed() -> None:
    world = World(limit=2)
    one, two = world.borrow(A), world.borrow(A)
    world.open_all()
    world.give_back(one)
    world.now += 10
    world.give_back(two)
    world.pools.close_idle("too old", idle_before=world.now - 5)
    assert isinstance(one.server, FakeServer)
    assert one.server.reasons == ["too old"]
    assert world.borrow(A).server is two.server


def test_room_may_be_reserved_without_a_waiter() -> None:
    world = World(limit=1)
    assert world.pools.reserve(A)
    assert not world.pools.reserve(B)
    server = FakeServer(A)
    world.pools.connected(A, server)
    assert world.borrow(A).server is server


def test_rules_of_our_own() -> None:
    world = World(limit=1)
    waiter = world.borrow(A)
    with pytest.raises(InvariantError, match="waits"):
        world.pools.acquire(A, waiter)
    world.open_next()
    world.give_back(waiter)
    with pytest.raises(InvariantError, match="does not lend"):
        world.give_back(waiter)
    with pytest.raises(InvariantError, match="closed"):
        world.pools.closed()


KEYS = st.sampled_from((A, B, C))
PICK = st.integers(0, 10**6)


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

    @rule(limit=st.integers(1, 6))
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
        assert self.pools.waiting == sum(len(pool.waiters) for pool in pools)
        assert self.pools.open == told + sum(pool.open for pool in pools)
        assert sum(pool.connecting for pool in pools) == len(self.world.attempts)

    @invariant()
    def nobody_is_lost_or_overtaken(self) -> None:
        """The queues hold exactly who waits, in the order of arrival."""
        waiting = {pool.key: list(pool.waiters) for pool in self.pools if pool.waiters}
        assert waiting == {key: list(queue) for key, queue in self.queues.items() if queue}
        assert all(waiter.waits for queue in self.queues.values() for waiter in queue)

    @invariant()
    def nothing_is_lent_twice(self) -> None:
        lent = [waiter.server for waiter in self.lent]
        assert len(set(map(id, lent))) == len(lent)
        borrowed = [server for pool in self.pools for server in pool.borrowed]
        assert set(map(id, borrowed)) == set(map(id, lent))

    @invariant()
    def nobody_waits_beside_a_connection_that_could_be_his(self) -> None:
        for pool in self.pools:
            assert not (pool.waiters and pool.idle)

    @invariant()
    def no_pool_is_kept_for_nothing(self) -> None:
        assert all(pool.open or pool.waiters for pool in self.pools)

    def teardown(self) -> None:
        """When everything goes well from here on everybody is served."""
        self.pools.borrow_timeout = 1e9
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
