"""How many server connections there may be: arithmetic on values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the server says of itself at a login: connections in all, and kept for superusers.

    `max_connections` changes only when the server restarts, which ends every connection;
    so what one login reads holds as long as any connection lives.
    """

    max_connections: int
    reserved: int


def fleet_budget(percent: int, capacity: Capacity) -> int:
    """`floor(percent * max_connections)`, never above what a non-superuser may open."""
    return max(
        0,
        min(
            percent * capacity.max_connections // 100, capacity.max_connections - capacity.reserved
        ),
    )


def idle_share(percent: int, capacity: Capacity, fleet_size: int) -> int:
    """How many connections one of `fleet_size` pods may keep that nobody has used for long."""
    return percent * capacity.max_connections // 100 // fleet_size


def pod_share(percent: int, capacity: Capacity, fleet_size: int) -> int:
    """What one of `fleet_size` pods may open; their sum never exceeds the fleet's budget.

    A budget smaller than the fleet still gives each pod one: a pod without any would
    answer nobody.
    """
    return max(1, fleet_budget(percent, capacity) // fleet_size)
