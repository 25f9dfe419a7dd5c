"""What the clients saw, as values: samples, sessions, and the figures made of them."""

import collections
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Sample:
    """How things stood `at` seconds after the start of the load."""

    at: float
    in_flight: int
    connected: int
    server_connections: int
    sessions: int
    errors: int


@dataclass(frozen=True)
class Session:
    """One client from connect to disconnect, which ended `at` seconds after the start.

    `password` counts the passwords that the clients were given: 0 is the first one.
    """

    at: float
    password: int
    connect_ms: float | None
    query_ms: list[float]
    error: str | None


@dataclass
class Run:
    """All that one load told."""

    samples: list[Sample] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    ended: bool = False
    most_connected: int = 0

    def add(self, told: dict[str, Any]) -> None:
        """One line of the load's output."""
        event = told.pop("event")
        if event == "sample":
            self.samples.append(Sample(**told))
        elif event == "session":
            self.sessions.append(Session(**told))
        else:
            self.ended = True
            self.most_connected = told["most"]

    @property
    def at(self) -> float:
        return self.samples[-1].at if self.samples else 0.0

    @property
    def most_in_flight(self) -> int:
        return max(sample.in_flight for sample in self.samples)

    @property
    def most_server_connections(self) -> int:
        return max(sample.server_connections for sample in self.samples)

    def errors(self, since: float = 0.0) -> collections.Counter[str]:
        """What went wrong after `since`, most frequent first."""
        return collections.Counter(
            session.error for session in self.sessions if session.error and session.at >= since
        )

    def connect_ms(self) -> list[float]:
        return [s.connect_ms for s in self.sessions if s.connect_ms is not None]

    def query_ms(self) -> list[float]:
        return [time for session in self.sessions for time in session.query_ms]


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
