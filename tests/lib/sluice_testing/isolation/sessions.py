"""One connection of one driver, as the acts use it: text in, text out."""

import asyncio
import contextlib
import io
import socket
import ssl
from typing import Any, Protocol

import asyncpg
import psycopg

from sluice_testing.door import Door
from sluice_testing.raw import Message

Rows = list[tuple[str | None, ...]]
LOST = ("57P01", "57P02", "57P03", "08006", "08003", "08001")
_TIMED_OUT = "Timed-out waiting"


class ServerError(Exception):
    """An ErrorResponse that a wire session read."""

    def __init__(self, sqlstate: str, text: str):
        super().__init__(text)
        self.sqlstate = sqlstate

    @classmethod
    def of(cls, message: Message) -> "ServerError":
        fields = message.fields
        return cls(fields.get("C", ""), f"{fields.get('S')}: {fields.get('M')}")


class Session(Protocol):
    """Queries use $1, every value and every column is a text."""

    kind: str

    async def fetch(self, sql: str, *values: str) -> Rows: ...

    async def cancelled(self, sql: str, value: str, seconds: float) -> Rows:
        """The rows, or [] when the cancel sent after `seconds` came first."""

    async def copy_out(self, sql: str) -> list[str]:
        """The lines of COPY (sql) TO STDOUT."""

    async def copy_in(self, table: str, data: str) -> None: ...

    @property
    def idle(self) -> bool:
        """What the driver was told last: that no transaction is open."""

    def abort(self) -> None:
        """Drops the socket without a goodbye."""

    async def close(self) -> None: ...


class PsycopgSession:
    """With psycopg's defaults: it prepares what it runs often, by names that all use."""

    kind = "psycopg"

    def __init__(self, connection: psycopg.AsyncConnection[Any]):
        self.connection = connection

    @classmethod
    async def connect(cls, door: Door, tls: bool, **parameters: str) -> "PsycopgSession":
        dsn = door.dsn(sslmode="require" if tls else "disable", **parameters)
        return cls(await psycopg.AsyncConnection.connect(dsn, autocommit=True))

    async def fetch(self, sql: str, *values: str) -> Rows:
        cursor = psycopg.AsyncRawCursor(self.connection)
        await cursor.execute(sql.encode(), values or None)
        return await cursor.fetchall() if cursor.description else []

    async def pipelined(self, sql: str, values: list[str]) -> list[Rows]:
        """One question for each value, all in libpq's pipeline mode."""
        async with self.connection.pipeline():
            cursors = [psycopg.AsyncRawCursor(self.connection) for _ in values]
            for cursor, value in zip(cursors, values, strict=True):
                await cursor.execute(sql.encode(), [value])
            return [await cursor.fetchall() for cursor in cursors]

    async def cancelled(self, sql: str, value: str, seconds: float) -> Rows:
        task = asyncio.create_task(self.fetch(sql, value))
        await asyncio.sleep(seconds)
        await self.connection.cancel_safe(timeout=30)
        try:
            return await task
        except psycopg.errors.QueryCanceled:
            return []

    async def copy_out(self, sql: str) -> list[str]:
        async with self.connection.cursor().copy(f"COPY ({sql}) TO STDOUT".encode()) as copy:
            data = b"".join([bytes(chunk) async for chunk in copy])
        return data.decode().splitlines()

    async def copy_in(self, table: str, data: str) -> None:
        sql = f"COPY {table} FROM STDIN".encode()
        async with self.connection.cursor().copy(sql) as copy:
            await copy.write(data.encode())

    @property
    def idle(self) -> bool:
        status = self.connection.info.transaction_status
        return status == psycopg.pq.TransactionStatus.IDLE

    def abort(self) -> None:
        with (
            contextlib.suppress(OSError, psycopg.OperationalError),
            socket.fromfd(self.connection.fileno(), socket.AF_INET, socket.SOCK_STREAM) as raw,
        ):
            raw.shutdown(socket.SHUT_RDWR)

    async def close(self) -> None:
        await self.connection.close()


class AsyncpgSession:
    """With asyncpg's defaults: it names and keeps every statement."""

    kind = "asyncpg"

    def __init__(self, connection: asyncpg.Connection):
        self.connection = connection

    @classmethod
    async def connect(
        cls, door: Door, context: ssl.SSLContext | None, **parameters: str
    ) -> "AsyncpgSession":
        settings = {"server_settings": parameters} if parameters else {}
        return cls(await door.connect_asyncpg(ssl=context or False, timeout=60, **settings))

    async def fetch(self, sql: str, *values: str) -> Rows:
        return [tuple(row) for row in await self.connection.fetch(sql, *values)]

    async def cancelled(self, sql: str, value: str, seconds: float) -> Rows:
        try:
            rows = await self.connection.fetch(sql, value, timeout=seconds)
            return [tuple(row) for row in rows]
        except TimeoutError:
            return []

    async def copy_out(self, sql: str) -> list[str]:
        out = io.BytesIO()
        await self.connection.copy_from_query(sql, output=out)
        return out.getvalue().decode().splitlines()

    async def copy_in(self, table: str, data: str) -> None:
        await self.connection.copy_to_table(table, source=io.BytesIO(data.encode()))

    @property
    def idle(self) -> bool:
        return not self.connection.is_in_transaction()

    def abort(self) -> None:
        self.connection.terminate()

    async def close(self) -> None:
        self.connection.terminate()


def sqlstate_of(error: BaseException) -> str:
    """The SQLSTATE of an error of any driver; empty where it is none of the server's."""
    return getattr(error, "sqlstate", None) or ""


def is_loss(error: BaseException) -> bool:
    """Whether the connection ended, as it must for whoever's server connection was killed."""
    code = sqlstate_of(error)
    if _TIMED_OUT in str(error):
        return False
    if code:
        return code in LOST
    return isinstance(
        error,
        OSError
        | asyncio.IncompleteReadError
        | psycopg.OperationalError
        | asyncpg.InterfaceError
        | asyncpg.InternalClientError,
    )
