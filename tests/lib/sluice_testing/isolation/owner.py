"""One client: what it asks, and what it knows of its rows and its session."""

import asyncio
import contextlib
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from sluice_testing.door import Door
from sluice_testing.isolation.findings import Findings, Tally
from sluice_testing.isolation.look_sql import Defaults
from sluice_testing.isolation.sessions import (
    AsyncpgSession,
    PsycopgSession,
    Rows,
    Session,
    is_loss,
    sqlstate_of,
)
from sluice_testing.isolation.state import Settings, value_for
from sluice_testing.isolation.wire import WireSession

STATEMENTS = ("s0", "s1", "s2", "s3")  # names that all wire sessions use


@dataclass(frozen=True)
class Plan:
    """`patience`: seconds after which one act counts as hung. `turnover`: the chance that a
    client whose session is not as it began leaves after an act.
    """

    clients: int
    seconds: float
    patience: float = 60.0
    seed: int = 1
    turnover: float = 0.02
    kill_every: float = 1.5


@dataclass
class World:
    """What all owners share. `elsewhere` bounds who waits for a second connection of the pool
    while he keeps one: more of them than there are connections would wait for each other.
    """

    door: Door
    context: ssl.SSLContext
    defaults: Defaults
    findings: Findings
    plan: Plan
    elsewhere: asyncio.Semaphore
    kills: list[float] = field(default_factory=list)

    def explain_by_kill(self) -> bool:
        """Takes the kill that explains a lost connection, if there is one left.

        It is felt within an act: who listens may hear of it only after others were served.
        """
        limit = time.monotonic() - self.plan.patience
        self.kills[:] = [at for at in self.kills if at > limit]
        if not self.kills:
            return False
        self.kills.pop(0)
        return True


Act = Callable[["Owner"], Awaitable[None]]


class Left(Exception):
    """The act ended with the client's leaving: there is no session to look around in."""


async def refusal(request: Awaitable[object]) -> str:
    """The SQLSTATE of the error that it ends with. A lost connection is no refusal."""
    try:
        await request
    except Exception as error:
        code = sqlstate_of(error)
        if is_loss(error) or not code:
            raise
        return code
    return ""


class Owner:
    """`possible` are the ledgers that may be true: more than one after a COMMIT that got lost."""

    def __init__(self, number: int, world: World):
        self.number = number
        self.tag = f"owner {number}"
        self.world = world
        self.findings = world.findings
        self.dice = random.Random(world.plan.seed * 100_000 + number)
        self.possible: list[list[int]] = [[]]
        self.settings = Settings({})
        # By name: what a statement of that name answers to one value, and how it was made.
        self.statements: dict[str, str] = {}
        self._session: Session | None = None
        # Something was found: each finding is counted once, and the session is of no more use.
        self.tainted = False
        self._count = 0
        self.kind = ("wire", "psycopg", "wire", "asyncpg")[number % 4]
        self.place = number // 2 if self.kind == "wire" else number // 4  # among those of its kind

    # Its session

    async def connect(self) -> None:
        if self._session is None:
            startup = self._startup()
            self._session = await self._log_in(startup)
            self.findings.logins += 1
            self.settings = Settings({**self.world.defaults.shown, **startup})
            self.statements.clear()
            self.tainted = False
            await self._resolve()

    def _startup(self) -> dict[str, str]:
        """The settings that it brings along, by name or by `options`."""
        names = self.dice.choices(("application_name", "TimeZone", "work_mem"), k=2)
        if self.kind == "psycopg":
            names = ["application_name", "work_mem"]
        chosen = {name: value_for(name, self.number, self.dice) for name in names}
        return chosen if self.dice.random() < 0.5 else {}

    async def _log_in(self, startup: dict[str, str]) -> Session:
        world, tls = self.world, self.number % 8 < 4
        context = world.context if tls else None
        if self.kind == "asyncpg":
            return await AsyncpgSession.connect(world.door, context, **startup)
        given = dict(startup)
        work_mem = given.pop("work_mem", None)
        if work_mem is not None:
            given["options"] = f"-c work_mem={work_mem}"
        if self.kind == "psycopg":
            return await PsycopgSession.connect(world.door, tls, **given)
        return await WireSession.connect(world.door, self.dice, context, **given)

    @property
    def session(self) -> Session:
        assert self._session is not None
        return self._session

    @property
    def wire(self) -> WireSession:
        assert isinstance(self._session, WireSession)
        return self._session

    async def leave(self, *, abruptly: bool = False) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        if abruptly:
            session.abort()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(10):
                await session.close()

    # What it asks, and what it expects

    def nonce(self) -> str:
        self._count += 1
        return f"{self.number}.{self._count}.{self.dice.randrange(10**9)}"

    def next_number(self) -> int:
        self._count += 1
        return self._count

    async def ask(self, sql: str, *values: str) -> Rows:
        rows = await self.session.fetch(sql, *values)
        self.count(rows, transactions=int(self.session.idle))
        return rows

    def count(self, rows: Rows, transactions: int = 1) -> None:
        self.findings.rows += len(rows)
        self.findings.transactions += transactions

    async def refused(self, sql: str, *values: str) -> str:
        """The SQLSTATE that it is refused with; "" where it is not."""
        return await refusal(self.ask(sql, *values))

    async def refused_copy(self, what: str, data: str | None = None) -> str:
        """The same for a COPY of `data` into a table, or out by a statement."""
        session = self.session
        if data is None:
            return await refusal(session.copy_out(what))
        return await refusal(session.copy_in(what, data))

    def expect(self, what: str, got: object, wanted: object) -> None:
        if got != wanted:
            self.tainted = True
            self.findings.wrong.add(f"{self.tag} ({self.kind}), {what}: {got!r}, not {wanted!r}")

    def leak(self, sort: Tally, line: str) -> None:
        self.tainted = True
        sort.add(line)

    async def pause(self, seconds: float) -> None:
        """Gives others the time to come in between."""
        await asyncio.sleep(self.dice.random() * seconds)

    # Its rows

    OWN_ROWS = (
        "SELECT $1::text, count(*)::text, coalesce(sum(n), 0)::text FROM tagged WHERE owner = $2"
    )

    async def check_ledger(self, what: str, extra: tuple[int, ...] = ()) -> None:
        nonce = self.nonce()
        rows = await self.ask(self.OWN_ROWS, nonce, self.tag)
        known = [*self.possible[-1], *extra]
        self.expect(what, rows, [(nonce, str(len(known)), str(sum(known)))])

    async def _resolve(self) -> None:
        """Learns which ledger is true."""
        if len(self.possible) == 1:
            return
        rows = await self.ask("SELECT n::text FROM tagged WHERE owner = $1", self.tag)
        found = sorted(int(n or 0) for (n,) in rows)
        fitting = [ledger for ledger in self.possible if sorted(ledger) == found]
        self.expect("the rows after a COMMIT that got lost", bool(fitting), True)
        self.possible = [found]

    @contextlib.asynccontextmanager
    async def committing(self, ledger: list[int]) -> AsyncIterator[None]:
        """What is inside makes `ledger` true; until its answer nobody knows."""
        self.possible.append(ledger)
        yield
        self.possible = [ledger]
