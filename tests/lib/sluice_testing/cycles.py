"""Cycles of sleep and wake under streams of new clients, and the count of what became of them."""

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from sluice_testing.api import NoAnswer, Watch
from sluice_testing.pausing import CLIENTS, Sleeper, Town, put_to_sleep, until_serving
from sluice_testing.streams import (
    KINDS,
    Failure,
    Stream,
    Told,
    percentile,
    streaming,
    until_served,
)

SETTLED_CLIENTS = 20
"""So many are served on the direct way before the next thing is done to the proxy."""
EDGES = ("wake", "edge", "pause")


@dataclass
class Cycle:
    """One cycle: what became of its clients, and how long each of EDGES took, in seconds.

    `wake`: from the first client of a proxy without a pod until all go directly. `edge`: from a
    scale-down in the midst of clients until all go directly again. `pause`: from the scale-down
    until no pod is left. `broken` says why it came to no end, if it did not.
    """

    told: Told = field(default_factory=Told)
    edges: dict[str, float] = field(default_factory=dict)
    broken: str = ""

    @contextlib.contextmanager
    def timed(self, edge: str) -> Iterator[None]:
        begin = time.monotonic()
        yield
        self.edges[edge] = round(time.monotonic() - begin, 2)


def run_cycle(cluster: Town, sleeper: Sleeper, replicas: int) -> Cycle:
    """Asleep, woken, forced to 0 under load, asleep again. Begins and ends without a pod."""
    cycle = Cycle()
    try:
        with sleeper.watched() as watch:
            with streaming(cluster, Stream(sleeper.namespace.name, CLIENTS), cycle.told):
                _wake_and_force(sleeper, watch, replicas, cycle)
            with cycle.timed("pause"):
                put_to_sleep(sleeper, watch)
    except (AssertionError, NoAnswer, OSError) as error:
        cycle.broken = str(error)
    return cycle


def _wake_and_force(sleeper: Sleeper, watch: Watch, replicas: int, cycle: Cycle) -> None:
    with cycle.timed("wake"):
        first = until_serving(watch, replicas)
        sleeper.until_direct()
    until_served(cycle.told, SETTLED_CLIENTS)
    with cycle.timed("edge"):
        sleeper.scale(0)
        until_serving(watch, replicas, but=first)
        sleeper.until_direct()
    until_served(cycle.told, SETTLED_CLIENTS)


@dataclass
class Kind:
    """What became of the clients of one kind; seconds."""

    connections: int = 0
    ok: int = 0
    errors: int = 0
    taken: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        figures: dict[str, Any] = asdict(self)
        taken = figures.pop("taken")
        return {**figures, **spread(taken)}


def spread(seconds: list[float]) -> dict[str, float | None]:
    """p50, p95, p99 and the most."""
    if not seconds:
        return dict.fromkeys(("p50", "p95", "p99", "max"))
    ranks = {f"p{rank}": round(percentile(seconds, rank), 3) for rank in (50, 95, 99)}
    return {**ranks, "max": round(max(seconds), 3)}


@dataclass
class Tally:
    """The sum of all cycles; `broken` are those that came to no end, with their words."""

    cycles: int = 0
    kinds: dict[str, Kind] = field(default_factory=lambda: {kind: Kind() for kind in KINDS})
    edges: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in EDGES})
    failures: list[tuple[int, Failure]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def add(self, cycle: Cycle) -> None:
        self.cycles += 1
        for name, seconds in cycle.edges.items():
            self.edges[name].append(seconds)
        for kind, one in self.kinds.items():
            one.connections += cycle.told.begun[kind]
            one.ok += cycle.told.ok[kind]
            one.errors += cycle.told.errors[kind]
            one.taken += cycle.told.taken.get(kind, [])
        if cycle.broken:
            self.broken.append(f"cycle {self.cycles}: {cycle.broken}")
        self.failures += [(self.cycles, failure) for failure in cycle.told.failures]

    @property
    def connections(self) -> int:
        return sum(kind.connections for kind in self.kinds.values())

    @property
    def errors(self) -> int:
        return sum(kind.errors for kind in self.kinds.values())

    def document(self) -> dict[str, Any]:
        """As it stands in build/soak-pause.json."""
        return {
            "cycles": self.cycles,
            "connections": self.connections,
            "errors": self.errors,
            "by_kind": {name: kind.summary() for name, kind in self.kinds.items()},
            "edges": {name: spread(seconds) for name, seconds in self.edges.items()},
            "by_error": dict(Counter(failure.text for _, failure in self.failures)),
            "failures": self.told_failures(100),
            "broken": self.broken,
        }

    def told_failures(self, most: int) -> list[str]:
        return [f"cycle {number}: {failure}" for number, failure in self.failures[:most]]

    def table(self) -> str:
        """For a terminal."""
        head = f"  {'':<10}{'clients':>9}{'errors':>8}{'p50':>9}{'p99':>9}{'max':>9}"
        rows = [_row(name, kind.summary()) for name, kind in self.kinds.items()]
        edges = [
            f"  {name:<10}p50 {found['p50']} s, max {found['max']} s"
            for name, found in self.document()["edges"].items()
        ]
        total = f"  {self.cycles} cycles, {self.connections} clients, {self.errors} errors"
        return "\n".join([total, head, *rows, *edges, *self.told_failures(10), *self.broken[:5]])


def _row(name: str, found: dict[str, Any]) -> str:
    times = "".join(f"{found[rank] or 0:>7.2f} s" for rank in ("p50", "p99", "max"))
    return f"  {name:<10}{found['connections']:>9}{found['errors']:>8}{times}"
