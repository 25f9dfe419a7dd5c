"""asyncpg as it comes: it names its statements and asks the catalog about types."""

import asyncio
import io
import ssl
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import asyncpg
from columns import ADDRESS, PATIENCE, Address, Client, Driver, NotApplicable, run, same
from loop import wait


def addressed(address: Address) -> dict[str, Any]:
    return {
        "host": address.host,
        "port": address.port,
        "user": address.user,
        "password": address.password,
        "database": address.database,
        "ssl": ssl.create_default_context(cafile=address.ca_file),
    }


class Asyncpg(Client):
    """A connection of a pool, which resets it when it comes back."""

    def __init__(self, address: Address):
        fields = addressed(address)
        self._pool = wait(_pool(fields))
        self._connection = wait(self._pool.acquire())
        self._heard: asyncio.Queue[str] = asyncio.Queue()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        if sql.startswith("LISTEN"):
            wait(self._connection.add_listener(sql.split()[1], self._hear))
            return []
        return [tuple(row) for row in wait(self._connection.fetch(sql))]

    def _hear(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        self._heard.put_nowait(payload)

    @contextmanager
    def _block(self) -> Iterator[None]:
        transaction = self._connection.transaction()
        wait(transaction.start())
        try:
            yield
        except BaseException:
            wait(transaction.rollback())
            raise
        wait(transaction.commit())

    def transaction(self) -> AbstractContextManager[Any]:
        return self._block()

    def close(self) -> None:
        wait(self._pool.release(self._connection))
        wait(self._pool.close())

    def prepared(self, offset: int, number: int) -> tuple[Any, ...]:
        query = f"SELECT $1::int + {offset}, pg_backend_pid()"
        if number % 10 == 9:  # what the pool resets, it prepares anew
            wait(self._pool.release(self._connection))
            self._connection = wait(self._pool.acquire())
        return tuple(wait(self._connection.fetchrow(query, number)))

    def pipeline(self) -> None:
        raise NotApplicable("asyncpg waits for each statement")

    def copy(self, table: str) -> None:
        wait(_copy(self._connection, table))

    def cancelled(self) -> None:
        wait(self._slept())

    async def _slept(self) -> None:
        try:
            await self._connection.fetch("SELECT pg_sleep(30)", timeout=0.3)
        except TimeoutError:
            # It has sent a CancelRequest, and waits for its end before the next query.
            raise Cancelled from None

    def heard(self) -> list[str]:
        return [wait(asyncio.wait_for(self._heard.get(), PATIENCE))]


async def _pool(fields: dict[str, Any]) -> Any:
    return await asyncpg.create_pool(**fields, min_size=1, max_size=2)


async def _copy(connection: Any, table: str) -> None:
    records = [(number, "a\tb\n") for number in range(1000)]
    await connection.copy_records_to_table(table, records=records)
    out = io.BytesIO()
    await connection.copy_from_table(table, output=out)
    same(out.getvalue().count(b"\n"), 1000)
    try:
        await connection.copy_to_table(table, source=io.BytesIO(b"no number\tx\n"))
    except asyncpg.InvalidTextRepresentationError:
        return
    raise AssertionError("no number was taken for one")


class Cancelled(Exception):
    """A query that took too long was cancelled."""


class AsyncpgDriver(Driver):
    errors = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, Cancelled)

    def connect(self, address: Address = ADDRESS) -> Client:
        return Asyncpg(address)

    def sqlstate(self, error: Exception) -> str:
        return "57014" if isinstance(error, Cancelled) else getattr(error, "sqlstate", None) or ""


if __name__ == "__main__":
    run(AsyncpgDriver())
