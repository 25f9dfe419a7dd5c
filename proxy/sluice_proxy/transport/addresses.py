"""Where the target's name leads: looked up again while connections are open."""

import asyncio
import logging
import socket
from typing import Final

from sluice_proxy.config import Target
from sluice_proxy.session.hub import Hub
from sluice_proxy.session.server import ServerConnection
from sluice_proxy.transport.connector import Origin

log = logging.getLogger(__name__)

LOOK_EVERY: Final = 5.0
"""Seconds between two looks at the name; none while no server connection is open."""


async def drain_old_addresses(loop: asyncio.AbstractEventLoop, target: Target, hub: Hub) -> None:
    """Connections to addresses that `target`'s name no longer gives serve nobody else."""
    if not hub.servers:
        return
    addresses = await _addresses(loop, target)
    if addresses is None:
        # A resolver in trouble says nothing about the server.
        return

    def is_elsewhere(server: ServerConnection) -> bool:
        origin = server.login.origin
        return (
            isinstance(origin, Origin)
            and origin.route.target == target
            and str(origin.address[0]) not in addresses
        )

    hub.retire("the target's name no longer leads to its address", is_elsewhere)


async def _addresses(loop: asyncio.AbstractEventLoop, target: Target) -> frozenset[str] | None:
    """Every address of the name now; None where there is no answer."""
    try:
        found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except OSError as error:
        log.debug("cannot look up the target", extra={"host": target.host, "error": str(error)})
        return None
    return frozenset(str(address[0]) for _, _, _, _, address in found)
