"""What a pod says of itself in `/state`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HEALTHS = ("Registering", "Available", "Unavailable")


@dataclass(frozen=True, slots=True)
class TargetState:
    """A server as one pod sees it; `health` is one of HEALTHS."""

    host: str
    port: int
    health: str
    reason: str = ""
    message: str = ""
    max_connections: int | None = None


@dataclass(frozen=True, slots=True)
class PoolState:
    """Connections and clients of one pod, or sums over several."""

    budget: int = 0
    open: int = 0
    borrowed: int = 0
    waiting: int = 0
    pinned: int = 0
    clients: int = 0

    def __add__(self, other: "PoolState") -> "PoolState":
        return PoolState(
            self.budget + other.budget,
            self.open + other.open,
            self.borrowed + other.borrowed,
            self.waiting + other.waiting,
            self.pinned + other.pinned,
            self.clients + other.clients,
        )


@dataclass(frozen=True, slots=True)
class ProxyState:
    """One answer of `/state`: which document it serves, why not a newer one, and how it is.

    `pod` is the pod's own name for itself. `fleet_budget` is B, what all pods together may
    open, as this pod computes it; None before it has asked the server. A `draining` pod
    serves who is there. `idle_seconds` is for how long no client has been there, 0 while one is.
    Proxies of before these were told leave out pod, fleet_budget and idle_seconds.
    """

    config_hash: str
    config_error: str
    targets: tuple[TargetState, ...]
    pool: PoolState
    pod: str = ""
    fleet_budget: int | None = None
    draining: bool = False
    idle_seconds: float | None = None


def parse_state(document: Any) -> ProxyState | None:
    """The answer, or None if it is none: an unreadable pod counts as a silent one."""
    try:
        config, pool = document["config"], document["pool"]
        return ProxyState(
            config_hash=str(config["hash"]),
            config_error=str(config.get("error") or ""),
            targets=tuple(_target(item) for item in document["targets"]),
            pool=PoolState(**{name: int(pool.get(name, 0)) for name in PoolState.__slots__}),
            pod=str(document.get("pod") or ""),
            fleet_budget=_number(document.get("fleetBudget")),
            draining=bool(document.get("draining")),
            idle_seconds=_seconds(document.get("idleSeconds")),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _target(item: Mapping[str, Any]) -> TargetState:
    health = str(item["health"])
    if health not in HEALTHS:
        raise ValueError(f"health {health!r}")
    return TargetState(
        host=str(item["host"]),
        port=int(item["port"]),
        health=health,
        reason=str(item.get("reason") or ""),
        message=str(item.get("message") or ""),
        max_connections=_number(item.get("maxConnections")),
    )


def _number(value: Any) -> int | None:
    return None if value is None else int(value)


def _seconds(value: Any) -> float | None:
    return None if value is None else float(value)
