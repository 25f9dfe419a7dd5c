"""Many clients who know exactly what they may see, and say so when they see anything else.

Each owner keeps a ledger of the rows it committed; each answer carries a nonce that only
this one question had. Transactions, errors, cancels, pins and disconnects are mixed in.
"""

import asyncio
import contextlib
import random
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import asyncpg
import psycopg

from sluice_testing.door import Door
from sluice_testing.postgres import APP_USER, Postgres

SCHEMA = (
    "DROP TABLE IF EXISTS tagged",
    "CREATE TABLE tagged (owner int, n int, payload text)",
    "CREATE INDEX ON tagged (owner)",
    f"GRANT ALL ON tagged TO {APP_USER}",
)
OWN_ROWS = "SELECT $1::text, count(*)::int, coalesce(sum(n), 0)::int FROM tagged WHERE owner = $2"
LEFT_BEHIND = (
    "SELECT $1::text, coalesce(current_setting('stress.owner', true), ''),"
    " to_regclass('mine')::text, current_setting('work_mem')"
)
KINDS = 11  # of acts
KEPT = 30  # rows of an owner, after which it deletes them

DIVISION_BY_ZERO, QUERY_CANCELED = "22012", "57014"
Rows = list[tuple[Any, ...]]


class Session(Protocol):
    """One connection of one driver; queries use $1."""

    async def fetch(self, sql: str, *values: Any) -> Rows: ...

    async def cancelled(self, sql: str, value: str, seconds: float) -> Rows:
        """The rows, or [] when the cancel sent after `seconds` came first."""

    def abort(self) -> None:
        """Drops the socket without a goodbye."""

    async def close(self) -> None: ...


class PsycopgSession:
    def __init__(self, connection: psycopg.AsyncConnection[Any]):
        self._connection = connection

    @classmethod
    async def connect(cls, door: Door, tls: bool) -> "PsycopgSession":
        return cls(await door.connect_async(sslmode="require" if tls else "disable"))

    async def fetch(self, sql: str, *values: Any) -> Rows:
        cursor = psycopg.AsyncRawCursor(self._connection)
        await cursor.execute(sql.encode(), values or None)
        return await cursor.fetchall() if cursor.description else []

    async def cancelled(self, sql: str, value: str, seconds: float) -> Rows:
        task = asyncio.create_task(self.fetch(sql, value))
        await asyncio.sleep(seconds)
        await self._connection.cancel_safe(timeout=30)
        try:
            return await task
        except psycopg.errors.QueryCanceled:
            return []

    def abort(self) -> None:
        own = self._connection.fileno()
        with (
            contextlib.suppress(OSError),
            socket.fromfd(own, socket.AF_INET, socket.SOCK_STREAM) as raw,
        ):
            raw.shutdown(socket.SHUT_RDWR)

    async def close(self) -> None:
        await self._connection.close()


class AsyncpgSession:
    def __init__(self, connection: asyncpg.Connection):
        self._connection = connection

    @classmethod
    async def connect(cls, door: Door, tls: bool) -> "AsyncpgSession":
        context = door.tls_context() if tls else False
        return cls(await door.connect_asyncpg(statement_cache_size=0, ssl=context))

    async def fetch(self, sql: str, *values: Any) -> Rows:
        return [tuple(row) for row in await self._connection.fetch(sql, *values)]

    async def cancelled(self, sql: str, value: str, seconds: float) -> Rows:
        try:
            rows = await self._connection.fetch(sql, value, timeout=seconds)
            return [tuple(row) for row in rows]
        except TimeoutError:
            return []

    def abort(self) -> None:
        self._connection.terminate()

    async def close(self) -> None:
        self._connection.terminate()


@dataclass
class Findings:
    """`acts` by kind; `wrong`: what nobody may ever see; `errors`: refusals out of place."""

    acts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        acts = ", ".join(f"{count} {name}" for name, count in sorted(self.acts.items()))
        total = self.acts.total()
        return f"{total} acts ({acts}); {len(self.wrong)} wrong, {len(self.errors)} errors"


@dataclass(frozen=True)
class Plan:
    """`patience`: seconds after which one act counts as hung."""

    clients: int
    seconds: float
    patience: float = 60.0
    seed: int = 1


async def stress(door: Door, server: Postgres, plan: Plan) -> Findings:
    """Runs `plan` through `door`; then asks `server` itself whether every ledger holds."""
    await asyncio.to_thread(server.execute, *SCHEMA, database="app")
    findings = Findings()
    deadline = time.monotonic() + plan.seconds
    owners = [Owner(number, door, plan, findings) for number in range(plan.clients)]
    await asyncio.gather(*(owner.live(deadline) for owner in owners))
    kept = dict(
        await asyncio.to_thread(
            server.fetch, "SELECT owner, array_agg(n) FROM tagged GROUP BY owner", database="app"
        )
    )
    for owner in owners:
        found = sorted(kept.get(owner.number, []))
        if found != sorted(owner.ledger):
            findings.wrong.append(f"owner {owner.number}: {found}, committed {owner.ledger}")
    return findings


class Owner:
    """One client: acts at random, and knows what each act must show."""

    def __init__(self, number: int, door: Door, plan: Plan, findings: Findings):
        self.number = number
        self.ledger: list[int] = []
        self._door = door
        self._patience = plan.patience
        self._findings = findings
        self._dice = random.Random(plan.seed * 100_000 + number)
        self._session: Session | None = None
        self._count = 0
        acts: list[tuple[Callable[[Session], Awaitable[None]], int]] = [
            (self.read, 30),
            (self.commit, 20),
            (self.roll_back, 10),
            (self.fail, 8),
            (self.fail_in_transaction, 8),
            (self.read_many, 8),
            (self.look_around, 8),
            (self.cancel, 4),
            (self.vanish_in_transaction, 2),
            (self.vanish_in_query, 2),
            (self.pin, 1),
        ]
        self._acts = [act for act, _ in acts]
        self._weights = [weight for _, weight in acts]

    async def live(self, deadline: float) -> None:
        while time.monotonic() < deadline:
            [act] = self._dice.choices(self._acts, self._weights)
            try:
                async with asyncio.timeout(self._patience):
                    await act(await self._connected())
                self._findings.acts[act.__name__.replace("_", " ")] += 1
            except Exception as error:  # a wrong answer may break a driver in any way
                await self._note(act.__name__, error)
        await self._leave()

    async def _note(self, act: str, error: Exception) -> None:
        code = getattr(error, "sqlstate", None)
        line = f"owner {self.number} in {act}: {type(error).__name__} {code}: {error}"
        if code == QUERY_CANCELED:
            self._findings.wrong.append(f"cancelled by somebody else: {line}")
        else:
            self._findings.errors.append(line)
        await self._leave()

    async def _connected(self) -> Session:
        if self._session is None:
            kind = PsycopgSession if self.number % 2 else AsyncpgSession
            self._session = await kind.connect(self._door, tls=self.number % 4 < 2)
        return self._session

    async def _leave(self, *, abruptly: bool = False) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        if abruptly:
            session.abort()
        with contextlib.suppress(Exception):
            await session.close()

    def _nonce(self) -> str:
        self._count += 1
        return f"{self.number}.{self._count}.{self._dice.randrange(10**9)}"

    def _expect(self, what: str, got: object, wanted: object) -> None:
        if got != wanted:
            self._findings.wrong.append(f"owner {self.number}, {what}: {got!r}, not {wanted!r}")

    async def _check_ledger(self, session: Session, what: str, extra: tuple[int, ...] = ()) -> None:
        nonce = self._nonce()
        rows = await session.fetch(OWN_ROWS, nonce, self.number)
        known = [*self.ledger, *extra]
        self._expect(what, rows, [(nonce, len(known), sum(known))])

    async def read(self, session: Session) -> None:
        await self._check_ledger(session, "own rows")

    async def read_many(self, session: Session) -> None:
        nonce = self._nonce()
        many = self._dice.randint(1, 400)
        sql = "SELECT $1::text || '/' || g FROM generate_series(1, $2::int) g"
        rows = await session.fetch(sql, nonce, many)
        self._expect("a long answer", rows, [(f"{nonce}/{g}",) for g in range(1, many + 1)])
        sql = "SELECT owner, payload FROM tagged WHERE owner = $1 ORDER BY n"
        rows = await session.fetch(sql, self.number)
        wanted = [(self.number, f"{self.number}:{n}") for n in sorted(self.ledger)]
        self._expect("own payloads", rows, wanted)

    async def look_around(self, session: Session) -> None:
        nonce = self._nonce()
        rows = await session.fetch(LEFT_BEHIND, nonce)
        self._expect("what others left behind", rows, [(nonce, "", None, "4MB")])

    async def _in_transaction(self, session: Session) -> int:
        """Begins, inserts one row, and makes sure it is still the same transaction."""
        self._count += 1
        n = self._count
        await session.fetch("BEGIN")
        await session.fetch(f"SET LOCAL stress.owner = 'owner {self.number}'")
        backend = await session.fetch("SELECT pg_backend_pid()")
        sql = "INSERT INTO tagged VALUES ($1, $2, $3)"
        await session.fetch(sql, self.number, n, f"{self.number}:{n}")
        if self._dice.random() < 0.3:
            await asyncio.sleep(self._dice.random() * 0.01)
        self._expect(
            "the same server connection", await session.fetch("SELECT pg_backend_pid()"), backend
        )
        rows = await session.fetch("SELECT current_setting('stress.owner', true)")
        self._expect("the same transaction", rows, [(f"owner {self.number}",)])
        await self._check_ledger(session, "own rows in a transaction", (n,))
        return n

    async def commit(self, session: Session) -> None:
        n = await self._in_transaction(session)
        self.ledger.append(n)  # from here on the outcome is the server's
        await session.fetch("COMMIT")
        await self._check_ledger(session, "own rows after COMMIT")
        if len(self.ledger) > KEPT:
            await session.fetch("DELETE FROM tagged WHERE owner = $1", self.number)
            self.ledger.clear()

    async def roll_back(self, session: Session) -> None:
        await self._in_transaction(session)
        await session.fetch("ROLLBACK")
        await self._check_ledger(session, "own rows after ROLLBACK")

    async def fail(self, session: Session) -> None:
        nonce = self._nonce()
        try:
            rows = await session.fetch("SELECT 1 / length($1::text || '') * 0 / 0", nonce)
            self._expect("an error of its own", rows, "division by zero")
        except (psycopg.Error, asyncpg.PostgresError) as error:
            self._expect("an error of its own", getattr(error, "sqlstate", None), DIVISION_BY_ZERO)

    async def fail_in_transaction(self, session: Session) -> None:
        await self._in_transaction(session)
        await self.fail(session)
        await session.fetch("ROLLBACK")
        await self._check_ledger(session, "own rows after an error")

    async def cancel(self, session: Session) -> None:
        nonce = self._nonce()
        sql = "SELECT $1::text FROM pg_sleep(0.03)"
        rows = await session.cancelled(sql, nonce, 0.001 + self._dice.random() * 0.05)
        self._expect("a query that is cancelled, or not", rows or [(nonce,)], [(nonce,)])
        await self._check_ledger(session, "own rows after a cancel")

    async def vanish_in_transaction(self, session: Session) -> None:
        await self._in_transaction(session)
        await self._leave(abruptly=True)

    async def vanish_in_query(self, session: Session) -> None:
        query = asyncio.create_task(session.fetch("SELECT 'nobody reads this' FROM pg_sleep(0.02)"))
        await asyncio.sleep(self._dice.random() * 0.02)
        session.abort()
        with contextlib.suppress(Exception):
            await query
        await self._leave()

    async def pin(self, session: Session) -> None:
        """Leaves what must be cleaned away before anybody else comes."""
        await session.fetch("SET work_mem = '99kB'")
        await session.fetch("CREATE TEMP TABLE mine (owner int)")
        await session.fetch("INSERT INTO mine VALUES ($1)", self.number)
        await session.fetch(f"SET stress.owner = 'owner {self.number}'")
        rows = await session.fetch(
            "SELECT owner, current_setting('work_mem'), current_setting('stress.owner') FROM mine"
        )
        self._expect("own session", rows, [(self.number, "99kB", f"owner {self.number}")])
        await self._leave(abruptly=self._dice.random() < 0.5)
