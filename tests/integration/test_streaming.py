"""Results and parameters of any size pass through; the proxy holds little of them at a time."""

import hashlib
from pathlib import Path

import psycopg
import pytest

from sluice_testing.door import Door
from sluice_testing.postgres import Postgres
from sluice_testing.proxy import ProxyProcess, wait_until
from sluice_testing.raw import COPY_DONE, SYNC, bind, copy_data, execute, parse, query
from sluice_testing.stories import every_major

MB = 1024 * 1024
LARGE_RESULT = "SELECT repeat(chr(65 + g % 26), 1048576) FROM generate_series(1, 50) g"


def peak_memory(proxy: ProxyProcess) -> int:
    """The most memory that the process ever held, in bytes."""
    for line in Path(f"/proc/{proxy.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


@every_major
@pytest.mark.parametrize("sslmode", ["verify-full", "disable"])
def test_fifty_megabytes_of_result(door: Door, sslmode: str) -> None:
    with door.connect(sslmode=sslmode) as connection:
        rows = [value for (value,) in connection.execute(LARGE_RESULT)]
    assert [len(row) for row in rows] == [MB] * 50
    assert [row[0] + row[-1] for row in rows] == [chr(65 + g % 26) * 2 for g in range(1, 51)]


@every_major
@pytest.mark.parametrize("sslmode", ["verify-full", "disable"])
def test_twenty_megabytes_of_parameter(door: Door, sslmode: str) -> None:
    text = "".join(f"{n:07} " for n in range(20 * MB // 8))
    with door.connect(sslmode=sslmode) as connection:
        answer = connection.execute("SELECT md5(%s::text), length(%s)", [text, text]).fetchone()
    assert answer == (hashlib.md5(text.encode(), usedforsecurity=False).hexdigest(), len(text))


def test_a_statement_of_five_megabytes(door: Door) -> None:
    text = "x" * (5 * MB)
    with door.raw() as client:
        assert client.value(f"SELECT length('{text}')") == str(len(text))
        client.send(parse(f"SELECT length('{text}')"), bind(), execute(), SYNC)
        assert [m.row for m in client.read_until("Z") if m.kind == "D"] == [[b"5242880"]]


def test_ten_megabytes_through_copy_and_back(door: Door) -> None:
    lines = [f"{n}\t{'x' * 1000}\n".encode() for n in range(10_000)]
    with door.connect(autocommit=False) as connection:
        connection.execute("CREATE TABLE copied (n int, x text)")
        with connection.cursor().copy("COPY copied FROM STDIN") as copy:
            for line in lines:
                copy.write(line)
        with connection.cursor().copy("COPY copied TO STDOUT") as copy:
            back = b"".join(bytes(chunk) for chunk in copy)
        connection.rollback()
    assert back == b"".join(lines)


def test_a_slow_reader_holds_back_the_server(
    proxy: ProxyProcess, door: Door, server: Postgres
) -> None:
    """Not the proxy's memory: the server waits until the client reads on."""
    with door.raw(application_name="slow reader") as client:
        before = peak_memory(proxy)
        client.send(query(LARGE_RESULT))
        client.read()
        wait_until(lambda: waits(server) == ["ClientWrite"], "the server waits for the client")
        assert peak_memory(proxy) - before < 8 * MB
        assert sum(message.kind == "D" for message in client.read_until("Z")) == 50
    assert peak_memory(proxy) - before < 8 * MB


def test_a_slow_reader_holds_back_nobody_else(proxy: ProxyProcess, door: Door) -> None:
    with door.raw() as slow, door.raw() as quick:
        slow.send(query(LARGE_RESULT))
        slow.read()
        for _ in range(20):
            assert quick.value("SELECT 1") == "1"
        assert sum(message.kind == "D" for message in slow.read_until("Z")) == 50


def test_a_slow_server_holds_back_the_writer(proxy: ProxyProcess, door: Door) -> None:
    """40 MB of COPY data meet a table that is locked: they wait in the client."""
    with door.connect() as locker, door.raw() as writer:
        locker.execute("DROP TABLE IF EXISTS locked")
        locker.execute("CREATE TABLE locked (x text)")
        locker.execute("BEGIN; LOCK TABLE locked IN EXCLUSIVE MODE")
        before = peak_memory(proxy)
        writer.send(query("COPY locked FROM STDIN"))
        sent = writer.send_some(copy_data(b"x" * 999 + b"\n") * 40_000, seconds=2)
        assert sent < 20 * MB, "all of it went somewhere while the server read nothing"
        assert peak_memory(proxy) - before < 8 * MB
        locker.execute("ROLLBACK")
    assert peak_memory(proxy) - before < 8 * MB


def test_both_sides_write_at_once(door: Door) -> None:
    """Pitfall 11: large parameters against large results in a pipeline, and nobody waits."""
    text = "y" * 100_000
    rounds = 60
    with door.connect() as connection, connection.pipeline():
        cursors = [connection.execute("SELECT %s::text", [text]) for _ in range(rounds)]
        assert [cursor.fetchone() for cursor in cursors] == [(text,)] * rounds


def test_a_copy_that_nobody_reads_ends_with_its_client(proxy: ProxyProcess, door: Door) -> None:
    client = door.raw()
    client.send(query("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 50000)) TO STDOUT"))
    client.read()
    client.vanish()
    proxy.wait_for_pool(clients=0, borrowed=0)


def test_an_error_after_megabytes_of_copy_data(door: Door) -> None:
    with door.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS checked")
        connection.execute("CREATE TABLE checked (n int)")
    with door.raw() as client:
        client.send(query("COPY checked FROM STDIN"))
        client.send(copy_data(b"wrong\n"), copy_data(b"1\n" * 1000) * 2000, COPY_DONE)
        client.send(query("SELECT count(*) FROM checked"))
        answers = client.read_until("Z", 2)
    assert [message.fields["C"] for message in answers if message.kind == "E"] == ["22P02"]
    assert [message.row for message in answers if message.kind == "D"] == [[b"0"]]


def test_an_error_in_a_psycopg_copy(door: Door) -> None:
    with door.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS checked")
        connection.execute("CREATE TABLE checked (n int)")
        with (
            pytest.raises(psycopg.errors.InvalidTextRepresentation),
            connection.cursor().copy("COPY checked FROM STDIN") as copy,
        ):
            copy.write(b"wrong\n")
        assert connection.execute("SELECT count(*) FROM checked").fetchone() == (0,)


def waits(server: Postgres) -> list[str]:
    return server.fetch(
        "SELECT wait_event FROM pg_stat_activity WHERE usename = 'app' AND state = 'active'"
    )
