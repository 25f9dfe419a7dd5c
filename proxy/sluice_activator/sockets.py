"""Sockets as the activator uses them: read and written by itself, watched by the event loop."""

import asyncio
import contextlib
import errno
import resource
import socket
from typing import Final

_BACKLOG: Final = 4096
# A peer that vanished is noticed within two minutes, as at the proxy.
_KEEPALIVE: Final = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))

EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""What accept() says when the process or the machine has nothing left."""


def tune(sock: socket.socket) -> None:
    """No delay for small messages; a peer that vanished is noticed."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; an empty host is every address, IPv6 included where there is any."""
    both = not host and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both or ":" in host else socket.AF_INET
    sock = socket.create_server((host, port), family=family, dualstack_ipv6=both, backlog=_BACKLOG)
    sock.setblocking(False)
    return sock


def plain(host: str) -> str:
    """The IPv4 address that a socket of both families shows as one of IPv6."""
    return host.removeprefix("::ffff:") if "." in host else host


def close(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    """Watched no more, and closed. May be said again."""
    if sock.fileno() >= 0:
        loop.remove_reader(sock.fileno())
        loop.remove_writer(sock.fileno())
        sock.close()


def finish_writing(sock: socket.socket) -> None:
    # An OSError here: the peer was faster.
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_WR)


def allow_many() -> None:
    """As many descriptors as the process may have: each spliced client takes two."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
