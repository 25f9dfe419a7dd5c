"""Where clients and server connections meet: the registry, the pools and what they count."""

import hmac
import logging
import secrets
from collections.abc import Callable
from typing import Protocol

from sluice_proxy.clock import Clock
from sluice_proxy.errors import ErrorFields, ShuttingDown
from sluice_proxy.metrics import Counters
from sluice_proxy.pool.key import PoolKey
from sluice_proxy.pool.neighbours import Connector, Server
from sluice_proxy.pool.pool import Pools
from sluice_proxy.session import pids
from sluice_proxy.session.activity import Activity
from sluice_proxy.session.client import ClientSession
from sluice_proxy.session.client_login import Login
from sluice_proxy.session.lobby import Lobby
from sluice_proxy.session.neighbours import LoggedIn
from sluice_proxy.session.peer import Peer
from sluice_proxy.session.pinning import PinReason, excused
from sluice_proxy.session.profile import Profile, Profiles, Start
from sluice_proxy.session.server import ServerConnection
from sluice_proxy.session.states import IDLE, LINKED
from sluice_proxy.session.unseen import Unseen
from sluice_proxy.targets.capacity import Budget, Capacity, fleet_budget, idle_share, pod_limit
from sluice_proxy.wire import constants as c
from sluice_proxy.wire.startup import CancelRequest

log = logging.getLogger(__name__)

# Seconds that a request of a client that left may run on before it is cancelled.
ORPHAN_PATIENCE = 3.0
# Seconds without any client after which no server connection is kept.
REST_AFTER = 30.0

# Seconds between two connections that are given up because their server is a standby: it may
# be meant to be one, and clients that write there nevertheless cost it no herd of logins.
DOUBT_EVERY = 1.0

# "reported … whether the server is currently in hot standby mode", since PostgreSQL 14.
STANDBY = b"in_hot_standby"

_IDLE_TIMEOUT = ErrorFields(
    "FATAL", "57P05", "terminating connection due to idle-session timeout",
    "The limit is spec.idleClientTimeoutSeconds.",
)  # fmt: skip


def _is_on_a_standby(server: ServerConnection) -> bool:
    return server.parameters.get(STANDBY) == b"on"


def _ours(server: Server | None) -> ServerConnection | None:
    """The pools know less of their connections than is true of them."""
    if server is not None and not isinstance(server, ServerConnection):
        raise TypeError(f"{server!r} is no server connection")
    return server


def _nobody_waits() -> None:
    """The proxy cancels for its own sake."""


def _nobody_asks(used: bool) -> None:
    """What is lost is only forgotten."""


class Dialler(Connector, Protocol):
    """Opens connections to the server: to log in, and to cancel."""

    def cancel(self, server: ServerConnection, done: Callable[[bool], None]) -> None:
        """`done(sure)` follows once; not `sure`: the server may still get the request."""


class Hub(Lobby):
    """Every client and every server connection of one proxy.

    Implements what `ClientSession` (Lobby) and `ServerConnection` (Keeper) ask of the proxy as a
    whole. `on_lost` hears of each server connection that ends without the proxy's doing, and
    whether clients had used it.
    """

    def __init__(self, dialler: Dialler, clock: Clock, counters: Counters):
        self.pinning_filters: frozenset[str] = frozenset()
        self._dialler = dialler
        self._clock = clock
        self.counters = counters
        self.pools = Pools(dialler, clock)
        self.clients: dict[int, ClientSession] = {}
        self.servers: set[ServerConnection] = set()
        self.capacity: Capacity | None = None
        self._budget = Budget()
        # Tells the other pods which cancel keys are this one's.
        self.tag = pids.random_tag()
        self.generation = 0
        self.idle_client_timeout = 1800.0
        self.profiles = Profiles()
        self.unseen = Unseen(clock)
        self.activity = Activity(clock)
        # Whether clients may still come though the proxy drains.
        self._lame_duck = False
        self._doubted_at = 0.0
        self.on_lost: Callable[[bool], None] = _nobody_asks

    # What the application asks

    def enter(self, peer: Peer, login: Login) -> ClientSession:
        """A client that has proved who it is. It is greeted as soon as that is possible."""
        secret = secrets.token_bytes(login.key_size)
        client = ClientSession(peer, login, self._new_pid(), secret, self)
        self.clients[client.pid] = client
        self.counters.clients_authenticated += 1
        return client

    def _new_pid(self) -> int:
        while (pid := pids.new(self.tag)) in self.clients:
            pass
        return pid

    @property
    def fleet_budget(self) -> int | None:
        """What all pods together may open; None until the server has told its max_connections."""
        if self.capacity is None:
            return None
        return fleet_budget(self._budget.percent, self.capacity)

    def set_budget(self, budget: Budget) -> None:
        """A new share of what the server allows, and of what may rest."""
        self._budget = budget
        self._apply_budget()

    def forget_capacity(self) -> None:
        """It is another server now; until that has spoken, it is approached with care."""
        self.capacity = None
        self.pools.unsure = True

    def learn_capacity(self, capacity: Capacity) -> None:
        """What the server said at a login."""
        self.pools.unsure = False
        if capacity != self.capacity:
            self.capacity = capacity
            self._apply_budget()

    def holds(self, user: str) -> bool:
        """Whether this role has a connection that is not about to end."""
        return any(server.key.user == user and not server.closing for server in self.servers)

    def renew(self) -> None:
        """What new connections are is changed: no present one serves another transaction."""
        self.generation += 1
        self.profiles.forget()
        self.pools.close_idle("it is from before a change")

    def retire(self, reason: str, which: Callable[[ServerConnection], bool]) -> None:
        """These server connections end: at once if they are idle, else with their client."""
        for server in [server for server in self.servers if which(server)]:
            self.pools.retire(server.key, server, reason)

    def _apply_budget(self) -> None:
        budget, whole = self._budget, self.fleet_budget
        limit = pod_limit(budget.fleet, budget.pod, whole, budget.kept)
        if self.capacity is not None and whole is not None:
            idle = idle_share(budget.idle_percent, self.capacity, limit, whole)
            self.pools.maintenance.keep_idle = idle
        self.pools.set_limit(limit)

    def cancel(self, request: CancelRequest, done: Callable[[], None]) -> None:
        """Cancels what the client with this key runs; silent about whether there is one.

        `done` is called once, when the request can reach nothing any more.
        """
        client = self.clients.get(request.pid)
        expected = b"" if client is None else client.secret
        if client is None or not hmac.compare_digest(expected, request.secret):
            done()
            return
        self.counters.cancels += 1
        server = client.server
        if server is not None and server.expected.owes_client:
            server.delayed.append(done)
            if not server.expected.own_query:
                self.cancel_now(server)
            return
        if server is None:
            client.cancel_wait()
        done()

    def _cancel(self, server: ServerConnection, then: Callable[[], None]) -> None:
        if server.login.secret is None:
            then()
            return
        server.cancels += 1

        def done(sure: bool) -> None:
            server.cancels -= 1
            if not sure:
                server.suspect = True
            if not server.closing:
                server.reconsider()
            then()

        self._dialler.cancel(server, done)

    def connected(self, key: PoolKey, peer: Peer, login: LoggedIn) -> ServerConnection:
        """A new server connection; `ready` puts it to use."""
        server = ServerConnection(key, peer, login, self)
        server.parameters = self.profiles.share(server.parameters)
        if not key.parameters:
            self.profiles.put(key, Profile(server.parameters, initial=login.settings))
        if login.parameters.get(STANDBY) == b"off":
            self.retire("the writer is elsewhere", _is_on_a_standby)
        self.servers.add(server)
        self.counters.server_connections_opened += 1
        return server

    def tick(self) -> None:
        """Everything that only time decides; called a few times a second."""
        now = self._clock.now
        self.activity.look(bool(self.clients))
        unserved = any(client.server is None for client in self.clients.values())
        self.pools.spare = int(unserved or self.activity.logs_in() or self._lame_duck)
        self.pools.tick()
        self.counters.borrow_timeouts = self.pools.timeouts
        for server in [s for s in self.servers if s.orphaned_at is not None]:
            since = server.orphaned_at
            if since is not None and now - since > ORPHAN_PATIENCE:
                self._cancel(server, _nobody_waits)
                self.unfit(server, "the client left and its request goes on")
        if self.activity.idle_seconds > REST_AFTER:
            self.pools.close_idle("no clients")

    def expire_idle_clients(self) -> None:
        limit = self._clock.now - self.idle_client_timeout
        for client in list(self.clients.values()):
            if client.last_active < limit and self._rests(client):
                self.counters.idle_client_timeouts += 1
                client.end(_IDLE_TIMEOUT)

    def _rests(self, client: ClientSession) -> bool:
        if client.state == LINKED:
            return client.server is not None and client.server.settled
        return client.state == IDLE

    def drain(self, lame_duck: bool) -> None:
        """From now on the limit only falls, to what the clients need that are in.

        `lame_duck`: others may still come, and the first of them finds room for one connection.
        """
        self._lame_duck = lame_duck
        self.pools.draining = True
        self.tick()

    def end_idle_clients(self, rested: float) -> None:
        """Ends every client that has rested for so many seconds between two transactions.

        Pinned or not.
        """
        limit = self._clock.now - rested
        resting = [
            client
            for client in self.clients.values()
            if client.last_active <= limit and self._rests(client)
        ]
        self._end([one for one in resting if one.server is None or one.server.status == c.IDLE])

    def end_all_clients(self) -> None:
        """Ends every client, whatever it does."""
        self._end(list(self.clients.values()))

    def _end(self, clients: list[ClientSession]) -> None:
        reason = ShuttingDown().fields()
        for client in clients:
            client.end(reason)

    # Lobby

    def now(self) -> float:
        return self._clock.now

    def acquire(self, client: ClientSession) -> ServerConnection | None:
        return _ours(self.pools.acquire(client.key, client))

    def give_up(self, client: ClientSession) -> None:
        self.pools.give_up(client.key, client)

    def orphan(self, server: ServerConnection, cut: bool) -> None:
        server.orphan(self._clock.now, cut)

    def profile(self, key: PoolKey) -> Profile | None:
        return self.profiles.get(key)

    def start(self, profile: Profile, login: Login) -> Start:
        return Start(profile, login, self.profiles)

    def learn_profile(self, key: PoolKey, profile: Profile) -> None:
        self.profiles.put(key, profile)

    def borrowed(self, waited: float) -> None:
        self.counters.borrow_wait.observe(waited)

    def gone(self, client: ClientSession) -> None:
        self.counters.queries += client.queries
        self.counters.bytes_from_clients += client.peer.received
        self.clients.pop(client.pid, None)

    def unused(self, server: ServerConnection) -> None:
        """Nothing of any client is in `server`: it goes to the next, if it is still good."""
        if server.login.generation != self.generation:
            self.pools.discard(server.key, server, "it is from before a change")
        elif server.suspect:
            self.pools.discard(server.key, server, "a cancel request may still come to it")
        else:
            self.pools.release(server.key, server)

    # Keeper

    def freed(self, server: ServerConnection) -> None:
        self.counters.transactions += 1
        self.unused(server)

    def unfit(self, server: ServerConnection, reason: str) -> None:
        log.info("server connection closed", extra={"reason": reason, "pool": str(server.key.user)})
        server.orphaned_at = None
        self.pools.discard(server.key, server, reason)

    def broken(self, server: ServerConnection, reason: str) -> None:
        self.unfit(server, reason)
        self.on_lost(bool(server.last_client))

    def lost(self, server: ServerConnection) -> None:
        self._forget(server)
        self.pools.lost(server.key, server)
        self.on_lost(bool(server.last_client))

    def closed(self, server: ServerConnection) -> None:
        self._forget(server)
        self.pools.closed()

    def _forget(self, server: ServerConnection) -> None:
        self.servers.discard(server)
        self.counters.bytes_from_servers += server.peer.received

    def read_only(self, server: ServerConnection) -> None:
        """A standby where a writer was expected: the next login tells where that is now."""
        now = self._clock.now
        if _is_on_a_standby(server) and now - self._doubted_at >= DOUBT_EVERY:
            self._doubted_at = now
            self.pools.retire(server.key, server, "it is on a standby")

    def excused(self) -> PinReason:
        return excused(self.pinning_filters)

    def vacate(self, databases: tuple[bytes, ...]) -> None:
        for server in list(self.servers):
            name = server.key.database.encode("utf-8", "surrogateescape")
            if name in databases:
                self.pools.retire(server.key, server, "its database is wanted by somebody alone")

    def pid_of(self, pid: int) -> int:
        for server in self.servers:
            if server.login.pid == pid:
                return server.last_pid
        return pid

    def cancel_now(self, server: ServerConnection) -> None:
        """What waited for the client's own request goes to the server, or has come too late."""
        waiting, server.delayed = server.delayed, []

        def then() -> None:
            for done in waiting:
                done()

        if server.client is not None and server.expected.owes_client:
            self._cancel(server, then)
        else:
            then()

    def pinned(self, server: ServerConnection, reasons: PinReason) -> None:
        for reason in reasons:
            self.counters.pinned(reason.name or "")
            log.debug("client pinned", extra={"reason": reason.name, "user": server.key.user})
