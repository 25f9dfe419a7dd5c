"""Whether the budget is enough for the pods that share it."""

from dataclasses import dataclass

from sluice_operator.decide.budget import smallest_budget
from sluice_operator.decide.seen import Seen
from sluice_operator.decide.state import ProxyState

SUPERUSER_RESERVED = 3
"""PostgreSQL's default of `superuser_reserved_connections`."""


@dataclass(frozen=True, slots=True)
class Scarcity:
    """Why the budget is short; `starves`: some pod gets no connection at all."""

    sentence: str
    starves: bool


@dataclass(frozen=True, slots=True)
class _Share:
    """`budget` connections: `percent` of the server's `max_connections`, or what it leaves."""

    budget: int
    percent: int
    max_connections: int

    @property
    def reserved(self) -> int:
        """What the server keeps for superusers, as far as it shows."""
        return max(0, self.percent * self.max_connections // 100 - self.budget)


def fleet_budget(seen: Seen) -> int | None:
    """B, as the pods know it: the least, where they do not agree for a moment."""
    known = _knowing(seen)
    return min((b for b, _ in known), default=None)


def scarcity(seen: Seen) -> Scarcity | None:
    """None while the budget gives each pod one, and one to each that replaces it."""
    known = _knowing(seen)
    if seen.inputs is None or not known:
        return None
    needed = smallest_budget(seen.replicas)
    budget, most = min(known)
    if budget >= needed:
        return None
    share = _Share(budget, seen.inputs.config.pool.max_connections_percent, most)
    return Scarcity(_sentence(share, seen.replicas, needed), starves=budget < seen.replicas)


def _knowing(seen: Seen) -> list[tuple[int, int]]:
    """B and max_connections as told by those who know; of them, those with our document."""
    states = [state for state in seen.states.values() if state.fleet_budget is not None]
    current = [state for state in states if seen.is_current(state)]
    return [(state.fleet_budget or 0, _most(state)) for state in current or states]


def _most(state: ProxyState) -> int:
    return max((target.max_connections or 0 for target in state.targets), default=0)


def _sentence(share: _Share, replicas: int, needed: int) -> str:
    return (
        f"spec.connectionPool.maxConnectionsPercent: {share.percent} % of max_connections = "
        f"{share.max_connections} gives {share.budget} server connections, and {replicas} pods "
        f"need {needed}, for each its own and one more while it is replaced: "
        f"{_ways(share, needed)}"
    )


def _ways(share: _Share, needed: int) -> str:
    """What would do: a higher percent if there is one, a larger server, fewer pods."""
    ways = []
    percent = _ceil(100 * needed, share.max_connections) if share.max_connections else 101
    room = share.max_connections - max(SUPERUSER_RESERVED, share.reserved)
    if share.percent < percent <= 100 and needed <= room:
        ways.append(f"raise it to {percent}")
    most = max(_ceil(100 * needed, share.percent), needed + share.reserved)
    ways.append(f"raise the server's max_connections to {most}")
    fewer = (share.budget - 1) // 2
    if fewer >= 1:
        ways.append(f"lower spec.replicas to {fewer}")
    return ", or ".join(ways)


def _ceil(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)
