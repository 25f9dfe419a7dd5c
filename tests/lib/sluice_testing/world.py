"""Pools with what they ask of the world outside: a connector, a clock, and who waits."""

from collections import deque

from sluice_proxy.errors import ProxyError, ServerUnavailable
from sluice_proxy.pool.key import PoolKey
from sluice_proxy.pool.neighbours import NOT_WAITING, Server, Waiter
from sluice_proxy.pool.pool import Pools
from sluice_testing.timed import Timed

A = PoolKey("a", "db")
B = PoolKey("b", "db")
C = PoolKey("c", "db")


class FakeServer(Server):
    """A server connection; `reasons` says why it was told to close."""

    def __init__(self, key: PoolKey):
        self.key = key
        self.idle_since = 0.0
        self.reasons: list[str] = []

    def close(self, reason: str) -> None:
        self.reasons.append(reason)


class FakeWaiter(Waiter):
    """Exactly one of `server` and `error` is ever set, once."""

    def __init__(self, key: PoolKey):
        self.waits_since = NOT_WAITING
        self.key = key
        self.server: Server | None = None
        self.error: ProxyError | None = None

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


class World(Timed):
    """Pools with what they ask of the world outside: attempts, closings, time."""

    def __init__(self, limit: int = 1, timeout: float = 120.0) -> None:
        super().__init__()
        self.dice = 0.5
        self.attempts: deque[tuple[PoolKey, float]] = deque()
        self.closing: list[FakeServer] = []
        self.pools = Pools(self, self.clock, lambda: self.dice)
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
