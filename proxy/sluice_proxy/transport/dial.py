"""The first steps of a connection that the proxy opens, to a server or to another pod."""

import asyncio
import os
import socket
from typing import Any

from sluice_proxy.config import Target
from sluice_proxy.errors import HostNotFound, ServerProtocolError, Unreachable
from sluice_proxy.transport.conversation import Conversation
from sluice_proxy.transport.sockets import tune
from sluice_proxy.transport.stream import Stream
from sluice_proxy.wire import messages


async def connect(loop: asyncio.AbstractEventLoop, family: int, address: Any) -> socket.socket:
    """A socket that is connected and tuned. Raises OSError."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        tune(sock)
        await loop.sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


async def connect_any(
    loop: asyncio.AbstractEventLoop, target: Target
) -> tuple[int, Any, socket.socket]:
    """Tries each address that the name has now; names are never remembered.

    Its family, the address and the socket. Raises HostNotFound or Unreachable.
    """
    try:
        found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise HostNotFound(f"cannot look up {target.host}: {error.strerror}") from None
    last: OSError = OSError("no address")
    for family, _, _, _, address in found:
        try:
            return family, address, await connect(loop, family, address)
        except OSError as error:
            last = error
    raise Unreachable(f"cannot reach {target.host}:{target.port}: {words(last)}")


def words(error: OSError) -> str:
    """The system's own; asyncio puts others in their place."""
    return os.strerror(error.errno) if error.errno else str(error)


async def ask_for_tls(stream: Stream, conversation: Conversation) -> bytes:
    """SSLRequest, and the byte that answers it."""
    stream.write(messages.SSL_REQUEST)
    answer = await conversation.read(1)
    if answer == b"S" and conversation.rest():
        # CVE-2021-23222: what came in clear must not be taken for secured.
        raise ServerProtocolError("received unencrypted data after SSL response")
    return answer
