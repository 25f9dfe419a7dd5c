"""The figures of the demo, made of what the clients saw."""

import collections
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sluice_testing.load import Run


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` of all values do not exceed (nearest rank)."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)]


def latency(values: Sequence[float]) -> dict[str, float | None]:
    if not values:
        return {"p50": None, "p99": None}
    return {f"p{percent}": round(percentile(values, percent), 1) for percent in (50, 99)}


def summary(run: Run) -> dict[str, Any]:
    """One side of the comparison, as it stands in demo.json."""
    return {
        "clients": run.most_in_flight,
        "errors": run.errors().total(),
        "server_connections_max": run.most_server_connections,
        "connect_ms": latency(run.connect_ms()),
        "query_ms": latency(run.query_ms()),
    }


@dataclass(frozen=True)
class Rotation:
    """When each step was taken, in seconds after the start of the load."""

    on_the_server: float
    in_the_secret: float
    at_the_clients: float

    def summary(self, run: Run) -> dict[str, Any]:
        """What became of the clients that ended after the server had the new password."""
        since = [session for session in run.sessions if session.at >= self.on_the_server]
        logins = collections.Counter(session.password for session in since if not session.error)
        return {
            "errors": run.errors(self.on_the_server).total(),
            "clients": len(since),
            "logins_with_previous_password": logins[0],
            "logins_with_new_password": logins[1],
            "seconds_from_server_to_secret": round(self.in_the_secret - self.on_the_server, 1),
            "seconds_from_secret_to_clients": round(self.at_the_clients - self.in_the_secret, 1),
        }


def table(direct: dict[str, Any], sluice: dict[str, Any], sessions: tuple[int, int]) -> str:
    """Before and after, for a terminal."""
    rows = [
        ("", "direct", "through Sluice"),
        ("clients at once", direct["clients"], sluice["clients"]),
        ("clients in all", *sessions),
        ("errors", *(_share(side["errors"], n) for side, n in zip((direct, sluice), sessions,
                                                                 strict=True))),
        ("server connections, most", *(s["server_connections_max"] for s in (direct, sluice))),
        *_latencies("connect", direct["connect_ms"], sluice["connect_ms"]),
        *_latencies("query", direct["query_ms"], sluice["query_ms"]),
    ]  # fmt: skip
    return "\n".join(_line(row) for row in rows)


def _share(errors: int, sessions: int) -> str:
    return f"{errors:,} ({errors / sessions:.0%})"


def _latencies(
    name: str, direct: dict[str, float], sluice: dict[str, float]
) -> Iterable[tuple[str, str, str]]:
    for key in ("p50", "p99"):
        yield f"{name} {key}", f"{direct[key]:,.1f} ms", f"{sluice[key]:,.1f} ms"


def _line(row: tuple[Any, ...]) -> str:
    name, *values = row
    shown = (f"{value:,}" if isinstance(value, int) else value for value in values)
    return f"  {name:<26}" + "".join(f"{value:>18}" for value in shown)
