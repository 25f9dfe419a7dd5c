"""Where a proxy listens.

Needs no event loop and nothing that is slow to import: a proxy that starts listens first, so that
whoever comes meanwhile waits in the backlog instead of being refused.
"""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sluice_proxy.config import ACTIVATOR_PORT, ADMIN_PORT, CLIENT_PORT

_BACKLOG: Final = 4096
_KEEPALIVE: Final = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where to listen: for clients, for activators, and for the admin port.

    An empty host is every address. `own` is the pod's address, as the other pods of this proxy
    see it, and `pod` its name; both are empty where there are no others.
    """

    host: str = ""
    port: int = CLIENT_PORT
    admin_host: str = ""
    admin_port: int = ADMIN_PORT
    activator_host: str = ""
    activator_port: int = ACTIVATOR_PORT
    own: str = ""
    pod: str = ""


@dataclass(frozen=True, slots=True)
class Sockets:
    """What listens; `activators` is None where there are none."""

    clients: socket.socket
    activators: socket.socket | None = None


@contextlib.contextmanager
def listening(addresses: Addresses, activators: bool) -> Iterator[Sockets]:
    """Both sockets, which are closed at the end. Raises OSError."""
    with contextlib.ExitStack() as stack:
        clients = stack.enter_context(bind(addresses.host, addresses.port))
        if not activators:
            yield Sockets(clients)
            return
        host, port = addresses.activator_host, addresses.activator_port
        yield Sockets(clients, stack.enter_context(bind(host, port)))


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; an empty host is every address, IPv6 included where there is any."""
    if host:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    elif socket.has_dualstack_ipv6():
        sock = socket.create_server(
            ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG
        )
    else:
        sock = socket.create_server(("", port), backlog=_BACKLOG)
    sock.setblocking(False)
    return sock


def tune(sock: socket.socket) -> None:
    """No delay for small messages; a peer that vanished is noticed within two minutes."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
