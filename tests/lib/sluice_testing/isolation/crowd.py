"""All owners let loose at one door, while an administrator kills server connections."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine

import psycopg

from sluice_testing.door import Door
from sluice_testing.isolation import acts_leave, acts_rows, acts_state, acts_wire
from sluice_testing.isolation.findings import Findings
from sluice_testing.isolation.life import live
from sluice_testing.isolation.look_sql import defaults
from sluice_testing.isolation.owner import Act, Owner, Plan, World
from sluice_testing.isolation.state import ROLES
from sluice_testing.postgres import APP_USER, Postgres

_COMMON = [*acts_rows.ACTS, *acts_state.ANY, *acts_leave.ANY]
ACTS: dict[str, list[tuple[Act, int]]] = {
    "wire": [*_COMMON, *acts_state.WIRE, *acts_wire.ACTS, *acts_leave.WIRE],
    "psycopg": [*_COMMON, *acts_rows.PSYCOPG],
    "asyncpg": [*_COMMON, *acts_state.ASYNCPG],
}
KINDS = len({act for acts in ACTS.values() for act, _ in acts})
_REPORT_EVERY = 5.0
_REST_WITHIN = 10.0
_OPEN_TRANSACTIONS = """SELECT query FROM pg_stat_activity
    WHERE usename = 'app' AND xact_start IS NOT NULL"""
_HELD_LOCKS = "SELECT objid FROM pg_locks WHERE locktype = 'advisory'"
_TABLES = (
    "DROP TABLE IF EXISTS tagged, place",
    "CREATE TABLE tagged (owner text, n int, payload text)",
    "CREATE INDEX ON tagged (owner)",
    "CREATE TABLE place (place text)",
    "INSERT INTO place VALUES ('public')",
    "GRANT ALL ON tagged, place TO PUBLIC",
)


def prepare(server: Postgres, clients: int) -> None:
    """Tables for all, a schema for each owner with a table of a name that all have, roles."""
    statements = list(_TABLES)
    for number in range(clients):
        statements += [
            f"CREATE SCHEMA IF NOT EXISTS o{number}",
            f"CREATE TABLE IF NOT EXISTS o{number}.place AS SELECT 'o{number}'::text AS place",
            f"GRANT USAGE ON SCHEMA o{number} TO PUBLIC",
            f"GRANT ALL ON o{number}.place TO PUBLIC",
        ]
    for number in range(ROLES):
        name = f"stress_{number}"
        make = f"CREATE ROLE {name}; GRANT {name} TO {APP_USER};"
        statements.append(
            f"DO $$ BEGIN {make} EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        )
    server.execute(*statements, database="app")


async def stress(
    door: Door, server: Postgres, plan: Plan, report: Callable[[str], None] | None = None
) -> Findings:
    """Runs `plan` through `door`; then asks `server` itself whether every ledger holds."""
    await asyncio.to_thread(prepare, server, plan.clients)
    fresh = await asyncio.to_thread(defaults, server, door.password, door.database)
    findings = Findings()
    context = door.tls_context()
    world = World(door, context, fresh, findings, plan, asyncio.Semaphore(2))
    owners = [Owner(number, world) for number in range(plan.clients)]
    deadline = time.monotonic() + plan.seconds
    async with _beside(_kill(server, world), _tell(world, deadline, report)):
        await asyncio.gather(*(live(owner, ACTS[owner.kind], deadline) for owner in owners))
    await _check_ledgers(server, owners)
    await _check_rest(server, findings)
    return findings


@contextlib.asynccontextmanager
async def _beside(*works: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Works go on as long as what is inside."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _tell(world: World, deadline: float, report: Callable[[str], None] | None) -> None:
    while report is not None:
        await asyncio.sleep(_REPORT_EVERY)
        report(f"{max(0.0, deadline - time.monotonic()):5.0f} s left: {world.findings}")


async def _kill(server: Postgres, world: World) -> None:
    """Ends a server connection now and then, whatever it does."""
    dice = random.Random(world.plan.seed)
    async with await psycopg.AsyncConnection.connect(
        server.dsn("postgres", server.superuser_password, "postgres"), autocommit=True
    ) as admin:
        while world.plan.kill_every:
            await asyncio.sleep(world.plan.kill_every * (0.5 + dice.random()))
            rows = await admin.execute("SELECT pid FROM pg_stat_activity WHERE usename = 'app'")
            pids = [pid for (pid,) in await rows.fetchall()]
            world.findings.most_connections = max(world.findings.most_connections, len(pids))
            if pids:
                world.kills.append(time.monotonic())
                world.findings.kills += 1
                await admin.execute("SELECT pg_terminate_backend(%s)", [dice.choice(pids)])


async def _check_rest(server: Postgres, findings: Findings) -> None:
    """Nothing of anybody runs or is locked a few seconds after all have left."""
    deadline = time.monotonic() + _REST_WITHIN
    while True:
        transactions = await asyncio.to_thread(server.fetch, _OPEN_TRANSACTIONS)
        locks = await asyncio.to_thread(server.fetch, _HELD_LOCKS)
        if not transactions and not locks:
            return
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(0.2)
    for line in transactions:
        findings.open_transactions.add(f"after all have left: {line}")
    for line in locks:
        findings.objects.add(f"after all have left: lock {line}")


async def _check_ledgers(server: Postgres, owners: list[Owner]) -> None:
    sql = "SELECT owner, array_agg(n) FROM tagged GROUP BY owner"
    kept = dict(await asyncio.to_thread(server.fetch, sql, database="app"))
    for owner in owners:
        found = sorted(kept.get(owner.tag, []))
        owner.expect("its rows in the end", found in map(sorted, owner.possible), True)
