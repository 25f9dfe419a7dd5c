"""A stream that a coroutine talks over: logins on a server and cancel requests, nothing hot."""

import asyncio
from struct import Struct
from typing import Final

from sluice_proxy.errors import ServerProtocolError, ServerUnavailable
from sluice_proxy.session.peer import UncompiledOwner

_int32_at = Struct("!i").unpack_from
# During a login a server sends small messages only.
_MAX_MESSAGE: Final = 1 << 20


class Conversation(UncompiledOwner):
    """Owner of a Stream for the time of a login. `rest` is what was read too much.

    Reading goes on to the end, and what is sent is small: the rest needs no answer.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self._loop = loop
        self._buffer = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False
        self._secured: asyncio.Future[str] = loop.create_future()

    async def read(self, count: int) -> bytes:
        """Exactly `count` bytes. Raises ServerUnavailable when the server hangs up before."""
        while len(self._buffer) < count:
            if self._closed:
                raise ServerUnavailable("the server closed the connection during login")
            self._waiter = self._loop.create_future()
            await self._waiter
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    async def read_message(self) -> tuple[int, bytes]:
        """Type and body of the next message."""
        header = await self.read(5)
        (length,) = _int32_at(header, 1)
        if not 4 <= length <= _MAX_MESSAGE:
            raise ServerProtocolError("the server does not speak the PostgreSQL protocol")
        return header[0], await self.read(length - 4)

    async def ended(self) -> None:
        """Waits until the server hangs up."""
        while not self._closed:
            self._waiter = self._loop.create_future()
            await self._waiter

    async def secured(self) -> str:
        """Waits for the end of the TLS handshake; empty when it succeeded, else why not."""
        return await self._secured

    def rest(self) -> bytes:
        return bytes(self._buffer)

    def on_bytes(self, data: bytes) -> None:
        self._buffer += data
        self._wake()

    def on_closed(self) -> None:
        self._closed = True
        self._wake()
        if not self._secured.done():
            self._secured.set_result("the server closed the connection")

    def on_secured(self, error: str) -> None:
        if not self._secured.done():
            self._secured.set_result(error)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
