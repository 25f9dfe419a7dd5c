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
    """One answer of `/state`: which document it serves, why not a newer one, and how it is."""

    config_hash: str
    config_error: str
    targets: tuple[TargetState, ...]
    pool: PoolState


def parse_state(document: Any) -> ProxyState | None:
    """The answer, or None if it is none: an unreadable pod counts as a silent one."""
    try:
        config, pool = document["config"], document["pool"]
        return ProxyState(
            config_hash=str(config["hash"]),
            config_error=str(config.get("error") or ""),
            targets=tuple(_target(item) for item in document["targets"]),
            pool=PoolState(**{name: int(pool.get(name, 0)) for name in PoolState.__slots__}),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _target(item: Mapping[str, Any]) -> TargetState:
    health = str(item["health"])
    if health not in HEALTHS:
        raise ValueError(f"health {health!r}")
    most = item.get("maxConnections")
    return TargetState(
        host=str(item["host"]),
        port=int(item["port"]),
        health=health,
        reason=str(item.get("reason") or ""),
        message=str(item.get("message") or ""),
        max_connections=None if most is None else int(most),
    )
