"""Drivers as they come, with their defaults and their conveniences.

`make drivers` has rows for drivers of other languages, too.
"""

from pathlib import Path

import asyncpg
import psycopg
import pytest
from psycopg.rows import dict_row

from sluice_testing.certificates import Authority
from sluice_testing.door import Door
from sluice_testing.drivers import PYTHON_PROGRAMS, Program, row
from sluice_testing.neighbours import Neighbours
from sluice_testing.proxy import ProxyProcess
from sluice_testing.stories import every_major


@pytest.mark.parametrize("program", PYTHON_PROGRAMS, ids=lambda program: program.name)
def test_a_row_of_the_matrix(program: Program, door: Door, tmp_path: Path) -> None:
    """All that a driver does, while neighbours keep the server connections moving."""
    other_ca, log = tmp_path / "other.pem", tmp_path / "log"
    other_ca.write_text(Authority("another CA").pem)
    with Neighbours(door) as neighbours:
        cells = row(program, door, other_ca, log)
    assert {name: cell.result for name, cell in cells.items() if cell.failed} == {}, log.read_text()
    assert (neighbours.wrong, neighbours.errors) == ([], [])
    assert neighbours.transactions > 0


@every_major
def test_psycopg_by_default(door: Door) -> None:
    """It prepares by name what it has seen five times."""
    with psycopg.connect(door.dsn()) as connection:
        for number in range(20):
            row = connection.execute("SELECT %s::int + 1", [number]).fetchone()
            assert row == (number + 1,)
        connection.execute("CREATE TEMP TABLE mine (n int)")
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO mine VALUES (%s)", [(n,) for n in range(100)])
        assert connection.execute("SELECT count(*) FROM mine").fetchone() == (100,)
        connection.rollback()


def test_psycopg_server_side_cursor(door: Door) -> None:
    with door.connect(autocommit=False) as connection:
        with connection.cursor("mine") as cursor:
            cursor.execute("SELECT generate_series(1, 1000)")
            assert cursor.fetchmany(3) == [(1,), (2,), (3,)]
            assert sum(value for (value,) in cursor) == 500_500 - 6
        connection.rollback()


def test_psycopg_rows_with_names(door: Door) -> None:
    with door.connect() as connection:
        cursor = connection.cursor(row_factory=dict_row)
        assert cursor.execute("SELECT 1 AS a, 'x' AS b").fetchall() == [{"a": 1, "b": "x"}]


def test_psycopg_binary(door: Door) -> None:
    with door.connect() as connection:
        row = connection.execute("SELECT %b::bytea, 1.5::float8", [b"\0\xff"], binary=True)
        assert row.fetchone() == (b"\0\xff", 1.5)


def test_psycopg_hears_notices(door: Door) -> None:
    with door.connect() as connection:
        notices: list[str | None] = []
        connection.add_notice_handler(lambda diagnostic: notices.append(diagnostic.message_primary))
        connection.execute("DO $$BEGIN RAISE NOTICE 'read this'; END$$")
        assert notices == ["read this"]


@every_major
async def test_asyncpg_by_default(door: Door) -> None:
    """It names its statements and asks the catalog about types."""
    connection = await door.connect_asyncpg()
    try:
        for number in range(20):
            assert await connection.fetchval("SELECT $1::int + 1", number) == number + 1
        await connection.execute("CREATE TEMP TABLE mine (n int, t text)")
        await connection.executemany("INSERT INTO mine VALUES ($1, $2)", [(1, "a"), (2, "b")])
        await connection.copy_records_to_table("mine", records=[(3, "c"), (4, "d")])
        rows = await connection.fetch("SELECT array_agg(t ORDER BY n) FROM mine")
        assert rows[0][0] == ["a", "b", "c", "d"]
    finally:
        await connection.close()


async def test_asyncpg_prepared_and_cursor(door: Door) -> None:
    connection = await door.connect_asyncpg()
    try:
        statement = await connection.prepare("SELECT generate_series(1, $1::int)")
        assert len(await statement.fetch(5)) == 5
        async with connection.transaction():
            values = [row[0] async for row in connection.cursor("SELECT generate_series(1, 200)")]
        assert values == list(range(1, 201))
    finally:
        await connection.close()


async def test_asyncpg_transactions(door: Door) -> None:
    connection = await door.connect_asyncpg()
    try:
        async with connection.transaction(isolation="serializable", readonly=True):
            with pytest.raises(asyncpg.DivisionByZeroError):
                async with connection.transaction():
                    await connection.fetch("SELECT 1/0")
            assert await connection.fetchval("SHOW transaction_isolation") == "serializable"
        assert await connection.fetchval("SHOW transaction_isolation") == "read committed"
    finally:
        await connection.close()


async def test_asyncpg_pool(proxy: ProxyProcess, door: Door) -> None:
    """Its pool resets each connection it takes back, which unpins nothing that is needed."""
    pool = await asyncpg.create_pool(
        host=door.host,
        port=door.port,
        user=door.user,
        password=door.password,
        database=door.database,
        ssl=door.tls_context(),
        min_size=2,
        max_size=4,
    )
    async with pool:
        for _ in range(10):
            async with pool.acquire() as connection:
                assert await connection.fetchval("SELECT 1") == 1
    proxy.wait_for_pool(clients=0, borrowed=0)


async def test_asyncpg_server_settings(door: Door) -> None:
    settings = {"application_name": "mine", "TimeZone": "Asia/Tokyo", "jit": "off"}
    connection = await door.connect_asyncpg(server_settings=settings)
    try:
        assert await connection.fetchval("SHOW application_name") == "mine"
        assert await connection.fetchval("SHOW TimeZone") == "Asia/Tokyo"
        assert await connection.fetchval("SHOW jit") == "off"
        assert connection.get_settings().TimeZone == "Asia/Tokyo"
    finally:
        await connection.close()
