"""Time that a test moves on by itself."""

from sluice_proxy.clock import Clock


class Timed:
    """`clock` is what the proxy is given; `now` is its time."""

    def __init__(self) -> None:
        self.clock = Clock(1000.0)

    @property
    def now(self) -> float:
        return self.clock.now

    @now.setter
    def now(self, seconds: float) -> None:
        self.clock.now = seconds
