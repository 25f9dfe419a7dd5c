"""Pools and the budget they share: who gets which server connection, decided at once.

`release` grants the next waiter in the same call stack. Within a pool waiters are served
strictly in order. Between pools the budget is shared: idle connections of others make
room for a waiter, and a pool above its fair share gives way to one below it.
"""

import logging
import math
import random
from collections.abc import Callable, Iterator
from typing import Final

from sluice_proxy.clock import Clock
from sluice_proxy.errors import BorrowTimeout, InvariantError, ProxyError, ShuttingDown
from sluice_proxy.pool.key import PoolKey
from sluice_proxy.pool.maintenance import Maintenance
from sluice_proxy.pool.neighbours import NOT_WAITING, Connector, Server, Waiter
from sluice_proxy.pool.single import Pool

log: Final = logging.getLogger(__name__)

# Seconds before an attempt that follows so many failures in a row.
_BACK_OFF: Final = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0)
# Seconds after which a connection that was told to end is no longer counted on to make room.
_CLOSING_PATIENCE: Final = 1.0
# Seconds that a pool with less than its share of the budget waits for one with just its
# share: with more pools than connections they take turns, and not one transaction each.
_TURN: Final = 0.2
# Seconds after which a drain takes an idle connection for one that clients can do without.
_RESTED: Final = 1.0


class Pools:
    """All pools of one proxy under one limit.

    `dice` gives numbers from 0 up to 1. `open` counts connections from the first attempt until
    the server has let go of them; `closing` are those of them that were told to end. They count
    against the limit, too, so that the server never sees more. `draining`: the limit only falls,
    and `spare` is what is kept then for clients that hold nothing now. `unsure`: the server that
    is connected to now may allow less than that.
    """

    def __init__(
        self,
        connector: Connector,
        clock: Clock,
        dice: Callable[[], float] = random.random,
    ):
        self._connector = connector
        self._clock = clock
        self._pools: dict[PoolKey, Pool] = {}
        # The one of them that was asked for last: mostly it is the next, too.
        self._recent: Pool | None = None
        self._grants: list[tuple[PoolKey, Waiter, Server]] = []
        self._granting = False
        self._discarded_at = 0.0
        self.maintenance = Maintenance(clock, dice)
        self.closing = 0
        self.open = 0
        self.waiting = 0
        self.timeouts = 0
        # Until the server has told its max_connections one connection is all there may be.
        self.limit = 1
        self.borrow_timeout = 120.0
        self.unsure = False
        self.draining = False
        self.spare = 0

    def __iter__(self) -> Iterator[Pool]:
        return iter(self._pools.values())

    def lent(self) -> int:
        """How many server connections clients hold."""
        held = 0
        for pool in self._pools.values():
            held += pool.borrowed
        return held

    def pool(self, key: PoolKey) -> Pool:
        recent = self._recent
        if recent is not None and recent.key is key:
            return recent
        found = self._pools.get(key)
        if found is None:
            found = self._pools[key] = Pool(key)
        self._recent = found
        return found

    def _take_idle(self, pool: Pool) -> Server | None:
        """An idle server connection, which is lent by this; None if there is none."""
        if not pool.idle or pool.waiters.count:
            return None
        server = pool.idle.pop()
        server.lent = True
        pool.borrowed += 1
        return server

    def acquire(self, key: PoolKey, waiter: Waiter) -> Server | None:
        """A server connection now, or None: `waiter` will be granted or refused later."""
        pool = self.pool(key)
        server = self._take_idle(pool)
        if server is not None:
            return server
        if waiter.waits_since != NOT_WAITING:
            raise InvariantError(f"{waiter} waits already")
        pool.waiters.push(waiter, self._clock.now)
        self.waiting += 1
        self._make_room(pool)
        on_its_way = pool.waiters.count <= pool.connecting or self._awaits_first()
        if self.borrow_timeout == 0 and not on_its_way:
            # A connection that is being opened for it is not worth a failure.
            self._drop_waiter(pool, waiter)
            self._prune(pool)
            self.timeouts += 1
            waiter.refuse(BorrowTimeout())
        return None

    def release(self, key: PoolKey, server: Server) -> None:
        """`server` is clean and free: the next waiter gets it, or it rests."""
        pool = self.pool(key)
        if not server.lent:
            raise InvariantError(f"{pool} does not lend {server}")
        verdict = self.maintenance.verdict(server)
        if verdict:
            self.discard(key, server, verdict)
        elif self._must_give_way(pool):
            self.discard(key, server, "another pool waits for its share")
        elif pool.waiters.count:
            self._grant(key, self._first_waiter(pool), server)
        else:
            self._rest(pool, server)

    def _rest(self, pool: Pool, server: Server) -> None:
        server.lent = False
        pool.borrowed -= 1
        server.idle_since = self._clock.now
        pool.idle.append(server)
        if self.waiting:
            self._make_room_for_oldest()

    def discard(self, key: PoolKey, server: Server, reason: str) -> None:
        """`server` is not fit for another client, or nobody wants it."""
        pool = self._pools[key]
        self._forget(pool, server)
        self.closing += 1
        self._discarded_at = self._clock.now
        server.close(reason)
        self._prune(pool)

    def lost(self, key: PoolKey, server: Server) -> None:
        """The server ended the connection."""
        pool = self._pools[key]
        self._forget(pool, server)
        self.open -= 1
        self._make_room_for_oldest()
        self._prune(pool)

    def closed(self) -> None:
        """A connection that was discarded is gone on the server, too."""
        self.closing -= 1
        self.open -= 1
        if self.closing < 0:
            raise InvariantError("more connections closed than were closing")
        self._make_room_for_oldest()

    def reserve(self, key: PoolKey) -> bool:
        """Room for one connection that nobody waits for; False when the budget has none.

        `connected` or `connect_failed` follows, as for any other attempt.
        """
        if self.open >= self.limit or self.draining or self._awaits_first():
            return False
        self.pool(key).connecting += 1
        self.open += 1
        return True

    def connected(self, key: PoolKey, server: Server) -> None:
        """A new connection is ready; it goes through `release` like any other."""
        pool = self._pools[key]
        pool.connecting -= 1
        pool.failures = 0
        pool.last_error = None
        server.lent = True
        pool.borrowed += 1
        self.maintenance.admit(server)
        self.release(key, server)
        # One attempt at a time was made until now, perhaps.
        self._make_room_for_oldest()

    def connect_failed(self, key: PoolKey, error: ProxyError, lingers: bool = False) -> None:
        """An attempt failed. Waiters go on waiting if that may pass, else they are told.

        `lingers`: the server had let it in; `closed` follows when it has let go of it.
        """
        pool = self._pools[key]
        pool.connecting -= 1
        self.closing += lingers
        self.open -= not lingers
        pool.failures += 1
        pool.failed_at = self._clock.now
        pool.last_error = error
        if not error.transient:
            self._refuse_all(pool, error)
        self._make_room_for_oldest()
        self._prune(pool)

    def give_up(self, key: PoolKey, waiter: Waiter) -> None:
        """`waiter` no longer wants one."""
        pool = self._pools.get(key)
        if pool is not None:
            self._drop_waiter(pool, waiter)
            self._prune(pool)

    def set_limit(self, limit: int) -> None:
        """A new share of the budget; a smaller one closes idle connections at once."""
        self.limit = min(max(limit, self.spare), self.limit) if self.draining else limit
        while self.open - self.closing > self.limit and self._evict_idle():
            pass
        self._make_room_for_oldest()

    def _shrink(self) -> None:
        """Keeps what is lent or waited for, and `spare`; the rest is for other pods."""
        needed = self.lent() + self.spare
        rested = self._clock.now - (_RESTED if self.spare else 0)
        while self.open - self.closing > needed and self._evict_idle(idle_before=rested):
            pass
        self.set_limit(max(self.open + self.waiting, needed))
        if not self.limit:
            # Who has only come now cannot be served here any more.
            for pool in list(self._pools.values()):
                self._refuse_all(pool, ShuttingDown())

    def tick(self) -> None:
        """What only time decides: refuses who has waited for the borrow timeout."""
        if self.draining:
            self._shrink()
        limit = self._clock.now - self.borrow_timeout
        for pool in list(self._pools.values()):
            while (
                pool.waiters.count
                and pool.waiters.since <= limit
                and not self._is_served_soon(pool)
            ):
                self.timeouts += 1
                self._first_waiter(pool).refuse(
                    BorrowTimeout(pool.last_error.message if pool.last_error else "")
                )
            self._prune(pool)
        self._maintain()
        self._make_room_for_oldest()

    def _maintain(self) -> None:
        """Closes idle connections that are too old or too many."""
        if self.maintenance.is_due():
            idle = {server: pool for pool in self._pools.values() for server in pool.idle}
            for server, reason in self.maintenance.finished(idle):
                self.discard(idle[server].key, server, reason)

    def retire(self, key: PoolKey, server: Server, reason: str) -> None:
        """`server` ends now if it is idle, else when its client lets go of it."""
        pool = self._pools.get(key)
        if pool is not None and server.lent:
            self.maintenance.retire(server, reason)
        elif pool is not None and server in pool.idle:
            self.discard(key, server, reason)

    def _is_served_soon(self, pool: Pool) -> bool:
        """With a timeout of 0: the first attempts for those who wait are still under way."""
        attempted = pool.connecting > 0 or self._awaits_first()
        return self.borrow_timeout == 0 and not pool.failures and attempted

    def close_idle(self, reason: str) -> None:
        for pool in list(self._pools.values()):
            for server in list(pool.idle):
                self.discard(pool.key, server, reason)
            self._prune(pool)

    def _grant(self, key: PoolKey, waiter: Waiter, server: Server) -> None:
        # A granted client may release at once, which grants the next: a run-list instead
        # of a call stack that grows with the queue.
        if self._granting:
            self._grants.append((key, waiter, server))
            return
        self._granting = True
        try:
            self._grant_one(key, waiter, server)
            while self._grants:
                granted = self._grants.pop(0)
                self._grant_one(granted[0], granted[1], granted[2])
        finally:
            self._granting = False

    def _grant_one(self, key: PoolKey, waiter: Waiter, server: Server) -> None:
        try:
            waiter.grant(server)
        except Exception:
            # One waiter's trouble is not that of those behind it.
            log.exception("a waiter could not take its server connection")
            waiter.refuse(ProxyError("internal error"))
            pool = self._pools.get(key)
            if pool is not None and server.lent:
                self.discard(key, server, "it was not taken")

    def _must_give_way(self, pool: Pool) -> bool:
        """True when it is the turn of another pool, below its fair share, before this one's.

        It is the order in which they open connections: by another one a pool could open what it
        must give up at once, again and again.
        A pool with no more than its fair share gives way only to one that has nothing.
        """
        if self.open - self.closing > self.limit:
            return True
        if self.open < self.limit or self.waiting == pool.waiters.count or self._room_is_coming():
            return False
        wanting = [p for p in self._pools.values() if p.waiters.count or p.borrowed]
        fair = max(1, self.limit // max(1, len(wanting)))
        turn = pool.turn if pool.waiters.count else float("inf")
        if pool.open <= fair:
            fair = 1
            turn = min(turn, self._clock.now - _TURN)
        others = [other for other in wanting if other is not pool and other.open < fair]
        return any(other.waiters.count and other.turn < turn for other in others)

    def _make_room_for_oldest(self) -> None:
        if not self.waiting:
            return
        waiting = [pool for pool in self._pools.values() if pool.waiters.count]
        for pool in sorted(waiting, key=lambda pool: pool.turn):
            self._make_room(pool)

    def _make_room(self, pool: Pool) -> None:
        """Opens what the waiters of `pool` need, as far as the budget goes."""
        while pool.waiters.count > pool.connecting:
            if self.open >= self.limit:
                if self.open - self.closing > pool.open and not self._room_is_coming():
                    self._evict_idle(other_than=pool)
                return
            if (pool.failures and pool.connecting) or self._awaits_first():
                return
            pool.connecting += 1
            self.open += 1
            self._connector.connect(pool.key, _BACK_OFF[min(pool.failures, len(_BACK_OFF) - 1)])

    def _awaits_first(self) -> bool:
        """Whether there is room, but an attempt under way must first tell how much.

        Where no connection is left the server may have come back with another max_connections.
        """
        if self.open >= self.limit:
            return False
        connecting = sum(pool.connecting for pool in self._pools.values())
        return connecting > 0 and (self.unsure or connecting == self.open)

    def _room_is_coming(self) -> bool:
        return self.closing > 0 and self._clock.now - self._discarded_at < _CLOSING_PATIENCE

    def _evict_idle(self, other_than: Pool | None = None, idle_before: float = math.inf) -> bool:
        """Closes the connection that has been idle longest, if it is so since `idle_before`."""
        found: Pool | None = None
        for pool in self._pools.values():
            if pool.idle and pool is not other_than and pool.idle[0].idle_since <= idle_before:
                found, idle_before = pool, pool.idle[0].idle_since
        if found is None:
            return False
        self.discard(found.key, found.idle[0], "makes room for others")
        self._prune(found)
        return True

    def _refuse_all(self, pool: Pool, error: ProxyError) -> None:
        waiters = pool.waiters.clear()
        self.waiting -= len(waiters)
        for waiter in waiters:
            waiter.refuse(error)

    def _first_waiter(self, pool: Pool) -> Waiter:
        self.waiting -= 1
        return pool.waiters.pop()

    def _drop_waiter(self, pool: Pool, waiter: Waiter) -> None:
        if pool.waiters.drop(waiter):
            self.waiting -= 1

    def _forget(self, pool: Pool, server: Server) -> None:
        if server.lent:
            server.lent = False
            pool.borrowed -= 1
        else:
            pool.idle.remove(server)

    def _prune(self, pool: Pool) -> None:
        if not pool.open and not pool.waiters.count and self._pools.get(pool.key) is pool:
            del self._pools[pool.key]
            self._recent = None
