"""Which connections of pools end, and when: by age, by number, and when they are retired."""

from sluice_testing.world import A, B, FakeServer, World


def test_who_has_lived_long_enough_ends_when_it_is_given_back_and_another_is_opened() -> None:
    """Pitfall 56: a life time, never in the middle of a transaction."""
    world = World(limit=1)
    first = world.borrow(A)
    old = world.open_next()
    world.now += 3600
    second = world.borrow(A)
    world.pools.tick()
    assert not old.reasons, "it is lent"
    world.give_back(first)
    assert old.reasons == ["it has lived long enough"]
    assert second.waits
    world.pools.closed()
    world.open_next()
    assert second.server is not None


def test_who_has_lived_long_enough_ends_at_rest_too() -> None:
    world = World(limit=2)
    one, two = world.borrow(A), world.borrow(B)
    world.open_next()
    world.now += 600
    world.open_next()
    for waiter in (one, two):
        world.give_back(waiter)
    world.now += 3000
    world.pools.tick()
    assert [pool.key for pool in world.pools] == [B]


def test_of_all_pools_the_longest_idle_are_too_many() -> None:
    world = World(limit=4)
    waiters = [world.borrow(key) for key in (A, B, A, B)]
    world.open_all()
    for waiter in waiters:
        world.now += 1
        world.give_back(waiter)
    world.pools.maintenance.keep_idle = 1
    world.now += 300
    world.pools.tick()
    servers = [waiter.server for waiter in waiters]
    reasons = [server.reasons for server in servers if isinstance(server, FakeServer)]
    assert reasons == [["more are idle than are kept"]] * 3 + [[]]


def test_who_is_retired_ends_at_once_or_with_its_client() -> None:
    world = World(limit=2)
    one, two = world.borrow(A), world.borrow(A)
    world.open_all()
    world.give_back(one)
    for waiter in (one, two):
        assert waiter.server is not None
        world.pools.retire(A, waiter.server, "its address is gone")
    idle, lent = one.server, two.server
    assert isinstance(idle, FakeServer)
    assert isinstance(lent, FakeServer)
    assert (idle.reasons, lent.reasons) == (["its address is gone"], [])
    world.give_back(two)
    assert lent.reasons == ["its address is gone"]
    world.pools.retire(A, lent, "again")
    assert lent.reasons == ["its address is gone"]
