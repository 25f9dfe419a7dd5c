#!/usr/bin/env python3
"""`make soak-pause CYCLES=250`: sleep and wake under four kinds of clients, again and again.

One client of each kind begins every 50 ms across all edges. Prints a line for each cycle and
writes build/soak-pause.json after each, so that whoever stops it has what was counted until
then. Exits with 1 if a client saw an error. REPLICAS is the number of a proxy's pods, PROXIES
how many proxies go through their cycles beside each other, each with streams of its own.
"""

import json
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cluster"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from kube import kindcluster, places
from kube.client import Cluster
from kube.progress import Trouble, say, stage

from sluice_testing import chart, pausing, shop
from sluice_testing.cycles import Cycle, Tally, run_cycle
from sluice_testing.pausing import Sleeper, put_to_sleep

CYCLES = int(os.environ.get("CYCLES", "250"))
REPLICAS = int(os.environ.get("REPLICAS", "1"))
PROXIES = int(os.environ.get("PROXIES", "3"))
BUILD = Path(__file__).resolve().parents[2] / "build"


@dataclass
class Soak:
    """What the proxies' threads share. `begun` counts the cycles that any of them has begun."""

    cluster: Cluster
    tally: Tally
    lock: threading.Lock = field(default_factory=threading.Lock)
    enough: threading.Event = field(default_factory=threading.Event)
    begun: int = 0

    def another(self) -> bool:
        with self.lock:
            self.begun += 1
            return self.begun <= CYCLES and not self.enough.is_set()

    def add(self, cycle: Cycle) -> None:
        with self.lock:
            self.tally.add(cycle)
            say(line(self.tally, cycle))
            write(self.tally)


def soak(shared: Soak) -> None:
    with shop.database(shared.cluster) as host, ThreadPoolExecutor(PROXIES) as threads:
        lives = [threads.submit(live, shared, host) for _ in range(PROXIES)]
        try:
            for life in lives:
                life.result()
        finally:
            shared.enough.set()


def live(shared: Soak, host: str) -> None:
    """One proxy, from cycle to cycle."""
    with pausing.sleeper(shared.cluster, host, replicas=REPLICAS) as sleeper:
        fall_asleep(sleeper)
        while shared.another():
            cycle = run_cycle(shared.cluster, sleeper, REPLICAS)
            shared.add(cycle)
            if cycle.broken:
                fall_asleep(sleeper)


def fall_asleep(sleeper: Sleeper) -> None:
    with sleeper.watched() as watch:
        put_to_sleep(sleeper, watch)


def line(tally: Tally, cycle: Cycle) -> str:
    told = cycle.told
    edges = ", ".join(f"{name} {seconds} s" for name, seconds in cycle.edges.items())
    kinds = ", ".join(f"{name} {one.errors}" for name, one in tally.kinds.items())
    return (
        f"cycle {tally.cycles} of {CYCLES}: {told.begun.total()} clients, "
        f"{told.errors.total()} errors, slowest {told.slowest:.2f} s; {edges}; "
        f"so far {tally.connections:,} clients, errors: {kinds} {cycle.broken}"
    )


def write(tally: Tally) -> None:
    BUILD.mkdir(exist_ok=True)
    document = {"replicas": REPLICAS, "proxies": PROXIES, **tally.document()}
    (BUILD / "soak-pause.json").write_text(json.dumps(document, indent=2) + "\n")


def enough(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> int:
    signal.signal(signal.SIGTERM, enough)
    tally = Tally()
    try:
        with places.alone():
            kindcluster.up()
        cluster = Cluster(places.KUBECONFIG)
        with stage("images and chart"):
            cluster.load_images()
            chart.install(cluster)
            chart.restart_activators(cluster)
        soak(Soak(cluster, tally))
    except Trouble as trouble:
        print(f"\n{trouble}", file=sys.stderr)
        tally.broken.append(str(trouble))
    except KeyboardInterrupt:
        say("stopped")
    write(tally)
    print(f"\n{tally.table()}")
    return 1 if tally.errors or tally.broken or not tally.cycles else 0


if __name__ == "__main__":
    sys.exit(main())
