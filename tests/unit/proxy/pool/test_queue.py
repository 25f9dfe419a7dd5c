"""The order of those who wait."""

from sluice_proxy.pool.neighbours import NOT_WAITING
from sluice_proxy.pool.queue import Queue
from sluice_testing.world import A, FakeWaiter


def test_who_leaves_a_queue_leaves_the_others_in_their_order() -> None:
    queue, waiters = Queue(), [FakeWaiter(A) for _ in range(5)]
    for number, waiter in enumerate(waiters):
        queue.push(waiter, float(number))
    for leaver in (waiters[2], waiters[4], waiters[0]):
        assert queue.drop(leaver)
        assert leaver.waits_since == NOT_WAITING
        assert not queue.drop(leaver)
    assert queue.since == 1.0
    late = FakeWaiter(A)
    queue.push(late, 9.0)
    assert queue.clear() == [waiters[1], waiters[3], late]
    assert (queue.count, queue.clear()) == (0, [])
    stranger = FakeWaiter(A)
    stranger.waits_since = 1.0
    assert not queue.drop(stranger)
