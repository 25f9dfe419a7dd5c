"""The second port for clients: behind an activator's PROXY header, and for nobody else."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from sluice_proxy.config import HELLO_PORT, Fleet
from sluice_proxy.wire.proxy_header import ANSWER_LENGTH, answer, header
from sluice_testing.door import PATIENCE, Door
from sluice_testing.fixtures import MakeConfig, StartProxy
from sluice_testing.postgres import APP_DATABASE, APP_PASSWORD, APP_USER, Postgres
from sluice_testing.proxy import ProxyProcess, wait_until
from sluice_testing.raw import SSL_REQUEST, RawClient, cancel_request, query, startup

UID = "5a1c7a0e-3f64-4d7b-8f0a-6d8f2f5b1c11"
CLIENT = ("192.0.2.7", 40_001)
ADDRESS = "192.0.2.7:40001"


@pytest.fixture
def proxy(server: Postgres, make_config: MakeConfig, start_proxy: StartProxy) -> ProxyProcess:
    return start_proxy(make_config(server, uid=UID))


class Activator:
    """Dials for a client."""

    def __init__(self, proxy: ProxyProcess, uid: str = UID, nonce: bytes = b""):
        self.proxy = proxy
        self.uid = uid
        self.nonce = nonce or os.urandom(16)
        self.dialled = (proxy.host, proxy.activator_port)
        self.header = header(CLIENT, self.dialled, uid, self.nonce)

    def dial(self) -> RawClient:
        return RawClient(*self.dialled, timeout=PATIENCE)

    @contextmanager
    def introduced(self, *ahead: bytes) -> Iterator[RawClient]:
        """The header and what the client says `ahead`, in one packet; the answer is right."""
        with self.dial() as client:
            client.send(self.header, *ahead)
            said = b"".join(client.read_byte() for _ in range(ANSWER_LENGTH))
            assert said == answer(self.uid, self.nonce)
            yield client

    @property
    def refused(self) -> bool:
        """Whether the header leads nowhere: closed without a byte."""
        with self.dial() as client:
            client.send(self.header, SSL_REQUEST)
            return client.read_bytes() == b""


def log_in(client: RawClient) -> None:
    client.log_in(APP_PASSWORD, user=APP_USER, database=APP_DATABASE)


def test_a_client_is_served_under_its_own_address(proxy: ProxyProcess) -> None:
    with Activator(proxy).introduced() as client:
        log_in(client)
        client.ask(query("LISTEN news"))
        proxy.wait_until(lambda: proxy.state()["pins"], "it is pinned")
        [pin] = proxy.state()["pins"]
        assert pin["client"] == ADDRESS
        assert proxy.state()["acceptedTotal"] == 1


def test_a_pod_without_a_share_of_the_budget_takes_nobody(
    server: Postgres, make_config: MakeConfig, start_proxy: StartProxy
) -> None:
    """An activator still holds the client then; in here it would wait, and be lost at SIGTERM."""
    config = make_config(server, uid=UID, fleet=Fleet(total=5, others=0))
    proxy = start_proxy(config, ready=False)
    assert Activator(proxy).refused
    proxy.reload(replace(config, fleet=Fleet(total=5, others=1)))
    proxy.wait_until(lambda: proxy.get("/readyz").status == 200, "it has a share")
    with Activator(proxy).introduced() as client:
        log_in(client)


def test_who_is_refused_is_logged_under_its_own_address(proxy: ProxyProcess) -> None:
    with Activator(proxy).introduced() as client:
        client.greet(startup(user=APP_USER, database=APP_DATABASE), "wrong")
    proxy.wait_until(lambda: "login refused" in proxy.log, "the refusal in the log")
    [told] = [event for event in proxy.events() if event["msg"] == "login refused"]
    assert told["peer"] == ADDRESS


def test_the_clients_first_bytes_may_come_with_the_header(proxy: ProxyProcess, door: Door) -> None:
    with Activator(proxy).introduced(SSL_REQUEST) as client:
        assert client.read_byte() == b"S"
    with Activator(proxy).introduced(startup(user=APP_USER, database=APP_DATABASE)) as client:
        assert client.read().kind == "R"


def test_tls_passes_through(proxy: ProxyProcess, door: Door) -> None:
    """SSLRequest, and a handshake from the first byte on."""
    with Activator(proxy).introduced() as client:
        client.start_tls(door.tls_context())
        log_in(client)
        assert client.value("SELECT 'served'") == "served"
    with Activator(proxy).introduced() as client:
        client.start_direct_tls(door.tls_context())
        log_in(client)
        assert client.value("SELECT 'served'") == "served"


def test_a_header_may_come_in_pieces(proxy: ProxyProcess) -> None:
    activator = Activator(proxy)
    with activator.dial() as client:
        for place in range(len(activator.header)):
            client.send(activator.header[place : place + 1])
        assert client.read_byte() == answer(UID, activator.nonce)[:1]


def test_a_cancel_request_comes_this_way_too(
    server: Postgres, proxy: ProxyProcess, door: Door
) -> None:
    sleeping = "SELECT 1 FROM pg_stat_activity WHERE usename = 'app' AND wait_event = 'PgSleep'"
    with door.raw() as client:
        client.send(query("SELECT pg_sleep(60)"))
        wait_until(lambda: server.fetch(sleeping), "the query runs")
        with Activator(proxy).introduced(cancel_request(client.backend_key)) as errand:
            assert errand.read_bytes() == b""
        [error] = [message for message in client.read_until("Z") if message.kind == "E"]
        assert error.fields["C"] == "57014"
    assert proxy.state()["acceptedTotal"] == 1


@pytest.mark.parametrize("first", [SSL_REQUEST, b"\x16\x03\x01\x02\0", b"GET / HTTP/1.1\r\n\r\n"])
def test_nobody_else_is_let_in(proxy: ProxyProcess, first: bytes) -> None:
    with Activator(proxy).dial() as client:
        client.send(first)
        assert client.read_bytes() == b""
    assert proxy.state()["acceptedTotal"] == 0


def test_an_activator_of_another_proxy_is_refused(proxy: ProxyProcess) -> None:
    assert Activator(proxy, uid="of another").refused
    proxy.wait_until(lambda: "introduction refused" in proxy.log, "the refusal in the log")
    assert UID not in proxy.log


def test_the_uid_may_change(proxy: ProxyProcess) -> None:
    """As when a DatabaseProxy is deleted and made again, and its pods are adopted."""
    proxy.reload(replace(proxy.config, uid="another"))
    assert Activator(proxy).refused
    with Activator(proxy, uid="another").introduced() as client:
        log_in(client)
        assert client.value("SELECT 'served'") == "served"
    proxy.reload(replace(proxy.config, uid=""))
    assert Activator(proxy, uid="").refused


def test_without_a_uid_nobody_listens(
    server: Postgres, make_config: MakeConfig, start_proxy: StartProxy
) -> None:
    proxy = start_proxy(make_config(server))
    with pytest.raises(ConnectionRefusedError):
        Activator(proxy).dial()


def test_a_pod_that_begins_to_listen_says_so(
    server: Postgres, make_config: MakeConfig, start_proxy: StartProxy
) -> None:
    """Another address than the tests' usual one: the port is the same for all of them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as activator:
        activator.bind(("127.77.0.1", HELLO_PORT))
        activator.settimeout(PATIENCE)
        start_proxy(make_config(server, uid=UID, name="shop/orders", activators="127.77.0.1"))
        heard = [activator.recv(100) for _ in range(7)]
    assert heard == [b"sluice shop/orders"] * 7


def test_activators_that_are_not_to_be_found_are_no_reason_to_wait(
    server: Postgres, make_config: MakeConfig, start_proxy: StartProxy
) -> None:
    """RFC 6761, 6.4: names under `invalid` never have an address."""
    proxy = start_proxy(make_config(server, uid=UID, activators="activators.invalid"))
    with Activator(proxy).introduced() as client:
        log_in(client)
        assert client.value("SELECT 'served'") == "served"


def test_who_says_nothing_keeps_no_pod_from_ending(proxy: ProxyProcess) -> None:
    with Activator(proxy).dial() as silent:
        silent.send(Activator(proxy).header[:20])
        proxy.terminate()
        wait_until(lambda: not proxy.running, "the proxy ends")
        assert silent.read_bytes() == b""
