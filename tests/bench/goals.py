"""What the figures must be, and whether they are."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cases import OWN_EXTENDED
from contenders import PGBOUNCER, SLUICE

# Of PgBouncer's CPU per transaction, 50 clients.
PLAIN_RATIO, TLS_RATIO = 0.95, 1.00
# Of our own extended; PgBouncer 1.18 cannot pool prepared statements.
PREPARED_RATIO = 1.00
CONNECTS_RATIO = 0.67
IDLE_KIB = 8.0
CROWD = 10_000


@dataclass(frozen=True)
class Goal:
    """`value` must be no more than `limit`, or no less where `at_least`."""

    name: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def document(self) -> dict[str, Any]:
        return {**asdict(self), "met": self.met}

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        met = "met" if self.met else "MISSED"
        return f"{met:6} {self.name}: {self.value:g} {sign} {self.limit:g}"


def goals(results: Mapping[str, Any]) -> list[Goal]:
    """Of whatever was measured; `results` as they stand in bench.json."""
    found = [goal for name, case in results["cases"].items() for goal in _of_case(name, case)]
    return found + [
        goal for name, one in results["memory"].items() for goal in _of_crowd(name, one)
    ]


def _of_case(name: str, case: Mapping[str, Any]) -> Iterator[Goal]:
    if name.startswith("connects"):
        ratio = case["connects_per_cpu_second"]["ratio"]
        yield Goal(f"{name}: per CPU second, of PgBouncer's", ratio, CONNECTS_RATIO, at_least=True)
        return
    _, mode, kind, clients = name.split("/")
    if clients != "50":
        return
    if mode == "prepared":
        own = case["ratios"][OWN_EXTENDED]["median"]
        yield Goal(f"{name}: CPU, of our own extended", own, PREPARED_RATIO)
    else:
        limit = TLS_RATIO if kind == "tls" else PLAIN_RATIO
        yield Goal(f"{name}: CPU, of PgBouncer's", case["ratios"][PGBOUNCER]["median"], limit)
    added = {label: found["p99"]["median"] for label, found in case["added_ms"].items()}
    if PGBOUNCER in added:
        yield Goal(f"{name}: added p99, ms, to PgBouncer's", added[SLUICE], added[PGBOUNCER])


def _of_crowd(name: str, crowd: Mapping[str, Any]) -> Iterator[Goal]:
    _, kind, count = name.split("/")
    ours = crowd.get(SLUICE, {})
    if "missing" in ours or not ours:
        yield Goal(f"{name}: clients that answer", 0, int(count), at_least=True)
        return
    yield Goal(f"{name}: clients that answer", ours["answered"], int(count), at_least=True)
    if kind == "plain":
        for state in ("idle_kib", "queried_kib"):
            yield Goal(f"{name}: {state} of each client", ours[state], IDLE_KIB)
