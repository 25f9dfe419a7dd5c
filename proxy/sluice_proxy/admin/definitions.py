"""The metrics: names, help, units, labels, and where each value comes from.

Imports prometheus_client, which is slow to import: only to be imported by a scrape.
"""

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from sluice_proxy import __version__
from sluice_proxy.admin.views import Gauges, PoolGauges
from sluice_proxy.metrics import Counters, Histogram

# Field of Counters → (name without `_total`, help).
COUNTERS = {
    "clients_accepted": (
        "sluice_client_connections_accepted",
        "Client connections accepted (RDS Proxy: ClientConnectionsReceived).",
    ),
    "clients_authenticated": (
        "sluice_client_connections_authenticated",
        "Clients that logged in (RDS Proxy: ClientConnectionsSetupSucceeded).",
    ),
    "client_auth_failures": (
        "sluice_client_authentication_failures",
        "Clients refused: password, role or TLS (RDS Proxy: ClientConnectionsSetupFailedAuth).",
    ),
    "client_setup_failures": (
        "sluice_client_setup_failures",
        "Clients that went, stalled or spoke nonsense before they had logged in.",
    ),
    "client_tls_connections": (
        "sluice_client_tls_connections",
        "Client connections that began TLS.",
    ),
    "idle_client_timeouts": (
        "sluice_client_idle_timeouts",
        "Clients disconnected after idleClientTimeoutSeconds.",
    ),
    "server_connections_requested": (
        "sluice_server_connections_requested",
        "Server connections begun (RDS Proxy: DatabaseConnectionRequests).",
    ),
    "server_connections_opened": (
        "sluice_server_connections_opened",
        "Server connections logged in (RDS Proxy: DatabaseConnectionsSetupSucceeded).",
    ),
    "server_connections_failed": (
        "sluice_server_connections_failed",
        "Server connections that failed to open (RDS Proxy: DatabaseConnectionsSetupFailed).",
    ),
    "transactions": ("sluice_transactions", "Transactions that ended."),
    "queries": ("sluice_queries", "Queries received (RDS Proxy: QueryRequests)."),
    "borrow_timeouts": (
        "sluice_borrow_timeouts",
        "Clients that got no server connection within connectionBorrowTimeoutSeconds.",
    ),
    "cancels": ("sluice_cancel_requests", "CancelRequests received."),
    "bytes_from_clients": (
        "sluice_client_received_bytes",
        "Bytes received from clients that logged in, without TLS's.",
    ),
    "bytes_from_servers": (
        "sluice_server_received_bytes",
        "Bytes received from servers, without TLS's.",
    ),
    "config_reloads": ("sluice_config_reloads", "Configurations taken over."),
    "config_errors": ("sluice_config_errors", "Configurations refused; the old one serves on."),
}

# Field of Gauges → (name, help).
GAUGES = {
    "budget": (
        "sluice_server_connections_budget",
        "Server connections that may be open (RDS Proxy: MaxDatabaseConnectionsAllowed).",
    ),
    "open": (
        "sluice_server_connections",
        "Server connections open (RDS Proxy: DatabaseConnections).",
    ),
    "idle": ("sluice_server_connections_idle", "Server connections that no client holds."),
    "borrowed": (
        "sluice_server_connections_borrowed",
        "Server connections held by clients (RDS Proxy: DatabaseConnectionsCurrentlyBorrowed).",
    ),
    "pinned": (
        "sluice_server_connections_pinned",
        "Server connections held until the client leaves "
        "(RDS Proxy: DatabaseConnectionsCurrentlySessionPinned).",
    ),
    "waiting": ("sluice_clients_waiting", "Clients that wait for a server connection."),
    "clients": (
        "sluice_client_connections",
        "Client connections open (RDS Proxy: ClientConnections).",
    ),
    "clients_tls": (
        "sluice_client_connections_tls",
        "Client connections open with TLS (RDS Proxy: ClientConnectionsTLS).",
    ),
    "draining": ("sluice_draining", "1 while the proxy drains, else 0."),
    "idle_seconds": (
        "sluice_proxy_idle_seconds",
        "For how long no client has been there, 0 while one is.",
    ),
    "look_interval": (
        "sluice_look_interval_seconds",
        "How far apart the proxy looks for events under load, 0 while it takes each as it comes.",
    ),
}

# Field of PoolGauges → (name, help).
POOL_GAUGES = {
    "open": ("sluice_pool_server_connections", "Server connections open, by pool."),
    "borrowed": ("sluice_pool_server_connections_borrowed", "… held by clients, by pool."),
    "pinned": ("sluice_pool_server_connections_pinned", "… held until they leave, by pool."),
    "waiting": ("sluice_pool_clients_waiting", "Clients that wait, by pool."),
}


def exposition(counters: Counters, gauges: Gauges, accept: str) -> tuple[bytes, str]:
    """(body, content type) of /metrics in the format that the Accept header prefers."""
    registry = CollectorRegistry()
    registry.register(SnapshotCollector(counters, gauges))
    ProcessCollector(registry=registry)
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type


class SnapshotCollector(Collector):
    """The metric families of one snapshot."""

    def __init__(self, counters: Counters, gauges: Gauges) -> None:
        self._counters = counters
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("sluice_build", "This proxy.", {"version": __version__})
        for field, (name, text) in COUNTERS.items():
            yield CounterMetricFamily(name, text, getattr(self._counters, field))
        yield _pins(self._counters.pins)
        yield _histogram(
            "sluice_borrow_wait_seconds",
            "How long clients waited for a server connection "
            "(RDS Proxy: DatabaseConnectionsBorrowLatency).",
            self._counters.borrow_wait,
        )
        for field, (name, text) in GAUGES.items():
            yield GaugeMetricFamily(name, text, getattr(self._gauges, field))
        for field, (name, text) in POOL_GAUGES.items():
            yield _by_pool(name, text, field, self._gauges.pools)


def _pins(pins: dict[str, int]) -> Metric:
    family = CounterMetricFamily("sluice_pins", "Clients pinned, by reason.", labels=["reason"])
    for reason, count in pins.items():
        family.add_metric([reason], count)
    return family


def _by_pool(name: str, text: str, field: str, pools: tuple[PoolGauges, ...]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["database", "user"])
    for pool in pools:
        family.add_metric([pool.database, pool.user], getattr(pool, field))
    return family


def _histogram(name: str, text: str, histogram: Histogram) -> Metric:
    bounds = [*map(str, histogram.bounds), "+Inf"]
    buckets = list(zip(bounds, map(float, accumulate(histogram.counts)), strict=True))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=histogram.total)
