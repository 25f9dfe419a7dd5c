"""A cancel request ends the query of its own client, and no other's."""

import asyncio

import asyncpg
import psycopg
import pytest

from sluice_testing.door import Door
from sluice_testing.fixtures import DoorOf, MakeConfig, StartProxy
from sluice_testing.postgres import Postgres
from sluice_testing.proxy import ProxyProcess, wait_until
from sluice_testing.raw import RawClient, cancel_request, query
from sluice_testing.stories import every_major

SLEEP = query("SELECT pg_sleep(60)")


def cancel(door: Door, client: RawClient, *, tls: bool = False) -> bytes:
    """Sends the request; what came back, which must be nothing."""
    with door.knock() as errand:
        if tls:
            errand.start_tls(door.tls_context())
        errand.send(cancel_request(client.backend_key))
        return errand.read_bytes()


def sleepers(server: Postgres) -> int:
    [count] = server.fetch(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND wait_event = 'PgSleep'"
    )
    return int(count)


def error_codes(client: RawClient) -> list[str]:
    return [message.fields["C"] for message in client.read_until("Z") if message.kind == "E"]


@every_major
@pytest.mark.parametrize("tls", [False, True])
def test_raw(door: Door, server: Postgres, tls: bool) -> None:
    with door.raw(tls=tls) as client:
        client.send(SLEEP)
        wait_until(lambda: sleepers(server) == 1, "the query runs")
        assert cancel(door, client, tls=tls) == b""
        assert error_codes(client) == ["57014"]
        assert client.value("SELECT 'and on'") == "and on"


@every_major
def test_psycopg(door: Door, server: Postgres) -> None:
    with door.connect() as connection:
        connection.pgconn.send_query(b"SELECT pg_sleep(60)")
        wait_until(lambda: sleepers(server) == 1, "the query runs")
        connection.cancel_safe()
        result = connection.pgconn.get_result()
        assert result is not None
        assert result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"57014"
        assert connection.pgconn.get_result() is None
        assert connection.execute("SELECT 1").fetchone() == (1,)


@every_major
async def test_asyncpg_timeout(door: Door, server: Postgres) -> None:
    connection = await door.connect_asyncpg(statement_cache_size=0)
    try:
        with pytest.raises(TimeoutError):
            await connection.execute("SELECT pg_sleep(60)", timeout=0.3)
        assert await connection.fetchval("SELECT 1") == 1
    finally:
        await connection.close()
    assert sleepers(server) == 0


async def test_asyncpg_cancelled_task(door: Door, server: Postgres) -> None:
    connection = await door.connect_asyncpg()
    try:
        task = asyncio.create_task(connection.fetch("SELECT pg_sleep(60)"))
        await asyncio.to_thread(wait_until, lambda: sleepers(server) == 1, "the query runs")
        task.cancel()
        with pytest.raises((asyncio.CancelledError, asyncpg.QueryCanceledError)):
            await task
        assert await connection.fetchval("SELECT 1") == 1
    finally:
        await connection.close()


def test_only_its_own_query(door: Door, server: Postgres) -> None:
    with door.raw() as one, door.raw() as two, door.raw() as three:
        for client in (one, two, three):
            client.send(query("SELECT pg_sleep(1.5)"))
        wait_until(lambda: sleepers(server) == 3, "all three run")
        cancel(door, two)
        assert error_codes(two) == ["57014"]
        assert error_codes(one) == []
        assert error_codes(three) == []


def test_in_a_transaction(door: Door, server: Postgres) -> None:
    with door.raw() as client:
        client.ask(query("BEGIN"))
        client.send(SLEEP)
        wait_until(lambda: sleepers(server) == 1, "the query runs")
        cancel(door, client)
        assert error_codes(client) == ["57014"]
        assert client.ask(query("ROLLBACK"))[-1].body == b"I"


class TestOneConnection:
    """With a single server connection a stray cancel would hit whoever has it."""

    @pytest.fixture
    def proxy(
        self, server: Postgres, make_config: MakeConfig, start_proxy: StartProxy
    ) -> ProxyProcess:
        return start_proxy(make_config(server, budget=1))

    def test_of_an_idle_client(self, proxy: ProxyProcess, door: Door, server: Postgres) -> None:
        with door.raw() as idle, door.raw() as busy:
            assert idle.value("SELECT 1") == "1"
            busy.send(query("SELECT pg_sleep(1)"))
            wait_until(lambda: sleepers(server) == 1, "the query runs")
            cancel(door, idle)
            assert error_codes(busy) == []
            assert idle.value("SELECT 1") == "1"

    def test_of_a_waiting_client(self, proxy: ProxyProcess, door: Door, server: Postgres) -> None:
        """It is told so at once, as it would be if its query ran; the other's goes on."""
        with door.raw() as busy, door.raw() as waiting:
            busy.send(query("SELECT pg_sleep(1)"))
            wait_until(lambda: sleepers(server) == 1, "the query runs")
            waiting.send(query("SELECT 'late'"))
            proxy.wait_for_pool(waiting=1)
            cancel(door, waiting)
            assert error_codes(busy) == []
            assert error_codes(waiting) in ([], ["57014"])
            assert waiting.value("SELECT 1") == "1"

    def test_late_cancels_never_hit_the_next(self, proxy: ProxyProcess, door: Door) -> None:
        """The race of every pooler: the query ends while its cancel is on the way."""
        with door.raw() as one, door.raw() as other:
            for turn in range(100):
                one.send(query("SELECT pg_sleep(0.002)"))
                with door.knock() as errand:
                    errand.send(cancel_request(one.backend_key))
                    other.send(query("SELECT pg_sleep(0.003)"))
                    assert error_codes(one) in ([], ["57014"])
                    assert error_codes(other) == [], f"turn {turn}"


@pytest.mark.parametrize("wrong", ["secret", "pid"])
def test_a_wrong_key_cancels_nothing(door: Door, server: Postgres, wrong: str) -> None:
    with door.raw() as client:
        key = bytearray(client.backend_key)
        key[-1 if wrong == "secret" else 3] ^= 1
        client.send(query("SELECT pg_sleep(1)"))
        wait_until(lambda: sleepers(server) == 1, "the query runs")
        with door.knock() as errand:
            errand.send(cancel_request(bytes(key)))
            assert errand.read_bytes() == b""
        assert error_codes(client) == []


def test_cancels_leave_nothing_behind(proxy: ProxyProcess, door: Door, door_of: DoorOf) -> None:
    with door.raw() as client:
        for _ in range(20):
            cancel(door, client)
        assert client.value("SELECT 1") == "1"
        proxy.wait_for_pool(clients=1, borrowed=0)


def test_the_same_client_may_cancel_again(door: Door, server: Postgres) -> None:
    with door.raw() as client:
        for _ in range(5):
            client.send(SLEEP)
            wait_until(lambda: sleepers(server) == 1, "the query runs")
            cancel(door, client)
            assert error_codes(client) == ["57014"]
