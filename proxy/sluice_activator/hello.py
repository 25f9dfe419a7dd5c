"""Pods that say that they listen: a hint whom to dial, for nobody proves anything by UDP."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

from sluice_activator.slices import Key
from sluice_activator.sockets import plain

_PREFIX: Final = b"sluice "


class Hello(asyncio.DatagramProtocol):
    """`on_hello(proxy, address)` gets who says that it listens, and the address it came from."""

    def __init__(self, on_hello: Callable[[Key, str], None]):
        self._on_hello = on_hello

    def datagram_received(self, data: bytes, address: tuple[Any, ...]) -> None:
        proxy = proxy_of(data)
        if proxy is not None:
            self._on_hello(proxy, plain(address[0]))


def proxy_of(data: bytes) -> Key | None:
    """Namespace and name that a datagram tells; None for anything else."""
    namespace, slash, name = data.removeprefix(_PREFIX).decode("ascii", "replace").partition("/")
    if not data.startswith(_PREFIX) or not (namespace and slash and name):
        return None
    return namespace, name


async def listen(
    host: str, port: int, on_hello: Callable[[Key, str], None]
) -> asyncio.DatagramTransport:
    """Raises OSError. An empty host is every address, IPv6 included where there is any."""
    both = not host and socket.has_dualstack_ipv6()
    sock = socket.socket(
        socket.AF_INET6 if both or ":" in host else socket.AF_INET, socket.SOCK_DGRAM
    )
    try:
        if both:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((host, port))
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: Hello(on_hello), sock=sock)
    except BaseException:
        sock.close()
        raise
    return transport
