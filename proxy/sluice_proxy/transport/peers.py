"""The other pods of this proxy: a CancelRequest may come to any, and one has the client."""

import asyncio
import ipaddress
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final

from sluice_proxy.config import POD_IP
from sluice_proxy.errors import ConfigError, ProxyError, ServerProtocolError
from sluice_proxy.session import pids
from sluice_proxy.session.client_login import LONG_KEY, SHORT_KEY
from sluice_proxy.session.hub import Hub
from sluice_proxy.transport.contexts import Identity, peer_context
from sluice_proxy.transport.conversation import Conversation
from sluice_proxy.transport.dial import ask_for_tls, connect
from sluice_proxy.transport.reactor import Reactor
from sluice_proxy.transport.stream import Stream
from sluice_proxy.transport.tasks import Tasks
from sluice_proxy.wire import messages
from sluice_proxy.wire.startup import CancelRequest

log = logging.getLogger(__name__)

# Requests on their way to other pods; whoever can reach the port can cause them.
MAX_FORWARDS: Final = 64
FORWARD_TIMEOUT: Final = 5.0
# Seconds that an answer of the DNS is good for: pods come and go, requests may come in herds.
_FRESH: Final = 1.0

# One byte more than any key that was given to a client: never forwarded again.
_FORWARDED: Final = b"\1"
_FORWARDED_SIZES: Final = (SHORT_KEY + 1, LONG_KEY + 1)

# Family and address of a socket.
Address = tuple[int, Any]


class Peers:
    """Cancels what a client of this pod runs, or hands the request to the pod that has it.

    `names` are DNS names or addresses, separated by commas, that together give the
    addresses of all pods; they listen on the same `port`. `own` is this pod's address.
    """

    def __init__(self, hub: Hub, reactor: Reactor, tasks: Tasks, own: str, port: int):
        self._hub = hub
        self._reactor = reactor
        self._loop = reactor.loop
        self._tasks = tasks
        self._port = port
        self._names: tuple[str, ...] = ()
        self._identity: Identity | None = None
        self._context: ssl.SSLContext = peer_context()
        self._forwarding = 0
        self._found: tuple[Address, ...] = ()
        self._found_at = -_FRESH
        self._search = asyncio.Lock()
        self._own = _packed(own) if own else b""
        if own:
            hub.tag = pids.tag_of_address(own)

    def adopt(self, names: str, identity: Identity | None) -> None:
        """What the present configuration says of the other pods, and of this one."""
        self._names = tuple(name.strip() for name in names.split(",") if name.strip())
        self._identity = identity

    def cancel(self, request: CancelRequest, done: Callable[[], None]) -> None:
        """`done` is called once, when the request can reach nothing any more."""
        secret = request.secret
        if len(secret) in _FORWARDED_SIZES and secret.endswith(_FORWARDED):
            self._hub.cancel(CancelRequest(request.pid, secret[:-1]), done)
        elif not self._names or request.pid in self._hub.clients:
            self._hub.cancel(request, done)
        elif self._forwarding >= MAX_FORWARDS:
            log.warning("too many cancel requests for other pods, one is dropped")
            done()
        else:
            self._forwarding += 1
            self._tasks.start("forward a cancel request", self._forward(request, done))

    async def _forward(self, request: CancelRequest, done: Callable[[], None]) -> None:
        try:
            async with asyncio.timeout(FORWARD_TIMEOUT):
                tag = pids.tag_of(request.pid)
                pods = [pod for pod in await self._pods() if self._has(pod, tag)]
                await asyncio.gather(*(self._tell(pod, request) for pod in pods))
        except TimeoutError:
            log.warning("a pod did not take a cancel request in time")
        finally:
            self._forwarding -= 1
            done()

    def _has(self, pod: Address, tag: int) -> bool:
        """Whether the clients with this tag are of that pod, which is not this one."""
        address = pod[1][0]
        return _packed(address) != self._own and pids.tag_of_address(address) == tag

    async def _pods(self) -> tuple[Address, ...]:
        """Where the pods are now. One look-up at a time, whatever comes in."""
        async with self._search:
            if self._reactor.clock.now - self._found_at >= _FRESH:
                self._found = await self._look_up()
                self._found_at = self._reactor.clock.now
        return self._found

    async def _look_up(self) -> tuple[Address, ...]:
        found: dict[Address, None] = {}
        for name in self._names:
            try:
                answers = await self._loop.getaddrinfo(name, self._port, type=socket.SOCK_STREAM)
            except OSError as error:
                log.warning("cannot find the other pods", extra={"host": name, "error": str(error)})
                continue
            found.update(((family, address), None) for family, _, _, _, address in answers)
        return tuple(found)

    async def _tell(self, pod: Address, request: CancelRequest) -> None:
        family, address = pod
        try:
            sock = await connect(self._loop, family, address)
            conversation = Conversation(self._loop)
            stream = Stream(self._reactor, sock, str(address[0]), conversation)
            stream.start()
            try:
                await self._secure(stream, conversation)
                marked = request.secret + _FORWARDED
                stream.write(messages.cancel_request(request.pid, marked))
                await conversation.ended()
            finally:
                stream.abort()
        except (OSError, ProxyError) as error:
            details = {"pod": str(address[0]), "error": str(error)}
            log.warning("cannot hand a cancel request to its pod", extra=details)

    async def _secure(self, stream: Stream, conversation: Conversation) -> None:
        """TLS, where there is a certificate: the other pod must show the very same."""
        identity = self._identity
        if identity is None:
            return
        if await ask_for_tls(stream, conversation) != b"S":
            raise ServerProtocolError("the other pod does not offer TLS")
        stream.start_tls(self._context, conversation, stream.address)
        error = await conversation.secured()
        if error:
            raise ServerProtocolError(f"TLS with the other pod failed: {error}")
        if stream.peer_certificate != identity.leaf:
            raise ServerProtocolError("the other pod shows another certificate")


def _packed(address: str) -> bytes:
    try:
        return ipaddress.ip_address(address).packed
    except ValueError:
        raise ConfigError(POD_IP, "no IP address") from None
