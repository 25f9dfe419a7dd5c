"""Server connections that the proxy ends by itself, and what each new one begins with."""

from dataclasses import replace

import pytest

from sluice_proxy.config import PoolSettings
from sluice_testing.door import Door
from sluice_testing.fixtures import DoorOf, MakeConfig, StartProxy
from sluice_testing.postgres import Postgres
from sluice_testing.proxy import ProxyProcess
from sluice_testing.raw import RawClient, Refused, query

PID = "SELECT pg_backend_pid()"


def with_pool(proxy: ProxyProcess, **settings: object) -> None:
    """Reloads with other settings of the pool."""
    pool = replace(proxy.config.pool, **settings)
    proxy.reload(replace(proxy.config, pool=pool))


def test_where_none_is_kept_idle_connections_end_soon(
    server: Postgres, proxy: ProxyProcess, door: Door
) -> None:
    """Though a client is there, for whom connections are kept otherwise."""
    with door.crowd(3) as clients:
        for client in clients:
            client.ask(query("BEGIN"))
        for client in clients:
            client.ask(query("COMMIT"))
        proxy.wait_for_pool(open=3)
        with_pool(proxy, max_idle_connections_percent=0)
        proxy.wait_for_pool(open=0, clients=3)
        assert server.sample_connections() == 0
        assert clients[0].value("SELECT 1") == "1"


def test_connections_end_with_their_life_time_but_never_in_a_transaction(
    server: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
) -> None:
    """Pitfall 56: a life time for server connections, at the end of a transaction."""
    pool = PoolSettings(1, server_lifetime_seconds=2)
    proxy = start_proxy(make_config(server, pool=pool))
    with door_of(proxy).raw() as client:
        client.ask(query("BEGIN"))
        pid = client.value(PID)
        assert client.silent_for(3.0)
        assert client.value(PID) == pid
        client.ask(query("COMMIT"))
        proxy.wait_for_pool(borrowed=0)
        assert client.value(PID) != pid
        proxy.wait_for_pool(open=0, clients=1)


class TestInitQuery:
    @pytest.fixture
    def proxy(
        self, server: Postgres, make_config: MakeConfig, start_proxy: StartProxy
    ) -> ProxyProcess:
        pool = PoolSettings(2, 5, init_query="SET work_mem = '7MB'; SET TimeZone = 'Asia/Tokyo'")
        return start_proxy(make_config(server, pool=pool))

    def test_is_where_every_client_begins(self, door: Door) -> None:
        with door.raw() as one, door.raw() as other:
            assert one.parameters["TimeZone"] == "Asia/Tokyo"
            one.ask(query("BEGIN"))
            for client in (one, other):
                assert client.value("SHOW work_mem") == "7MB"
                assert client.value("SHOW timezone") == "Asia/Tokyo"

    def test_is_no_part_of_a_transaction(self, door: Door) -> None:
        with door.raw() as client:
            client.ask(query("BEGIN"))
            client.ask(query("ROLLBACK"))
            assert client.value("SHOW work_mem") == "7MB"

    def test_stays_whatever_a_client_does_to_its_session(self, door: Door) -> None:
        for farewell in ("RESET ALL", "DISCARD ALL", "SET work_mem = '9MB'", "RESET work_mem"):
            with door.crowd(2) as crowd:
                for client in crowd:
                    client.ask(query("BEGIN"))
                for client in crowd:
                    client.ask(query("COMMIT"))
                    client.ask(query(farewell))
            with door.crowd(2) as others:
                for client in others:
                    client.ask(query("BEGIN"))
                    assert client.value("SHOW work_mem") == "7MB", farewell

    @pytest.mark.parametrize("reset", ["RESET ALL", "RESET work_mem", "DISCARD ALL"])
    def test_a_reset_leads_behind_it(self, door: Door, reset: str) -> None:
        """As on a server where the client had run it: and for this client alone."""
        with door.raw() as client, door.raw() as other:
            client.ask(query(reset))
            for _ in range(3):
                assert client.value("SHOW work_mem") == "4MB"
                assert other.value("SHOW work_mem") == "7MB"

    def test_gives_way_to_what_a_client_sets(self, door: Door) -> None:
        with door.raw() as one, door.raw() as other:
            one.ask(query("SET work_mem = '9MB'"))
            for _ in range(3):
                assert other.value("SHOW work_mem") == "7MB"
                assert one.value("SHOW work_mem") == "9MB"

    def test_beside_what_a_client_is_started_with(self, door: Door) -> None:
        with door.raw(options="-c statement_timeout=77s") as one, door.raw() as other:
            for _ in range(2):
                assert one.value("SHOW statement_timeout") == "77s"
                assert one.value("SHOW work_mem") == "7MB"
                assert other.value("SHOW statement_timeout") == "0"
                assert other.value("SHOW work_mem") == "7MB"

    def test_a_changed_one_is_for_sessions_to_come(self, proxy: ProxyProcess, door: Door) -> None:
        """As with ALTER ROLE … SET: a session that runs keeps what it has."""
        with door.raw() as before:
            assert before.value("SHOW work_mem") == "7MB"
            with_pool(proxy, init_query="SET work_mem = '8MB'; SELECT 1")
            with door.raw() as after:
                assert after.value("SHOW work_mem") == "8MB"
                assert after.value("SHOW timezone") == "UTC"
                assert before.value("SHOW work_mem") == "7MB"
                assert before.value("SHOW timezone") == "Asia/Tokyo"
                assert after.value("SHOW work_mem") == "8MB"

    def test_one_that_fails_is_named_to_clients_and_in_state(
        self, proxy: ProxyProcess, door: Door
    ) -> None:
        with_pool(proxy, init_query="SELECT * FROM nowhere")
        proxy.wait_until(
            lambda: proxy.state()["targets"][0]["reason"] == "InitQueryFailed", "its reason"
        )
        error = refusal(door)
        assert error["C"] == "42P01"
        assert error["M"] == (
            'spec.connectionPool.initQuery failed: relation "nowhere" does not exist'
        )
        with_pool(proxy, init_query="")
        proxy.wait_until(lambda: proxy.health == ["Available"], "it is corrected")
        with door.raw() as client:
            assert client.value("SELECT 1") == "1"


def refusal(door: Door) -> dict[str, str]:
    """What a client is told, at its login or at its first query."""
    try:
        with door.raw() as client:
            return last_error(client)
    except Refused as refused:
        return refused.fields


def last_error(client: RawClient) -> dict[str, str]:
    errors = [message for message in client.ask(query("SELECT 1")) if message.kind == "E"]
    return errors[-1].fields
