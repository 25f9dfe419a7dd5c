"""What the admin port tells of a proxy: implements `admin.views.Views` on top of the app."""

from typing import Any, Protocol

from sluice_proxy.admin.views import Gauges, PoolGauges
from sluice_proxy.metrics import Counters
from sluice_proxy.pool.single import Pool
from sluice_proxy.session.hub import Hub
from sluice_proxy.session.server import ServerConnection
from sluice_proxy.targets.health import TargetHealth
from sluice_proxy.transport.coalescing import Coalescing


class Facts(Protocol):
    """What a report is made of."""

    hub: Hub
    health: TargetHealth
    counters: Counters
    pod: str
    config_hash: str
    config_error: str
    draining: bool
    ready: bool
    coalescing: Coalescing


class Report:
    """Read on the event loop's thread; changes nothing."""

    def __init__(self, facts: Facts):
        self._facts = facts

    @property
    def counters(self) -> Counters:
        """A snapshot that counts the connections of this moment, too."""
        hub = self._facts.hub
        counters = self._facts.counters.copy()
        counters.queries += sum(client.queries for client in hub.clients.values())
        counters.bytes_from_clients += sum(c.peer.received for c in hub.clients.values())
        counters.bytes_from_servers += sum(server.peer.received for server in hub.servers)
        return counters

    def ready(self) -> str:
        if self._facts.draining:
            return "draining"
        if not self._facts.ready:
            return "starting"
        return "" if self._facts.hub.pools.limit else "no share of the connection budget yet"

    def state(self) -> dict[str, Any]:
        facts = self._facts
        gauges = self.gauges()
        return {
            "pod": facts.pod,
            "config": {"hash": facts.config_hash, "error": facts.config_error},
            "ready": not self.ready(),
            "draining": facts.draining,
            "idleSeconds": gauges.idle_seconds,
            "acceptedTotal": facts.hub.activity.accepted,
            "fleetBudget": facts.hub.fleet_budget,
            "targets": [facts.health.describe()],
            "pool": {
                "budget": gauges.budget,
                "open": gauges.open,
                "borrowed": gauges.borrowed,
                "waiting": gauges.waiting,
                "pinned": gauges.pinned,
                "clients": gauges.clients,
            },
            "pins": self._pins(),
        }

    def _pins(self) -> list[dict[str, Any]]:
        """Which clients hold a server connection for the rest of their session, and why."""
        return [
            {
                "client": server.client.peer.address,
                "user": server.key.user,
                "database": server.key.database,
                "reasons": [reason.name for reason in server.pins],
            }
            for server in self._facts.hub.servers
            if server.pins and server.client is not None
        ]

    def gauges(self) -> Gauges:
        hub = self._facts.hub
        pools = list(hub.pools)
        pinned = {server for server in hub.servers if server.pins}
        return Gauges(
            budget=hub.pools.limit,
            open=hub.pools.open,
            idle=sum(len(pool.idle) for pool in pools),
            borrowed=sum(pool.borrowed for pool in pools),
            pinned=len(pinned),
            waiting=hub.pools.waiting,
            clients=len(hub.clients),
            clients_tls=sum(client.encrypted for client in hub.clients.values()),
            draining=self._facts.draining,
            idle_seconds=hub.activity.idle_seconds,
            look_interval=self._facts.coalescing.interval,
            pools=_by_name(pools, pinned),
        )


def _by_name(pools: list[Pool], pinned: set[ServerConnection]) -> tuple[PoolGauges, ...]:
    """One entry for each (database, user); pools that differ in settings alone are one."""
    grouped: dict[tuple[str, str], list[Pool]] = {}
    for pool in pools:
        grouped.setdefault((pool.key.database, pool.key.user), []).append(pool)
    return tuple(
        PoolGauges(
            database=_printable(database),
            user=_printable(user),
            open=sum(pool.open for pool in group),
            borrowed=sum(pool.borrowed for pool in group),
            waiting=sum(pool.waiters.count for pool in group),
            pinned=sum(
                server.lent and server.key == pool.key for pool in group for server in pinned
            ),
        )
        for (database, user), group in grouped.items()
    )


def _printable(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
