"""The limit of one pod's connections: none at all, one that falls, and one that is in doubt."""

import pytest

from sluice_proxy.errors import BorrowTimeout, ServerUnavailable, ShuttingDown
from sluice_proxy.pool.key import PoolKey
from sluice_testing.world import A, B, FakeWaiter, World


def crowd(world: World, count: int) -> list[FakeWaiter]:
    """So many who have a connection each."""
    waiters = [world.borrow(A) for _ in range(count)]
    world.open_all()
    return waiters


class TestNone:
    def test_nothing_is_opened_and_who_waits_is_refused_in_time(self) -> None:
        world = World(limit=0, timeout=5)
        waiter = world.borrow(A)
        assert not world.pools.reserve(B)
        world.now += 6
        world.pools.tick()
        assert not world.attempts
        assert isinstance(waiter.error, BorrowTimeout)

    def test_who_has_one_keeps_it_until_the_transaction_ends(self) -> None:
        world = World(limit=2)
        busy, idle = crowd(world, 2)
        world.give_back(idle)
        world.pools.set_limit(0)
        assert world.pools.closing == 1
        world.give_back(busy)
        assert world.pools.closing == 2

    def test_an_attempt_under_way_is_not_kept(self) -> None:
        world = World(limit=1)
        waiter = world.borrow(A)
        world.pools.set_limit(0)
        assert world.open_next().reasons
        assert waiter.waits

    def test_a_share_serves_who_waits(self) -> None:
        world = World(limit=0)
        waiter = world.borrow(A)
        world.pools.set_limit(1)
        world.open_next()
        assert waiter.server is not None


class TestDraining:
    def test_the_limit_falls_with_what_is_open_or_waited_for(self) -> None:
        world = World(limit=5)
        one, two, three, spare = crowd(world, 4)
        world.give_back(spare)
        limits = []
        world.pools.draining = True
        for done in (one, two, three):
            world.pools.tick()
            limits.append(world.pools.limit)
            while world.pools.closing:
                world.pools.closed()
            world.give_back(done)
        world.pools.tick()
        # What is told to close is the server's until it has hung up.
        assert limits == [4, 3, 2]
        assert world.pools.limit == 1
        world.pools.closed()
        world.pools.tick()
        assert world.pools.limit == 0

    def test_it_never_rises(self) -> None:
        world = World(limit=5)
        crowd(world, 2)
        world.pools.draining = True
        world.pools.tick()
        world.pools.set_limit(90)
        later = [world.borrow(A) for _ in range(3)]
        world.pools.tick()
        assert world.pools.limit == 2
        assert not world.attempts
        assert all(waiter.waits for waiter in later)

    def test_a_smaller_share_still_counts(self) -> None:
        world = World(limit=5)
        crowd(world, 3)
        world.pools.draining = True
        world.pools.spare = 1
        world.pools.set_limit(2)
        assert world.pools.limit == 2

    @pytest.mark.parametrize("before", [0, 1, 5])
    def test_clients_that_are_left_are_served_one_at_least(self, before: int) -> None:
        world = World(limit=before)
        world.pools.draining = True
        world.pools.spare = 1
        world.pools.set_limit(0)
        world.pools.tick()
        assert world.pools.limit == min(before, 1)
        late = world.borrow(A)
        world.pools.tick()
        world.open_all()
        assert (late.server is not None) == (before > 0)
        assert isinstance(late.error, ShuttingDown) == (before == 0)

    def test_whatever_others_hold_for_long(self) -> None:
        world = World(limit=5)
        crowd(world, 2)
        world.pools.draining = True
        world.pools.spare = 1
        world.pools.tick()
        assert world.pools.limit == 3
        late = world.borrow(B)
        world.open_all()
        assert late.server is not None

    def test_what_has_just_been_used_is_not_idle_yet(self) -> None:
        """Or a moment's rest among many clients would make all of them share a single one."""
        world = World(limit=5)
        waiters = crowd(world, 3)
        world.pools.draining = True
        world.pools.spare = 1
        for waiter in waiters:
            world.give_back(waiter)
        world.pools.tick()
        assert world.pools.limit == 3
        assert world.borrow(A).server is waiters[2].server
        world.now += 2
        world.pools.tick()
        assert world.pools.closing == 1
        world.pools.closed()
        world.pools.tick()
        assert world.pools.limit == 2

    def test_who_waits_is_still_served(self) -> None:
        world = World(limit=1)
        [holder] = crowd(world, 1)
        other = world.borrow(B)
        world.pools.draining = True
        world.pools.tick()
        world.give_back(holder)
        world.pools.tick()
        world.pools.closed()
        world.open_next()
        assert other.server is not None

    def test_who_comes_too_late_is_told_at_once(self) -> None:
        world = World(limit=5)
        world.pools.draining = True
        world.pools.tick()
        late = world.borrow(A)
        world.pools.tick()
        assert isinstance(late.error, ShuttingDown)
        assert list(world.pools) == []

    def test_nothing_is_checked_any_more(self) -> None:
        world = World(limit=5)
        world.pools.draining = True
        assert not world.pools.reserve(A)


class TestDoubt:
    """max_connections changes with a restart, which ends every connection."""

    def test_where_no_connection_is_left_one_asks_first(self) -> None:
        world = World(limit=5)
        waiters = [world.borrow(key) for key in (A, A, B, B)]
        assert len(world.attempts) == 1
        assert not world.pools.reserve(B)
        world.pools.set_limit(2)  # as a login does, which tells what the server allows
        world.open_next()
        assert len(world.attempts) == 1
        world.open_next()
        assert not world.attempts
        assert [waiter.waits for waiter in waiters] == [False, False, True, True]

    def test_so_it_is_with_another_server_whatever_is_open_on_the_one_before(self) -> None:
        world = World(limit=5)
        crowd(world, 2)
        world.pools.unsure = True
        later = [world.borrow(A) for _ in range(3)]
        assert len(world.attempts) == 1
        world.pools.unsure = False
        world.open_all()
        assert not any(waiter.waits for waiter in later)

    def test_a_failure_lets_others_try_first(self) -> None:
        world = World(limit=5)
        failing, other = world.borrow(A), world.borrow(B)
        world.now += 1
        world.fail_next()
        assert [key for key, _ in world.attempts] == [B]
        world.open_next()
        assert other.server is not None
        assert [key for key, _ in world.attempts] == [A]
        assert failing.waits

    @pytest.mark.parametrize("key", [A, B])
    def test_without_any_patience_the_first_answer_is_waited_for(self, key: PoolKey) -> None:
        world = World(limit=2, timeout=0)
        world.borrow(A)
        second = world.borrow(key)
        world.pools.tick()
        assert second.waits
        world.open_all()
        assert second.server is not None


def test_what_the_server_had_let_in_counts_until_it_lets_go() -> None:
    world = World(limit=1)
    waiter = world.borrow(A)
    key, _ = world.attempts.popleft()
    world.pools.connect_failed(key, ServerUnavailable("its initQuery is slow"), lingers=True)
    assert (world.pools.open, world.pools.closing) == (1, 1)
    assert not world.attempts
    world.pools.closed()
    world.open_next()
    assert waiter.server is not None
