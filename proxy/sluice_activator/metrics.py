"""What an activator counts. Names are of base units; nothing ever goes back but gauges."""

from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

# Seconds: a pod starts within one, a client is held for 30 at most.
_BUCKETS: Final = (0.005, 0.025, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """One registry for each activator."""

    def __init__(self) -> None:
        # The proxy's have none either; process_start_time_seconds tells as much.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.held = Gauge("sluice_activator_held", "Clients that are held.", registry=registry)
        self.spliced = Gauge(
            "sluice_activator_spliced", "Clients connected to pods through here.",
            registry=registry,
        )  # fmt: skip
        self.proxies = Gauge(
            "sluice_activator_proxies", "Proxies that this activator stands in for.",
            registry=registry,
        )  # fmt: skip
        self.refused_slices = Gauge(
            "sluice_activator_refused_slices",
            "EndpointSlices that cannot be used: broken, or with another proxy's port.",
            registry=registry,
        )
        self.failed_ports = Gauge(
            "sluice_activator_failed_ports", "Ports of proxies that cannot be listened on.",
            registry=registry,
        )  # fmt: skip
        self.wakes = Counter(
            "sluice_activator_wakes", "Proxies scaled up from zero.", registry=registry
        )
        self.wake_failures = Counter(
            "sluice_activator_wake_failures",
            "Times that no pod answered until the deadline of the first held client.",
            registry=registry,
        )
        self.wake_seconds = Histogram(
            "sluice_activator_wake_seconds",
            "From when the client that woke a proxy was accepted to each stage.",
            ["stage"], buckets=_BUCKETS, registry=registry,
        )  # fmt: skip
        self.refused = Counter(
            "sluice_activator_refused", "Connections closed without a pod, by reason.",
            ["reason"], registry=registry,
        )  # fmt: skip
        self.api_requests = Counter(
            "sluice_activator_api_requests",
            "Requests to the API server, by verb and status; `failed` is no answer at all.",
            ["verb", "status"], registry=registry,
        )  # fmt: skip

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """(body, content type) of /metrics in the format that the Accept header prefers."""
        encoder, content_type = choose_encoder(accept)
        return encoder(self.registry), content_type
