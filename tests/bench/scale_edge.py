#!/usr/bin/env python3
"""`make bench-edge`: a proxy is scaled to 0 in the midst of clients; which cure loses how many?

One client every 10 ms, while the only pod is sent away EDGES times by each of three ways: it
closes at once; the same, but the activators are made ready before and taken back after (two
writes); it is a lame duck, which is what is built. Prints a table, writes build/bench-edge.json.
"""

import json
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cluster"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from kube import kindcluster, places
from kube.client import Cluster
from kube.progress import Trouble, say, stage

from sluice_testing import chart, pausing, shop
from sluice_testing.api import Watch
from sluice_testing.pausing import CLIENTS, Sleeper, until_serving
from sluice_testing.streams import Stream, Told, streaming, until_served

EDGES = int(os.environ.get("EDGES", "20"))
EVERY = 0.01
KIND = "plain"
BUILD = Path(__file__).resolve().parents[2] / "build"
AT_ONCE = {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 1}}}}
KNOWN_SECONDS = 0.3
"""In which the nodes learn that the activators are ready: as in the trial of this cure."""
SETTLED_CLIENTS = 100


@dataclass(frozen=True)
class Cure:
    """`by_hand`: the operator keeps its hands off, and pods have a second to end."""

    name: str
    by_hand: bool
    flips: bool


CURES = (
    Cure("closes at once", by_hand=True, flips=False),
    Cure("closes at once, activators ready meanwhile", by_hand=True, flips=True),
    Cure("lame duck", by_hand=False, flips=False),
)


@dataclass
class Outcome:
    """What became of the clients; `edges_with_errors` counts the edges that cost any."""

    edges: int = 0
    edges_with_errors: int = 0
    told: Told = field(default_factory=Told)

    def summary(self) -> dict[str, Any]:
        return {
            "edges": self.edges,
            "clients": self.told.begun.total(),
            "errors": self.told.errors.total(),
            "edges_with_errors": self.edges_with_errors,
            "by_error": dict(Counter(failure.text for failure in self.told.failures)),
            "slowest_s": round(self.told.slowest, 3),
        }


def tried(cluster: Cluster, host: str, cure: Cure) -> Outcome:
    outcome = Outcome()
    with pausing.sleeper(cluster, host) as sleeper, sleeper.watched() as watch:
        prepare(sleeper, watch, cure)
        stream = Stream(sleeper.namespace.name, CLIENTS, kinds=(KIND,), every=EVERY)
        with streaming(cluster, stream, outcome.told):
            until_served(outcome.told, SETTLED_CLIENTS)
            for _ in range(EDGES):
                before = len(outcome.told.failures)
                edge(sleeper, watch, cure)
                until_served(outcome.told, SETTLED_CLIENTS)
                outcome.edges += 1
                outcome.edges_with_errors += len(outcome.told.failures) > before
                say(f"  edge {outcome.edges}: {len(outcome.told.failures) - before} errors")
    return outcome


def prepare(sleeper: Sleeper, watch: Watch, cure: Cure) -> None:
    if not cure.by_hand:
        return
    namespace, first = sleeper.namespace, until_serving(watch, 1)
    namespace.apply(pausing.proxy(namespace, suspend=True))
    namespace.until("Progressing", "False", "Suspended")
    patch = ("patch", "deployment", "orders-proxy", "--type=merge", "-p", json.dumps(AT_ONCE))
    namespace.kubectl(*patch)
    until_serving(watch, 1, but=first)
    watch.until(first.isdisjoint, "the old pod is gone", 60)
    sleeper.until_direct()


def edge(sleeper: Sleeper, watch: Watch, cure: Cure) -> None:
    """From a pod that serves to another one that does; the old one is gone."""
    first = until_serving(watch, 1)
    if cure.flips:
        flip(sleeper, ready=True)
        time.sleep(KNOWN_SECONDS)
    sleeper.scale(0)
    watch.until(first.isdisjoint, "the old pod is gone", 60)
    if cure.flips:
        flip(sleeper, ready=False)
    until_serving(watch, 1, but=first)
    sleeper.until_direct()


def flip(sleeper: Sleeper, ready: bool) -> None:
    """The activators take clients beside the pods, or only where there are none."""
    found = sleeper.fallback()
    conditions = {"ready": ready, "serving": True, "terminating": not ready}
    endpoints = [{**endpoint, "conditions": conditions} for endpoint in found["endpoints"]]
    where = f"/apis/discovery.k8s.io/v1/namespaces/{sleeper.namespace.name}/endpointslices"
    sleeper.api.patch(f"{where}/{found['metadata']['name']}", {"endpoints": endpoints})


def show(found: dict[str, dict[str, Any]]) -> None:
    print(f"\n  {'':<44}{'edges':>6}{'clients':>9}{'errors':>8}{'edges with errors':>19}")
    for name, one in found.items():
        numbers = f"{one['edges']:>6}{one['clients']:>9}{one['errors']:>8}"
        print(f"  {name:<44}{numbers}{one['edges_with_errors']:>19}")
        for text, count in Counter(one["by_error"]).most_common(3):
            print(f"    {count:>5} x {text[:110]}")


def main() -> int:
    try:
        with places.alone():
            kindcluster.up()
        cluster = Cluster(places.KUBECONFIG)
        with stage("images and chart"):
            cluster.load_images()
            chart.install(cluster)
            chart.restart_activators(cluster)
        found = {}
        with shop.database(cluster) as host:
            for cure in CURES:
                with stage(cure.name):
                    found[cure.name] = tried(cluster, host, cure).summary()
    except Trouble as trouble:
        print(f"\n{trouble}", file=sys.stderr)
        return 1
    document = {"edges": EDGES, "every_s": EVERY, "kind": KIND, "cures": found}
    BUILD.mkdir(exist_ok=True)
    (BUILD / "bench-edge.json").write_text(json.dumps(document, indent=2) + "\n")
    show(found)
    return 1 if found[CURES[-1].name]["errors"] else 0


if __name__ == "__main__":
    sys.exit(main())
