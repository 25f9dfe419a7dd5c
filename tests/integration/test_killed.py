"""A proxy that is killed says goodbye to nobody, and yet nothing of it goes on at the server."""

import pytest

from sluice_testing.door import Door
from sluice_testing.postgres import Postgres
from sluice_testing.proxy import ProxyProcess, wait_until
from sluice_testing.raw import query


def sleepers(server: Postgres) -> int:
    [count] = server.fetch(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND wait_event = 'PgSleep'"
    )
    return int(count)


@pytest.mark.parametrize("server", [15, 18], indirect=True)
@pytest.mark.parametrize("start", [{}, {"options": "-c ignore_system_indexes=on"}])
def test_what_it_ran_ends_with_it(
    server: Postgres, proxy: ProxyProcess, door: Door, start: dict[str, str]
) -> None:
    """It would count beside the connections of the pod that takes its place."""
    with door.raw(**start) as client:
        client.value("SET client_connection_check_interval = 0; RESET ALL")
        client.value("DISCARD ALL")
        client.send(query("SELECT pg_sleep(60)"))
        wait_until(lambda: sleepers(server) == 1, "the query runs")
        proxy.kill()
        wait_until(lambda: not sleepers(server), "the server has found out")


def test_a_client_chooses_for_itself(server: Postgres, proxy: ProxyProcess, door: Door) -> None:
    with door.raw() as client:
        client.value("SET client_connection_check_interval = 0")
        client.send(query("SELECT pg_sleep(5)"))
        wait_until(lambda: sleepers(server) == 1, "the query runs")
        proxy.kill()
        with pytest.raises(AssertionError, match="the server has found out"):
            wait_until(lambda: not sleepers(server), "the server has found out", 2.5)
        wait_until(lambda: not sleepers(server), "the query has ended")
