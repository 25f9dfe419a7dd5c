"""Every metric of the operator, declared in one place."""

from prometheus_client import Counter, Gauge, Histogram

RECONCILES = Counter(
    "sluice_operator_reconciles_total", "Looks at one DatabaseProxy, by outcome.", ["outcome"]
)
RECONCILE_SECONDS = Histogram(
    "sluice_operator_reconcile_seconds",
    "How long one look at a DatabaseProxy took.",
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
)
REQUESTS = Counter("sluice_operator_api_requests_total", "Requests to the API server.", ["verb"])
WRITES = Counter("sluice_operator_writes_total", "Writes to the API server.", ["kind"])
QUEUE_WAITING = Gauge("sluice_operator_queue_waiting", "Keys that are due or being retried.")
QUEUE_RUNNING = Gauge("sluice_operator_queue_running", "Keys that are being worked on.")
LEADER = Gauge("sluice_operator_leader", "1 on the replica that holds the Lease, 0 on others.")
