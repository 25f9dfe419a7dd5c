#!/usr/bin/env python3
"""`make bench-wake`: from a client's first SYN to its first row, where the proxy had no pod.

WAKES times the proxy sleeps until no pod is left and one client comes, of the kind KIND. Prints
p50, p95 and p99 of each stage, since the first SYN, writes build/bench-wake.json and a plot,
build/bench-wake.png.
"""

import json
import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cluster"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

import wake_plot
from kube import kindcluster, places
from kube.client import Cluster
from kube.progress import Trouble, say, stage

from sluice_testing import chart, pausing, shop
from sluice_testing.pausing import Sleeper, put_to_sleep
from sluice_testing.streams import percentile
from sluice_testing.waking import STAGES, Wake, wake

WAKES = int(os.environ.get("WAKES", "50"))
KIND = os.environ.get("KIND", "tls")
BUILD = Path(__file__).resolve().parents[2] / "build"
RANKS = (50, 95, 99)
GOAL = {"p50": 1.0, "p99": 2.5}


def measured(cluster: Cluster) -> list[Wake]:
    with shop.database(cluster) as host, pausing.sleeper(cluster, host) as sleeper:
        with sleeper.watched() as watch:
            put_to_sleep(sleeper, watch)
        return [one(cluster, sleeper, number) for number in range(1, WAKES + 1)]


def one(cluster: Cluster, sleeper: Sleeper, number: int) -> Wake:
    """Begins and ends without a pod."""
    with sleeper.watched() as watch:
        found = wake(cluster, sleeper, watch, KIND)
        put_to_sleep(sleeper, watch)
    stages = ", ".join(f"{name} {seconds:.2f}" for name, seconds in found.stages.items())
    say(f"wake {number} of {WAKES}: {found.error or stages}")
    return found


def ranks(seconds: Sequence[float]) -> dict[str, float]:
    return {f"p{rank}": round(percentile(seconds, rank), 3) for rank in RANKS}


def summary(wakes: Sequence[Wake]) -> dict[str, Any]:
    """`<stage>_s` is since the first SYN, `steps_s` since the stage before."""
    good = [found for found in wakes if not found.error]
    since_syn = {name: [found.stages[name] for found in good] for name in STAGES}
    return {
        "cycles": len(wakes),
        "errors": len(wakes) - len(good),
        "kind": KIND,
        "load_average": round(os.getloadavg()[0], 1),
        **{f"{name}_s": ranks(since_syn[name]) for name in reversed(STAGES)},
        "process_start_to_listening_s": ranks([found.to_listen for found in good]),
        "steps_s": {b: ranks(steps(good, a, b)) for a, b in pairwise(STAGES)},
    }


def steps(wakes: Sequence[Wake], before: str, after: str) -> list[float]:
    return [found.stages[after] - found.stages[before] for found in wakes]


def show(document: dict[str, Any]) -> None:
    print(f"\n  {document['cycles']} cold wakes, {document['errors']} errors, seconds since SYN")
    print(f"  {'':<16}{'p50':>8}{'p95':>8}{'p99':>8}   p50 since the stage before")
    for name in STAGES:
        found, step = document[f"{name}_s"], document["steps_s"].get(name, {}).get("p50", "")
        print(
            f"  {name:<16}" + "".join(f"{found[f'p{rank}']:>8.3f}" for rank in RANKS) + f"   {step}"
        )
    listen = document["process_start_to_listening_s"]
    print(f"  process start to listening: {listen}, goal 0.15")
    print(f"  goal of the first row: {GOAL}; load average {document['load_average']}")


def main() -> int:
    try:
        with places.alone():
            kindcluster.up()
        cluster = Cluster(places.KUBECONFIG)
        with stage("images and chart"):
            cluster.load_images()
            chart.install(cluster)
            chart.restart_activators(cluster)
        wakes = measured(cluster)
    except Trouble as trouble:
        print(f"\n{trouble}", file=sys.stderr)
        return 1
    document = summary(wakes)
    BUILD.mkdir(exist_ok=True)
    (BUILD / "bench-wake.json").write_text(json.dumps(document, indent=2) + "\n")
    wake_plot.draw(BUILD / "bench-wake.png", wakes, document)
    show(document)
    return 1 if document["errors"] else 0


if __name__ == "__main__":
    sys.exit(main())
