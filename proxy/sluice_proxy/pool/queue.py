"""Who waits for a server connection of one pool, in the order of arrival."""

from sluice_proxy.pool.neighbours import NOT_WAITING, Waiter


class Queue:
    """Waiters, first come, first served; `Waiter.waits_since` says who stands in one, and when.

    Each knows who stands behind it (`Waiter.behind`): there is nothing to be made for a place, and
    nothing moves when the first leaves. `count` is how many there are.
    """

    __slots__ = ("_first", "_last", "count")

    def __init__(self) -> None:
        self._first: Waiter | None = None
        self._last: Waiter | None = None
        self.count = 0

    @property
    def since(self) -> float:
        """When the first came; only asked when somebody waits."""
        assert self._first is not None
        return self._first.waits_since

    def push(self, waiter: Waiter, now: float) -> None:
        waiter.waits_since = now
        waiter.behind = None
        last, self._last = self._last, waiter
        if last is None:
            self._first = waiter
        else:
            last.behind = waiter
        self.count += 1

    def pop(self) -> Waiter:
        """The first; only asked when somebody waits."""
        first = self._first
        assert first is not None
        self._leaves(first, None)
        return first

    def drop(self, waiter: Waiter) -> bool:
        """`waiter` leaves; False if it did not stand here."""
        if waiter.waits_since == NOT_WAITING:
            return False
        before, found = None, self._first
        while found is not None and found is not waiter:
            before, found = found, found.behind
        if found is None:
            return False
        self._leaves(found, before)
        return True

    def clear(self) -> list[Waiter]:
        """Everybody leaves; in their order."""
        return [self.pop() for _ in range(self.count)]

    def _leaves(self, waiter: Waiter, before: Waiter | None) -> None:
        """`waiter`, behind `before`, or the first."""
        if before is None:
            self._first = waiter.behind
        else:
            before.behind = waiter.behind
        if self._last is waiter:
            self._last = before
        waiter.behind = None
        waiter.waits_since = NOT_WAITING
        self.count -= 1
