"""What the admin port must be able to ask the proxy."""

from dataclasses import dataclass
from typing import Any, Protocol

from sluice_proxy.metrics import Counters


@dataclass(frozen=True, slots=True)
class PoolGauges:
    """The server connections of one (database, user) pair, and who waits for one."""

    database: str
    user: str
    open: int
    borrowed: int
    waiting: int
    pinned: int


@dataclass(frozen=True, slots=True)
class Gauges:
    """How things stand at this moment.

    `budget` is how many server connections may be open; of the `open` ones, `idle` wait
    for a client and `borrowed` have one, `pinned` of them for the rest of its session.
    `waiting` clients wait for one. `idle_seconds` is for how long no client has been there.
    `look_interval` is how far apart the proxy looks for events, in seconds.
    """

    budget: int
    open: int
    idle: int
    borrowed: int
    pinned: int
    waiting: int
    clients: int
    clients_tls: int
    draining: bool
    idle_seconds: float = 0.0
    look_interval: float = 0.0
    pools: tuple[PoolGauges, ...] = ()


class Views(Protocol):
    """Asked on the event loop's thread only; must not block.

    `state` and `gauges` give values that nobody changes afterwards.
    """

    @property
    def counters(self) -> Counters: ...

    def state(self) -> dict[str, Any]:
        """What /state shows: values that JSON knows."""
        ...

    def ready(self) -> str:
        """Why no client should be sent here, or an empty string."""
        ...

    def gauges(self) -> Gauges: ...
