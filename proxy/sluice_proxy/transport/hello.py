"""Tells the activators that this pod listens, so that they need not find out by dialling.

A hint and no more: whoever hears it dials the address that it came from, and the PROXY header's
answer proves who is there. So nothing is confirmed, and whatever fails may fail.
"""

import asyncio
import contextlib
import logging
import socket
from typing import Any, Final

from sluice_proxy.config import HELLO_PORT

log = logging.getLogger(__name__)

TIMES: Final = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds after the start: datagrams are lost, and networks of new pods come up late."""

Address = tuple[int, Any]
"""Family and address of a socket."""


async def say_hello(name: str, activators: str, port: int = HELLO_PORT) -> None:
    """Says that the proxy `name` (`namespace/name`) has a pod, to each address of `activators`."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    addresses: tuple[Address, ...] = ()
    for time in TIMES:
        await asyncio.sleep(max(0.0, began + time - loop.time()))
        addresses = addresses or await _look_up(loop, activators, port)
        for family, address in addresses:
            _send(family, address, b"sluice " + name.encode())


async def _look_up(
    loop: asyncio.AbstractEventLoop, host: str, port: int
) -> tuple[Address, ...]:  # fmt: skip
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except OSError as error:
        log.debug("cannot find the activators", extra={"host": host, "error": str(error)})
        return ()
    return tuple((family, address) for family, _, _, _, address in found)


def _send(family: int, address: Any, message: bytes) -> None:
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.sendto(message, address)
