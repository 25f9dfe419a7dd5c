"""The time that all of a proxy go by: as exact as the turns of the reactor, which sets it."""


class Clock:
    """Seconds, monotonic. `now` is read with each transaction, and costs a load from memory.

    Called, it is a clock like those of the standard library, for whoever takes any.
    """

    __slots__ = ("now",)

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
