"""Who waits for a server connection of one pool, in the order of arrival."""

from typing import Final

from sluice_proxy.pool.neighbours import NOT_WAITING, Waiter

# Places at the front that were left, above which they are given up.
_LEFT: Final = 64


class Queue:
    """Waiters, first come, first served; `Waiter.waits_since` says who stands in one, and when.

    A list with a place where it begins: of a queue that is long nothing moves when the first
    leaves, and there is no node to be made for each.
    """

    __slots__ = ("_begin", "_places")

    def __init__(self) -> None:
        self._places: list[Waiter | None] = []
        self._begin = 0

    def __len__(self) -> int:
        return len(self._places) - self._begin

    @property
    def since(self) -> float:
        """When the first came; only asked when somebody waits."""
        first = self._places[self._begin]
        assert first is not None
        return first.waits_since

    def push(self, waiter: Waiter, now: float) -> None:
        waiter.waits_since = now
        self._places.append(waiter)

    def pop(self) -> Waiter:
        """The first; only asked when somebody waits."""
        first = self._places[self._begin]
        assert first is not None
        first.waits_since = NOT_WAITING
        self._places[self._begin] = None
        self._begin += 1
        if self._begin == len(self._places) or self._begin > max(_LEFT, len(self)):
            del self._places[: self._begin]
            self._begin = 0
        return first

    def drop(self, waiter: Waiter) -> bool:
        """`waiter` leaves; False if it did not stand here."""
        if waiter.waits_since == NOT_WAITING or waiter not in self._places:
            return False
        self._places.remove(waiter)
        waiter.waits_since = NOT_WAITING
        return True

    def clear(self) -> list[Waiter]:
        """Everybody leaves; in their order."""
        return [self.pop() for _ in range(len(self))]
