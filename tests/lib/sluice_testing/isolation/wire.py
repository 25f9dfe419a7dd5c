"""A session that sends what it is told to, message by message, on the event loop."""

import asyncio
import contextlib
import random
import ssl
import struct
from typing import Any

from sluice_testing.door import Door
from sluice_testing.isolation.sessions import Rows, ServerError
from sluice_testing.raw import (
    AUTHENTICATION_OK,
    COPY_DONE,
    PROTOCOL_3_0,
    PROTOCOL_3_2,
    SSL_REQUEST,
    SYNC,
    TERMINATE,
    Message,
    Scram,
    bind,
    cancel_request,
    copy_data,
    execute,
    parse,
    query,
    startup,
)


class WireSession:
    """`status` is that of the last ReadyForQuery; `told` are the ParameterStatus reports;
    `notifications` are (channel, payload).
    """

    kind = "wire"

    def __init__(self, door: Door, dice: random.Random, context: ssl.SSLContext | None):
        self._door = door
        self._dice = dice
        self._context = context
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._key = b""
        self.encoding = "utf-8"
        self.status = ""
        self.notifications: list[tuple[str, str]] = []
        self.told: dict[str, str] = {}

    @classmethod
    async def connect(
        cls, door: Door, dice: random.Random, context: ssl.SSLContext | None, **parameters: str
    ) -> "WireSession":
        session = cls(door, dice, context)
        await session._open()
        try:
            await session._log_in(user=door.user, database=door.database, **parameters)
        except BaseException:
            session.abort()
            raise
        return session

    async def _open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(self._door.host, self._door.port)
        if self._context is not None:
            self._writer.write(SSL_REQUEST)
            if await self._reader.readexactly(1) != b"S":
                raise ConnectionError("no TLS")
            await self._writer.start_tls(self._context, server_hostname="localhost")

    async def _log_in(self, **parameters: str) -> None:
        self.send(startup(self._dice.choice((PROTOCOL_3_0, PROTOCOL_3_2)), **parameters))
        scram = Scram(self._door.password)
        while True:
            message = await self.read()
            if message.kind == "K":
                self._key = message.body
            elif message.kind == "R":
                [step] = struct.unpack_from("!i", message.body)
                if step != AUTHENTICATION_OK:
                    self.send(scram.answer(step, message.body[4:]))
            elif message.kind == "E":
                raise ServerError.of(message)
            elif message.kind == "Z":
                return

    def send(self, *parts: bytes) -> None:
        self._writer.write(b"".join(parts))

    async def read(self) -> Message:
        """The next message; IncompleteReadError at the end of the stream."""
        kind, size = struct.unpack("!ci", await self._reader.readexactly(5))
        message = Message(kind.decode("latin-1"), await self._reader.readexactly(size - 4))
        if message.kind == "Z":
            self.status = message.text
        elif message.kind == "A":
            channel, payload, _ = message.body[4:].split(b"\0")
            self.notifications.append((channel.decode(), payload.decode()))
        elif message.kind == "S":
            name, value, _ = message.body.split(b"\0")
            self.told[name.decode()] = value.decode(self.encoding, "replace")
        elif message.kind == "E" and message.fields.get("V") in ("FATAL", "PANIC"):
            raise ServerError.of(message)
        return message

    async def until(self, kinds: str = "Z") -> list[Message]:
        """Messages up to the first of these types, without what came of itself."""
        messages: list[Message] = []
        while not messages or messages[-1].kind not in kinds:
            message = await self.read()
            if message.kind not in "ANS":
                messages.append(message)
        return messages

    async def ask(self, *parts: bytes, rounds: int = 1) -> list[list[Message]]:
        """Sends all of it, then reads the answers up to each of the ReadyForQuerys."""
        self.send(*parts)
        return [await self.until() for _ in range(rounds)]

    def rows(self, messages: list[Message]) -> Rows:
        """The rows of an answer; ServerError where it holds an error."""
        for message in messages:
            if message.kind == "E":
                raise ServerError.of(message)
        return [self._row(message) for message in messages if message.kind == "D"]

    def _row(self, message: Message) -> tuple[str | None, ...]:
        return tuple(
            None if value is None else value.decode(self.encoding, "replace")
            for value in message.row
        )

    async def fetch(self, sql: str, *values: str) -> Rows:
        text = sql.encode(self.encoding)
        if values or self._dice.random() < 0.3:
            raw = [value.encode(self.encoding) for value in values]
            [answer] = await self.ask(parse(text), bind(*raw), execute(), SYNC)
        else:
            [answer] = await self.ask(query(text))
        return self.rows(answer)

    async def cancelled(self, sql: str, value: str, seconds: float) -> Rows:
        self.send(parse(sql), bind(value), execute(), SYNC)
        await asyncio.sleep(seconds)
        await self.cancel()
        try:
            return self.rows(await self.until())
        except ServerError as error:
            if error.sqlstate != "57014":
                raise
            return []

    async def cancel(self) -> None:
        """Returns when the server has closed the connection of the cancel request."""
        other = WireSession(self._door, self._dice, self._context)
        await other._open()
        try:
            other.send(cancel_request(self._key))
            await other._reader.read()
        finally:
            await other.close()

    async def copy_out(self, sql: str) -> list[str]:
        [answer] = await self.ask(query(f"COPY ({sql}) TO STDOUT"))
        self.rows(answer)
        data = b"".join(message.body for message in answer if message.kind == "d")
        return data.decode(self.encoding).splitlines()

    async def copy_in(self, table: str, data: str) -> None:
        await self.begin_copy(f"COPY {table} FROM STDIN")
        raw = data.encode(self.encoding)
        step = self._dice.randint(1, len(raw))
        pieces = (raw[at : at + step] for at in range(0, len(raw), step))
        [answer] = await self.ask(*map(copy_data, pieces), COPY_DONE)
        self.rows(answer)

    async def begin_copy(self, sql: str) -> None:
        """Up to the server's CopyInResponse."""
        self.send(query(sql))
        self.rows(await self.until("GZ"))

    @property
    def idle(self) -> bool:
        return self.status == "I"

    async def hear(self) -> None:
        """What came of itself while nothing was asked."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.02):
                await self.read()

    def abort(self) -> None:
        transport: Any = self._writer.transport
        transport.abort()

    async def close(self) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            self._writer.write(TERMINATE)
            self._writer.close()
            await self._writer.wait_closed()
