"""Many short-lived clients at once, as serverless functions would be; the figures go to stdout.

Each client connects, works elsewhere for a while, runs one transaction of 1 to 3 queries,
works on, disconnects, and begins anew. Where it connects to comes from libpq's environment
variables; the password stands in a file and is read at every login, so that it can change
while the clients run. `SERVER_URI` is a superuser's way to the server itself, past any
proxy: by it the server's connections are counted.

One JSON object per line: `sample` (how things stand), `session` (each client's end) and, as
the last one, `end`. `at` is seconds since the start, `…_ms` are milliseconds.
"""

import argparse
import asyncio
import contextlib
import json
import math
import os
import random
import resource
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

TABLE = """
CREATE TABLE IF NOT EXISTS orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer integer NOT NULL,
    amount integer NOT NULL
)
"""
INSERT = "INSERT INTO orders (customer, amount) VALUES (%s, %s) RETURNING id"
READ_BACK = "SELECT customer, amount FROM orders WHERE id = %s"
COUNT = "SELECT count(*) FROM orders WHERE customer = %s AND id <= %s"
# All but the superuser's own; one that is still logging in has no name yet.
SERVER_CONNECTIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND usename IS DISTINCT FROM current_user
"""
CONNECT_SECONDS = 90


@dataclass(frozen=True)
class Shape:
    """How many clients, and how they come and stay; times are seconds.

    The clients come evenly over `ramp`. The first ones only log in until all have come.
    Each keeps its transaction open for `hold`. The server is looked at every `sample`.
    Once the file `enough` is there, no new ones come, as after `seconds`.
    """

    clients: int
    ramp: float
    seconds: float
    work: float
    hold: float
    sample: float
    password_file: Path
    enough: Path | None


@dataclass
class Session:
    """What one client saw; `pid` is the one of its cancel key, 0 until it was let in."""

    password: int = 0
    pid: int = 0
    connect_ms: float | None = None
    query_ms: list[float] = field(default_factory=list)
    error: str | None = None


class WrongAnswer(Exception):
    """The server's answer is not the client's own row."""


class Load:
    """The clients that there are, and the figures of those that there were."""

    def __init__(self, shape: Shape):
        self._shape = shape
        self._begin = time.monotonic()
        self._passwords: list[str] = []
        self._in_flight = 0
        self._connected = 0
        self._most_connected = 0
        self._sessions = 0
        self._errors = 0
        self._to_come = shape.clients
        self._all_have_come = asyncio.Event()

    def _now(self) -> float:
        return time.monotonic() - self._begin

    async def run(self) -> None:
        async with await psycopg.AsyncConnection.connect(
            os.environ["SERVER_URI"], autocommit=True
        ) as server:
            # Another load may begin at the same moment.
            await server.execute("SELECT pg_advisory_lock(1)")
            await server.execute(TABLE)
            await server.execute("GRANT SELECT, INSERT ON orders TO PUBLIC")
            await server.execute("SELECT pg_advisory_unlock(1)")
            self._begin = time.monotonic()
            sampler = asyncio.create_task(self._sample(server))
            await asyncio.gather(*map(self._client, range(self._shape.clients)))
            sampler.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sampler
        self._tell("end", sessions=self._sessions, errors=self._errors, most=self._most_connected)

    async def _client(self, number: int) -> None:
        shape = self._shape
        await asyncio.sleep(shape.ramp * number / shape.clients)
        await self._session(self._rest_of_work(), first=True)
        while self._now() < shape.seconds and not (shape.enough and shape.enough.exists()):
            await self._session(self._some_work())

    def _some_work(self) -> float:
        return self._shape.work * random.uniform(0.5, 1.5)

    def _rest_of_work(self) -> float:
        """What is left of a client's work, as one meets it in a crowd that is old.

        So the clients leave at an even rate from the beginning, and not in waves: long works
        are met in proportion to their length, at any point of theirs.
        """
        shortest, longest = 0.5, 1.5
        met = math.sqrt(random.uniform(shortest**2, longest**2))
        return self._shape.work * met * random.random()

    async def _session(self, work: float, first: bool = False) -> None:
        seen = Session()
        before = work * random.random()
        try:
            async with self._connection(seen, first) as connection:
                await self._all_have_come.wait()
                await asyncio.sleep(before)
                await _transaction(connection, seen, self._shape.hold)
                await asyncio.sleep(work - before)
        except (psycopg.Error, OSError, WrongAnswer) as error:
            seen.error = " ".join(str(error).split()) or type(error).__name__
            self._errors += 1
            # A function that failed is not called again at once.
            await asyncio.sleep(work)
        self._sessions += 1
        self._tell("session", **vars(seen))

    @contextlib.asynccontextmanager
    async def _connection(
        self, seen: Session, first: bool
    ) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        seen.password, password = self._password()
        begin = time.monotonic()
        self._in_flight += 1
        try:
            try:
                connection = await psycopg.AsyncConnection.connect(
                    password=password, connect_timeout=CONNECT_SECONDS
                )
            finally:
                self._has_come(first)
            seen.connect_ms = _milliseconds_since(begin)
            seen.pid = connection.info.backend_pid
            self._connected += 1
            self._most_connected = max(self._most_connected, self._connected)
            try:
                yield connection
            finally:
                self._connected -= 1
                await connection.close()
        finally:
            self._in_flight -= 1

    def _has_come(self, first: bool) -> None:
        """In or refused: it will not come any more."""
        self._to_come -= first
        if not self._to_come:
            self._all_have_come.set()

    def _password(self) -> tuple[int, str]:
        """Number (0 is the first one seen) and text of the password that now stands in the file."""
        password = self._shape.password_file.read_text().strip()
        if password not in self._passwords:
            self._passwords.append(password)
        return self._passwords.index(password), password

    async def _sample(self, server: psycopg.AsyncConnection[Any]) -> None:
        while True:
            cursor = await server.execute(SERVER_CONNECTIONS)
            (connections,) = await cursor.fetchone() or (0,)
            self._tell(
                "sample",
                in_flight=self._in_flight,
                connected=self._connected,
                server_connections=connections,
                sessions=self._sessions,
                errors=self._errors,
            )
            await asyncio.sleep(self._shape.sample)

    def _tell(self, event: str, **figures: Any) -> None:
        print(json.dumps({"event": event, "at": round(self._now(), 3), **figures}), flush=True)


async def _transaction(
    connection: psycopg.AsyncConnection[Any], seen: Session, hold: float
) -> None:
    """1 to 3 queries; the time of the first one has BEGIN, and so the wait for a server, in it."""
    customer, amount = random.randrange(1000), random.randrange(1_000_000)
    queries = random.randint(1, 3)
    async with connection.transaction():
        (number,) = await _timed(connection, seen, INSERT, (customer, amount))
        await asyncio.sleep(hold * random.uniform(0.5, 1.5))
        if queries >= 2:
            read = await _timed(connection, seen, READ_BACK, (number,))
            if read != (customer, amount):
                raise WrongAnswer(f"wrote {customer, amount} and read {read}")
        if queries == 3:
            (count,) = await _timed(connection, seen, COUNT, (customer, number))
            if count < 1:
                raise WrongAnswer(f"the row of customer {customer} is not there")


async def _timed(
    connection: psycopg.AsyncConnection[Any], seen: Session, query: str, values: tuple[Any, ...]
) -> tuple[Any, ...]:
    begin = time.monotonic()
    cursor = await connection.execute(query, values)
    row = await cursor.fetchone()
    seen.query_ms.append(_milliseconds_since(begin))
    if row is None:
        raise WrongAnswer(f"no row: {query}")
    result: tuple[Any, ...] = row
    return result


def _milliseconds_since(begin: float) -> float:
    return round((time.monotonic() - begin) * 1000, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--ramp", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--work", type=float, required=True)
    parser.add_argument("--hold", type=float, default=0.0)
    parser.add_argument("--sample", type=float, default=0.25)
    parser.add_argument("--password-file", type=Path, required=True)
    parser.add_argument("--enough", type=Path)
    # Each client is a file descriptor.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(Load(Shape(**vars(parser.parse_args()))).run())


if __name__ == "__main__":
    main()
