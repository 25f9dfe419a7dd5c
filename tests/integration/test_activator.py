"""Clients of a proxy that sleeps: held, until its pod answers them; nothing is answered before."""

import contextlib
import itertools
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from sluice_testing.activating import PROXY, Sleeping
from sluice_testing.proxy import wait_until
from sluice_testing.raw import SSL_REQUEST, Refused, query, startup
from sluice_testing.stand_in import answers

KINDS: dict[str, dict[str, Any]] = {
    "plain": {"sslmode": "disable"},
    "prefer": {"sslmode": "prefer"},
    "require": {"sslmode": "require"},
    "verify-full": {},
    "channel_binding": {"sslmode": "require", "channel_binding": "require"},
    "direct": {"sslnegotiation": "direct"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_wakes_the_proxy_and_sees_nothing_of_it(sleeping: Sleeping, kind: str) -> None:
    with sleeping.door.connect(**KINDS[kind]) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("app",)
        assert connection.pgconn.ssl_in_use == (kind != "plain")
        assert sleeping.activator.wakes()["spliced"] == 1
    sleeping.activator.wait_for(held=0, spliced=0)
    assert (sleeping.api.asked("PATCH"), sleeping.api.scales[PROXY].replicas) == (1, 1)


async def test_asyncpg(sleeping: Sleeping) -> None:
    connection = await sleeping.door.connect_asyncpg()
    try:
        assert await connection.fetchval("SELECT current_user") == "app"
    finally:
        await connection.close()


def test_what_a_wake_was_made_of(sleeping: Sleeping) -> None:
    before = time.time()
    with sleeping.door.raw() as client:
        assert client.value("SELECT 1") == "1"
    wake = sleeping.activator.wakes()["wake"]
    assert list(wake["stages"]) == ["accept", "patch", "listening", "splice", "first_byte"]
    assert list(wake["stages"].values()) == sorted(wake["stages"].values())
    assert before <= wake["at"] <= time.time()
    assert wake["client"].startswith("127.0.0.1:")
    metrics = sleeping.activator.metrics()
    assert metrics["sluice_activator_wakes_total"] == 1
    assert metrics['sluice_activator_wake_seconds_count{stage="first_byte"}'] == 1
    assert metrics['sluice_activator_api_requests_total{status="200",verb="PATCH"}'] == 1
    assert [e["msg"] for e in sleeping.activator.events() if e["msg"] in ("waking", "woken")] == [
        "waking",
        "woken",
    ]


def test_the_pod_knows_the_client_by_its_own_address(sleeping: Sleeping) -> None:
    with pytest.raises(Refused):
        sleeping.door.as_user("app", "wrong").raw()
    told = sleeping.activator.wakes()["wake"]["client"]
    [pod] = sleeping.pods.values()
    assert [e["peer"] for e in pod.events() if e["msg"] == "login refused"] == [told]


def test_pods_get_clients_in_the_order_of_their_arrival(sleeping: Sleeping) -> None:
    sleeping.wakes_up = False
    with contextlib.ExitStack() as stack:
        ports = []
        for number in range(1, 81):
            client = stack.enter_context(socket.create_connection(sleeping.place))
            client.sendall(startup(user="app", database="app"))
            sleeping.activator.wait_for(held=number)
            ports.append(client.getsockname()[1])
        pod = stack.enter_context(sleeping.stand_in(answers).listening())
        sleeping.tell(unready=[pod.address])
        sleeping.activator.wait_for(held=0, spliced=80)
        seen = [visit.client[1] for visit in pod.visits]
    assert seen == ports


def test_many_at_once_wake_it_once(sleeping: Sleeping) -> None:
    def story(number: int) -> str | None:
        with sleeping.door.raw(tls=number % 2 == 0) as client:
            return client.value(f"SELECT {number}")

    with ThreadPoolExecutor(60) as crowd:
        told = list(crowd.map(story, range(60)))
    assert told == [str(number) for number in range(60)]
    assert sleeping.api.asked("PATCH") == 1


def test_two_activators_wake_it_once_and_one_is_enough(sleeping: Sleeping) -> None:
    sleeping.wakes_up = False
    second = sleeping.start_activator("127.0.0.2")
    with sleeping.door.knock() as one, sleeping.door_of(second).knock() as other:
        for client in (one, other):
            client.send(SSL_REQUEST)
        for activator in sleeping.activators:
            activator.wait_for(held=1)
        wait_until(lambda: sleeping.api.scales[PROXY].replicas == 1, "the scale is raised")
        sleeping.activator.kill()
        sleeping.start_pods()
        assert other.read_byte() == b"S"
    assert sleeping.api.scales[PROXY].version == 2


def test_bytes_go_both_ways_as_they_come(sleeping: Sleeping) -> None:
    """Some megabytes each way, to a reader that takes its time."""
    with sleeping.door.connect() as connection:
        connection.execute("CREATE TEMP TABLE lines (line text)")
        row = "x" * 997 + "\n"
        with connection.cursor().copy("COPY lines FROM STDIN") as copy:
            for _ in range(20_000):
                copy.write(row)
        assert connection.execute("SELECT count(*), sum(length(line)) FROM lines").fetchone() == (
            20_000,
            20_000 * 997,
        )
        size = 0
        with connection.cursor().copy("COPY lines TO STDOUT") as copy:
            for number, data in enumerate(copy):
                size += len(data)
                if number % 5000 == 0:
                    time.sleep(0.2)
        assert size == 20_000 * 998


def test_a_cancel_request_reaches_the_pod(sleeping: Sleeping) -> None:
    with sleeping.door.connect() as connection:
        connection.pgconn.send_query(b"SELECT pg_sleep(60)")
        time.sleep(0.3)
        connection.cancel_safe()
        result = connection.pgconn.get_result()
        assert result is not None
        assert result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"57014"
        assert connection.pgconn.get_result() is None


def test_it_sleeps_and_wakes_again_and_again(sleeping: Sleeping) -> None:
    for number, kind in enumerate(itertools.islice(itertools.cycle(KINDS), 8), 1):
        with sleeping.door.connect(**KINDS[kind]) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        sleeping.stop_pods()
        assert sleeping.api.asked("PATCH") == number


def test_a_pod_that_ends_still_serves_and_the_proxy_wakes(sleeping: Sleeping) -> None:
    """Between the order to end and the end; the client is let in at once."""
    sleeping.start_pods()
    [(address, old)] = sleeping.pods.items()
    with sleeping.door.raw() as client:
        assert client.value("SELECT 1") == "1"
    assert sleeping.api.asked("") == 0
    sleeping.tell(terminating=[address])
    sleeping.wakes_up = False
    # The activator has to have heard of it.
    time.sleep(0.3)
    with sleeping.door.raw() as client:
        assert client.value("SELECT 1") == "1"
        wait_until(lambda: sleeping.api.scales[PROXY].replicas == 1, "the scale is raised")
        assert old.metrics()["sluice_client_connections"] == 1


def test_pods_that_are_there_need_no_wake(sleeping: Sleeping) -> None:
    sleeping.start_pods(2)
    for _ in range(5):
        with sleeping.door.raw() as client:
            assert client.value("SELECT 1") == "1"
    assert sleeping.api.asked("") == 0
    assert sleeping.activator.wakes()["wake"] is None


def test_the_next_pod_gets_its_share(sleeping: Sleeping) -> None:
    sleeping.start_pods(2)
    for pod in sleeping.pods.values():
        pod.wait_until_ready()
    with sleeping.door.crowd(8):
        clients = [pod.metrics()["sluice_client_connections"] for pod in sleeping.pods.values()]
    # The first client has dialled both: one more or less.
    assert sum(clients) == 8
    assert min(clients) >= 3


def test_hello_is_enough_to_be_dialled(sleeping: Sleeping) -> None:
    """No slice tells of the pod; another's hello, or noise, leads nowhere."""
    sleeping.wakes_up = False
    with sleeping.door.knock() as client:
        client.send(startup(user="app", database="app"))
        sleeping.activator.wait_for(held=1)
        tell: Callable[..., None] = sleeping.tell
        sleeping.tell = lambda **conditions: None  # type: ignore[method-assign]
        sleeping.start_pods()
        sleeping.tell = tell  # type: ignore[method-assign]
        [address] = sleeping.pods
        for text in (b"sluice shop/others", b"hello", b"sluice ", b"sluice \xff/\xff"):
            sleeping.activator.say_hello(address, text)
        time.sleep(0.3)
        assert sleeping.activator.wakes()["held"] == 1
        sleeping.activator.say_hello(address)
        assert client.read().kind == "R"


def test_a_client_that_hangs_up_is_noticed_at_the_pod(sleeping: Sleeping) -> None:
    with sleeping.door.raw() as client:
        client.send(query("SELECT pg_sleep(0.2)"))
    [pod] = sleeping.pods.values()
    pod.wait_for_pool(clients=0)
    sleeping.activator.wait_for(spliced=0)
