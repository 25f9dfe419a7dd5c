"""Opens connections to the target: to log in, and to cancel what runs on another."""

import asyncio
import logging
import secrets
import ssl
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sluice_proxy.config import Target, TLSMode
from sluice_proxy.errors import (
    CertificateInvalid,
    ProxyError,
    ServerRejected,
    ServerUnavailable,
    TLSRefused,
    Unreachable,
)
from sluice_proxy.pool.key import PoolKey, shared_key
from sluice_proxy.session.hub import Hub
from sluice_proxy.session.inspection import Question, findings
from sluice_proxy.session.neighbours import LoggedIn
from sluice_proxy.session.server import ServerConnection
from sluice_proxy.targets.health import RoleLogin, TargetHealth
from sluice_proxy.targets.init_query import InitQuery, InitQueryTooSlow, run_init_query
from sluice_proxy.targets.roles import Roles
from sluice_proxy.targets.server_login import (
    Channel,
    Command,
    Credentials,
    DeriveKeys,
    Greeting,
    Read,
    Wishes,
    WishRefused,
    Write,
    WrongPassword,
    log_in,
)
from sluice_proxy.transport.conversation import Conversation
from sluice_proxy.transport.dial import ask_for_tls, connect, connect_any, words
from sluice_proxy.transport.reactor import Reactor
from sluice_proxy.transport.stream import Stream
from sluice_proxy.transport.tasks import Tasks
from sluice_proxy.wire import constants as c
from sluice_proxy.wire import messages
from sluice_proxy.wire.channel_binding import server_end_point
from sluice_proxy.wire.sql import dotted_names

log = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds for a whole login, address look-up included.
LOGIN_TIMEOUT: Final = 15.0
CANCEL_TIMEOUT: Final = 5.0
# Seconds that a server connection may take to end: it counts against the budget so long.
SERVER_LINGER: Final = 60.0


_HINT_TLS: Final = "Check targetTLS.mode, targetTLS.caSecretRef and the server's certificate."
_HINT_DIRECT: Final = "targetTLS.negotiation Direct needs PostgreSQL 17 or later."


@dataclass(frozen=True, slots=True)
class Route:
    """Where the server is and how it is spoken to; `generation` counts its changes.

    `direct`: TLS begins without an SSLRequest.
    """

    target: Target
    mode: TLSMode
    context: ssl.SSLContext | None
    roles: Roles
    generation: int = 0
    init_query: str = ""
    direct: bool = False


@dataclass(slots=True)
class Attempt:
    """One attempt to connect. `parting`: the server has let it in, and it failed after that."""

    key: PoolKey
    route: Route
    parting: Conversation | None = None

    def part(self, stream: Stream, conversation: Conversation) -> None:
        """Says goodbye and waits for the server to hang up."""
        self.parting = conversation
        stream.linger = SERVER_LINGER
        stream.write(messages.TERMINATE)
        stream.close()


@dataclass(frozen=True, slots=True)
class Origin:
    """The address that a connection was made to, and whether it is encrypted."""

    family: int
    address: Any
    encrypted: bool
    route: Route


class Connector:
    """Implements what the hub asks of a Dialler. `route` may be replaced at any time."""

    def __init__(self, reactor: Reactor, tasks: Tasks, route: Route, health: TargetHealth):
        self._reactor = reactor
        self._loop = reactor.loop
        self._tasks = tasks
        self.route = route
        self.health = health
        self.hub: Hub
        # What each server has granted to whoever was let in last.
        self._granted: dict[Target, Wishes] = {}
        # Who waits for the next CancelRequest to a server while one is on its way.
        self._cancels: dict[ServerConnection, list[Callable[[bool], None]]] = {}

    def connect(self, key: PoolKey, delay: float) -> None:
        self._tasks.start(f"connect {key.user}@{key.database}", self._connect(key, delay))

    def cancel(self, server: ServerConnection, done: Callable[[bool], None]) -> None:
        """One request at a time for each server connection: each costs the server a process."""
        if server in self._cancels:
            self._cancels[server].append(done)
        else:
            self._cancels[server] = [done]
            self._tasks.start("cancel", self._cancel(server))

    async def check(self, user: str, database: str) -> bool:
        """Logs in as this role, if there is room; the connection is one of the pool's then."""
        key = shared_key(user, database)
        if not self.hub.pools.reserve(key):
            return False
        await self._connect(key, 0.0)
        return True

    async def _connect(self, key: PoolKey, delay: float) -> None:
        if delay:
            await asyncio.sleep(delay)
        self.hub.counters.server_connections_requested += 1
        attempt = Attempt(key, self.route)
        try:
            async with asyncio.timeout(LOGIN_TIMEOUT):
                server = await self._open(attempt)
        except Exception as error:
            self._on_failure(attempt, _as_proxy_error(attempt, error))
            return
        self.hub.pools.connected(key, server)

    def _on_failure(self, attempt: Attempt, error: ProxyError) -> None:
        key, parting = attempt.key, attempt.parting
        self.hub.counters.server_connections_failed += 1
        details = {"user": key.user, "database": key.database, "sqlstate": error.sqlstate}
        log.warning("cannot connect to the server: %s", error.message, extra=details)
        self.health.failed(self._role_login(key), error)
        self.hub.pools.connect_failed(key, error, lingers=parting is not None)
        if parting is not None:
            self._tasks.start("part", self._part(parting))

    def _role_login(self, key: PoolKey) -> RoleLogin:
        """By the roles of now: what is not theirs any more is nobody's trouble."""
        own = not key.parameters and self.route.roles.is_own(key.user, key.database)
        return RoleLogin(key.user, own, self.hub.holds(key.user))

    async def _part(self, conversation: Conversation) -> None:
        """What the server had let in counts until it has let go of it."""
        await conversation.ended()
        self.hub.pools.closed()

    async def _open(self, attempt: Attempt) -> ServerConnection:
        """A logged-in connection. Both passwords of a rotation are tried, the new one first."""
        key, route = attempt.key, attempt.route
        refused: WrongPassword | None = None
        for password in route.roles.passwords(key.user):
            try:
                wishes = self._granted.get(route.target, Wishes())
                return await self._log_in(attempt, password, wishes)
            except WrongPassword as error:
                refused = error
        if refused is None:
            raise ServerRejected(
                f"This RDS proxy has no credentials for the role {key.user}. "
                "Check the credentials for this role and try again.",
                sqlstate="28000",
            )
        if not route.roles.proved(key.user):
            raise refused
        # It worked before: the role's password changed, and its Secret will follow.
        raise ServerUnavailable(refused.message, sqlstate=refused.sqlstate)

    async def _log_in(self, attempt: Attempt, password: str, wishes: Wishes) -> ServerConnection:
        """Asks for less where the server refuses what is wished for."""
        try:
            server = await self._enter(attempt, password, wishes)
        except WishRefused as error:
            return await self._log_in(attempt, password, error.less)
        self._granted[attempt.route.target] = wishes
        return server

    async def _enter(self, attempt: Attempt, password: str, wishes: Wishes) -> ServerConnection:
        key, route = attempt.key, attempt.route
        conversation = Conversation(self._loop)
        stream, origin = await self._dial(route, conversation)
        channel = Channel(
            origin.encrypted,
            server_end_point(stream.peer_certificate),
            cleartext=origin.encrypted or route.mode == "Disable",
            wishes=wishes,
        )
        try:
            login = log_in(_credentials(key, password), channel)
            greeting = await self._converse(login, route, password, stream, conversation)
        except BaseException:
            stream.abort()
            raise
        try:
            query = _init_query(route.init_query)
            if query is not None:
                steps = run_init_query(query, greeting)
                await self._converse(steps, route, password, stream, conversation)
            _check_the_end(stream, conversation)
        except BaseException:
            attempt.part(stream, conversation)
            raise
        route.roles.prove(key.user)
        self.health.succeeded(self._role_login(key), greeting.capacity)
        self.hub.learn_capacity(greeting.capacity)
        return self._enlist(key, stream, greeting, origin)

    def _enlist(
        self, key: PoolKey, stream: Stream, greeting: Greeting, origin: Origin
    ) -> ServerConnection:
        login = LoggedIn(
            greeting.parameters, greeting.pid, greeting.secret, origin, origin.route.generation,
            findings(greeting.answer).settings,
        )  # fmt: skip
        server = self.hub.connected(key, stream, login)
        stream.owner = server
        stream.linger = SERVER_LINGER
        return server

    async def _converse(
        self,
        steps: Generator[Command, Any, T],
        route: Route,
        password: str,
        stream: Stream,
        conversation: Conversation,
    ) -> T:
        """Drives the login: performs each command, gives back what came of it."""
        answer: Any = None
        while True:
            try:
                command = steps.send(answer)
            except StopIteration as stop:
                result: T = stop.value
                return result
            answer = None
            if isinstance(command, Write):
                stream.write(command.data)
            elif isinstance(command, Read):
                answer = await conversation.read_message()
            elif isinstance(command, DeriveKeys):
                answer = await route.roles.derive(self._loop, password, command.challenge)

    async def _dial(self, route: Route, conversation: Conversation) -> tuple[Stream, Origin]:
        """Connected, and encrypted where the route asks for it."""
        family, address, sock = await connect_any(self._loop, route.target)
        stream = Stream(self._reactor, sock, str(address[0]), conversation)
        stream.start()
        try:
            encrypted = await self._secure(route, stream, conversation)
        except BaseException:
            stream.abort()
            raise
        return stream, Origin(family, address, encrypted, route)

    async def _secure(self, route: Route, stream: Stream, conversation: Conversation) -> bool:
        if route.context is None:
            return False
        if not route.direct:
            answer = await ask_for_tls(stream, conversation)
            if answer == b"N" and route.mode == "Prefer":
                return False
            if answer != b"S":
                raise TLSRefused(
                    "the server does not support TLS, which targetTLS.mode requires",
                    hint="Turn ssl on at the server, or set targetTLS.mode to Disable or Prefer.",
                )
        stream.start_tls(route.context, conversation, route.target.host)
        error = await conversation.secured()
        if error:
            kind = CertificateInvalid if stream.distrusted else TLSRefused
            hint = _HINT_DIRECT if route.direct and not stream.distrusted else _HINT_TLS
            raise kind(f"TLS with the server failed: {error}", hint=hint)
        if route.direct and stream.alpn != c.ALPN:
            raise TLSRefused(
                "the server does not speak the PostgreSQL protocol by direct TLS",
                hint=_HINT_DIRECT,
            )
        return True

    async def _cancel(self, server: ServerConnection) -> None:
        """Sends CancelRequests and waits until the server has taken each.

        Those that come while one is on its way are answered for by the next.
        """
        waiting: list[Callable[[bool], None]] = []
        try:
            while waiting := self._cancels[server]:
                self._cancels[server] = []
                sure = await self._try_to_cancel(server.login)
                while waiting:
                    waiting.pop()(sure)
        finally:
            for done in (*waiting, *self._cancels.pop(server)):
                done(False)

    async def _try_to_cancel(self, login: LoggedIn) -> bool:
        """Whether the server surely has taken it."""
        try:
            async with asyncio.timeout(CANCEL_TIMEOUT):
                await self._send_cancel(login)
        except (OSError, ProxyError, TimeoutError) as error:
            log.warning("cannot send a cancel request", extra={"error": str(error)})
            return False
        return True

    async def _send_cancel(self, login: LoggedIn) -> None:
        origin = login.origin
        if not isinstance(origin, Origin) or login.secret is None:
            return
        sock = await connect(self._loop, origin.family, origin.address)
        conversation = Conversation(self._loop)
        stream = Stream(self._reactor, sock, str(origin.address[0]), conversation)
        stream.start()
        try:
            # The key lets whoever sees it cancel: it goes no other way than the login did.
            if origin.encrypted and not await self._secure(origin.route, stream, conversation):
                raise ServerUnavailable("the server does not support TLS any more")
            stream.write(messages.cancel_request(login.pid, login.secret))
            # "the server closes the connection once it has processed the request"
            await conversation.ended()
        finally:
            stream.abort()


def _credentials(key: PoolKey, password: str) -> Credentials:
    nonce = secrets.token_urlsafe(18)
    return Credentials(key.user, password, key.database, key.parameters, nonce)


def _init_query(text: str) -> InitQuery | None:
    if not text:
        return None
    names = dotted_names(text.encode("utf-8", "surrogateescape"))
    return InitQuery(text, Question(settings=True, objects=False, names=names).query())


def _check_the_end(stream: Stream, conversation: Conversation) -> None:
    """Nothing is left of the login when the session begins."""
    if conversation.rest():
        raise ServerUnavailable("the server sent something that nobody asked for")
    if stream.closed:
        raise ServerUnavailable("the server closed the connection after login")


def _as_proxy_error(attempt: Attempt, error: Exception) -> ProxyError:
    if isinstance(error, ProxyError):
        return error
    if isinstance(error, TimeoutError) and attempt.parting is not None:
        return InitQueryTooSlow(LOGIN_TIMEOUT)
    if isinstance(error, TimeoutError):
        return Unreachable("the server does not answer")
    if isinstance(error, OSError):
        return Unreachable(f"cannot reach the server: {words(error)}")
    log.error("a server connection failed for a reason of our own", exc_info=error)
    return ServerUnavailable("internal error while connecting to the server", sqlstate="XX000")
