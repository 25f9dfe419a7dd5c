"""Which DatabaseProxies ask for more of a database than there is, together.

Only what the operator watches is known: an installation for some namespaces does not see
the others' shares.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from sluice_operator.api.v1alpha1 import DatabaseProxy, Target
from sluice_operator.decide.egress import service_of
from sluice_operator.decide.references import Key

Database = tuple[str, int]
"""Host and port in the one form that all spellings of a server share."""

ALL = 100
"""Percent of max_connections that there are to share out."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What one DatabaseProxy asks for: so many percent of each of its databases."""

    percent: int
    databases: frozenset[Database]


@dataclass(frozen=True, slots=True, order=True)
class Rival:
    """Another DatabaseProxy of the same database."""

    namespace: str
    name: str
    percent: int


@dataclass(frozen=True, slots=True)
class Overcommit:
    """A database that too much is asked of: by this proxy, and by the rivals."""

    percent: int
    rivals: tuple[Rival, ...]

    @property
    def total(self) -> int:
        return self.percent + sum(rival.percent for rival in self.rivals)


def claim(proxy: DatabaseProxy) -> Claim:
    """What the spec of `proxy` asks for, suspended or not."""
    namespace = proxy.metadata.namespace
    return Claim(
        percent=proxy.spec.connection_pool.max_connections_percent,
        databases=frozenset(database(target, namespace) for target in proxy.spec.targets),
    )


def database(target: Target, namespace: str) -> Database:
    """The server that `target` means, seen from `namespace`.

    `db`, `db.shop`, `db.shop.svc` and `db.shop.svc.cluster.local` are one Service. Whether
    two other names lead to the same server is not looked at.
    """
    host = target.host.lower().rstrip(".")
    service = service_of(host, namespace)
    if service is not None:
        return f"{service[1]}.{service[0]}.svc", target.port
    try:
        return str(ipaddress.ip_address(host)), target.port
    except ValueError:
        return host, target.port


class Claims:
    """The claims of all known DatabaseProxies, found by their databases."""

    def __init__(self) -> None:
        self._claims: dict[Key, Claim] = {}
        self._holders: dict[Database, set[Key]] = {}

    def put(self, key: Key, claim: Claim | None) -> frozenset[Key]:
        """`key` claims this now; None forgets it.

        The other keys whose `overcommit` is another one now.
        """
        before = self._claims.get(key)
        if claim == before:
            return frozenset()
        crowd = self._crowd(key, before)
        self._forget(key)
        if claim is not None:
            self._claims[key] = claim
            for each in claim.databases:
                self._holders.setdefault(each, set()).add(key)
        return crowd | self._crowd(key, claim)

    def overcommit(self, key: Key) -> Overcommit | None:
        """The worst of the databases of `key`, if more than all is asked of one."""
        claim = self._claims.get(key)
        if claim is None:
            return None
        found = (
            Overcommit(claim.percent, self._rivals(key, each)) for each in sorted(claim.databases)
        )
        worst = max(found, key=lambda item: item.total, default=None)
        return worst if worst is not None and worst.total > ALL else None

    def _forget(self, key: Key) -> None:
        claim = self._claims.pop(key, None)
        for each in claim.databases if claim is not None else ():
            holders = self._holders[each]
            holders.discard(key)
            if not holders:
                del self._holders[each]

    def _rivals(self, key: Key, database: Database) -> tuple[Rival, ...]:
        others = self._holders[database] - {key}
        return tuple(sorted(Rival(*other, self._claims[other].percent) for other in others))

    def _crowd(self, key: Key, claim: Claim | None) -> frozenset[Key]:
        """The others at the databases of `claim` that too much is asked of."""
        databases = claim.databases if claim is not None else ()
        crowded = (self._holders[each] for each in databases if self._total(each) > ALL)
        return frozenset().union(*crowded) - {key}

    def _total(self, database: Database) -> int:
        return sum(self._claims[key].percent for key in self._holders[database])


def sentence(excess: Overcommit) -> str:
    """Who asks for how much of the database."""
    shares = [f"{rival.percent} % of {rival.namespace}/{rival.name}" for rival in excess.rivals]
    return (
        f"spec.connectionPool.maxConnectionsPercent: {excess.percent} % here and "
        f"{listed(shares)} are {excess.total} % of one database"
    )


NAMED = 10
"""So many rivals are named; the rest are counted."""


def listed(shares: Sequence[str]) -> str:
    more = [f"{len(shares) - NAMED} more"] if len(shares) > NAMED else []
    *first, last = [*shares[:NAMED], *more]
    return f"{', '.join(first)} and {last}" if first else last
