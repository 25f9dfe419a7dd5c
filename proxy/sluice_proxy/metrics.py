"""What the proxy counts: plain numbers that the hot path may add to.

Nobody renders anything here; `admin` reads a snapshot when it is asked.
"""

from bisect import bisect_left
from dataclasses import dataclass, field, replace

# Seconds. A borrow from an idle pool takes microseconds; the longest wait is 300 s.
WAIT_BUCKETS: tuple[float, ...] = (
    0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 120.0, 300.0,
)  # fmt: skip


class Histogram:
    """Counts per bucket (`counts[i]`: up to `bounds[i]`; the last: above all) and the sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value) if value else 0] += 1
        self.total += value

    def copy(self) -> "Histogram":
        other = Histogram(self.bounds)
        other.counts = list(self.counts)
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
