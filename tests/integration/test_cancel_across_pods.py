"""A CancelRequest comes to whichever pod the Service chooses; the key tells whose it is."""

import hashlib
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import psycopg
import pytest

from sluice_proxy.config import POD_IP, Certificate, ProxyConfig
from sluice_testing.certificates import Trust
from sluice_testing.door import Door
from sluice_testing.fixtures import MakeConfig, StartProxy
from sluice_testing.postgres import Postgres, free_port
from sluice_testing.proxy import ProxyProcess, wait_until
from sluice_testing.raw import PROTOCOL_3_0, PROTOCOL_3_2, RawClient, cancel_request, query
from sluice_testing.relay import service

ADDRESSES = ("localhost", "127.0.0.1", "127.0.0.2", "127.0.0.3")
SLEEP = query("SELECT pg_sleep(60)")
NAP = query("SELECT pg_sleep(1)")


@dataclass
class Fleet:
    """Pods that differ in their addresses only. Where they are stands in `peers`."""

    config: ProxyConfig
    start: StartProxy
    ca_file: str
    port: int

    def pod(self, address: str, **changes: object) -> "Pod":
        peers = "127.0.0.1, 127.0.0.2"
        config = replace(self.config, **{"peers": peers, **changes})  # type: ignore[arg-type]
        where = {"host": address, "port": self.port, "environment": {POD_IP: address}}
        proxy = self.start(config, **where)
        return Pod(proxy, Door(proxy.host, proxy.port, self.ca_file))


@dataclass
class Pod:
    proxy: ProxyProcess
    door: Door

    @property
    def cancels(self) -> float:
        return self.proxy.metrics()["sluice_cancel_requests_total"]

    @property
    def warnings(self) -> list[str]:
        return [e["msg"] for e in self.proxy.events() if e["level"] == "warning"]

    def log_in(self, version: int = PROTOCOL_3_2) -> RawClient:
        client = self.door.knock()
        client.log_in(self.door.password, version, user="app", database="app")
        return client

    def cancel(self, key: bytes, how: str = "clear") -> None:
        with self.door.knock() as errand:
            if how == "tls":
                errand.start_tls(self.door.tls_context())
            elif how == "direct":
                errand.start_direct_tls(self.door.tls_context())
            errand.send(cancel_request(key))
            assert errand.read_bytes() == b""


@pytest.fixture
def fleet(
    server: Postgres, make_config: MakeConfig, start_proxy: StartProxy, trust: Trust
) -> Fleet:
    leaf = trust.authority.issue(*ADDRESSES)
    config = make_config(server, certificate=Certificate(leaf.chain, leaf.private_key))
    return Fleet(config, start_proxy, trust.file, free_port())


@pytest.fixture
def sleeping(server: Postgres) -> Callable[[], None]:
    def wait() -> None:
        wait_until(lambda: sleepers(server) == 1, "the query runs")

    return wait


@pytest.mark.parametrize("how", ["clear", "tls", "direct"])
@pytest.mark.parametrize("version", [PROTOCOL_3_0, PROTOCOL_3_2])
def test_the_other_pod_takes_it_on(
    fleet: Fleet, sleeping: Callable[[], None], how: str, version: int
) -> None:
    """Pitfall 38: the key tells the pod; either size of key, whichever way it comes."""
    one, other = fleet.pod("127.0.0.1"), fleet.pod("127.0.0.2")
    with one.log_in(version) as client:
        client.send(SLEEP)
        sleeping()
        other.cancel(client.backend_key, how)
        assert codes(client) == ["57014"]
        assert client.value("SELECT 1") == "1"
    assert (one.cancels, other.cancels) == (1, 0)
    assert one.warnings == other.warnings == []


def test_without_a_certificate_it_goes_in_clear(fleet: Fleet, sleeping: Callable[[], None]) -> None:
    one, other = (fleet.pod(at, certificate=None) for at in ("127.0.0.1", "127.0.0.2"))
    with one.log_in() as client:
        client.send(SLEEP)
        sleeping()
        other.cancel(client.backend_key)
        assert codes(client) == ["57014"]


def test_its_connection_ends_when_it_can_hit_nothing_any_more(
    fleet: Fleet, sleeping: Callable[[], None]
) -> None:
    """Pitfall 37: who waits for that may go on, however many pods are between."""
    one, other = fleet.pod("127.0.0.1"), fleet.pod("127.0.0.2")
    with one.log_in() as client:
        for _ in range(20):
            client.send(query("SELECT pg_sleep(0.01)"))
            other.cancel(client.backend_key)
            assert codes(client) in ([], ["57014"])
            assert client.value("SELECT pg_sleep(0.005)") == ""


def test_drivers_need_not_know(fleet: Fleet, server: Postgres) -> None:
    """libpq connects anew to the address of the Service, and comes to another pod."""
    one, other = fleet.pod("127.0.0.1"), fleet.pod("127.0.0.2")
    pods = [(pod.door.host, pod.door.port) for pod in (one, other)]
    with (
        service(*pods) as (host, port),
        Door(host, port, fleet.ca_file).connect(sslnegotiation="direct") as connection,
        ThreadPoolExecutor(1) as aside,
    ):
        assert 0 < connection.pgconn.backend_pid < 2**31
        running = aside.submit(connection.execute, "SELECT pg_sleep(60)")
        wait_until(lambda: sleepers(server) == 1, "the query runs")
        connection.cancel_safe()
        with pytest.raises(psycopg.errors.QueryCanceled):
            running.result(20)
    assert (one.cancels, other.cancels) == (1, 0)
    assert other.proxy.metrics()["sluice_client_connections_accepted_total"] == 1


@pytest.mark.parametrize("part", ["secret", "pid"])
def test_a_wrong_key_cancels_nothing(fleet: Fleet, sleeping: Callable[[], None], part: str) -> None:
    """Pitfall 36."""
    one, other = fleet.pod("127.0.0.1"), fleet.pod("127.0.0.2")
    with one.log_in() as client:
        client.send(NAP)
        sleeping()
        key = bytearray(client.backend_key)
        key[-1 if part == "secret" else 3] ^= 1
        other.cancel(bytes(key))
        assert codes(client) == []


def test_what_was_forwarded_once_is_not_forwarded_again(
    fleet: Fleet, sleeping: Callable[[], None]
) -> None:
    """Pitfall 38: no circle, even for a key that no pod gave."""
    one, other = fleet.pod("127.0.0.1"), fleet.pod("127.0.0.2")
    with one.log_in() as client:
        client.send(NAP)
        sleeping()
        other.cancel(client.backend_key + b"\1")
        assert codes(client) == []
        client.send(NAP)
        sleeping()
        one.cancel(client.backend_key + b"\1")
        assert codes(client) == ["57014"]


def test_a_pod_that_shows_another_certificate_is_told_nothing(
    fleet: Fleet, trust: Trust, sleeping: Callable[[], None]
) -> None:
    leaf = trust.authority.issue(*ADDRESSES)
    stranger = Certificate(leaf.chain, leaf.private_key)
    one, other = fleet.pod("127.0.0.1"), fleet.pod("127.0.0.2", certificate=stranger)
    with one.log_in() as client:
        client.send(NAP)
        sleeping()
        other.cancel(client.backend_key)
        assert codes(client) == []
    assert other.warnings == ["cannot hand a cancel request to its pod"]
    assert one.cancels == 0


def test_a_pod_that_is_not_among_the_peers_is_told_nothing(
    fleet: Fleet, sleeping: Callable[[], None]
) -> None:
    one, other = fleet.pod("127.0.0.3"), fleet.pod("127.0.0.2")
    with one.log_in() as client:
        client.send(NAP)
        sleeping()
        other.cancel(client.backend_key)
        assert codes(client) == []
    assert other.warnings == []


def test_peers_that_cannot_be_found_cost_the_request_alone(fleet: Fleet) -> None:
    pod = fleet.pod("127.0.0.1", peers="no.such.host.invalid")
    pod.cancel(bytes(36))
    assert pod.warnings == ["cannot find the other pods"]
    with pod.log_in() as client:
        assert client.value("SELECT 1") == "1"


@pytest.fixture
def silent(fleet: Fleet) -> Iterator[None]:
    """Accepts at the address of a pod, and says nothing."""
    with socket.create_server(("127.0.0.2", fleet.port)):
        yield


def test_a_pod_that_does_not_answer_is_waited_for_but_not_for_ever(
    fleet: Fleet, silent: None, server: Postgres
) -> None:
    """Pitfall 40: what is on its way is bounded, in time and in number."""
    pod = fleet.pod("127.0.0.1")
    key = (tag_of("127.0.0.2") << 20 | 1).to_bytes(4, "big") + bytes(32)
    errands = [pod.door.knock() for _ in range(70)]
    for errand in errands:
        errand.send(cancel_request(key))
    for errand in errands:
        assert errand.read_bytes() == b""
        errand.close()
    assert pod.warnings.count("too many cancel requests for other pods, one is dropped") == 6
    assert pod.warnings.count("a pod did not take a cancel request in time") == 64


def tag_of(address: str) -> int:
    """As docs/architecture.md says: eleven bits of the hash of the address."""
    digest = hashlib.sha256(socket.inet_aton(address)).digest()
    return int.from_bytes(digest[:2], "big") >> 5


def codes(client: RawClient) -> list[str]:
    return [message.fields["C"] for message in client.read_until("Z") if message.kind == "E"]


def sleepers(server: Postgres) -> int:
    [count] = server.fetch(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND wait_event = 'PgSleep'"
    )
    return int(count)
