"""The composition: one configuration becomes a running proxy, and a changed one a changed proxy."""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
from typing import Final

from sluice_proxy import config as contract
from sluice_proxy import logs
from sluice_proxy.admin.server import AdminServer
from sluice_proxy.config import ProxyConfig
from sluice_proxy.drain import Drain
from sluice_proxy.errors import ConfigError, ShuttingDown
from sluice_proxy.metrics import Counters
from sluice_proxy.report import Report
from sluice_proxy.session import common
from sluice_proxy.session.client_login import Door, Login
from sluice_proxy.session.doorway import Doorway, Inside
from sluice_proxy.session.hub import Hub
from sluice_proxy.session.logins import Logins
from sluice_proxy.source import Source
from sluice_proxy.targets.capacity import Budget
from sluice_proxy.targets.checks import Checks
from sluice_proxy.targets.health import AVAILABLE, TargetHealth
from sluice_proxy.targets.roles import Memory, Roles
from sluice_proxy.transport.addresses import LOOK_EVERY, drain_old_addresses
from sluice_proxy.transport.coalescing import Coalescing
from sluice_proxy.transport.connector import Connector, Route
from sluice_proxy.transport.contexts import Identity, client_context, identity_of
from sluice_proxy.transport.entrance import Entrance
from sluice_proxy.transport.hello import say_hello
from sluice_proxy.transport.loop import ReactorLoop
from sluice_proxy.transport.peers import Peers
from sluice_proxy.transport.reactor import Reactor
from sluice_proxy.transport.sockets import Addresses, Sockets
from sluice_proxy.transport.tasks import Tasks, survived

log = logging.getLogger(__name__)

# Seconds between two looks at what only time decides.
_TICK: Final = 0.1
# Seconds between two looks at the configuration, and at idle clients.
_SLOW_TICK: Final = 0.5


class App:
    """One proxy. `run` returns when it has drained."""

    def __init__(self, source: Source, addresses: Addresses, json_logs: bool = True):
        self._source = source
        self._addresses = addresses
        self._json_logs = json_logs
        self._memory = Memory(os.urandom(32))
        self._stopping = asyncio.Event()
        self.counters = Counters()
        self.pod = addresses.pod
        self.config: ProxyConfig
        self.config_hash = ""
        self.config_error = ""
        self.draining = False
        self.ready = False
        self._identity: Identity | None = None
        self.hub: Hub
        self.coalescing: Coalescing
        self.health: TargetHealth
        self._connector: Connector
        self._checks: Checks
        self._peers: Peers
        self._logins: Logins
        self._drain: Drain
        self._loop: asyncio.AbstractEventLoop
        self._reactor: Reactor
        self._tasks: Tasks

    async def run(self, sockets: Sockets) -> None:
        """Serves until `stop`. Raises ConfigError or OSError if it cannot even begin."""
        self._loop = asyncio.get_running_loop()
        if not isinstance(self._loop, ReactorLoop):
            raise TypeError("the proxy runs in a ReactorLoop")
        self._reactor = self._loop.reactor
        self.coalescing = self._reactor.coalescing
        self._tasks = Tasks(self._loop)
        text = self._source.read()
        settings = contract.parse(text)
        self._build(settings, text)
        entrance = Entrance(
            self._reactor, sockets, self._logins,
            uid=lambda: self.config.uid, has_room=lambda: self.hub.pools.limit > 0,
        )  # fmt: skip
        self._drain = Drain(self.hub, self._logins, entrance, self._loop.time)
        admin = AdminServer(
            self._addresses.admin_host, self._addresses.admin_port, self._loop, Report(self)
        )
        admin.start()
        self._announce(entrance, admin)
        try:
            await self._serve()
        finally:
            entrance.close()
            entrance.end()
            admin.stop()
            await self._tasks.cancel()

    def stop(self) -> None:
        """As SIGTERM asks: clients are served until they leave. The second time: `stop_soon`."""
        self._drain.hurried = self._drain.hurried or self._stopping.is_set()
        self._stopping.set()

    def stop_soon(self) -> None:
        """As SIGINT asks: each client ends as soon as it rests between two transactions."""
        self._drain.hurried = True
        self._stopping.set()

    def _build(self, settings: ProxyConfig, text: str) -> None:
        logs.configure(json=self._json_logs, debug=settings.debug_logging)
        route = self._route(settings, 0)
        self._identity = _identity(settings)
        route.roles.prepare()
        self.health = TargetHealth(settings.targets[0])
        self._connector = Connector(self._reactor, self._tasks, route, self.health)
        self.hub = Hub(self._connector, self._reactor.clock, self.counters)
        self.hub.unseen.looks = True
        self.coalescing.lent = self.hub.pools.lent
        self._checks = Checks(self._connector, self.health)
        self.hub.on_lost = self._checks.lost
        self._connector.hub = self.hub
        addresses = self._addresses
        self._peers = Peers(self.hub, self._reactor, self._tasks, addresses.own, addresses.port)
        inside = Inside(self.hub.activity.came, self._on_login, self._peers.cancel)
        self._logins = Logins(inside, self.counters, self._reactor.clock)
        self.hub.activity.logs_in = lambda: self._logins.under_way
        self._adopt(settings, text, route, kept=0)

    def _route(self, settings: ProxyConfig, generation: int) -> Route:
        roles = Roles(settings.users, self._memory)
        context = client_context(settings.target_tls)
        return Route(
            settings.targets[0], settings.target_tls.mode, context, roles, generation,
            settings.pool.init_query, settings.target_tls.negotiation == "Direct",
        )  # fmt: skip

    def _adopt(self, settings: ProxyConfig, text: str, route: Route, kept: int) -> None:
        """Puts a configuration to use: nothing in here can fail."""
        self.config = settings
        self.config_hash = contract.digest(text)
        self.config_error = ""
        self._connector.route = route
        identity = self._identity
        self._peers.adopt(settings.peers, identity)
        door = Door(
            offers_tls=identity is not None,
            requires_tls=settings.require_tls,
            verifiers=route.roles.verifiers,
            nonce=_nonce,
            binding=None if identity is None else identity.binding,
        )
        self._logins.adopt(door, identity and identity.context)
        self.hub.idle_client_timeout = float(settings.idle_client_timeout_seconds)
        self.hub.pools.borrow_timeout = float(settings.pool.connection_borrow_timeout_seconds)
        self.hub.pinning_filters = frozenset(settings.pool.session_pinning_filters)
        self.hub.pools.maintenance.lifetime = float(settings.pool.server_lifetime_seconds)
        self.hub.set_budget(
            Budget(
                settings.pool.max_connections_percent,
                settings.pool.max_idle_connections_percent,
                settings.fleet,
                self.pod,
                kept,
            )
        )

    def _on_login(self, doorway: Doorway, login: Login, ahead: bytes) -> None:
        stream = doorway.peer
        client = self.hub.enter(stream, login)
        stream.owner = client
        client.begin()
        if ahead:
            client.on_bytes(ahead)

    # Time

    async def _serve(self) -> None:
        self._tasks.start("tick", self._tick())
        self._tasks.start("slow tick", self._slow_tick())
        self._tasks.start("check", self._keep_checking())
        self._tasks.start("addresses", self._keep_looking_up())
        if self.config.activators:
            self._tasks.start("hello", say_hello(self.config.name, self.config.activators))
        self.ready = True
        await self._stopping.wait()
        await self._end()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            with survived("tick"):
                self.hub.tick()

    async def _slow_tick(self) -> None:
        while True:
            await asyncio.sleep(_SLOW_TICK)
            with survived("slow tick"):
                self.hub.expire_idle_clients()
                self._logins.expire()
                if self._source.changed():
                    await self._reload()

    async def _keep_checking(self) -> None:
        """Logs in as each role, so that /state can tell; a pod that drains has no room for it."""
        while True:
            with survived("check"):
                await self._checks.round(self.config.users)
            await self._checks.pause()

    async def _keep_looking_up(self) -> None:
        """Follows the target's name to where it leads."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            with survived("addresses"):
                await drain_old_addresses(self._loop, self.config.targets[0], self.hub)

    # Configuration

    async def _reload(self) -> None:
        """Takes a changed configuration, all of it or nothing."""
        try:
            text = self._source.read()
            settings = contract.parse(text)
            if contract.digest(text) == self.config_hash:
                self.config_error = ""
                return
            identity = _identity(settings)
            route = self._route(settings, self.hub.generation + _outdates(self.config, settings))
            await self._loop.run_in_executor(None, route.roles.prepare)
        except (ConfigError, OSError) as error:
            self.config_error = str(error)
            self.counters.config_errors += 1
            log.error("configuration refused, the old one stays", extra={"error": str(error)})
            return
        self._swap(settings, text, route, identity)

    def _swap(
        self, settings: ProxyConfig, text: str, route: Route, identity: Identity | None
    ) -> None:
        logs.configure(json=self._json_logs, debug=settings.debug_logging)
        self._identity = identity
        old = self.config
        self._adopt(settings, text, route, contract.kept(self.hub.pools.limit))
        # With another CA it is the same server: what is known of it stands until a login fails.
        if settings.targets != old.targets:
            self.hub.forget_capacity()
            self.health.move(settings.targets[0])
        elif settings.users != old.users:
            self.health.forget_roles()
        if _outdates(old, settings):
            self.hub.renew()
        # Whether new roles get in is for /state to tell, though no client may come for hours.
        unproven = settings.users != old.users or self.health.state != AVAILABLE
        if _outdates(old, settings) or unproven:
            self._checks.ask()
        self.counters.config_reloads += 1
        limit = self.hub.pools.limit
        log.info("configuration changed", extra={"hash": self.config_hash, "limit": limit})

    # End

    async def _end(self) -> None:
        """Serves who is in and who still comes; whoever outlasts the grace is cut off."""
        self.draining = True
        self.ready = False
        pools = self.hub.pools
        details = {"limit": pools.limit, "open": pools.open, "waiting": pools.waiting}
        log.info("draining", extra={"clients": len(self.hub.clients), **details})
        await self._drain.run(self.config.drain_seconds, self.config.linger_seconds)
        self.hub.end_all_clients()
        self._logins.end(ShuttingDown())
        await self._close_servers()

    async def _close_servers(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5.0):
                while self.hub.servers:
                    await asyncio.sleep(0.02)

    def _announce(self, entrance: Entrance, admin: AdminServer) -> None:
        log.info(
            "listening",
            extra={
                "proxy": self.config.name,
                "port": entrance.port,
                "admin_port": admin.port,
                "compiled": not str(common.__file__).endswith(".py"),
            },
        )


def _nonce() -> str:
    return secrets.token_urlsafe(18)


def _identity(settings: ProxyConfig) -> Identity | None:
    return None if settings.certificate is None else identity_of(settings.certificate)


def _outdates(old: ProxyConfig, new: ProxyConfig) -> bool:
    """Whether server connections that are open are not what new ones will be."""
    moved = old.targets != new.targets or old.target_tls != new.target_tls
    return moved or old.pool.init_query != new.pool.init_query


async def serve(app: App, sockets: Sockets) -> None:
    """Runs `app` until SIGTERM has drained it, or SIGINT, which is in more of a hurry."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, app.stop)
    loop.add_signal_handler(signal.SIGINT, app.stop_soon)
    await app.run(sockets)
