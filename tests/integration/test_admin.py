"""What the proxy says of itself: for the kubelet, Prometheus, the operator and people."""

import contextlib
import socket

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sluice_testing.door import Door
from sluice_testing.postgres import Postgres
from sluice_testing.proxy import ProxyProcess
from sluice_testing.raw import query

STATE = {"pod", "config", "ready", "draining", "fleetBudget", "targets", "pool"}
POOL = {"budget", "open", "borrowed", "waiting", "pinned", "clients"}
TARGET = {"host", "port", "health", "reason", "message", "maxConnections"}


def test_state(proxy: ProxyProcess, server: Postgres) -> None:
    state = proxy.state()
    assert set(state) >= STATE
    assert set(state["pool"]) >= POOL
    assert set(state["config"]) >= {"hash", "error"}
    assert (state["ready"], state["draining"]) == (True, False)
    [target] = state["targets"]
    assert set(target) >= TARGET
    assert (target["host"], target["port"]) == (server.host, server.port)
    assert (target["health"], target["maxConnections"]) == ("Available", 100)


def test_the_pool_is_counted(proxy: ProxyProcess, door: Door) -> None:
    with door.raw(), door.raw() as borrower, door.raw() as pinned:
        borrower.ask(query("BEGIN"))
        pinned.ask(query("LISTEN news"))
        pool = proxy.state()["pool"]
        expected = {"budget": 5, "open": 2, "borrowed": 2, "waiting": 0, "pinned": 1, "clients": 3}
        assert {name: pool[name] for name in POOL} == expected
    proxy.wait_for_pool(borrowed=0, pinned=0, clients=0)


def test_an_unchanged_state_is_not_sent_again(proxy: ProxyProcess, door: Door) -> None:
    """While a client is there: else it tells for how long none has been."""
    with door.raw():
        proxy.wait_for_pool(clients=1, borrowed=0)
        first = proxy.get("/state")
        again = proxy.get("/state", {"If-None-Match": first.headers["etag"]})
        assert (again.status, again.text) == (304, "")


def test_for_how_long_no_client_has_been_there(proxy: ProxyProcess, door: Door) -> None:
    before = proxy.state()
    assert before["acceptedTotal"] == 0
    door.knock().close()
    proxy.wait_until(lambda: proxy.state()["idleSeconds"] > before["idleSeconds"], "time passes")
    with door.raw():
        assert (proxy.state()["idleSeconds"], proxy.state()["acceptedTotal"]) == (0, 1)
        assert proxy.metrics()["sluice_proxy_idle_seconds"] == 0
    with door.connect():
        assert (proxy.state()["idleSeconds"], proxy.state()["acceptedTotal"]) == (0, 2)
    proxy.wait_until(lambda: proxy.state()["idleSeconds"] > 0, "nobody is there any more")
    assert proxy.state()["acceptedTotal"] == 2


def test_probes(proxy: ProxyProcess) -> None:
    assert proxy.get("/healthz").status == 200
    assert proxy.get("/readyz").status == 200


def test_metrics_are_prometheus_text(proxy: ProxyProcess, door: Door) -> None:
    with door.raw() as client:
        for _ in range(10):
            client.value("SELECT 1")
        client.ask(query("BEGIN; SELECT 1; COMMIT"))
        answer = proxy.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    ours = {name for name in families if name.startswith("sluice_")}
    assert len(ours) > 10
    for name in ours:
        assert families[name].documentation, name
        assert families[name].type != "unknown", name


def test_counters_count(proxy: ProxyProcess, door: Door) -> None:
    before = proxy.metrics()
    with door.raw() as client:
        for _ in range(10):
            client.value("SELECT 1")
    after = proxy.metrics()
    grown = {name for name in after if after[name] > before.get(name, 0.0)}
    assert any("transactions" in name for name in grown)
    assert any("client" in name for name in grown)
    assert any("borrow" in name and "bucket" in name for name in grown)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed(proxy: ProxyProcess, method: str) -> None:
    for path in ("/", "/state", "/metrics", "/healthz"):
        assert proxy.get(path, method=method).status in (404, 405)


def test_other_paths(proxy: ProxyProcess) -> None:
    for path in ("/", "/nothing", "/state/x", "/../etc/passwd", "//"):
        assert proxy.get(path).status == 404, path


@pytest.mark.parametrize(
    "garbage",
    [b"\0" * 100, b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"x" * 100_000, b"\x16\x03\x01\x02\x00"],
    ids=["zeros", "half a request", "a header without end", "TLS"],
)
def test_garbage_on_the_admin_port(proxy: ProxyProcess, garbage: bytes) -> None:
    with socket.create_connection((proxy.host, proxy.admin_port), 10) as client:
        answer = b""
        with contextlib.suppress(OSError):  # it may have hung up in the middle
            client.sendall(garbage)
            client.shutdown(socket.SHUT_WR)
            answer = client.recv(4096)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer
    assert proxy.get("/healthz").status == 200


def test_slow_askers_do_not_stop_others(proxy: ProxyProcess, door: Door) -> None:
    slow = [socket.create_connection((proxy.host, proxy.admin_port), 10) for _ in range(20)]
    for asker in slow:
        asker.sendall(b"GET /sta")
    assert proxy.get("/healthz").status == 200
    with door.raw() as client:
        assert client.value("SELECT 1") == "1"
    for asker in slow:
        asker.close()
