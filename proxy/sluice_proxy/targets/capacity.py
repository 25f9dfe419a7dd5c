"""How many server connections there may be: arithmetic on values."""

from dataclasses import dataclass

from sluice_proxy.config import UNSHARED, Fleet


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the server says of itself at a login: connections in all, and kept for superusers.

    `max_connections` changes only when the server restarts, which ends every connection;
    so what one login reads holds as long as any connection lives.
    """

    max_connections: int
    reserved: int


@dataclass(frozen=True, slots=True)
class Budget:
    """How much of the server is the fleet's and may rest unused, in percent, and who shares it.

    `pod` is which of the fleet this one is; empty where there is but one. `kept` is what it has
    by the document before, and keeps by one that does not name it.
    """

    percent: int = 100
    idle_percent: int = 100
    fleet: Fleet = UNSHARED
    pod: str = ""
    kept: int = 0


def fleet_budget(percent: int, capacity: Capacity) -> int:
    """`floor(percent * max_connections)`, never above what a non-superuser may open."""
    return max(
        0,
        min(
            percent * capacity.max_connections // 100, capacity.max_connections - capacity.reserved
        ),
    )


def pod_limit(fleet: Fleet, pod: str, budget: int | None, kept: int = 0) -> int:
    """What `pod` may open where the fleet's budget is `budget`, or is not known yet.

    The sum over the pods that `fleet` names never exceeds the budget, not even one that is
    smaller than what the shares were cut from. Where nobody has cut any yet each pod gets at
    least one: what the server allows is found out by a login.
    """
    if not fleet.total:
        return 1 if budget is None else max(1, budget // fleet.parts)
    share = fleet.share(pod, kept)
    if budget is None:
        return min(1, share)
    return share * budget // fleet.total if budget < fleet.total else share


def idle_share(percent: int, capacity: Capacity, limit: int, budget: int) -> int:
    """How many connections a pod may keep that nobody has used for long.

    Of what the fleet may keep, the part that `limit` is of `budget`.
    """
    return percent * capacity.max_connections // 100 * limit // max(1, budget)
