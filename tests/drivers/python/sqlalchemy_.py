"""SQLAlchemy's engine with its pool; DIALECT names the driver below it."""

import asyncio
import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import asyncpg
import sqlalchemy
from columns import ADDRESS, PATIENCE, Address, Client, Driver, NotApplicable, after, run, same
from loop import wait
from sqlalchemy import URL, Column, Engine, Integer, MetaData, Table, bindparam, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util import await_only, greenlet_spawn

DIALECT = os.environ["DIALECT"]
ASYNC = DIALECT == "asyncpg"


def engine_of(address: Address) -> Engine:
    url = URL.create(
        f"postgresql+{DIALECT}",
        address.user,
        address.password,
        address.host,
        address.port,
        address.database,
    )
    if ASYNC:
        trusted = ssl.create_default_context(cafile=address.ca_file)
        return create_async_engine(url, connect_args={"ssl": trusted}).sync_engine
    return sqlalchemy.create_engine(url.update_query_dict(
        {"sslmode": "verify-full", "sslrootcert": address.ca_file}
    ))  # fmt: skip


def call(action: Callable[..., Any], *arguments: Any) -> Any:
    """The dialect on asyncpg wants a greenlet on the loop around whatever it does."""
    return wait(greenlet_spawn(action, *arguments)) if ASYNC else action(*arguments)


class Cancelled(Exception):
    """A query that took too long was cancelled."""


class Alchemist(Client):
    def __init__(self, address: Address):
        self._engine = engine_of(address)
        self._connection = call(self._engine.connect)
        self._blocks: list[Any] = []
        self._heard: asyncio.Queue[str] = asyncio.Queue()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        if ASYNC and sql.startswith("LISTEN"):
            call(self._listen, sql.split()[1])
            return []
        return list(call(self._run, text(sql.replace(":", "\\:")), {}))

    def _run(self, statement: Any, values: Any) -> list[tuple[Any, ...]]:
        try:
            result = self._connection.execute(statement, values)
            rows = [tuple(row) for row in result] if result.returns_rows else []
        except BaseException:
            if not self._blocks:
                self._connection.rollback()
            raise
        if not self._blocks:
            self._connection.commit()
        return rows

    @contextmanager
    def _block(self) -> Iterator[None]:
        begin = self._connection.begin_nested if self._blocks else self._connection.begin
        block = call(begin)
        self._blocks.append(block)
        try:
            yield
        except BaseException:
            self._blocks.pop()
            call(block.rollback)
            raise
        self._blocks.pop()
        call(block.commit)

    def transaction(self) -> AbstractContextManager[Any]:
        return self._block()

    def close(self) -> None:
        call(self._connection.close)
        call(self._engine.dispose)

    def prepared(self, offset: int, number: int) -> tuple[Any, ...]:
        statement = text(f"SELECT CAST(:n AS int) + {offset}, pg_backend_pid()")
        [row] = call(self._run, statement, {"n": number})
        return tuple(row)

    def pipeline(self) -> None:
        """Its executemany: psycopg and asyncpg do not wait for each of them."""
        table = Table("mine", MetaData(), Column("n", Integer, primary_key=True))
        with self.transaction():
            self.rows("CREATE TEMP TABLE mine (n int PRIMARY KEY) ON COMMIT DROP")
            call(self._run, table.insert(), [{"n": number} for number in range(200)])
            add = table.update().where(table.c.n == bindparam("old")).values(n=bindparam("new"))
            call(self._run, add, [{"old": n, "new": n + 1000} for n in range(200)])
            same(self.value("SELECT sum(n) FROM mine"), sum(range(1000, 1200)))
        try:
            call(self._run, text("SELECT 1 / CAST(:n AS int)"), [{"n": 1}, {"n": 0}, {"n": 2}])
        except sqlalchemy.exc.DBAPIError as error:
            same(sqlstate(error), "22012")
        else:
            raise AssertionError("divided by zero")

    def copy(self, table: str) -> None:
        raise NotApplicable("SQLAlchemy has no COPY; its driver's stands in the driver's row")

    def cancelled(self) -> None:
        if ASYNC:
            wait(self._slept())
        timer = after(0.3, self._below().cancel_safe)
        try:
            self.rows("SELECT pg_sleep(30)")
        finally:
            timer.join()

    async def _slept(self) -> None:
        sleeping = greenlet_spawn(self._run, text("SELECT pg_sleep(30)"), {})
        try:
            await asyncio.wait_for(sleeping, 0.3)
        except TimeoutError:
            raise Cancelled from None

    def _below(self) -> Any:
        """The driver's own connection."""
        return self._connection.connection.driver_connection

    def _listen(self, channel: str) -> None:
        def hear(_connection: Any, _pid: int, _channel: str, payload: str) -> None:
            self._heard.put_nowait(payload)

        await_only(self._below().add_listener(channel, hear))

    def heard(self) -> list[str]:
        if ASYNC:
            return [wait(asyncio.wait_for(self._heard.get(), PATIENCE))]
        notifies = self._below().notifies(timeout=PATIENCE, stop_after=1)
        return [heard.payload for heard in notifies]


def sqlstate(error: Exception) -> str:
    if isinstance(error, Cancelled):
        return "57014"
    if "password" in str(error):
        return "28P01"  # libpq tells no SQLSTATE of a login that failed
    below = error.orig if isinstance(error, sqlalchemy.exc.DBAPIError) else error
    return getattr(below, "sqlstate", None) or ""


class AlchemistDriver(Driver):
    errors = (sqlalchemy.exc.DBAPIError, asyncpg.PostgresError, OSError, Cancelled)
    survives_cancel = not ASYNC

    def connect(self, address: Address = ADDRESS) -> Client:
        return Alchemist(address)

    def sqlstate(self, error: Exception) -> str:
        return sqlstate(error)


if __name__ == "__main__":
    run(AlchemistDriver())
