"""Pools: order, budget, fairness, back-off, by a fake connector and a fake clock."""

import pytest

from sluice_proxy.errors import (
    BorrowTimeout,
    InvariantError,
    ServerRejected,
    ServerUnavailable,
)
from sluice_proxy.pool.neighbours import Server
from sluice_testing.world import A, B, FakeServer, FakeWaiter, World


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
    """Pitfall 57: strict order, by direct hand-over."""
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
    world = World(limit=4)
    world.borrow(A)
    world.open_next()
    world.borrow(A)
    assert len(world.attempts) == 1
    for _ in range(9):
        world.borrow(A)
    assert len(world.attempts) == 3
    assert world.pools.open == 4


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
    """Pitfall 57: and costs nobody anything, wherever in the queue it stood."""
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
    """Pitfall 54: a wrong password is not waited for."""
    world = World(limit=2)
    mine = [world.borrow(A) for _ in range(3)]
    other = world.borrow(B)
    world.fail_next(ServerRejected("wrong", sqlstate="28P01"))
    assert [waiter.error is not None for waiter in mine] == [True] * 3
    assert {waiter.error.sqlstate for waiter in mine if waiter.error} == {"28P01"}
    assert other.waits


def test_a_failure_that_may_pass_is_tried_again_with_a_growing_pause_one_at_a_time() -> None:
    """Pitfall 54: nobody is refused for it, and the server is not stormed."""
    world = World(limit=6)
    world.borrow(B)
    world.open_next()
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


def test_who_gives_way_gives_it_to_whose_turn_it_is() -> None:
    """A pool whose attempt failed lets others try before it: they must not give way to it then."""
    world = World()
    lent = world.borrow(B)
    world.open_next()
    failed = world.borrow(A)
    world.now += 1
    late = world.borrow(B)
    world.pools.set_limit(2)
    world.now += 1
    world.fail_next()
    world.pools.set_limit(1)
    world.open_all()
    assert lent.server is not None
    world.pools.retire(B, lent.server, "its address is gone")
    world.give_back(lent)
    for _ in range(10):
        world.now += 1
        while world.pools.closing:
            world.pools.closed()
        world.open_all()
        for waiter in (late, failed):
            if waiter.server is not None and waiter.server.lent:
                world.give_back(waiter)
    assert not late.waits
    assert not failed.waits
