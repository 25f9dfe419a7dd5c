"""One pool, as a value: the server connections of one key, and who waits for one."""

from sluice_proxy.errors import ProxyError
from sluice_proxy.pool.key import PoolKey
from sluice_proxy.pool.neighbours import Server
from sluice_proxy.pool.queue import Queue


class Pool:
    """The server connections of one key, and who waits for one."""

    __slots__ = (
        "borrowed", "connecting", "failed_at", "failures", "idle", "key", "last_error", "waiters",
    )  # fmt: skip

    def __init__(self, key: PoolKey):
        self.key = key
        # The last one used is taken first: its caches are warm, and the others may age.
        self.idle: list[Server] = []
        # How many are lent.
        self.borrowed = 0
        self.connecting = 0
        self.waiters = Queue()
        self.failures = 0
        self.failed_at = 0.0
        self.last_error: ProxyError | None = None

    @property
    def open(self) -> int:
        return len(self.idle) + self.borrowed + self.connecting

    @property
    def turn(self) -> float:
        """Since when it is this pool's turn: who has just failed lets others try before it."""
        return max(self.waiters.since, self.failed_at)

    def __repr__(self) -> str:
        return (
            f"<Pool {self.key.user}@{self.key.database}: {len(self.idle)} idle, "
            f"{self.borrowed} borrowed, {self.connecting} connecting, "
            f"{self.waiters.count} waiting>"
        )
