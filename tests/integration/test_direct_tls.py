"""TLS from the first byte on, without an SSLRequest: towards clients and towards the server."""

import socket
import ssl

import psycopg
import pytest

from sluice_proxy.config import TargetTLS
from sluice_testing.door import PATIENCE, Door
from sluice_testing.fixtures import DoorOf, MakeConfig, StartProxy
from sluice_testing.postgres import Postgres
from sluice_testing.proxy import ProxyProcess, wait_until
from sluice_testing.raw import (
    GSS_ENCRYPTION_REQUEST,
    SSL_REQUEST,
    RawClient,
    Refused,
    cancel_request,
    query,
    startup,
)
from sluice_testing.stories import every_major

ENCRYPTED = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


def enter(door: Door) -> RawClient:
    """Within direct TLS, before a word of PostgreSQL's protocol."""
    client = door.knock()
    client.start_direct_tls(door.tls_context())
    return client


@every_major
def test_libpq(door: Door) -> None:
    with door.connect(sslnegotiation="direct") as connection:
        assert connection.pgconn.ssl_in_use
        assert connection.execute("SELECT current_user").fetchone() == ("app",)


async def test_asyncpg(door: Door) -> None:
    context = door.tls_context()
    context.set_alpn_protocols(["postgresql"])
    connection = await door.connect_asyncpg(ssl=context, direct_tls=True)
    try:
        assert await connection.fetchval("SELECT current_user") == "app"
    finally:
        await connection.close()


def test_require_tls_is_met(
    server: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
) -> None:
    door = door_of(start_proxy(make_config(server, require_tls=True)))
    with enter(door) as client:
        client.log_in(door.password, user="app")
        assert client.value("SELECT 1") == "1"


def test_cancel(door: Door, server: Postgres) -> None:
    """Pitfall 39."""
    with enter(door) as client:
        client.log_in(door.password, user="app")
        client.send(query("SELECT pg_sleep(60)"))
        wait_until(lambda: sleepers(server) == 1, "the query runs")
        with enter(door) as errand:
            errand.send(cancel_request(client.backend_key))
            assert errand.read_bytes() == b""
        assert [m.fields["C"] for m in client.read_until("Z") if m.kind == "E"] == ["57014"]


def test_a_cancel_of_libpq_goes_the_same_way(door: Door, server: Postgres) -> None:
    with door.connect(sslnegotiation="direct") as connection:
        connection.pgconn.send_query(b"SELECT pg_sleep(60)")
        wait_until(lambda: sleepers(server) == 1, "the query runs")
        connection.cancel_safe()
        result = connection.pgconn.get_result()
        assert result is not None
        assert result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"57014"
        assert connection.pgconn.get_result() is None


@pytest.mark.parametrize("alpn", ["", "http/1.1"])
def test_another_protocol_is_not_answered(proxy: ProxyProcess, door: Door, alpn: str) -> None:
    """Pitfall 41: ALPN is required."""
    with door.knock() as client:
        client.start_direct_tls(door.tls_context(), alpn=alpn)
        client.send(startup(user="app"))
        assert client.read_bytes() == b""
    assert any("ALPN" in str(event.get("error")) for event in proxy.events())


def test_without_a_certificate_it_is_not_answered(
    server: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
) -> None:
    door = door_of(start_proxy(make_config(server, certificate=None)))
    with pytest.raises(OSError), door.knock() as client:  # noqa: PT011
        client.start_direct_tls(door.tls_context())


@pytest.mark.parametrize("asked", [SSL_REQUEST, GSS_ENCRYPTION_REQUEST])
def test_asking_for_encryption_within_it(
    door: Door, server: Postgres, door_of: DoorOf, asked: bytes
) -> None:
    """Pitfall 41: declined once, then taken for a version that nobody speaks."""
    told = []
    for at in (door, door_of(server)):
        with enter(at) as client:
            client.send(asked)
            assert client.read_byte() == b"N"
            client.send(asked)
            [error] = client.read_until("E")
            told.append([error.fields[key] for key in "SVCM"])
    assert told[0] == told[1]
    assert told[0][2] == "0A000"


def test_and_then_the_login_goes_on(door: Door) -> None:
    with enter(door) as client:
        client.send(SSL_REQUEST)
        assert client.read_byte() == b"N"
        client.log_in(door.password, user="app")
        assert client.value("SELECT 1") == "1"


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_handshake_in_pieces(door: Door, size: int) -> None:
    """The first byte is looked at, and none is lost."""
    context = door.tls_context()
    context.set_alpn_protocols(["postgresql"])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection((door.host, door.port), PATIENCE) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while not shaken(tls):
            send_in_pieces(sock, outgoing.read(), size)
            incoming.write(sock.recv(65536))
        tls.write(startup(user="app"))
        send_in_pieces(sock, outgoing.read(), size)
        incoming.write(sock.recv(65536))
        assert tls.selected_alpn_protocol() == "postgresql"
        assert tls.read(1) == b"R"


def shaken(tls: ssl.SSLObject) -> bool:
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def send_in_pieces(sock: socket.socket, data: bytes, size: int) -> None:
    for at in range(0, len(data), size):
        sock.sendall(data[at : at + size])


def test_a_client_that_goes_after_one_byte(proxy: ProxyProcess, door: Door) -> None:
    for first in (b"\x16", b"\0", b""):
        with socket.create_connection((door.host, door.port)) as sock:
            sock.sendall(first)
    with door.raw() as client:
        assert client.value("SELECT 1") == "1"
        proxy.wait_for_pool(clients=1)


@every_major
def test_the_server_by_direct_tls(
    server: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
) -> None:
    """PostgreSQL can do so since 17; an older one is told apart, not waited for."""
    config = make_config(server, borrow=1)
    direct = TargetTLS("VerifyFull", config.target_tls.ca, "Direct")
    knows = server.major >= 17
    proxy = start_proxy(make_config(server, borrow=1, target_tls=direct), ready=knows)
    if knows:
        with door_of(proxy).raw() as client:
            assert client.value(ENCRYPTED) == "t"
        return
    with pytest.raises(Refused) as refused, door_of(proxy).raw() as client:
        client.value("SELECT 1")
    assert "PostgreSQL 17" in refused.value.fields["H"]


def test_a_cancel_reaches_the_server_by_direct_tls(
    server: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
) -> None:
    """Pitfall 39: towards the server it goes the way that the login went."""
    ca = make_config(server).target_tls.ca
    direct = TargetTLS("VerifyFull", ca, "Direct")
    door = door_of(start_proxy(make_config(server, target_tls=direct)))
    with door.raw() as client:
        client.send(query("SELECT pg_sleep(60)"))
        wait_until(lambda: sleepers(server) == 1, "the query runs")
        with door.knock() as errand:
            errand.send(cancel_request(client.backend_key))
            assert errand.read_bytes() == b""
        assert [m.fields["C"] for m in client.read_until("Z") if m.kind == "E"] == ["57014"]


def sleepers(server: Postgres) -> int:
    [count] = server.fetch(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND wait_event = 'PgSleep'"
    )
    return int(count)
