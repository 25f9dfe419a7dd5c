"""What the proxy counts: plain numbers that the hot path may add to.

Nobody renders anything here; `admin` reads a snapshot when it is asked.
"""

from bisect import bisect_left
from dataclasses import dataclass, field, replace
from math import inf

# Seconds. A borrow from an idle pool takes microseconds; the longest wait is 300 s.
WAIT_BUCKETS: tuple[float, ...] = (
    0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 120.0, 300.0,
)  # fmt: skip


class Histogram:
    """Counts per bucket, and the sum. One value is in the bucket of the one before, mostly."""

    __slots__ = ("_above", "_bucket", "_counts", "_repeated", "_up_to", "bounds", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.total = 0.0
        # But for those that came since the bucket was another.
        self._counts = [0] * (len(bounds) + 1)
        self._bucket = self._repeated = 0
        self._above, self._up_to = -inf, bounds[0]

    @property
    def counts(self) -> list[int]:
        """`counts[i]`: up to `bounds[i]`, and above the one before; the last: above all."""
        counts = list(self._counts)
        counts[self._bucket] += self._repeated
        return counts

    def observe(self, value: float) -> None:
        if not self._above < value <= self._up_to:
            self._turn_to(bisect_left(self.bounds, value))
        self._repeated += 1
        self.total += value

    def _turn_to(self, bucket: int) -> None:
        self._counts[self._bucket] += self._repeated
        self._bucket, self._repeated = bucket, 0
        self._above = self.bounds[bucket - 1] if bucket else -inf
        self._up_to = self.bounds[bucket] if bucket < len(self.bounds) else inf

    def copy(self) -> "Histogram":
        other = Histogram(self.bounds)
        other._counts = self.counts
        other.total = self.total
        return other


def _wait_histogram() -> Histogram:
    return Histogram(WAIT_BUCKETS)


@dataclass(slots=True)
class Counters:
    """Everything counted since the process began; nothing ever goes back.

    Beside each field stands the metric of RDS Proxy that says the same, where there is one.
    """

    clients_accepted: int = 0  # ClientConnectionsReceived
    clients_authenticated: int = 0  # ClientConnectionsSetupSucceeded
    client_auth_failures: int = 0  # ClientConnectionsSetupFailedAuth: password, role, TLS
    client_setup_failures: int = 0  # every other end before the login was done
    client_tls_connections: int = 0
    idle_client_timeouts: int = 0
    server_connections_requested: int = 0  # DatabaseConnectionRequests
    server_connections_opened: int = 0  # DatabaseConnectionsSetupSucceeded
    server_connections_failed: int = 0  # DatabaseConnectionsSetupFailed
    transactions: int = 0
    queries: int = 0  # QueryRequests
    borrow_wait: Histogram = field(default_factory=_wait_histogram)  # …BorrowLatency
    borrow_timeouts: int = 0
    cancels: int = 0
    pins: dict[str, int] = field(default_factory=dict)  # by reason
    bytes_from_clients: int = 0  # of connections that ended; a report adds the present ones'
    bytes_from_servers: int = 0
    config_reloads: int = 0
    config_errors: int = 0

    def pinned(self, reason: str) -> None:
        self.pins[reason] = self.pins.get(reason, 0) + 1

    def copy(self) -> "Counters":
        """A snapshot that another thread may read."""
        return replace(self, borrow_wait=self.borrow_wait.copy(), pins=dict(self.pins))
