"""The first steps of a connection that the proxy opens, to a server or to another pod."""

import asyncio
import socket
from typing import Any

from sluice_proxy.errors import ServerProtocolError
from sluice_proxy.transport.conversation import Conversation
from sluice_proxy.transport.listener import tune
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


async def ask_for_tls(stream: Stream, conversation: Conversation) -> bytes:
    """SSLRequest, and the byte that answers it."""
    stream.write(messages.SSL_REQUEST)
    answer = await conversation.read(1)
    if answer == b"S" and conversation.rest():
        # CVE-2021-23222: what came in clear must not be taken for secured.
        raise ServerProtocolError("received unencrypted data after SSL response")
    return answer
