"""Protocol 3.0 and 3.2: what a client speaks has nothing to do with what the server speaks."""

import psycopg
import pytest

from sluice_testing.door import Door
from sluice_testing.fixtures import DoorOf
from sluice_testing.postgres import Postgres
from sluice_testing.proxy import wait_until
from sluice_testing.raw import PROTOCOL_3_0, PROTOCOL_3_2, Message, cancel_request, query
from sluice_testing.raw import startup as startup_packet
from sluice_testing.stories import every_major

PID = 4


def login(door: Door, minor: int, **options: str) -> tuple[list[bytes], int]:
    """What was negotiated, and how many bytes the secret of the cancel key has."""
    with door.knock() as client:
        client.log_in(
            door.password, PROTOCOL_3_0 + minor, user=door.user, database=door.database, **options
        )
        assert client.value("SELECT 1") == "1"
        return client.negotiated, len(client.backend_key) - PID


@every_major
@pytest.mark.parametrize(("minor", "size"), [(0, 4), (2, 32)])
def test_either_version_in_front_of_any_server(door: Door, minor: int, size: int) -> None:
    """Pitfall 44."""
    assert login(door, minor) == ([], size)


@pytest.mark.parametrize("minor", [0, 1, 2, 3, 99, 9999])
@pytest.mark.parametrize("options", [{}, {"_pq_.a": "1"}, {"_pq_.a": "1", "_pq_.b": ""}])
def test_versions_and_options_are_negotiated_as_by_the_newest_postgres(
    door: Door, server: Postgres, door_of: DoorOf, minor: int, options: dict[str, str]
) -> None:
    """Pitfall 43: told once, before authentication; 3.1, which nobody speaks, included."""
    mine, reference = login(door, minor, **options), login(door_of(server), minor, **options)
    assert mine == reference
    assert len(mine[0]) <= 1


def test_the_negotiation_comes_first(door: Door) -> None:
    with door.knock() as client:
        client.send(startup_packet(PROTOCOL_3_2 + 1, user="app"))
        assert [client.read().kind, client.read().kind] == ["v", "R"]


@every_major
@pytest.mark.parametrize("sslmode", ["disable", "verify-full"])
@pytest.mark.parametrize("version", ["3.0", "3.2"])
def test_libpq_speaks_and_cancels_in_the_version_that_it_wants(
    door: Door, server: Postgres, version: str, sslmode: str
) -> None:
    """Pitfalls 39 and 44: a key of any size, in clear and over TLS."""
    wanted = {"min_protocol_version": version, "max_protocol_version": version}
    with door.connect(sslmode=sslmode, **wanted) as connection:
        connection.pgconn.send_query(b"SELECT pg_sleep(60)")
        wait_until(lambda: sleepers(server) == 1, "the query runs")
        connection.cancel_safe()
        result = connection.pgconn.get_result()
        assert result is not None
        assert result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"57014"
        assert connection.pgconn.get_result() is None
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("version", [2 << 16, 4 << 16, 1234 << 16 | 5681])
def test_a_version_that_nobody_speaks(door: Door, version: int) -> None:
    """Pitfall 45: FATAL 0A000, before anything else."""
    with door.knock() as client:
        client.send(startup_packet(version, user="app"))
        [error] = client.read_until("E")
        assert error.fields["S"] == "FATAL"
        assert error.fields["C"] == "0A000"
        told = f"unsupported frontend protocol {version >> 16}.{version & 65535}"
        assert error.fields["D"] == f"{told}: server supports 3.0 to 3.2"


def test_a_positive_pid(door: Door) -> None:
    """Pitfall 36: the top bit is zero, for clients that read it as signed."""
    with door.crowd(20) as clients:
        assert all(client.backend_key[0] < 128 for client in clients)
        assert len({client.backend_key for client in clients}) == 20


@pytest.mark.parametrize("size", [1, 5, 31, 33, 256])
def test_a_key_of_another_size_cancels_nothing(door: Door, server: Postgres, size: int) -> None:
    with door.knock() as client:
        client.log_in(door.password, PROTOCOL_3_2, user=door.user, database=door.database)
        client.send(query("SELECT pg_sleep(0.5)"))
        wait_until(lambda: sleepers(server) == 1, "the query runs")
        with door.knock() as errand:
            key = client.backend_key + bytes(256)
            errand.send(cancel_request(key[: PID + size]))
            assert errand.read_bytes() == b""
        assert [message.kind for message in client.read_until("ZE")] == ["T", "D", "C", "Z"]


def test_a_key_that_is_too_long_is_not_read(door: Door) -> None:
    with door.knock() as errand:
        errand.send(cancel_request(bytes(PID + 257)))
        assert b"invalid length of cancel key" in errand.read_bytes()


def test_the_first_scram_message_may_come_in_the_second_place(door: Door) -> None:
    with door.knock() as client:
        client.send(startup_packet(user="app"))
        client.read()
        client.send(b"p", (4 + 14 + 4).to_bytes(4, "big"), b"SCRAM-SHA-256\0", b"\xff" * 4)
        assert client.read() == Message("R", b"\0\0\0\x0b")


def sleepers(server: Postgres) -> int:
    [count] = server.fetch(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND wait_event = 'PgSleep'"
    )
    return int(count)
