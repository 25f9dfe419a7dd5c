#!/usr/bin/env python3
"""`make bench-operator`: what many DatabaseProxies cost the operator and the API server.

200 of them whose pods no node takes, from `kubectl apply` to steady state: time, the
operator's memory and CPU, its requests; then left alone for 2 minutes. Then 50 that serve,
left alone for 10 minutes, and for 2 when they are paused. Left alone means not one write, as
the API server itself counts them. Prints a table, writes build/bench-operator.json, exits
with 1 where a goal is missed.
"""

import contextlib
import json
import os
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cluster"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from kube import kindcluster, places
from kube.client import Cluster
from kube.progress import Trouble, say, stage

from sluice_testing import chart, shop, specs
from sluice_testing.api_metrics import Figures, of_operator, writes_at_server
from sluice_testing.kubernetes import Manifest, apply, condition, listed, login

PROXIES = int(os.environ.get("BENCH_OPERATOR_PROXIES", "200"))
SERVING = int(os.environ.get("BENCH_OPERATOR_SERVING", "50"))
REST_SECONDS = int(os.environ.get("BENCH_OPERATOR_REST", "600"))
PODLESS_REST_SECONDS = int(os.environ.get("BENCH_OPERATOR_PODLESS_REST", "120"))
BUILD = Path(__file__).resolve().parents[2] / "build"
PATIENCE = 900.0
SETTLE_SECONDS = 150.0
"""A minute after the last connection was opened or closed the pool's figures are written
once more; what is written after this time is not rest."""
PODLESS_SETTLE_SECONDS = 20.0
"""Without a pod there are no figures: only what is under way has to end. Ten minutes after
the first apply Kubernetes gives rollouts up, and then there is something to write."""


@dataclass(frozen=True)
class Growth:
    """From the first `kubectl apply` until every proxy tells a steady state."""

    proxies: int
    seconds: float
    operator_rss_mib: float
    operator_cpu_s: float
    api_requests: dict[str, float]
    api_requests_per_proxy: float


@dataclass(frozen=True)
class Rest:
    """A time in which nothing happened."""

    proxies: int
    seconds: float
    writes_at_the_api_server: dict[str, float]
    operator_writes: float
    operator_reads: float
    operator_cpu_s_per_min: float
    operator_rss_mib: float


def proxies(namespace: str, count: int, spec: dict[str, Any]) -> list[Manifest]:
    changes = {"metadata.namespace": namespace, "spec.replicas": 1}
    changes |= {f"spec.{path}": value for path, value in spec.items()}
    return [
        specs.manifest({**changes, "metadata.name": f"orders-{number:03}"})
        for number in range(count)
    ]


@contextlib.contextmanager
def place(cluster: Cluster) -> Iterator[str]:
    name = f"bench-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    try:
        apply(cluster, login("orders-app", name, "app", shop.PASSWORD))
        yield name
    finally:
        cluster.kubectl("delete", "namespace", name, timeout=PATIENCE)


def until(cluster: Cluster, namespace: str, kind: str, reason: str, count: int) -> None:
    """Every proxy's condition `kind` has this reason; shows how it goes."""
    deadline, shown = time.monotonic() + PATIENCE, 0.0
    while True:
        found = listed(cluster, "databaseproxies", namespace)
        there = sum(condition(proxy, kind).get("reason") == reason for proxy in found)
        if there == count:
            return
        if time.monotonic() > deadline:
            raise Trouble(f"after {PATIENCE:.0f} s {there} of {count} have {kind} {reason}")
        if time.monotonic() - shown > 5:
            shown = time.monotonic()
            say(f"  {there} of {count} have {kind} {reason}")
        time.sleep(0.5)


def podless(cluster: Cluster) -> tuple[Growth, Rest]:
    """Many that come, and then rest."""
    with place(cluster) as namespace:
        with stage(f"{PROXIES} proxies whose pods no node takes"):
            grown = _growth(cluster, namespace)
        with stage(f"at rest for {PODLESS_REST_SECONDS} s"):
            time.sleep(PODLESS_SETTLE_SECONDS)
            return grown, _at_rest(cluster, PROXIES, PODLESS_REST_SECONDS)


def _growth(cluster: Cluster, namespace: str) -> Growth:
    nowhere = {"podTemplate": {"nodeSelector": {"example.com/bench": "nowhere"}}}
    host = {"targets.0.host": "db.example.internal"}
    before, began = of_operator(cluster), time.monotonic()
    apply(cluster, *proxies(namespace, PROXIES, {**nowhere, **host}))
    until(cluster, namespace, "Progressing", "Unschedulable", PROXIES)
    seconds, after = time.monotonic() - began, of_operator(cluster)
    spent = after.since(before)
    return Growth(
        proxies=PROXIES,
        seconds=round(seconds, 1),
        operator_rss_mib=after.rss_mib,
        operator_cpu_s=round(spent.cpu_seconds, 1),
        api_requests=spent.requests,
        api_requests_per_proxy=round(sum(spent.requests.values()) / PROXIES, 1),
    )


def serving(cluster: Cluster) -> tuple[Rest, Rest]:
    """Those that serve at rest, and the same when they are paused."""
    with shop.database(cluster) as host, place(cluster) as namespace:
        with stage(f"{SERVING} proxies: until all serve"):
            # They rest: 50 of the usual requests would not fit on one small node.
            small = {"resources": {"requests": {"cpu": "1m", "memory": "16Mi"}}}
            percent = {"maxConnectionsPercent": 3}
            spec = {"targets.0.host": host, "connectionPool": percent, "podTemplate": small}
            apply(cluster, *proxies(namespace, SERVING, {**spec, **_pausing_after(86400)}))
            until(cluster, namespace, "Ready", "Serving", SERVING)
        with stage(f"until it is quiet ({SETTLE_SECONDS:.0f} s)"):
            time.sleep(SETTLE_SECONDS)
        with stage(f"at rest for {REST_SECONDS} s"):
            rested = _at_rest(cluster, SERVING, REST_SECONDS)
        with stage("until all are paused"):
            apply(cluster, *proxies(namespace, SERVING, {**spec, **_pausing_after(60)}))
            until(cluster, namespace, "Paused", "Paused", SERVING)
            # Shares of pods that have gone are let go after some seconds.
            time.sleep(PODLESS_SETTLE_SECONDS)
        with stage(f"at rest for {PODLESS_REST_SECONDS} s"):
            return rested, _at_rest(cluster, SERVING, PODLESS_REST_SECONDS)


def _pausing_after(seconds: int) -> dict[str, Any]:
    return {"autoPause": {"idleSeconds": seconds}}


def _at_rest(cluster: Cluster, proxies: int, seconds: int) -> Rest:
    before, server = of_operator(cluster), writes_at_server(cluster)
    time.sleep(seconds)
    after, then = of_operator(cluster), writes_at_server(cluster)
    spent: Figures = after.since(before)
    return Rest(
        proxies=proxies,
        seconds=seconds,
        writes_at_the_api_server={k: n - server.get(k, 0) for k, n in then.items()
                                  if n != server.get(k, 0)},
        operator_writes=spent.writes,
        operator_reads=spent.requests.get("GET", 0.0),
        operator_cpu_s_per_min=round(60 * spent.cpu_seconds / seconds, 2),
        operator_rss_mib=after.rss_mib,
    )  # fmt: skip


def show(grown: Growth, alone: Rest, rested: Rest, paused: Rest) -> None:
    rows = (
        (f"{grown.proxies} DatabaseProxies to steady state", f"{grown.seconds} s"),
        ("  operator RSS", f"{grown.operator_rss_mib} MiB"),
        ("  operator CPU", f"{grown.operator_cpu_s} s"),
        ("  API requests for each", f"{grown.api_requests_per_proxy}  {grown.api_requests}"),
        (f"{alone.proxies} without a pod, at rest", f"{alone.seconds} s"),
        *_rows(alone),
        (f"{rested.proxies} that serve, at rest", f"{rested.seconds} s"),
        *_rows(rested),
        (f"{paused.proxies} that are paused, at rest", f"{paused.seconds} s"),
        *_rows(paused),
    )
    print()
    for name, value in rows:
        print(f"  {name:<42}{value}")


def _rows(rest: Rest) -> Iterator[tuple[str, str]]:
    yield "  writes, counted by the API server", f"{rest.writes_at_the_api_server or 'none'}"
    yield "  writes, counted by the operator", f"{rest.operator_writes:.0f}"
    yield "  reads of the operator", f"{rest.operator_reads:.0f}"
    yield "  operator CPU for a minute", f"{rest.operator_cpu_s_per_min} s"
    yield "  operator RSS", f"{rest.operator_rss_mib} MiB"


def main() -> int:
    try:
        with places.alone():
            kindcluster.up()
        cluster = Cluster(places.KUBECONFIG)
        with stage("images and chart"):
            cluster.load_images()
            chart.install(cluster)
        grown, alone = podless(cluster)
        rested, paused = serving(cluster)
    except Trouble as trouble:
        print(f"\n{trouble}", file=sys.stderr)
        return 1
    document = {
        "growth": asdict(grown),
        "rest_without_pods": asdict(alone),
        "rest": asdict(rested),
        "rest_paused": asdict(paused),
    }
    BUILD.mkdir(exist_ok=True)
    (BUILD / "bench-operator.json").write_text(json.dumps(document, indent=2) + "\n")
    show(grown, alone, rested, paused)
    rests = (alone, rested, paused)
    wrote = any(one.writes_at_the_api_server or one.operator_writes for one in rests)
    return 1 if wrote else 0


if __name__ == "__main__":
    sys.exit(main())
