"""Who gets in, who does not, and what each is told."""

from dataclasses import replace

import asyncpg
import psycopg
import pytest

from sluice_testing.door import Door
from sluice_testing.fixtures import DoorOf, MakeConfig, StartProxy
from sluice_testing.postgres import Postgres
from sluice_testing.proxy import ProxyProcess
from sluice_testing.raw import (
    GSS_ENCRYPTION_REQUEST,
    SSL_REQUEST,
    Message,
    Refused,
    message,
    query,
    startup,
)
from sluice_testing.stories import every_major


@every_major
@pytest.mark.parametrize("sslmode", ["verify-full", "require", "prefer", "disable"])
def test_psycopg_logs_in(door: Door, sslmode: str) -> None:
    with door.connect(sslmode=sslmode) as connection:
        encrypted = connection.pgconn.ssl_in_use
        assert encrypted == (sslmode != "disable")
        assert connection.execute("SELECT current_user").fetchone() == ("app",)


@every_major
async def test_asyncpg_logs_in(door: Door) -> None:
    connection = await door.connect_asyncpg()
    try:
        assert await connection.fetchval("SELECT current_user") == "app"
    finally:
        await connection.close()


def test_the_client_learns_the_servers_parameters(
    door: Door, server: Postgres, door_of: DoorOf
) -> None:
    with door.raw() as client, door_of(server).raw() as direct:
        assert client.parameters == direct.parameters


def test_what_follows_the_login(door: Door) -> None:
    with door.knock() as client:
        welcome = client.log_in(door.password, user=door.user, database=door.database)
    kinds = [message.kind for message in welcome]
    assert set(kinds[:-2]) == {"S"}
    assert kinds[-2:] == ["K", "Z"]
    assert welcome[-1] == Message("Z", b"I")


def test_two_clients_have_different_keys(door: Door) -> None:
    with door.raw() as one, door.raw() as other:
        assert one.backend_key != other.backend_key


@pytest.mark.parametrize("tls", [False, True])
def test_wrong_password(door: Door, tls: bool) -> None:
    with pytest.raises(Refused) as refused:
        door.as_user("app", "wrong").raw(tls=tls)
    assert refused.value.fields["S"] == "FATAL"
    assert refused.value.fields["C"] == "28P01"


async def test_wrong_password_through_drivers(door: Door) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        door.connect(password="wrong")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await door.connect_asyncpg(password="wrong")


def test_unknown_user_cannot_be_told_from_a_wrong_password(door: Door) -> None:
    """PostgreSQL runs the whole exchange for a role that does not exist; so do we."""
    refusals = []
    for user in ("nobody", "app"):
        with pytest.raises(Refused) as refused:
            door.as_user(user, "wrong").raw()
        refusals.append((refused.value.fields["C"], refused.value.fields["S"]))
    assert refusals == [("28P01", "FATAL")] * 2


def test_a_role_of_the_server_that_the_proxy_was_not_given(
    door: Door, proxy: ProxyProcess, server: Postgres
) -> None:
    with pytest.raises(Refused) as refused:
        door.as_user("postgres", server.superuser_password).raw()
    assert refused.value.fields["C"] == "28P01"


def test_unknown_database(door: Door) -> None:
    with pytest.raises(Refused) as refused:
        door.raw(database="nowhere").value("SELECT 1")
    assert refused.value.fields["C"] == "3D000"
    assert refused.value.fields["M"] == 'database "nowhere" does not exist'


def test_the_database_defaults_to_the_users_name(door: Door) -> None:
    with door.knock() as client:
        client.log_in(door.password, user="app")
        assert client.value("SELECT current_database()") == "app"


def test_no_user_name(door: Door) -> None:
    with door.knock() as client:
        client.send(startup(database="app"))
        [error] = client.read_until("E")
        assert error.fields["S"] == "FATAL"
        assert error.fields["C"] == "28000"


class TestRequireTLS:
    @pytest.fixture
    def proxy(
        self,
        server: Postgres,
        make_config: MakeConfig,
        start_proxy: StartProxy,
    ) -> ProxyProcess:
        return start_proxy(make_config(server, require_tls=True))

    def test_a_plain_client_is_told_so(self, proxy: ProxyProcess, door: Door) -> None:
        with pytest.raises(Refused) as refused:
            door.raw()
        fields = refused.value.fields
        assert (fields["S"], fields["C"]) == ("FATAL", "28000")
        assert fields["M"] == "This RDS Proxy requires TLS connections."
        assert fields["H"]

    def test_nothing_is_said_about_the_password(self, proxy: ProxyProcess, door: Door) -> None:
        """A password sent in clear must not be asked for."""
        with door.knock() as client:
            client.send(startup(user="app"))
            assert client.read().kind == "E"

    def test_a_client_with_tls_gets_in(self, proxy: ProxyProcess, door: Door) -> None:
        with door.connect() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_without_a_certificate_tls_is_declined(
    server: Postgres,
    make_config: MakeConfig,
    start_proxy: StartProxy,
    door_of: DoorOf,
) -> None:
    proxy = start_proxy(make_config(server, certificate=None))
    with door_of(proxy).knock() as client:
        client.send(SSL_REQUEST)
        assert client.read_byte() == b"N"
        client.log_in("app-secret", user="app")
        assert client.value("SELECT 1") == "1"


def test_gss_encryption_is_declined(door: Door) -> None:
    with door.knock() as client:
        client.send(GSS_ENCRYPTION_REQUEST)
        assert client.read_byte() == b"N"
        client.start_tls(door.tls_context())
        client.log_in(door.password, user=door.user, database=door.database)
        assert client.value("SELECT 1") == "1"


def test_bytes_before_the_handshake_are_not_taken_for_encrypted_ones(door: Door) -> None:
    """CVE-2021-23214: what came in clear must not count as said over TLS."""
    with door.knock() as client:
        client.send(SSL_REQUEST + startup(user="app"))
        answer = client.read_bytes()
    assert not answer.startswith(b"S") or b"R" not in answer[1:]


def test_a_newer_protocol_is_negotiated_down(door: Door) -> None:
    """NegotiateProtocolVersion: 3.99 and an unknown _pq_ option; the login goes on in 3.0."""
    with door.knock() as client:
        client.send(
            startup(protocol=(3 << 16) + 99, user="app", database="app", **{"_pq_.shiny": "1"})
        )
        negotiate = client.read()
        assert negotiate.kind == "v"
        assert b"_pq_.shiny\0" in negotiate.body
        assert client.read().kind == "R"


def test_a_protocol_that_nobody_speaks(door: Door) -> None:
    with door.knock() as client:
        client.send(startup(protocol=4 << 16, user="app"))
        [error] = client.read_until("E")
        assert error.fields["C"] == "0A000"


def test_replication_is_refused_clearly(proxy: ProxyProcess, door: Door) -> None:
    """Pitfall 30."""
    with pytest.raises(Refused) as refused:
        door.raw(replication="database")
    assert refused.value.fields["C"] == "0A000"
    assert "replication" in refused.value.fields["M"]


def test_a_client_that_does_not_answer_the_challenge(door: Door) -> None:
    with door.knock() as client:
        client.send(startup(user="app", database="app"))
        assert client.read().kind == "R"
        client.send(query("SELECT 1"))
        [error] = client.read_until("E")
        assert error.fields["S"] == "FATAL"


def test_a_mechanism_that_was_not_offered(door: Door) -> None:
    with door.knock() as client:
        client.send(startup(user="app", database="app"))
        assert client.read().kind == "R"
        client.send(message("p", b"PLAIN\0", b"\0\0\0\0"))
        [error] = client.read_until("E")
        assert error.fields["S"] == "FATAL"


def test_the_second_user_has_its_own_password(
    server: Postgres,
    make_config: MakeConfig,
    start_proxy: StartProxy,
    door_of: DoorOf,
) -> None:
    config = make_config(server)
    [app] = config.users
    server.execute("DROP ROLE IF EXISTS second")
    server.create_role("second", "second-secret")
    second = replace(app, name="second", password="second-secret")
    door = door_of(start_proxy(replace(config, users=(app, second))))
    with door.as_user("second", "second-secret").raw() as client:
        assert client.value("SELECT current_user") == "second"
    with door.raw() as client:
        assert client.value("SELECT current_user") == "app"
    with pytest.raises(Refused):
        door.as_user("second", door.password).raw()
