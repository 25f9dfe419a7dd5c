"""Figures of the operator that leads, and writes as the API server itself counts them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sluice_testing.chart import SYSTEM, leader
from sluice_testing.kubernetes import Kubectl

WRITTEN = frozenset(
    (
        *("databaseproxies", "deployments", "networkpolicies", "poddisruptionbudgets", "pods"),
        *("secrets", "services", "serviceaccounts"),
    )
)
"""Resources that the operator writes, and nobody else in a cluster at rest."""

_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Figures:
    """Totals since the operator's start, but `rss_mib`, which is now."""

    requests: dict[str, float]
    writes: float
    cpu_seconds: float
    rss_mib: float

    def since(self, before: "Figures") -> "Figures":
        return Figures(
            requests={k: n - before.requests.get(k, 0) for k, n in self.requests.items()},
            writes=self.writes - before.writes,
            cpu_seconds=self.cpu_seconds - before.cpu_seconds,
            rss_mib=self.rss_mib,
        )


def of_operator(cluster: Kubectl) -> Figures:
    """What the leader's /metrics tells."""
    found = _of_leader(cluster)
    total = {name: value for name, labels, value in found if not labels}
    return Figures(
        # The Lease is renewed by PUT, whatever else goes on.
        requests={
            labels["verb"]: value
            for name, labels, value in found
            if name == "sluice_operator_api_requests_total" and labels["verb"] != "PUT"
        },
        writes=sum(v for name, _, v in found if name == "sluice_operator_writes_total"),
        cpu_seconds=total["process_cpu_seconds_total"],
        rss_mib=round(total["process_resident_memory_bytes"] / 2**20, 1),
    )


def looks(cluster: Kubectl) -> float:
    """How often the leader has looked at a DatabaseProxy, at whichever."""
    found = _of_leader(cluster)
    return sum(value for name, _, value in found if name == "sluice_operator_reconciles_total")


def _of_leader(cluster: Kubectl) -> list[tuple[str, dict[str, str], float]]:
    path = f"/api/v1/namespaces/{SYSTEM}/pods/{leader(cluster)}:8080/proxy/metrics"
    return list(samples(cluster.kubectl("get", "--raw", path)))


def writes_at_server(cluster: Kubectl) -> dict[str, float]:
    """Writes so far by `VERB resource`, of resources in WRITTEN, whoever made them."""
    counts: dict[str, float] = {}
    for name, labels, value in samples(cluster.kubectl("get", "--raw", "/metrics")):
        if name == "apiserver_request_total" and _is_write(labels):
            key = " ".join(filter(None, map(labels.get, ("verb", "resource", "subresource"))))
            counts[key] = counts.get(key, 0.0) + value
    return counts


def _is_write(labels: Mapping[str, str]) -> bool:
    # Nothing is stored for a token: kubelets ask for those of pods now and then.
    is_stored = not labels.get("dry_run") and labels.get("subresource") != "token"
    verb, resource = labels.get("verb", ""), labels.get("resource", "")
    is_write = verb in ("APPLY", "PATCH", "POST", "PUT", "DELETE")
    return is_write and resource in WRITTEN and is_stored


def samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """The samples of Prometheus' text format: name, labels, value."""
    for line in text.splitlines():
        found = _SAMPLE.match(line)
        if found is not None:
            yield found[1], dict(_LABEL.findall(found[2] or "")), float(found[3])
